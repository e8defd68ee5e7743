package stele

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
)

// HistoryRequest asks for a page of the history of a key, which may have millions of changes.
type HistoryRequest struct {
	Bucket, Key string
	Before      uint64 // only changes by entries before this one: the last Change.Entry of the page before; 0: from the newest on
	Max         int    // at most this many; 0: all
}

// History returns a page of the changes of a key, in every incarnation of its bucket, newest first, and whether there are more. ErrNoBucket, ErrNoKey: there was never one.
func (s *Store) History(ctx context.Context, q HistoryRequest) (out []Change, more bool, err error) {
	if err := s.core.Enter(); err != nil {
		return nil, false, err
	}
	defer s.core.Leave()
	lives, err := s.core.Index.Incarnations(q.Bucket)
	if err != nil {
		return nil, false, err
	}
	if len(lives) == 0 {
		return nil, false, fmt.Errorf("%w: %s", ErrNoBucket, q.Bucket)
	}
	h := history{s: s, goOn: s.core.GoOn(ctx), before: q.Before, max: math.MaxInt}
	if h.before == 0 {
		h.before = math.MaxUint64
	}
	if q.Max > 0 {
		h.max = q.Max + 1 // one more tells whether there are more
	}
	for i := 0; i < len(lives) && len(out) < h.max; i++ {
		if err := h.life(lives[i].Inc, q.Key); err != nil {
			return nil, false, err
		}
		out = append(out, h.found[:min(len(h.found), h.max-len(out))]...)
	}
	if len(out) == 0 && h.newest == 0 {
		return nil, false, fmt.Errorf("%w: %s/%s has never been written", ErrNoKey, q.Bucket, q.Key)
	}
	if len(out) == h.max {
		out, more = out[:len(out)-1], true
	}
	for i := range out {
		if err := h.goOn(); err != nil {
			return nil, false, err
		}
		if err := s.fillChange(ctx, &out[i]); err != nil {
			return nil, false, err
		}
	}
	return out, more, nil
}

// history finds the newest changes of a key before an entry, and no more of them than it must keep.
type history struct {
	s           *Store
	goOn        func() error
	before      uint64
	max         int
	found       []Change // of one incarnation
	newest, row uint64   // the newest entry met at all; rows read
}

func (h *history) meet(at uint64) error {
	h.newest = max(h.newest, at)
	if h.row++; h.row%1024 == 0 {
		return h.goOn()
	}
	return nil
}

// life finds those of one incarnation.
func (h *history) life(inc uint64, key string) error {
	h.found = h.found[:0]
	if err := h.records(inc, key); err != nil {
		return err
	}
	if err := h.attrs(inc, key); err != nil {
		return err
	}
	h.cut()
	return nil
}

// cut brings what was found in order and drops what is too old.
func (h *history) cut() {
	slices.SortFunc(h.found, func(a, b Change) int { return cmp.Compare(b.Entry, a.Entry) })
	h.found = h.found[:min(len(h.found), h.max)]
}

