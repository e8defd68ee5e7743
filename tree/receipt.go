package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stele/entry"
)

// Receipt proves to anyone, offline, that an entry is in the ledger. Its file is a c2sp.org/tlog-proof, whose extra data
// is canonical JSON (frozen); parts only for a multipart object:
//
//	{"leaf":{…},"parts":[…],"private":{…},"salt":"<32 hex>"}
type Receipt struct {
	Index      uint64
	Proof      []Hash // inclusion of the leaf in the tree of Checkpoint
	Checkpoint []byte // signed note
	Leaf       []byte // as stored
	Private    []byte // as stored
	Salt       [16]byte
	Parts      []byte // as stored: the parts document that the entry's body digest is of; nil: none
}

// MaxReceipt is the most bytes that a receipt has. It allows for the largest parts document.
const MaxReceipt = 16 << 20

// ErrReceipt says that a receipt does not prove what it says.
var ErrReceipt = errors.New("receipt does not verify")

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// Receipt makes the receipt of an entry with its proof in the tree of this size; checkpoint is the signed note of that
// size. Parts may be nil.
func (r *Reader) Receipt(index, size uint64, checkpoint, leaf, private []byte, salt [16]byte, parts []byte) (*Receipt, error) {
	proof, err := r.Inclusion(index, size)
	if err != nil {
		return nil, err
	}
	return &Receipt{
		Index: index, Proof: proof, Checkpoint: checkpoint, Leaf: leaf, Private: private, Salt: salt, Parts: parts,
	}, nil
}

// Append appends the receipt's file.
func (r *Receipt) Append(dst []byte) []byte {
	extra := r.appendExtra(make([]byte, 0, len(r.Leaf)+len(r.Private)+len(r.Parts)+128))
	dst = append(append(dst, proofHeader...), "extra "...)
	dst = base64.StdEncoding.AppendEncode(dst, extra)
	dst = append(dst, "\nindex "...)
	dst = append(strconv.AppendUint(dst, r.Index, 10), '\n')
	for i := range r.Proof {
		dst = append(base64.StdEncoding.AppendEncode(dst, r.Proof[i][:]), '\n')
	}
	return append(append(dst, '\n'), r.Checkpoint...)
}

func (r *Receipt) appendExtra(d []byte) []byte {
	d = append(append(d, `{"leaf":`...), r.Leaf...)
	if r.Parts != nil {
		d = append(append(d, `,"parts":`...), r.Parts...)
	}
	d = append(append(d, `,"private":`...), r.Private...)
	d = append(d, `,"salt":"`...)
	return append(hex.AppendEncode(d, r.Salt[:]), `"}`...)
}

// ParseReceipt reads what Append wrote, and nothing else; all else is ErrFormat. It verifies nothing.
func ParseReceipt(b []byte) (*Receipt, error) {
	if len(b) > MaxReceipt {
		return nil, fmt.Errorf("receipt of %d bytes, the limit is %d: %w", len(b), MaxReceipt, ErrFormat)
	}
	r, err := parseReceipt(string(b))
	if err == nil {
		_, err = r.open()
	}
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	// Whatever reads more than one way (leading zeros, other base64, spaces or doubled names in the JSON) is not ours.
	if !bytes.Equal(r.Append(make([]byte, 0, len(b))), b) {
		return nil, fmt.Errorf("receipt: not in canonical form: %w", ErrFormat)
	}
	return r, nil
}

func parseReceipt(s string) (*Receipt, error) {
	rest, ok := strings.CutPrefix(s, proofHeader)
	if !ok {
		return nil, fmt.Errorf("not a tlog-proof: %w", ErrFormat)
	}
	extra, rest, ok := field(rest, "extra ")
	if !ok {
		return nil, fmt.Errorf("no extra line: %w", ErrFormat)
	}
	index, rest, ok := field(rest, "index ")
	n, err := strconv.ParseUint(index, 10, 64)
	if !ok || err != nil || n > MaxSize {
		return nil, fmt.Errorf("index %q: %w", index, ErrFormat)
	}
	r := &Receipt{Index: n}
	for {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok || len(r.Proof) > 64 {
			return nil, fmt.Errorf("proof without an end: %w", ErrFormat)
		}
		rest = after
		if line == "" {
			break
		}
		h, err := parseHash(line)
		if err != nil {
			return nil, err
		}
		r.Proof = append(r.Proof, h)
	}
	r.Checkpoint = []byte(rest)
	return r, r.parseExtra(extra)
}

// field cuts a line that begins with name.
func field(s, name string) (value, rest string, ok bool) {
	if s, ok = strings.CutPrefix(s, name); !ok {
		return "", "", false
	}
	return strings.Cut(s, "\n")
}

func (r *Receipt) parseExtra(line string) error {
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return fmt.Errorf("extra: %w", ErrFormat)
	}
	var v struct {
		Leaf, Parts, Private json.RawMessage
		Salt                 string
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("extra: %w: %w", err, ErrFormat)
	}
	salt, err := hex.DecodeString(v.Salt)
	if err != nil || len(salt) != len(r.Salt) {
		return fmt.Errorf("salt %q: %w", v.Salt, ErrFormat)
	}
	r.Leaf, r.Parts, r.Private, r.Salt = v.Leaf, v.Parts, v.Private, [16]byte(salt)
	return nil
}

// open decodes what the receipt says, without belief.
func (r *Receipt) open() (entry.Entry, error) {
	leaf, err := entry.ParseLeaf(r.Leaf)
	if err != nil {
		return entry.Entry{}, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	private, err := entry.ParsePrivate(r.Private)
	if err != nil {
		return entry.Entry{}, fmt.Errorf("%w: %w", err, ErrFormat)
	}
	if r.Parts != nil {
		if _, err := entry.ParseParts(r.Parts); err != nil {
			return entry.Entry{}, fmt.Errorf("%w: %w", err, ErrFormat)
		}
	}
	return entry.Entry{Index: leaf.Index, Time: leaf.Time, Type: leaf.Type, Salt: r.Salt, Private: private}, nil
}

// Verify checks everything that the receipt says with the ledger's verifier key alone, and returns the entry that it
// proves. The errors are ErrReceipt; ErrSignature too, where the checkpoint is not by that key; or ErrFormat.
func (r *Receipt) Verify(vkey string) (entry.Entry, error) {
	v, err := NewVerifier(vkey)
	if err != nil {
		return entry.Entry{}, err
	}
	c, err := v.Open(r.Checkpoint)
	if err != nil {
		return entry.Entry{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if err := CheckInclusion(r.Proof, r.Index, c.Size, c.Root, entry.LeafHash(r.Leaf)); err != nil {
		return entry.Entry{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	e, err := r.open()
	if err != nil {
		return entry.Entry{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	leaf, _ := entry.ParseLeaf(r.Leaf) // open has parsed it
	switch {
	case leaf.Index != r.Index:
		return entry.Entry{}, fmt.Errorf("%w: leaf %d stands at %d", ErrReceipt, leaf.Index, r.Index)
	case leaf.C != entry.Commitment(r.Salt, r.Private):
		return entry.Entry{}, fmt.Errorf("%w: the private part is not the one that the leaf commits to", ErrReceipt)
	}
	if r.Parts != nil {
		b := e.Private.Body
		if b == nil || b.Kind != entry.BodyParts || b.SHA256 != sha256.Sum256(r.Parts) {
			return entry.Entry{}, fmt.Errorf("%w: the parts document is not the one that the entry names", ErrReceipt)
		}
	}
	return e, nil
}
