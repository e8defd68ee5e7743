package tree

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is a tree head: what a signature is over, as c2sp.org/tlog-checkpoint writes it (frozen):
//
//	<origin>
//	<size, decimal>
//	<root, base64>
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// Signature is an Ed25519 signature over a checkpoint's text. With the signer's key hash it is all that a commit has to
// store beside size and root: Note makes the checkpoint from it again.
type Signature [ed25519.SignatureSize]byte

// ErrSignature says that a checkpoint has no valid signature by the expected key.
var ErrSignature = errors.New("no valid signature by the expected key")

// Origin is the origin of a store's ledger in one epoch: <store id>/<epoch>. It is the name of the key as well.
func Origin(storeID string, epoch uint64) string {
	return storeID + "/" + strconv.FormatUint(epoch, 10)
}

// AppendText appends the text that is signed.
func (c Checkpoint) AppendText(dst []byte) []byte {
	dst = append(append(dst, c.Origin...), '\n')
	dst = append(strconv.AppendUint(dst, c.Size, 10), '\n')
	return append(base64.StdEncoding.AppendEncode(dst, c.Root[:]), '\n')
}

// Note is the checkpoint as a signed note (c2sp.org/signed-note) with this one signature. It does not verify it.
func (c Checkpoint) Note(keyHash uint32, sig Signature) []byte {
	return c.appendSignature(c.AppendText(make([]byte, 0, 256)), keyHash, sig)
}

func (c Checkpoint) appendSignature(text []byte, keyHash uint32, sig Signature) []byte {
	text = append(append(append(text, "\n— "...), c.Origin...), ' ')
	var full [4 + len(sig)]byte
	binary.BigEndian.PutUint32(full[:], keyHash)
	copy(full[4:], sig[:])
	return append(base64.StdEncoding.AppendEncode(text, full[:]), '\n')
}

// parseCheckpoint reads the signed text of a checkpoint. Extension lines are allowed, and not kept.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("checkpoint of %d lines: %w", len(lines)-1, ErrFormat)
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > MaxSize || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("checkpoint size %q: %w", lines[1], ErrFormat)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint root: %w", err)
	}
	if rest := lines[3]; rest != "" && (rest[0] == '\n' || rest[len(rest)-1] != '\n' || strings.Contains(rest, "\n\n")) {
		return Checkpoint{}, fmt.Errorf("checkpoint extension: %w", ErrFormat)
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// parseHash reads 32 bytes of base64, in the one way that they are written.
func parseHash(s string) (h Hash, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) || len(s) != base64.StdEncoding.EncodedLen(len(h)) {
		return h, fmt.Errorf("hash %q: %w", s, ErrFormat)
	}
	return Hash(b), nil
}

// Signer signs the checkpoints of one origin. It is safe for concurrent use.
type Signer struct {
	*Verifier
	key ed25519.PrivateKey
}

// NewSigner makes the signer for an origin. The origin has no spaces and no plus sign.
func NewSigner(origin string, key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("a signing key of %d bytes, not %d", len(key), ed25519.PrivateKeySize)
	}
	vkey, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("couldn't make a signer for %q: %w", origin, err)
	}
	v, err := NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("couldn't make a signer for %q: %w", origin, err)
	}
	return &Signer{Verifier: v, key: key}, nil
}

// Sign signs the head of the tree, and returns only the signature.
func (s *Signer) Sign(size uint64, root Hash) Signature {
	var few [192]byte
	return s.signText(s.checkpoint(size, root).AppendText(few[:0]))
}

func (s *Signer) signText(text []byte) Signature { return Signature(ed25519.Sign(s.key, text)) }

// SignCheckpoint signs the head of the tree: the signed note, and the signature in it.
func (s *Signer) SignCheckpoint(size uint64, root Hash) ([]byte, Signature) {
	c := s.checkpoint(size, root)
	text := c.AppendText(make([]byte, 0, 256))
	sig := s.signText(text)
	return c.appendSignature(text, s.hash, sig), sig
}

// Verifier checks the checkpoints of one origin. It is safe for concurrent use.
type Verifier struct {
	note   note.Verifier
	vkey   string
	origin string
	hash   uint32
}

// NewVerifier reads a verifier key, origin+hash+key (c2sp.org/signed-note), for Ed25519.
func NewVerifier(vkey string) (*Verifier, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("verifier key %q: %w: %w", vkey, err, ErrFormat)
	}
	return &Verifier{note: v, vkey: vkey, origin: v.Name(), hash: v.KeyHash()}, nil
}

// String is the verifier key.
func (v *Verifier) String() string { return v.vkey }

// Origin is the origin that the key is for.
func (v *Verifier) Origin() string { return v.origin }

// KeyHash names the key in a signature line.
func (v *Verifier) KeyHash() uint32 { return v.hash }

func (v *Verifier) checkpoint(size uint64, root Hash) Checkpoint {
	return Checkpoint{Origin: v.origin, Size: size, Root: root}
}

// Note makes the signed note of a head from its stored signature, which it does not verify.
func (v *Verifier) Note(size uint64, root Hash, sig Signature) []byte {
	return v.checkpoint(size, root).Note(v.hash, sig)
}

// Verify checks a stored signature; ErrSignature if it is wrong.
func (v *Verifier) Verify(size uint64, root Hash, sig Signature) error {
	var few [192]byte
	if !v.note.Verify(v.checkpoint(size, root).AppendText(few[:0]), sig[:]) {
		return fmt.Errorf("checkpoint of size %d: %w", size, ErrSignature)
	}
	return nil
}

// Open reads a signed note: ErrFormat if it is no checkpoint, ErrSignature if this key has not signed it or its origin is
// another one. Signatures by others are passed over.
func (v *Verifier) Open(signed []byte) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(v.note))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		if unverified != nil && unverified.Note != nil {
			if c, perr := parseCheckpoint(unverified.Note.Text); perr == nil && c.Origin != v.origin {
				return Checkpoint{}, v.foreign(c)
			}
		}
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: %w", err, ErrSignature)
	case err != nil:
		return Checkpoint{}, fmt.Errorf("checkpoint: %w: %w", err, ErrFormat)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.origin {
		return Checkpoint{}, v.foreign(c)
	}
	return c, nil
}

// foreign is the error of a checkpoint of another origin than the key's. One of another epoch of the same store is what everybody meets who pinned a key before a failover.
func (v *Verifier) foreign(c Checkpoint) error {
	theirs, epoch, ok1 := strings.Cut(c.Origin, "/")
	ours, pinned, ok2 := strings.Cut(v.origin, "/")
	if ok1 && ok2 && theirs == ours {
		return fmt.Errorf("checkpoint of epoch %s, the key is that of epoch %s of the same store: %w. Take the key of epoch %s, which `stele version --vkey` shows where that epoch's primary is; `stele log --type epoch.begin` shows that the old key consented to it",
			epoch, pinned, ErrSignature, epoch)
	}
	return fmt.Errorf("checkpoint of %q, not of %q: %w", c.Origin, v.origin, ErrSignature)
}

// OpenCheckpoint is Open with a verifier key.
func OpenCheckpoint(signed []byte, vkey string) (Checkpoint, error) {
	v, err := NewVerifier(vkey)
	if err != nil {
		return Checkpoint{}, err
	}
	return v.Open(signed)
}