// records walks over puts, markers and hidings, newest first. What hides a version comes before it.
func (h *history) records(inc uint64, key string) error {
	hidden, nullSeen := map[uint64]bool{}, false
	err := h.s.core.Index.History(inc, key, func(r index.Record) error {
		if err := h.meet(r.Entry); err != nil {
			return err
		}
		c := Change{Entry: r.Entry, Time: r.Time, Type: r.Type, Marker: r.Marker, Size: r.Size, ETag: r.ETag, Version: h.s.versionID(r.Entry, r.Null)}
		if r.Type == entry.ObjectHide && !r.Marker {
			hidden[r.Target] = true
			c.Version, c.Detail = h.s.versionID(r.Target, r.Null), "hidden"
		} else {
			c.Hidden = hidden[r.Entry] || r.Null && nullSeen
			nullSeen = nullSeen || r.Null
			delete(hidden, r.Entry)
		}
		if r.Entry < h.before {
			h.found = append(h.found, c)
		}
		if len(h.found) == h.max {
			return errStop
		}
		return nil
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// attrs walks over changes of locks and tags, which lie by version.
func (h *history) attrs(inc uint64, key string) error {
	return h.s.core.Index.AttrHistory(inc, key, func(v, at uint64, a index.Attrs) error {
		if err := h.meet(at); err != nil || at >= h.before {
			return err
		}
		rec, _, err := h.s.core.Index.Reader().Record(inc, key, v)
		h.found = append(h.found, Change{Entry: at, Type: a.Type, Version: h.s.versionID(v, rec.Null), Detail: describe(a)})
		if h.max <= math.MaxInt/4 && len(h.found) > 4*h.max+1024 {
			h.cut()
		}
		return err
	})
}

// fillChange adds what only the entry knows.
func (s *Store) fillChange(ctx context.Context, c *Change) error {
	e, _, _, err := s.core.Ledger().Entry(ctx, c.Entry)
	if err != nil {
		return core.Translate(err)
	}
	c.Time, c.Actor, c.Address, c.Request, c.Reason = e.Time, e.Private.Actor, e.Private.Address, e.Private.Request, e.Private.Reason
	if b := e.Private.Body; b != nil {
		c.SHA256 = b.SHA256.String()
	}
	return nil
}

func describe(a index.Attrs) string {
	switch a.Type {
	case entry.ObjectTags:
		return fmt.Sprintf("%d tags", len(a.Tags))
	case entry.ObjectHold:
		if a.Lock.Hold {
			return "legal hold on"
		}
		return "legal hold off"
	}
	if a.Lock.Mode == "" {
		return "retention removed"
	}
	return a.Lock.Mode + " until " + a.Lock.Until.Format(time.RFC3339)
}

// Receipt returns a self-contained proof (C2SP tlog-proof) that an entry is in the ledger. Anyone can check it offline with VKey. It holds the entry's private part, in which secrets are sealed.
// ErrBadState: the entry is from before they were, and has one in clear. ErrFuture: no such entry. ErrNoWitness: it must be cosigned, and is not (Options.RequireWitnesses).
func (s *Store) Receipt(ctx context.Context, at uint64) ([]byte, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	e, _, _, err := s.core.Ledger().Entry(ctx, at)
	if err != nil {
		return nil, core.Translate(err)
	}
	if shown := e; WithoutSecret(&shown) {
		return nil, core.BadState("entry %d is from before secrets were sealed, and its receipt would hand out the one that it has in clear. Make that key anew, and ask for the receipt of the new entry", at)
	}
	var parts []byte
	if b := e.Private.Body; b != nil && b.Kind == entry.BodyParts {
		list, err := s.core.Body.PartsOf(ctx, *b)
		if err != nil {
			return nil, core.Translate(err)
		}
		parts = entry.AppendParts(nil, list)
	}
	head, err := s.care.CosignedOver(ctx, at)
	if err != nil {
		return nil, err
	}
	if head.Size == 0 {
		r, err := s.core.Ledger().ReceiptParts(ctx, at, parts)
		return r, core.Translate(err)
	}
	r, err := s.core.Ledger().ReceiptUnder(ctx, at, head.Size, head.Note, parts)
	return r, core.Translate(err)
}

// Prove returns the receipt of the entry that wrote a version, and that version with its digests.
func (s *Store) Prove(ctx context.Context, at Place) ([]byte, Version, error) {
	if err := s.core.Enter(); err != nil {
		return nil, Version{}, err
	}
	defer s.core.Leave()
	v, err := s.Head(ctx, at)
	if err != nil {
		return nil, v, err
	}
	if err := s.Describe(ctx, &v); err != nil {
		return nil, v, err
	}
	r, err := s.Receipt(ctx, v.Entry)
	return r, v, err
}

// VKey returns the verifier key for checkpoints and receipts.
func (s *Store) VKey() string { return s.core.Ledger().VKey() }

// Origin returns the ledger's name in its checkpoints.
func (s *Store) Origin() string { return s.core.Ledger().Origin() }

// Entry returns one entry; ErrFuture: there is none yet. Secrets are sealed in it.
func (s *Store) Entry(ctx context.Context, at uint64) (*entry.Entry, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	e, _, _, err := s.core.Ledger().Entry(ctx, at)
	WithoutSecret(&e)
	return &e, core.Translate(err)
}

// LogQuery selects entries; zero fields select all.
type LogQuery struct {
	Types          []entry.Type // exact types, or a family such as "object.*"
	Bucket, Prefix string
	Actor          string    // "local" is the command line, whoever ran it
	Since, Until   time.Time // Until is not included
	From, To       uint64    // entry indexes, To not included; 0: to the end
}

// Log calls fn for each selected entry, in order. Secrets are sealed in it.
func (s *Store) Log(ctx context.Context, q LogQuery, fn func(*entry.Entry) error) error {
	if err := s.core.Enter(); err != nil {
		return err
	}
	defer s.core.Leave()
	from, to := q.From, s.Size()
	if q.To != 0 {
		to = min(to, q.To)
	}
	if !q.Since.IsZero() {
		n, err := s.core.Ledger().SizeAt(ctx, q.Since.Add(-time.Microsecond))
		if err != nil {
			return core.Translate(err)
		}
		from = max(from, n)
	}
	if !q.Until.IsZero() {
		n, err := s.core.Ledger().SizeAt(ctx, q.Until.Add(-time.Microsecond))
		if err != nil {
			return core.Translate(err)
		}
		to = min(to, n)
	}
	if from >= to {
		return nil
	}
	err := s.core.Ledger().Entries(ctx, from, to, func(e *entry.Entry) error {
		if s.core.Closing() {
			return ErrClosed
		}
		if !q.selects(e) {
			return nil
		}
		WithoutSecret(e)
		return fn(e)
	})
	return core.Translate(err)
}

func (q *LogQuery) selects(e *entry.Entry) bool {
	p := &e.Private
	if len(q.Types) > 0 && !slices.ContainsFunc(q.Types, func(t entry.Type) bool {
		family, wild := strings.CutSuffix(string(t), "*")
		return t == e.Type || wild && strings.HasPrefix(string(e.Type), family)
	}) {
		return false
	}
	return (q.Bucket == "" || p.Bucket == q.Bucket) && (q.Prefix == "" || p.Key != "" && strings.HasPrefix(p.Key, q.Prefix)) && (q.Actor == "" || isActor(p.Actor, q.Actor))
}
