package standby

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"filippo.io/age"

	"stele"
	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/node"
)

// forge appends an entry to the primary's ledger with its own key, past every rule of a store: a thief who has the folder, or a program that was altered. It is made of the newest
// entry of that type.
func (r *rig) forge(typ entry.Type, change func(p *entry.Private)) {
	r.t.Helper()
	ctx := r.t.Context()
	must(r.t, r.primary().Close())
	d, err := dir.Open(r.fs, "primary", dir.Options{})
	must(r.t, err)
	f, err := r.fs.Open("primary/identity")
	must(r.t, err)
	text, err := io.ReadAll(f)
	must(r.t, errors.Join(err, f.Close()))
	id, err := age.ParseX25519Identity(string(bytes.TrimSpace(text)))
	must(r.t, err)
	keys, err := keyring.Load(ctx, d, id)
	must(r.t, err)
	l, err := ledger.Open(ctx, ledger.Options{Engine: d, Keys: keys})
	must(r.t, err)
	var like *entry.Entry
	must(r.t, l.Entries(ctx, 0, l.Size(), func(e *entry.Entry) error {
		if e.Type == typ {
			c := *e
			like = &c
		}
		return nil
	}))
	if like == nil {
		r.t.Fatalf("there is no %s yet", typ)
	}
	change(&like.Private)
	_, err = l.Append(ctx, func(ledger.Slot) (ledger.Draft, error) { return ledger.Draft{Type: typ, Private: like.Private}, nil })
	must(r.t, errors.Join(err, l.Close()))
	s, err := node.Open(ctx, "primary", r.opt)
	must(r.t, err)
	r.mu.Lock()
	r.store = s
	r.mu.Unlock()
}

// locked puts an object under a lock of some hours.
func (r *rig) locked(key, mode string, hours int) stele.Version {
	r.t.Helper()
	until := time.Now().Add(time.Duration(hours) * time.Hour).UTC().Truncate(time.Second)
	v, err := r.primary().Put(r.t.Context(), stele.PutRequest{By: stele.Local(), Bucket: "vault", Key: key, Body: bytes.NewReader([]byte(key)), Size: int64(len(key)),
		Lock: &entry.Lock{Mode: mode, Until: until}})
	must(r.t, err)
	return v
}

// TestLocksOnlyLengthen: an entry that the primary's own key has signed and that shortens a lock, takes it away or hides what is locked is refused (DESIGN invariant 8), with evidence. What the
// owner may do, with the bypass on record, is taken.
func TestLocksOnlyLengthen(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for name, c := range map[string]struct {
		mode   string
		typ    entry.Type
		change func(p *entry.Private)
		fine   bool
	}{
		"COMPLIANCE is shortened":               {"COMPLIANCE", entry.ObjectRetention, func(p *entry.Private) { p.Lock = &entry.Lock{Mode: "COMPLIANCE", Until: soon} }, false},
		"COMPLIANCE is shortened with a bypass": {"COMPLIANCE", entry.ObjectRetention, func(p *entry.Private) { p.Lock, p.Bypass = &entry.Lock{Mode: "COMPLIANCE", Until: soon}, true }, false},
		"COMPLIANCE is taken away":              {"COMPLIANCE", entry.ObjectRetention, func(p *entry.Private) { p.Lock = nil }, false},
		"COMPLIANCE becomes GOVERNANCE": {"COMPLIANCE", entry.ObjectRetention, func(p *entry.Private) {
			p.Lock = &entry.Lock{Mode: "GOVERNANCE", Until: p.Lock.Until.Add(time.Hour)}
		}, false},
		"GOVERNANCE is shortened":            {"GOVERNANCE", entry.ObjectRetention, func(p *entry.Private) { p.Lock = &entry.Lock{Mode: "GOVERNANCE", Until: soon} }, false},
		"GOVERNANCE is shortened, on record": {"GOVERNANCE", entry.ObjectRetention, func(p *entry.Private) { p.Lock, p.Bypass = &entry.Lock{Mode: "GOVERNANCE", Until: soon}, true }, true},
		"COMPLIANCE is lengthened": {"COMPLIANCE", entry.ObjectRetention, func(p *entry.Private) {
			p.Lock = &entry.Lock{Mode: "COMPLIANCE", Until: p.Lock.Until.Add(time.Hour)}
		}, true},
		"what is locked is hidden": {"COMPLIANCE", entry.ObjectHide, nil, false},
	} {
		for _, wrong := range bug.Ways() {
			t.Run(fmt.Sprintf("%s, bug %v", name, wrong), func(t *testing.T) {
				if wrong {
					bug.Plant(t, bug.ShortenLocks)
				}
				r := newRig(t)
				_, err := r.primary().CreateBucket(t.Context(), stele.Local(), "vault", true)
				must(t, err)
				r.admit()
				free, err := r.primary().Put(t.Context(), stele.PutRequest{By: stele.Local(), Bucket: "vault", Key: "free", Body: bytes.NewReader(nil)})
				must(t, err)
				v := r.locked("deed", c.mode, 5)
				_, err = r.primary().SetRetention(t.Context(), stele.Local(), stele.Place{Bucket: "vault", Key: "deed", VersionID: v.ID}, c.mode, time.Now().Add(6*time.Hour))
				must(t, err)
				_, err = r.primary().Hide(t.Context(), stele.HideRequest{By: stele.Local(), Bucket: "vault", Key: "free", VersionID: free.ID})
				must(t, err)
				r.restart() // seals the pack, which is an entry
				s := r.open()
				catchUp(t, r, s)
				change := c.change
				if change == nil {
					change = func(p *entry.Private) { p.Key, p.Target = "deed", v.Entry }
				}
				r.forge(c.typ, change)
				s.primary = nil
				if c.fine || wrong {
					catchUp(t, r, s)
				} else {
					r.frozen(s, "refused")
				}
				must(t, s.Close())
			})
		}
	}
}

// TestPackSum: an entry that says another digest of a pack than the pack has is refused.
func TestPackSum(t *testing.T) {
	r := newRig(t)
	r.admit()
	for i := range 100 {
		r.put("k", 5000, uint64(i))
	}
	r.restart() // seals
	s := r.open()
	catchUp(t, r, s)
	r.forge(entry.PackSeal, func(p *entry.Private) {
		of := *p.Pack
		of.SHA256[3] ^= 1
		p.Pack = &of
	})
	s.primary = nil
	r.frozen(s, "refused")
	must(t, s.Close())
}
