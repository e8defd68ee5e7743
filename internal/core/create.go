package core

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/durable"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// FormatText is the content of store.format. A program that reads a higher version refuses newer stores.
const FormatText = "stele store, format 0\n"

// Create makes the store in the folder, and opens it.
func (s *Store) Create(ctx context.Context) (err error) {
	unmake := func() error { return nil }
	defer func() {
		if err != nil {
			s.Close()
			err = errors.Join(Translate(err), unmake())
		}
	}()
	if empty, err := IsEmpty(s.FS, s.dir); err != nil {
		return err
	} else if !empty {
		return s.notEmpty()
	}
	if err := s.checkKit(); err != nil {
		return err
	}
	if err := s.MakeFolder(); err != nil {
		return err
	}
	if err := s.LockFolder(); err != nil {
		return err
	}
	if empty, err := IsEmpty(s.FS, s.dir); err != nil { // again: another Create may have come before us and be done
		return err
	} else if !empty {
		return s.notEmpty()
	}
	unmake = s.unmake
	if doubt := s.ClockDoubt(); doubt != nil {
		s.Log.Warn("the clock of this machine is not to be believed", "reason", doubt)
	}
	if s.Engine, err = dir.Open(s.FS, s.dir, dir.Options{}); err != nil {
		return err
	}
	kit, err := s.makeKeys(ctx)
	if err != nil {
		return err
	}
	vkey, err := s.Keys.VKey()
	if err != nil {
		return err
	}
	init := ledger.Draft{Type: entry.StoreInit, Private: entry.Private{Actor: ActorStele,
		Data: map[string]string{"origin": s.Keys.Origin(), "store": s.ID(), "vkey": vkey}}}
	if err := s.openParts(ctx, Way{init: &init}); err != nil {
		return err
	}
	if err := s.writeKit(kit); err != nil {
		return err
	}
	unmake = func() error { return nil } // its kit is written: from here on what is there stays
	// The commit point of a new store.
	if err := s.Engine.Create(ctx, FileFormat, int64(len(FormatText)), strings.NewReader(FormatText)); err != nil {
		return fmt.Errorf("couldn't write %s: %w", FileFormat, err)
	}
	return s.begin()
}

// unmake removes what a Create that failed has made in the folder, which was empty: nobody has seen that store, and its kit was not written. So the same command works once what stood in the way is gone.
func (s *Store) unmake() error {
	for _, name := range append(dir.Folders(), DirIndex, FilePublished, FileRootKey, FileFindings, FileIdentity) {
		if err := s.FS.RemoveAll(s.Path(name)); err != nil && !IsNotExist(err) {
			return fmt.Errorf("couldn't remove what was begun in %s: %w. Name another folder with --data", s.dir, err)
		}
	}
	return nil
}

// makeKeys makes the server's identity, the keyring, the root access key and the recovery kit's content.
func (s *Store) makeKeys(ctx context.Context) (*keyring.Kit, error) {
	server, err := s.MachineIdentity()
	if err != nil {
		return nil, err
	}
	recovery, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("couldn't make the recovery key: %w", err)
	}
	var id [16]byte
	rand.Read(id[:])
	if s.Keys, err = keyring.New(id); err != nil {
		return nil, err
	}
	if err := keyring.Save(ctx, s.Engine, s.Keys, server.Recipient(), recovery.Recipient()); err != nil {
		return nil, err
	}
	if s.opt.Root != nil {
		err = s.giveRoot()
	} else {
		err = s.makeRoot()
	}
	if err != nil {
		return nil, err
	}
	vkey, err := s.Keys.VKey()
	if err != nil {
		return nil, err
	}
	return &keyring.Kit{StoreID: id, RecoveryIdentity: recovery.String(), VKey: vkey, Created: time.Now().UTC().Truncate(time.Second)}, nil
}

// KitPath returns where the recovery kit is written if nothing is there yet: kit, or, if that is empty, stele-recovery-kit.txt beside the folder.
func KitPath(kit, folder string) string {
	if kit != "" {
		return kit
	}
	return filepath.Join(filepath.Dir(filepath.Clean(folder)), "stele-recovery-kit.txt")
}

// maxKits bounds the search for a name that no other store's kit has.
const maxKits = 1000

// chooseKit settles where the kit goes. A place that was named is kept to; beside the folder a second store's kit gets a number, since the first one's must not be touched.
func (s *Store) chooseKit() {
	s.kit = KitPath(s.opt.Kit, s.dir)
	for n := 2; s.opt.Kit == "" && n <= maxKits; n++ {
		if _, err := s.FS.Stat(s.kit); err != nil {
			return
		}
		s.kit = strings.TrimSuffix(KitPath(s.opt.Kit, s.dir), ".txt") + fmt.Sprintf("-%d.txt", n)
	}
}

