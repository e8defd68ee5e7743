package stele

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
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
