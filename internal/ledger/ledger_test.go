package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/tree"
)

var ctx = context.Background()

// testKeys is one keyring for all tests of a run.
var testKeys = sync.OnceValue(func() *keyring.Keyring {
	k, err := keyring.New([16]byte{0xaa, 1})
	if err != nil {
		panic(err)
	}
	return k
})

// testClock is a wall clock and a monotonic one, which a test moves.
type testClock struct {
	mu   sync.Mutex
	wall time.Time
	mono time.Duration
	step time.Duration // by how much each reading of the wall moves both
}

func newClock() *testClock {
	return &testClock{wall: time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC), mono: time.Hour, step: time.Millisecond}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(c.step), c.mono+c.step
	return c.wall
}

func (c *testClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mono
}

func (c *testClock) move(wall, mono time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.mono = c.wall.Add(wall), c.mono+mono
}

// memFile is the published checkpoint.
type memFile struct {
	mu     sync.Mutex
	note   []byte
	stores int
}

func (f *memFile) Load() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.note, nil
}

func (f *memFile) Store(note []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note, f.stores = note, f.stores+1
	return nil
}

// memory is what a store derives: the entries as they were applied.
type memory struct {
	mu      sync.Mutex
	entries []entry.Entry
}

func (m *memory) apply(batch []entry.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range batch {
		if e.Index != uint64(len(m.entries)) {
			return fmt.Errorf("applied entry %d after %d", e.Index, len(m.entries))
		}
		m.entries = append(m.entries, e)
	}
	return nil
}

