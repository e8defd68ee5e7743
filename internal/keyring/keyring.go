// Package keyring holds a store's secrets: data keys, from which every file's own key comes, and the key that signs checkpoints.
//
// A keyring is a JSON document, encrypted with age to the server's identity and to the recovery key, and stored in the engine as
// keyring/000001, keyring/000002, …; the newest counts. The files are plain age files: with nothing but the recovery kit,
// `age -d -i kit.txt keyring/000001` opens one. Frozen within a version:
//
//	{"v":0,"store":"<32 hex>","epoch":1,"signer":"PRIVATE+KEY+…","former":["<vkey>"…],
//	 "reigns":[{"epoch":1,"end":120,"vkeys":["<vkey>"…]}…],"data":[{"id":1,"key":"<64 hex>","dedup":"<64 hex>"}…],"recipients":["age1…"…]}
//
// A new epoch has a new keyring file, with a signer of its own; reigns are the epochs before it.
//
// Whoever opens a keyring can read everything and sign checkpoints. age encrypts a file and does not say who made it, so that a foreign keyring may lie there: callers take the one whose epoch and signer they know.
package keyring

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"stele/internal/frame"
)

// Version is the newest keyring version that this program reads and the one that it writes.
const Version = 0

var (
	// ErrWrongKey: none of the identities given opens the keyring.
	ErrWrongKey = errors.New("wrong key")
	// ErrNone: the store has no keyring.
	ErrNone = errors.New("no keyring")
)

// DataKey is what the keys of files come from.
type DataKey struct {
	ID    uint32
	Key   [32]byte // of files' keys
	Dedup [32]byte // keys the digest by which chunks are found again
}

// Keyring holds a store's secrets. It is not changed once it is shared.
type Keyring struct {
	StoreID    [16]byte
	Epoch      uint32
	DataKeys   []DataKey // ascending by ID; the last is the current one
	Signer     string    // note signer key, Ed25519, named Origin
	Former     []string  // verifier keys of earlier signers of this epoch
	Reigns     []Reign   // the epochs before this one, ascending
	Recipients []string  // to whom it was wrapped, as Save noted them: the server first, then the recovery key and whoever else was let in
	Passed     []string  // names of newer files that LoadEpoch passed over, since they do not open; not stored
}

// New makes a keyring with fresh keys for epoch 1 of a store.
func New(storeID [16]byte) (*Keyring, error) {
	k := &Keyring{StoreID: storeID, Epoch: 1, DataKeys: []DataKey{{ID: 1}}}
	rand.Read(k.DataKeys[0].Key[:])
	rand.Read(k.DataKeys[0].Dedup[:])
	var err error
	if k.Signer, _, err = note.GenerateKey(rand.Reader, k.Origin()); err != nil {
		return nil, fmt.Errorf("couldn't make a signing key: %w", err)
	}
	return k, nil
}

// Origin is the ledger's name in its checkpoints: <store id>/<epoch>.
func (k *Keyring) Origin() string { return Origin(k.StoreID, k.Epoch) }

// Origin is the name of the ledger of an epoch in its checkpoints.
func Origin(storeID [16]byte, epoch uint32) string {
	return fmt.Sprintf("%s/%d", hex.EncodeToString(storeID[:]), epoch)
}

// Current is the data key for new files.
func (k *Keyring) Current() DataKey { return k.DataKeys[len(k.DataKeys)-1] }

// Sealer makes the sealer of a file. An unknown key id says that the keyring is older than the file.
func (k *Keyring) Sealer(keyID uint32, file frame.FileID) (*frame.Sealer, error) {
	i := slices.IndexFunc(k.DataKeys, func(d DataKey) bool { return d.ID == keyID })
	if i < 0 {
		return nil, fmt.Errorf("the keyring has no data key %d: it is older than the file, or of another store: %w", keyID, ErrWrongKey)
	}
	return frame.NewSealer(k.DataKeys[i].Key, file)
}

