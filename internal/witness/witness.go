// Package witness cosigns the checkpoints of other logs. It cosigns one only if the log's own key has signed it and it provably continues the last one
// that was cosigned here (c2sp.org/tlog-witness v1.0.0, c2sp.org/tlog-cosignature v1.0.1). So nobody, the log's owner included, can have two histories cosigned.
//
// It trusts its folder and the verifier keys that it was given. If the folder is lost, begin a new witness with a new key. Never put the folder back from an older
// copy: that witness would cosign what it had refused.
package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/durable"
	"stele/tree"
)

var (
	// ErrUnknown: no log of this origin is pinned.
	ErrUnknown = errors.New("this log is not one that is witnessed here")
	// ErrProof: the checkpoint does not go on from the one that was cosigned last.
	ErrProof = errors.New("the checkpoint does not go on from what was cosigned")
	// ErrFailed: an earlier write failed, and nothing is cosigned until the witness is opened again.
	ErrFailed = errors.New("the witness couldn't write and has stopped")
)

// SizeError says that the proof began at another size than the one cosigned last.
type SizeError struct{ Kept uint64 }

// Error implements error.
func (e *SizeError) Error() string { return fmt.Sprintf("the size cosigned last is %d", e.Kept) }

// Options say where a witness keeps what it is.
type Options struct {
	FS     vfs.FS           // nil: the operating system's
	Key    string           // file of the key, mode 0600; made at the first Open
	Folder string           // the last checkpoint of each log
	Logs   []string         // the verifier keys of the logs
	Now    func() time.Time // nil: time.Now
}

// Witness cosigns. It is safe for concurrent use. It holds no file open; two of them must not share a folder.
type Witness struct {
	opt  Options
	sign *tree.Cosigner
	logs map[string]*log
}

// log is a pinned log.
type log struct {
	vkey *tree.Verifier
	path string

	mu     sync.Mutex      // from the check of the size until the new one is durable: else a slower request could roll it back
	kept   tree.Checkpoint // the one cosigned last; size 0 with no root: none
	failed error           // a write failed: what the disk holds is not known until it is read again
}

// Open opens a witness, or makes one.
func Open(opt Options) (*Witness, error) {
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := durable.MkdirAll(opt.FS, opt.Folder); err != nil {
		return nil, err
	}
	w := &Witness{opt: opt, logs: map[string]*log{}}
	var err error
	if w.sign, err = openKey(opt.FS, opt.Key); err != nil {
		return nil, err
	}
	for _, vkey := range opt.Logs {
		v, err := tree.NewVerifier(vkey)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(v.Origin()))
		l := &log{vkey: v, path: opt.FS.PathJoin(opt.Folder, hex.EncodeToString(sum[:16])+".note")}
		if err := l.open(opt.FS); err != nil {
			return nil, fmt.Errorf("couldn't read what was cosigned for %s: %w", v.Origin(), err)
		}
		w.logs[v.Origin()] = l
	}
	return w, nil
}

// VKey is the witness' verifier key.
func (w *Witness) VKey() string { return w.sign.String() }

// open reads what was cosigned last. A file that doesn't verify is an error: to begin at zero would cosign a second history.
func (l *log) open(fsys vfs.FS) error {
	signed, err := readFile(fsys, l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := l.vkey.Open(signed)
	if err != nil {
		return err
	}
	// A process that died between the rename and the folder's fsync, or whose fsync failed, leaves a file that can be read and is not on the disk.
	// It is written again before it counts: a checkpoint of this size may be cosigned anew without a write.
	if err := durable.Replace(fsys, l.path, signed, 0o600); err != nil {
		return err
	}
	l.kept = c
	return nil
}

// AddCheckpoint cosigns a checkpoint, a signed note, that goes on from the last one, of size old, as proof says (RFC 6962, section 2.1.2). The answer is a
// signature line. A checkpoint of the same size and root is cosigned again, with the time of now. Errors: tree.ErrFormat, ErrUnknown,
// tree.ErrSignature, *SizeError, ErrProof, ErrFailed.
func (w *Witness) AddCheckpoint(old uint64, proof []tree.Hash, signed []byte) (cosignature []byte, err error) {
	l, c, err := w.open(signed)
	if err != nil {
		return nil, err
	}
	if old > c.Size {
		return nil, fmt.Errorf("old size %d of a checkpoint of size %d: %w", old, c.Size, tree.ErrFormat)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, l.failed)
	}
	if old != l.kept.Size {
		return nil, &SizeError{l.kept.Size}
	}
	if err := l.goesOn(proof, c); err != nil && !bug.On(bug.CosignInconsistency) {
		return nil, err
	}
	if err := l.keep(w.opt.FS, c, signed); err != nil {
		return nil, err
	}
	// The one point: from here on a cosignature may be out. A crash before it leaves the old checkpoint or the new one, and nobody has a cosignature of the
	// new one: both are true, and who asks again is told the size. A crash after it leaves the new one, so that no other root of its size,
	// nor of a larger one that does not go on from it, is ever cosigned.
	return w.sign.Cosign(signed, w.opt.Now())
}

