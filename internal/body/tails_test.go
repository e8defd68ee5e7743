package body

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// tight is an engine whose medium has little room: a growing file can reserve no more than that.
type tight struct {
	*mem.Mem
	mu   sync.Mutex
	room int64
	most int64 // that was asked for
}

func (e *tight) Append(ctx context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.most = max(e.most, opt.PreallocateBytes); opt.PreallocateBytes > e.room {
		return nil, engine.ErrFull
	}
	return e.Mem.Append(ctx, name, opt)
}

// crashed writes bodies of some sizes, cuts the power, and returns what is left.
func crashed(t *testing.T, sizes ...int) (*mem.Mem, []entry.Body, [][]byte) {
	t.Helper()
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	var bodies []entry.Body
	var datas [][]byte
	for i, n := range sizes {
		datas = append(datas, random(n, uint64(i)))
		bodies = append(bodies, put(t, s, datas[i], int64(n)).Body)
	}
	return e.PowerCut(), bodies, datas
}

// TestRecoverIntoTheSizeOfTheTail: a tail is copied into the room that what was written in it takes, and not into that of a whole pack.
func TestRecoverIntoTheSizeOfTheTail(t *testing.T) {
	left, bodies, datas := crashed(t, 4000, 5000)
	e := &tight{Mem: left, room: 200 << 10}
	s := open(t, options(e, newPlaces()))
	for i, b := range bodies {
		if !bytes.Equal(get(t, s, b, 0, b.Size), datas[i]) {
			t.Errorf("body %d reads otherwise", i)
		}
	}
	if tails, _ := e.Tails(ctx); len(tails) != 0 || e.most > 100<<10 || s.LeftTails() != 0 {
		t.Errorf("%d tails left, %d bytes asked for", len(tails), e.most)
	}
}

// TestTailsOnAFullMedium: where there is no room for a copy a tail stays, what was acknowledged in it is read there, and it is recovered once there is room. It is no source of deduplication.
func TestTailsOnAFullMedium(t *testing.T) {
	left, bodies, datas := crashed(t, 4000, 300<<10)
	e := &tight{Mem: left}
	s := open(t, options(e, newPlaces()))
	if s.LeftTails() == 0 {
		t.Fatal("no tail is left")
	}
	read := func(when string) {
		t.Helper()
		for i, b := range bodies {
			if !bytes.Equal(get(t, s, b, 0, b.Size), datas[i]) {
				t.Errorf("%s: body %d reads otherwise", when, i)
			}
		}
	}
	read("in place")
	if err := s.RecoverLeft(ctx); err == nil {
		t.Error("recovered without room")
	}
	read("still in place")
	e.mu.Lock()
	e.room = 10 << 20
	e.mu.Unlock()
	before := s.Stats().DuplicateChunks
	put(t, s, datas[0], 4000)
	if s.Stats().DuplicateChunks != before {
		t.Error("a chunk in a tail was a source of deduplication")
	}
	if err := s.RecoverLeft(ctx); err != nil || s.LeftTails() != 0 {
		t.Errorf("with room: %v, %d left", err, s.LeftTails())
	}
	read("recovered")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if tails, _ := e.Tails(ctx); len(tails) != 0 {
		t.Errorf("%d tails", len(tails))
	}
	s = open(t, options(e, newPlaces()))
	read("opened again")
}

// held is an engine whose medium is full as long as a tail holds what was reserved for it.
type held struct {
	tight
	tails int
}

func (e *held) Tails(ctx context.Context) ([]engine.Tail, error) {
	tails, err := e.Mem.Tails(ctx)
	for i := range tails {
		tails[i].Release = func() error {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.tails++
			e.room = 10 << 20
			return nil
		}
	}
	return tails, err
}

// TestTailsGiveBackWhatWasReserved: a disk that is full because of what crashed packs have reserved is not full for their recovery.
func TestTailsGiveBackWhatWasReserved(t *testing.T) {
	left, bodies, datas := crashed(t, 4000, 300<<10)
	e := &held{tight: tight{Mem: left}}
	s := open(t, options(e, newPlaces()))
	if s.LeftTails() != 0 || e.tails == 0 {
		t.Errorf("%d tails are left, %d gave back", s.LeftTails(), e.tails)
	}
	for i, b := range bodies {
		if !bytes.Equal(get(t, s, b, 0, b.Size), datas[i]) {
			t.Errorf("body %d reads otherwise", i)
		}
	}
}