// SigningKey is the private key in Signer.
func (k *Keyring) SigningKey() (ed25519.PrivateKey, error) {
	// PRIVATE+KEY+<name>+<hash>+<base64 of 1 ‖ seed>, golang.org/x/mod/sumdb/note; the base64 may hold more of the plus signs.
	parts := strings.SplitN(k.Signer, "+", 5)
	if len(parts) == 5 {
		if b, err := base64.StdEncoding.DecodeString(parts[4]); err == nil && len(b) == 1+ed25519.SeedSize && b[0] == 1 {
			return ed25519.NewKeyFromSeed(b[1:]), nil
		}
	}
	return nil, errors.New("the keyring's signing key isn't an Ed25519 note key")
}

// VKey is the verifier key that belongs to Signer, for who checks checkpoints and receipts.
func (k *Keyring) VKey() (string, error) {
	key, err := k.SigningKey()
	if err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(k.Origin(), key.Public().(ed25519.PublicKey))
}

// document is the keyring as JSON.
type document struct {
	V          int       `json:"v"`
	Store      string    `json:"store"`
	Epoch      uint32    `json:"epoch"`
	Signer     string    `json:"signer"`
	Former     []string  `json:"former,omitempty"`
	Reigns     []reign   `json:"reigns,omitempty"`
	Data       []dataKey `json:"data"`
	Recipients []string  `json:"recipients"`
}

type dataKey struct {
	ID    uint32 `json:"id"`
	Key   string `json:"key"`
	Dedup string `json:"dedup"`
}

type reign struct {
	Epoch uint32   `json:"epoch"`
	End   uint64   `json:"end"`
	VKeys []string `json:"vkeys"`
}

// Append appends the keyring's document, in clear.
func (k *Keyring) Append(dst []byte) ([]byte, error) {
	d := document{V: Version, Store: hex.EncodeToString(k.StoreID[:]), Epoch: k.Epoch, Signer: k.Signer, Former: k.Former, Recipients: k.Recipients}
	for _, r := range k.Reigns {
		d.Reigns = append(d.Reigns, reign(r))
	}
	for _, key := range k.DataKeys {
		d.Data = append(d.Data, dataKey{key.ID, hex.EncodeToString(key.Key[:]), hex.EncodeToString(key.Dedup[:])})
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("couldn't encode the keyring: %w", err)
	}
	return append(append(dst, b...), '\n'), nil
}

// Parse parses what Append wrote: frame.ErrVersion for a newer version, else frame.ErrCorrupt.
func Parse(b []byte) (*Keyring, error) {
	var v struct{ V *int }
	if err := json.Unmarshal(b, &v); err != nil || v.V == nil || *v.V < 0 {
		return nil, fmt.Errorf("keyring: %w", frame.ErrCorrupt)
	}
	if *v.V > Version {
		return nil, fmt.Errorf("keyring version %d, this program reads up to %d: %w", *v.V, Version, frame.ErrVersion)
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("keyring: %v: %w", err, frame.ErrCorrupt)
	}
	k := &Keyring{Epoch: d.Epoch, Signer: d.Signer, Former: d.Former, Recipients: d.Recipients}
	ok := unhex(k.StoreID[:], d.Store) && len(d.Data) > 0
	for i, key := range d.Data {
		k.DataKeys = append(k.DataKeys, DataKey{ID: key.ID})
		ok = ok && unhex(k.DataKeys[i].Key[:], key.Key) && unhex(k.DataKeys[i].Dedup[:], key.Dedup) && (i == 0 || d.Data[i-1].ID < key.ID)
	}
	if !ok {
		return nil, fmt.Errorf("keyring: ids or keys: %w", frame.ErrCorrupt)
	}
	for _, r := range d.Reigns {
		k.Reigns = append(k.Reigns, Reign(r))
	}
	if !k.checkReigns() {
		return nil, fmt.Errorf("keyring: former epochs: %w", frame.ErrCorrupt)
	}
	s, err := note.NewSigner(k.Signer)
	if err != nil || s.Name() != k.Origin() {
		return nil, fmt.Errorf("keyring: signing key: %w", frame.ErrCorrupt)
	}
	return k, nil
}

func unhex(dst []byte, s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && copy(dst, b) == len(dst) && len(b) == len(dst)
}