// Open reads a checkpoint that a pinned log has signed: tree.ErrFormat, ErrUnknown, tree.ErrSignature. It says nothing of what it goes on from.
func (w *Witness) Open(signed []byte) (tree.Checkpoint, error) {
	_, c, err := w.open(signed)
	return c, err
}

func (w *Witness) open(signed []byte) (*log, tree.Checkpoint, error) {
	said, err := tree.ReadCheckpoint(signed)
	if err != nil {
		return nil, said, err
	}
	l := w.logs[said.Origin]
	if l == nil {
		return nil, said, fmt.Errorf("%w: %q", ErrUnknown, said.Origin)
	}
	c, err := l.vkey.Open(signed)
	return l, c, err
}

// goesOn checks c against what is kept. Called with mu held, and old is the kept size.
func (l *log) goesOn(proof []tree.Hash, c tree.Checkpoint) error {
	old := l.kept
	switch {
	case old.Size == 0 && len(proof) > 0:
		return fmt.Errorf("%w: a proof from size 0", ErrProof)
	case c.Size == 0 && c.Root != sha256.Sum256(nil):
		return fmt.Errorf("%w: a root of no entries", ErrProof)
	case old.Size == 0:
		return nil
	}
	if err := tree.CheckConsistency(proof, old.Size, old.Root, c.Size, c.Root); err != nil {
		return fmt.Errorf("%w: size %d, from %d: %w", ErrProof, c.Size, old.Size, err)
	}
	return nil
}

// keep makes c what was cosigned last. Called with mu held. The log's signature is kept with it: who is shown another history has both in hand.
func (l *log) keep(fsys vfs.FS, c tree.Checkpoint, signed []byte) error {
	if c.Size == l.kept.Size {
		return nil // durable since it was kept, or since open
	}
	if !bug.On(bug.CosignUnkept) {
		if err := durable.Replace(fsys, l.path, signed, 0o600); err != nil {
			l.failed = err
			return fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	l.kept = c
	return nil
}

// keyPrefix begins a key's file, which then goes on as a verifier key does, with the seed in place of the public key (as golang.org/x/mod/sumdb/note writes keys).
const keyPrefix = "PRIVATE+KEY+"

// openKey reads the key, or makes it: durable before it signs anything, for a cosignature by a key that is gone says nothing.
func openKey(fsys vfs.FS, path string) (*tree.Cosigner, error) {
	b, err := readFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(fsys, path)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't read the witness' key: %w", err)
	}
	rest, ok := strings.CutPrefix(strings.TrimSuffix(string(b), "\n"), keyPrefix)
	name, rest, _ := strings.Cut(rest, "+")
	_, seed, _ := strings.Cut(rest, "+")
	data, err := base64.StdEncoding.Strict().DecodeString(seed)
	if !ok || err != nil || len(data) != 1+ed25519.SeedSize {
		return nil, fmt.Errorf("the witness' key in %s: %w", path, tree.ErrFormat)
	}
	s, err := tree.NewCosigner(name, ed25519.NewKeyFromSeed(data[1:]))
	if err == nil && keyText(s, data[1:]) != string(b) {
		err = fmt.Errorf("the witness' key in %s: %w", path, tree.ErrFormat)
	}
	// A process that died right after the link left a name that may not be on the disk yet.
	return s, errors.Join(err, durable.SyncDir(fsys, fsys.PathDir(path)))
}

func newKey(fsys vfs.FS, path string) (*tree.Cosigner, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("couldn't make the witness' key: %w", err)
	}
	s, err := tree.NewCosigner("stele-witness/"+hex.EncodeToString(public[:8]), private)
	if err != nil {
		return nil, err
	}
	return s, durable.WriteFile(fsys, path, []byte(keyText(s, private.Seed())), 0o600)
}

// keyText is the key's file: PRIVATE+KEY+name+hash+base64(type, seed). The type is the verifier key's.
func keyText(s *tree.Cosigner, seed []byte) string {
	const cosignature = 4
	return fmt.Sprintf("%s%s+%08x+%s\n", keyPrefix, s.Name(), s.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{cosignature}, seed...)))
}

func readFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxRequest))
}