// failer is a test or one run of rapid's.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func testEngine(t failer, fs vfs.FS) *dir.Dir {
	t.Helper()
	d, err := dir.Open(fs, "store", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testOptions(e engine.Engine) Options {
	return Options{Engine: e, Keys: testKeys(), Clock: newClock(), SegmentBytes: 4 << 10, PublishEvery: time.Hour}
}

var initDraft = Draft{entry.StoreInit, entry.Private{Actor: "local", Data: map[string]string{"store": "aa01"}}}

func put(key string) Decide {
	return func(Slot) (Draft, error) {
		return Draft{entry.ObjectPut, entry.Private{Actor: "root", Bucket: "b", Key: key, Inc: 1}}, nil
	}
}

func mustCreate(t testing.TB, opt Options) *Ledger {
	t.Helper()
	l, err := Create(ctx, opt, initDraft)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustPut(t testing.TB, l *Ledger, key string) entry.Entry {
	t.Helper()
	e, err := l.Append(ctx, put(key))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustClose(t testing.TB, l *Ledger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkAll reads the ledger in every way and compares: entries, leaves, root, checkpoint, proofs.
func checkAll(l *Ledger) error {
	size, root := l.Head()
	var f tree.Frontier
	var last time.Time
	index := uint64(0)
	err := l.Entries(ctx, 0, size, func(e *entry.Entry) error {
		if e.Index != index || e.Time.Before(last) {
			return fmt.Errorf("entry %d at %s stands at %d after %s", e.Index, e.Time, index, last)
		}
		got, leaf, private, err := l.Entry(ctx, index)
		if err != nil {
			return err
		}
		if got.Time != e.Time || got.Type != e.Type || !bytes.Equal(entry.AppendPrivate(nil, &e.Private), private) {
			return fmt.Errorf("entry %d is read in two ways", index)
		}
		f.Append(entry.LeafHash(leaf))
		index, last = index+1, e.Time
		return nil
	})
	if err != nil {
		return err
	}
	if index != size || f.Root() != root {
		return fmt.Errorf("%d entries with root %s, the ledger says %d and %s", index, f.Root(), size, root)
	}
	c, err := tree.OpenCheckpoint(l.Checkpoint(), l.VKey())
	if err != nil {
		return err
	}
	if c.Size != size || c.Root != root {
		return errors.New("the checkpoint isn't the head's")
	}
	for i := uint64(0); i < size; i += 1 + size/7 {
		b, err := l.Receipt(ctx, i)
		if err != nil {
			return err
		}
		r, err := tree.ParseReceipt(b)
		if err != nil {
			return err
		}
		if _, err := r.Verify(l.VKey()); err != nil {
			return err
		}
		old, err := l.Root(ctx, i+1)
		if err != nil {
			return err
		}
		proof, err := l.Consistency(ctx, i+1, size)
		if err != nil {
			return err
		}
		if err := tree.CheckConsistency(proof, i+1, old, size, root); err != nil {
			return err
		}
	}
	return nil
}

func TestAppendReadReopen(t *testing.T) {
	fs := vfs.NewMem()
	opt := testOptions(testEngine(t, fs))
	var m memory
	opt.Apply = m.apply
	l := mustCreate(t, opt)
	for i := range 700 {
		if e := mustPut(t, l, fmt.Sprint(i)); e.Index != uint64(i+1) {
			t.Fatalf("entry %d, want %d", e.Index, i+1)
		}
	}
	if err := checkAll(l); err != nil {
		t.Fatal(err)
	}
	size, root := l.Head()
	note := l.Checkpoint()
	mustClose(t, l)
	if _, err := l.Append(ctx, put("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}

	opt.Engine = testEngine(t, fs)
	tails, err := opt.Engine.(engine.Appender).Tails(ctx)
	if err != nil || len(tails) != 0 {
		t.Fatalf("after a clean close: %d tails, %v", len(tails), err)
	}
	l, err = Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if s, r := l.Head(); s != size || r != root || !bytes.Equal(l.Checkpoint(), note) {
		t.Fatalf("reopened at %d, closed at %d", s, size)
	}
	if err := checkAll(l); err != nil {
		t.Fatal(err)
	}
	mustPut(t, l, "again")
	if err := checkAll(l); err != nil {
		t.Fatal(err)
	}
	if len(l.segments) < 10 {
		t.Errorf("%d segments: nothing was rotated", len(l.segments))
	}
	mustClose(t, l)
	if len(m.entries) != 702 {
		t.Errorf("%d entries applied, want 702", len(m.entries))
	}

	if _, err := Create(ctx, opt, initDraft); !errors.Is(err, ErrExist) {
		t.Errorf("create over a ledger: %v", err)
	}
	ro, err := OpenReadOnly(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkAll(ro); err != nil {
		t.Error(err)
	}
	if _, err := ro.Append(ctx, put("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("append to a ledger opened read-only: %v", err)
	}
	mustClose(t, ro)
}

func TestOpenNothing(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	if _, err := Open(ctx, opt); !errors.Is(err, ErrNone) {
		t.Errorf("open of nothing: %v", err)
	}
	if _, err := OpenReadOnly(ctx, opt); !errors.Is(err, ErrNone) {
		t.Errorf("open of nothing: %v", err)
	}
}

// TestKilled opens what a process leaves that was killed: its tails are in the page cache.
func TestKilled(t *testing.T) {
	fs := vfs.NewMem()
	l := mustCreate(t, testOptions(testEngine(t, fs)))
	for i := range 300 {
		mustPut(t, l, fmt.Sprint(i))
	}
	size, root := l.Head()
	l.fail(errors.New("killed")) // else it goes on sealing segments while the next one looks at them
	if err := l.Close(); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}

	opt := testOptions(testEngine(t, fs))
	if _, err := OpenReadOnly(ctx, opt); !errors.Is(err, ErrTail) {
		t.Errorf("read-only over a tail: %v", err)
	}
	l2, err := Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if s, r := l2.Head(); s != size || r != root {
		t.Fatalf("recovered %d entries, want %d", s, size)
	}
	mustPut(t, l2, "on")
	if err := checkAll(l2); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l2)
}

func TestRefusal(t *testing.T) {
	l := mustCreate(t, testOptions(testEngine(t, vfs.NewMem())))
	defer l.Close()
	no := errors.New("no")
	if _, err := l.Append(ctx, func(Slot) (Draft, error) { return Draft{}, no }); !errors.Is(err, no) {
		t.Errorf("refused with %v", err)
	}
	if l.Size() != 1 {
		t.Errorf("a refusal made an entry: size %d", l.Size())
	}
	if _, err := l.Append(ctx, func(Slot) (Draft, error) { return Draft{Type: "no.such"}, nil }); err == nil {
		t.Error("an entry of no known type was taken")
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := l.Append(canceled, put("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	mustPut(t, l, "y")
	if l.Size() != 2 {
		t.Errorf("size %d, want 2", l.Size())
	}
}

func TestConcurrent(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	var m memory
	opt.Apply = m.apply
	l := mustCreate(t, opt)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 100 {
				e, err := l.Append(ctx, put(fmt.Sprintf("%d-%d", w, i)))
				if err != nil {
					t.Error(err)
					return
				}
				m.mu.Lock()
				if e.Index >= uint64(len(m.entries)) || m.entries[e.Index].Private.Key != e.Private.Key {
					t.Errorf("entry %d was acknowledged before it was applied", e.Index)
				}
				m.mu.Unlock()
				if got, _, _, err := l.Entry(ctx, e.Index); err != nil || got.Private.Key != e.Private.Key {
					t.Errorf("entry %d reads as %q, %v", e.Index, got.Private.Key, err)
				}
				if i%10 == 0 {
					if _, err := l.Receipt(ctx, e.Index); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := checkAll(l); err != nil {
		t.Error(err)
	}
	mustClose(t, l)
}

// TestEntriesOf: of one type, in any range, exactly the entries of it that Entries shows.
func TestEntriesOf(t *testing.T) {
	l := mustCreate(t, testOptions(testEngine(t, vfs.NewMem())))
	defer mustClose(t, l)
	var all sync.WaitGroup
	for i := range 600 { // at once, so that entries of both types share batches
		kind := entry.ConfigSet
		if i%7 == 0 {
			kind = entry.PackSeal
		}
		all.Go(func() {
			if _, err := l.Append(ctx, func(Slot) (Draft, error) { return Draft{kind, entry.Private{Name: fmt.Sprint(i)}}, nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, r := range [][2]uint64{{0, l.Size()}, {0, 0}, {1, 2}, {5, 150}, {l.Size() - 3, l.Size()}} {
		for _, kind := range []entry.Type{entry.PackSeal, entry.ConfigSet, entry.StoreInit, entry.ObjectPut} {
			var want, got []string
			note := func(to *[]string) func(e *entry.Entry) error {
				return func(e *entry.Entry) error {
					if e.Type == kind {
						*to = append(*to, fmt.Sprint(e.Index, e.Private.Name, e.Salt))
					}
					return nil
				}
			}
			if err := errors.Join(l.Entries(ctx, r[0], r[1], note(&want)), l.EntriesOf(ctx, kind, r[0], r[1], func(e *entry.Entry) error {
				if e.Type != kind {
					t.Errorf("EntriesOf(%s) shows entry %d, a %s", kind, e.Index, e.Type)
				}
				return note(&got)(e)
			})); err != nil {
				t.Fatal(err)
			}
			if whole := r[1]-r[0] == l.Size(); !slices.Equal(got, want) || whole && kind == entry.PackSeal && len(got) != 86 {
				t.Errorf("EntriesOf(%s, %d, %d) shows %d entries, Entries %d", kind, r[0], r[1], len(got), len(want))
			}
		}
	}
}
