package tree

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// algCosignature is the type of a key for c2sp.org/tlog-cosignature's cosignature/v1 (frozen): Ed25519 over a text that bears the time.
const algCosignature = 4

// Cosigner signs other logs' checkpoints, each with the moment (c2sp.org/tlog-cosignature, v1.0.1). Whether one may be signed it does not
// ask; that is a witness' part. It is safe for concurrent use.
type Cosigner struct {
	*Cosignature
	key ed25519.PrivateKey
}

// NewCosigner makes the cosigner of this name. The name has no spaces and no plus sign.
func NewCosigner(name string, key ed25519.PrivateKey) (*Cosigner, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("a signing key of %d bytes, not %d", len(key), ed25519.PrivateKeySize)
	}
	data := append([]byte{algCosignature}, key.Public().(ed25519.PublicKey)...)
	v, err := NewCosignature(cosignatureKey(name, data))
	if err != nil {
		return nil, err
	}
	return &Cosigner{v, key}, nil
}

// Cosign signs the text of a signed note, which is a checkpoint, at a moment after 1970: the signature line, with its newline.
func (c *Cosigner) Cosign(signed []byte, at time.Time) ([]byte, error) {
	text, err := noteText(signed)
	if err != nil {
		return nil, err
	}
	if at.Unix() <= 0 {
		return nil, fmt.Errorf("a cosignature at %s: it must bear a time", at.UTC().Format(time.RFC3339))
	}
	var full [4 + 8 + ed25519.SignatureSize]byte
	binary.BigEndian.PutUint32(full[:], c.hash)
	binary.BigEndian.PutUint64(full[4:], uint64(at.Unix()))
	copy(full[12:], ed25519.Sign(c.key, cosigned(text, uint64(at.Unix()))))
	return []byte("— " + c.name + " " + base64.StdEncoding.EncodeToString(full[:]) + "\n"), nil
}

// cosigned is the text that a cosignature is over (frozen).
func cosigned(text string, at uint64) []byte {
	return append(append(strconv.AppendUint([]byte("cosignature/v1\ntime "), at, 10), '\n'), text...)
}

// noteText is what is signed of a signed note that is a checkpoint.
func noteText(signed []byte) (string, error) {
	i := bytes.LastIndex(signed, []byte("\n\n"))
	if i < 0 {
		return "", fmt.Errorf("checkpoint without signatures: %w", ErrFormat)
	}
	text := string(signed[:i+1])
	_, err := parseCheckpoint(text)
	return text, err
}

// ReadCheckpoint reads what a signed note says, without belief: nothing is verified.
func ReadCheckpoint(signed []byte) (Checkpoint, error) {
	text, err := noteText(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	return parseCheckpoint(text)
}

// Cosignature checks the cosignatures of one witness. It is safe for concurrent use.
type Cosignature struct {
	name, vkey string
	hash       uint32
	key        ed25519.PublicKey
}

// NewCosignature reads the verifier key of a witness, name+hash+key, for cosignature/v1.
func NewCosignature(vkey string) (*Cosignature, error) {
	bad := fmt.Errorf("witness' verifier key %q: %w", vkey, ErrFormat)
	name, rest, _ := strings.Cut(vkey, "+")
	_, key, _ := strings.Cut(rest, "+")
	data, err := base64.StdEncoding.Strict().DecodeString(key)
	if err != nil || len(data) != 1+ed25519.PublicKeySize || data[0] != algCosignature {
		return nil, bad
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) || cosignatureKey(name, data) != vkey {
		return nil, bad // the hash is another one, or the base64 could be read in more than one way
	}
	return &Cosignature{name: name, vkey: vkey, hash: cosignatureHash(name, data), key: data[1:]}, nil
}

// cosignatureHash names a key in a signature line (c2sp.org/signed-note).
func cosignatureHash(name string, data []byte) uint32 {
	sum := sha256.Sum256([]byte(name + "\n" + string(data)))
	return binary.BigEndian.Uint32(sum[:])
}

func cosignatureKey(name string, data []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, cosignatureHash(name, data), base64.StdEncoding.EncodeToString(data))
}

// String is the verifier key.
func (c *Cosignature) String() string { return c.vkey }

// Name implements note.Verifier.
func (c *Cosignature) Name() string { return c.name }

// KeyHash implements note.Verifier.
func (c *Cosignature) KeyHash() uint32 { return c.hash }

// Verify implements note.Verifier: sig is the time, in seconds since 1970, and the signature.
func (c *Cosignature) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return at > 0 && at <= math.MaxInt64 && ed25519.Verify(c.key, cosigned(string(text), at), sig[8:])
}

// Check finds this witness' cosignature in a signed note, and returns its line and its time. ErrSignature: there is no valid one; ErrFormat: it is no
// checkpoint. The log's own signature is not looked at.
func (c *Cosignature) Check(signed []byte) (line []byte, at time.Time, err error) {
	n, err := note.Open(signed, note.VerifierList(c))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return nil, at, fmt.Errorf("cosignature by %s: %w: %w", c.name, err, ErrSignature)
	case err != nil:
		return nil, at, fmt.Errorf("checkpoint: %w: %w", err, ErrFormat)
	}
	if _, err := parseCheckpoint(n.Text); err != nil {
		return nil, at, err
	}
	sig := n.Sigs[0]
	full, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(full) != 4+8+ed25519.SignatureSize {
		return nil, at, fmt.Errorf("cosignature by %s: %w", c.name, ErrFormat)
	}
	return []byte("— " + sig.Name + " " + sig.Base64 + "\n"), time.Unix(int64(binary.BigEndian.Uint64(full[4:])), 0).UTC(), nil
}
