package stele

import (
	"bytes"
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

// formatText is the content of store.format. A program that reads a higher version refuses newer stores.
const formatText = "stele store, format 0\n"

// Create makes a store in folder, which is missing or empty, and writes its recovery kit. The format file is written last: a crash before that leaves a folder that holds no data and that Open refuses by name.
func Create(ctx context.Context, folder string, opt Options) (_ *Store, err error) {
	s := newStore(folder, opt)
	unmake := func() error { return nil }
	defer func() {
		if err != nil {
			s.Close()
			err = errors.Join(translate(err), unmake())
		}
	}()
	if empty, err := isEmpty(s.fs, s.dir); err != nil {
		return nil, err
	} else if !empty {
		return nil, s.notEmpty()
	}
	if err := s.checkKit(); err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(s.fs, s.dir); err != nil {
		return nil, fmt.Errorf("couldn't make the folder %s: %w", s.dir, err)
	}
	if err := s.lockFolder(); err != nil {
		return nil, err
	}
	if empty, err := isEmpty(s.fs, s.dir); err != nil { // again: another Create may have come before us and be done
		return nil, err
	} else if !empty {
		return nil, s.notEmpty()
	}
	unmake = s.unmake
	if doubt := s.ClockDoubt(); doubt != nil {
		s.log.Warn("the clock of this machine is not to be believed", "reason", doubt)
	}
	if s.eng, err = dir.Open(s.fs, s.dir, dir.Options{}); err != nil {
		return nil, err
	}
	kit, err := s.makeKeys(ctx)
	if err != nil {
		return nil, err
	}
	vkey, err := s.keys.VKey()
	if err != nil {
		return nil, err
	}
	init := ledger.Draft{Type: entry.StoreInit, Private: entry.Private{Actor: actorStele,
		Data: map[string]string{"origin": s.keys.Origin(), "store": s.ID(), "vkey": vkey}}}
	if err := s.openParts(ctx, way{init: &init}); err != nil {
		return nil, err
	}
	if err := s.writeKit(kit); err != nil {
		return nil, err
	}
	unmake = func() error { return nil } // its kit is written: from here on what is there stays
	// The commit point of a new store.
	if err := s.eng.Create(ctx, fileFormat, int64(len(formatText)), strings.NewReader(formatText)); err != nil {
		return nil, fmt.Errorf("couldn't write %s: %w", fileFormat, err)
	}
	return s, s.begin()
}

// unmake removes what a Create that failed has made in the folder, which was empty: nobody has seen that store, and its kit was not written. So the same command works once what stood in the way is gone.
func (s *Store) unmake() error {
	for _, name := range append(dir.Folders(), dirIndex, filePublished, fileRootKey, fileFindings, fileIdentity) {
		if err := s.fs.RemoveAll(s.path(name)); err != nil && !isNotExist(err) {
			return fmt.Errorf("couldn't remove what was begun in %s: %w. Name another folder with --data", s.dir, err)
		}
	}
	return nil
}

// makeKeys makes the server's identity, the keyring, the root access key and the recovery kit's content.
func (s *Store) makeKeys(ctx context.Context) (*keyring.Kit, error) {
	server, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("couldn't make the server's identity: %w", err)
	}
	recovery, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("couldn't make the recovery key: %w", err)
	}
	if err := durable.WriteFile(s.fs, s.path(fileIdentity), []byte(server.String()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("couldn't write %s: %w", fileIdentity, err)
	}
	var id [16]byte
	rand.Read(id[:])
	if s.keys, err = keyring.New(id); err != nil {
		return nil, err
	}
	if err := keyring.Save(ctx, s.eng, s.keys, server.Recipient(), recovery.Recipient()); err != nil {
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
	vkey, err := s.keys.VKey()
	if err != nil {
		return nil, err
	}
	return &keyring.Kit{StoreID: id, RecoveryIdentity: recovery.String(), VKey: vkey, Created: time.Now().UTC().Truncate(time.Second)}, nil
}

// KitPath returns where Create writes the recovery kit if nothing is there yet.
func (o Options) KitPath(folder string) string {
	if o.Kit != "" {
		return o.Kit
	}
	return filepath.Join(filepath.Dir(filepath.Clean(folder)), "stele-recovery-kit.txt")
}

// maxKits bounds the search for a name that no other store's kit has.
const maxKits = 1000

// chooseKit settles where the kit goes. A place that was named is kept to; beside the folder a second store's kit gets a number, since the first one's must not be touched.
func (s *Store) chooseKit() {
	s.kit = s.opt.KitPath(s.dir)
	for n := 2; s.opt.Kit == "" && n <= maxKits; n++ {
		if _, err := s.fs.Stat(s.kit); err != nil {
			return
		}
		s.kit = strings.TrimSuffix(s.opt.KitPath(s.dir), ".txt") + fmt.Sprintf("-%d.txt", n)
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
	if _, err := s.fs.Stat(at); err == nil {
		return fmt.Errorf("%s exists, perhaps the kit of another store: name another place with --kit", at)
	}
	parent := s.fs.PathDir(at)
	if parent == s.fs.PathDir(s.dir) {
		return nil // made with the data folder
	}
	if info, err := s.fs.Stat(parent); err != nil || !info.IsDir() {
		return fmt.Errorf("couldn't write the recovery kit %s: %s is no folder. Make it, or name another place with --kit", at, parent)
	}
	return nil
}

func (s *Store) writeKit(kit *keyring.Kit) error {
	at := s.kit
	if err := durable.WriteFile(s.fs, at, kit.Text(), 0o600); err != nil {
		return fmt.Errorf("couldn't write the recovery kit %s: %w", at, err)
	}
	return nil
}

// giveRoot takes the root key from the options.
func (s *Store) giveRoot() error {
	s.root = *s.opt.Root
	s.root.Role, s.root.Scope = RoleAdmin, nil
	return checkRootID(s.root.ID)
}

func (s *Store) makeRoot() error {
	s.root = entry.AccessKey{ID: "STELEROOT" + randomID(7), Role: "admin", Secret: randomSecret()}
	b, err := json.MarshalIndent(map[string]string{"access_key": s.root.ID, "secret_key": s.root.Secret}, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.fs, s.path(fileRootKey), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("couldn't write %s: %w", fileRootKey, err)
	}
	return nil
}

func (s *Store) loadRoot() error {
	b, err := readFile(s.fs, s.path(fileRootKey))
	if isNotExist(err) {
		if s.opt.ReadOnly {
			return nil
		}
		return s.makeRoot() // a store that was made with its root key in the environment
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", fileRootKey, err)
	}
	var k struct {
		AccessKey string `json:"access_key"`
		SecretKey string `json:"secret_key"`
	}
	if err := json.Unmarshal(b, &k); err != nil || k.AccessKey == "" || k.SecretKey == "" {
		return fmt.Errorf("%s does not hold a root key. Copy it back; or move it away (mv %s %s.damaged), and the next start makes a new root key", s.path(fileRootKey), quoted(s.path(fileRootKey)), quoted(s.path(fileRootKey)))
	}
	s.root = entry.AccessKey{ID: k.AccessKey, Role: "admin", Secret: k.SecretKey}
	if err := checkRootID(s.root.ID); err != nil {
		return fmt.Errorf("%s: %w", s.path(fileRootKey), err)
	}
	return nil
}

// Root returns the root access key.
func (s *Store) Root() entry.AccessKey { return s.root }

var noPad = base32.StdEncoding.WithPadding(base32.NoPadding)

// randomID returns n upper-case letters and digits.
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return noPad.EncodeToString(b)[:n]
}

// randomSecret returns 40 characters as AWS secrets have them, without those that shells mind.
func randomSecret() string {
	b := make([]byte, 30)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func readFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func trimSpace(b []byte) []byte { return bytes.TrimSpace(b) }

func isNotExist(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrNotExist)
}

// notEmpty says why no store is made in a folder.
func (s *Store) notEmpty() error {
	if IsStore(s.dir, s.opt) {
		return fmt.Errorf("%s is not empty: there is a store in it already. `stele serve --data %s` serves it; name another folder for a new one", s.dir, s.dir)
	}
	return fmt.Errorf("%s is not empty: a new store needs an empty or missing folder. Name one with --data", s.dir)
}
