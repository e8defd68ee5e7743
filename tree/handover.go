package tree

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"stele/entry"
)

// Handover is what the first entry of a new epoch, an epoch.begin, says in its Data (frozen): how the new signer came to its right, and that the tree
// goes on from a tree that the signer before has signed.
//
//	"epoch": decimal          "vkey": verifier key of the new signer
//	"cut": decimal, the number of entries with which the new epoch goes on; it is the index of this entry
//	"parent": signed note of the newest head of the epoch before, of size cut at least
//	"proof": base64 hashes, separated by spaces, that parent's tree begins with the first cut entries (RFC 6962, section 2.1.2); left out where that is all of it
//	"consent": signed note by which the signer before hands over
type Handover struct {
	Epoch   uint32
	VKey    string
	Cut     uint64
	Parent  []byte
	Proof   []Hash
	Consent []byte
}

// ErrHandover says that a new epoch is not the rightful continuation of the one before.
var ErrHandover = errors.New("the new epoch is not what the epoch before has handed over")

const consentHeader = "stele handover, version 0\n"

// consentText is what the signer before signs. It is no checkpoint: its first line is no origin.
func (h *Handover) consentText(root Hash) []byte {
	return fmt.Appendf(nil, "%s%d\n%s\n%d\n%s\n", consentHeader, h.Epoch, h.VKey, h.Cut, base64.StdEncoding.EncodeToString(root[:]))
}

// HandOver adds the consent of s, the signer of the epoch before. root is that of the first Cut entries.
func (s *Signer) HandOver(h *Handover, root Hash) {
	text := h.consentText(root)
	sig := s.signText(text)
	h.Consent = s.checkpoint(0, Hash{}).appendSignature(text, s.hash, sig)
}

// Data is the handover as an entry's Data.
func (h *Handover) Data() map[string]string {
	d := map[string]string{"epoch": strconv.FormatUint(uint64(h.Epoch), 10), "vkey": h.VKey, "cut": strconv.FormatUint(h.Cut, 10),
		"parent": string(h.Parent), "consent": string(h.Consent)}
	if len(h.Proof) > 0 {
		words := make([]string, len(h.Proof))
		for i := range h.Proof {
			words[i] = base64.StdEncoding.EncodeToString(h.Proof[i][:])
		}
		d["proof"] = strings.Join(words, " ")
	}
	return d
}

// ParseHandover reads the handover of entry index; ErrHandover if it is no epoch.begin, or not in its form. It believes nothing.
func ParseHandover(index uint64, typ entry.Type, data map[string]string) (Handover, error) {
	bad := func(what string) (Handover, error) {
		return Handover{}, fmt.Errorf("%w: entry %d: %s", ErrHandover, index, what)
	}
	if typ != entry.EpochBegin {
		return bad("it is a " + string(typ))
	}
	epoch, err := strconv.ParseUint(data["epoch"], 10, 32)
	if err != nil {
		return bad("its epoch is no number")
	}
	cut, err := strconv.ParseUint(data["cut"], 10, 64)
	if err != nil || cut != index {
		return bad("it doesn't stand where the ledger was cut")
	}
	h := Handover{Epoch: uint32(epoch), VKey: data["vkey"], Cut: cut, Parent: []byte(data["parent"]), Consent: []byte(data["consent"])}
	for _, word := range strings.Fields(data["proof"]) {
		p, err := parseHash(word)
		if err != nil {
			return bad("its proof is malformed")
		}
		h.Proof = append(h.Proof, p)
	}
	return h, nil
}

// Check checks a handover: the parent is a head signed by one of the keys given, its tree begins with the first Cut entries, whose root is root, and one of the keys has
// signed its consent to just this. The errors are ErrHandover.
func (h *Handover) Check(root Hash, keys ...*Verifier) error {
	notes := make([]note.Verifier, len(keys))
	for i, v := range keys {
		notes[i] = v.note
	}
	var parent Checkpoint
	err := error(ErrSignature)
	for _, v := range keys {
		if parent, err = v.Open(h.Parent); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%w: its parent is signed by none of the keys of the epochs before", ErrHandover)
	}
	if parent.Size < h.Cut || h.Cut == 0 {
		return fmt.Errorf("%w: it goes on with %d entries, its parent has %d", ErrHandover, h.Cut, parent.Size)
	}
	if parent.Size == h.Cut && (parent.Root != root || len(h.Proof) > 0) {
		return fmt.Errorf("%w: the first %d entries have the root %s, its parent signed %s", ErrHandover, h.Cut, root, parent.Root)
	}
	if parent.Size > h.Cut {
		if err := CheckConsistency(h.Proof, h.Cut, root, parent.Size, parent.Root); err != nil {
			return fmt.Errorf("%w: its parent does not begin with the first %d entries: %w", ErrHandover, h.Cut, err)
		}
	}
	store, _, _ := strings.Cut(parent.Origin, "/")
	if next, err := NewVerifier(h.VKey); err != nil || next.Origin() != Origin(store, uint64(h.Epoch)) {
		return fmt.Errorf("%w: its key is not one of epoch %d of store %s", ErrHandover, h.Epoch, store)
	}
	n, err := note.Open(h.Consent, note.VerifierList(notes...))
	if err != nil || n.Text != string(h.consentText(root)) || n.Sigs[0].Name != parent.Origin {
		return fmt.Errorf("%w: the signer before didn't consent to it", ErrHandover)
	}
	return nil
}