// KitWritten returns where Create wrote the recovery kit; empty for a store that was opened.
func (s *Store) KitWritten() string { return s.kit }

// checkKit refuses a place for the recovery kit before anything is made.
func (s *Store) checkKit() error {
	s.chooseKit()
	at := s.kit
	abs, err1 := filepath.Abs(at)
	folder, err2 := filepath.Abs(s.dir)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if abs == folder || strings.HasPrefix(abs, folder+string(filepath.Separator)) {
		return fmt.Errorf("the recovery kit must not lie in the data folder %s: whoever loses the folder loses the kit with it. Name another place with --kit", s.dir)
	}
	if _, err := s.FS.Stat(at); err == nil {
		return fmt.Errorf("%s exists, perhaps the kit of another store: name another place with --kit", at)
	}
	parent := s.FS.PathDir(at)
	if parent == s.FS.PathDir(s.dir) {
		return nil // made with the data folder
	}
	if info, err := s.FS.Stat(parent); err != nil || !info.IsDir() {
		return fmt.Errorf("couldn't write the recovery kit %s: %s is no folder. Make it, or name another place with --kit", at, parent)
	}
	return nil
}

func (s *Store) writeKit(kit *keyring.Kit) error {
	at := s.kit
	if err := durable.WriteFile(s.FS, at, kit.Text(), 0o600); err != nil {
		return fmt.Errorf("couldn't write the recovery kit %s: %w", at, err)
	}
	return nil
}

const roleAdmin = "admin"

// giveRoot takes the root key from the options.
func (s *Store) giveRoot() error {
	s.root = *s.opt.Root
	s.root.Role, s.root.Scope = roleAdmin, nil
	return checkRootID(s.root.ID)
}

func (s *Store) makeRoot() error {
	s.root = entry.AccessKey{ID: "STELEROOT" + RandomID(7), Role: roleAdmin, Secret: RandomSecret()}
	b, err := json.MarshalIndent(map[string]string{"access_key": s.root.ID, "secret_key": s.root.Secret}, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.FS, s.Path(FileRootKey), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("couldn't write %s: %w", FileRootKey, err)
	}
	return nil
}

// LoadRoot reads the root access key that is kept in the folder, or makes one where there is none and the folder may be written.
func (s *Store) LoadRoot() error {
	b, err := ReadFile(s.FS, s.Path(FileRootKey))
	if IsNotExist(err) {
		if s.opt.ReadOnly {
			return nil
		}
		return s.makeRoot() // a store that was made with its root key in the environment
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", FileRootKey, err)
	}
	var k struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.Unmarshal(b, &k); err != nil || k.AccessKey == "" || k.SecretKey == "" {
		return fmt.Errorf("%s does not hold a root key. Copy it back; or move it away (mv %s %s.damaged), and the next start makes a new root key", s.Path(FileRootKey), quoted(s.Path(FileRootKey)), quoted(s.Path(FileRootKey)))
	}
	s.root = entry.AccessKey{ID: k.AccessKey, Role: roleAdmin, Secret: k.SecretKey}
	if err := checkRootID(s.root.ID); err != nil {
		return fmt.Errorf("%s: %w", s.Path(FileRootKey), err)
	}
	return nil
}

// Root returns the root access key.
func (s *Store) Root() entry.AccessKey { return s.root }

var noPad = base32.StdEncoding.WithPadding(base32.NoPadding)

// RandomID returns n upper-case letters and digits.
func RandomID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return noPad.EncodeToString(b)[:n]
}

// RandomSecret returns 40 characters as AWS secrets have them, without those that shells mind.
func RandomSecret() string {
	b := make([]byte, 30)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// RandomHex returns n random bytes as 2n hex digits.
func RandomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// ReadFile reads a file whole.
func ReadFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// IsNotExist reports whether an error says that a file is not there.
func IsNotExist(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrNotExist)
}

// HasFormat reports whether the folder holds a store of its own, or that of a former primary.
func (s *Store) HasFormat() bool {
	_, err := s.FS.Stat(s.Path(FileFormat))
	return err == nil
}

// notEmpty says why no store is made in a folder.
func (s *Store) notEmpty() error {
	if s.HasFormat() {
		return fmt.Errorf("%s is not empty: there is a store in it already. `stele serve --data %s` serves it; name another folder for a new one", s.dir, s.dir)
	}
	return fmt.Errorf("%s is not empty: a new store needs an empty or missing folder. Name one with --data", s.dir)
}

// checkRootID refuses a root key's id that is how the ledger calls somebody else: the trail would not tell who did it. The ids of other keys are made here.
func checkRootID(id string) error {
	if id == ActorStele || id == ActorLocal || strings.HasPrefix(id, ActorLocal+":") {
		return OfKind(fmt.Errorf("root access key %q: so the ledger calls the store itself (stele) and the command line (local, local:USER). Take another name", id), ErrBadName)
	}
	return nil
}
