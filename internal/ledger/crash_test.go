package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
	"stele/internal/segment"
)

// oracle is what the workload was told, and so what must be found after a crash.
type oracle struct {
	mu        *sync.Mutex
	acked     map[uint64]string     // entry: key
	refused   map[uint64]string     // entry on which a refusal rested: key
	vouched   map[uint64]entry.Hash // entry: leaf hash, as an earlier Check has shown it
	published *memFile
}

func (o *oracle) init() {
	if o.mu == nil {
		*o = oracle{new(sync.Mutex), map[uint64]string{}, map[uint64]string{}, map[uint64]entry.Hash{}, new(memFile)}
	}
}

func copyOracle(o *oracle) *oracle {
	return &oracle{new(sync.Mutex), maps.Clone(o.acked), maps.Clone(o.refused), maps.Clone(o.vouched), &memFile{note: o.published.note}}
}

// model is a store of keys that can be put once, with an overlay of what is decided and not yet applied.
type model struct {
	mu      sync.Mutex
	applied map[string]uint64
	overlay map[string]uint64
}

type taken struct{ by uint64 }

func (t taken) Error() string { return fmt.Sprintf("taken by entry %d", t.by) }

func (m *model) putOnce(key string) Decide {
	return func(at Slot) (Draft, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if by, ok := m.overlay[key]; ok {
			return Draft{}, taken{by}
		}
		if by, ok := m.applied[key]; ok {
			return Draft{}, taken{by}
		}
		return put(key)(at)
	}
}

func (m *model) decided(e *entry.Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.overlay[e.Private.Key] = e.Index
}

func (m *model) apply(batch []entry.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range batch {
		m.applied[e.Private.Key] = e.Index
		delete(m.overlay, e.Private.Key)
	}
	return nil
}

func (o *oracle) options(fs vfs.FS) (Options, *model, error) {
	d, err := dir.Open(fs, "store", dir.Options{})
	if err != nil {
		return Options{}, nil, err
	}
	m := &model{applied: map[string]uint64{}, overlay: map[string]uint64{}}
	opt := testOptions(d)
	opt.SegmentBytes, opt.Apply, opt.Decided, opt.Published = 3<<10, m.apply, m.decided, o.published
	return opt, m, nil
}

// propose appends one key and notes what it was told.
func (o *oracle) propose(l *Ledger, m *model, key string) error {
	e, err := l.Append(ctx, m.putOnce(key))
	o.mu.Lock()
	defer o.mu.Unlock()
	var t taken
	if errors.As(err, &t) {
		o.refused[t.by] = key
		return nil
	}
	if err == nil {
		o.acked[e.Index] = key
	}
	return err
}

// round proposes keys in one batch: the sequencer is held up until all of them wait.
func (o *oracle) round(l *Ledger, m *model, keys ...string) error {
	began, hold := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(began) })
	errs := make([]error, len(keys)+1)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer begin() // where nobody's decide is asked any more
		_, err := l.Append(ctx, func(Slot) (Draft, error) { begin(); <-hold; return Draft{}, taken{0} })
		if !errors.As(err, new(taken)) {
			errs[len(keys)] = err
		}
	})
	<-began
	for i, key := range keys {
		wg.Go(func() { errs[i] = o.propose(l, m, key) })
	}
	for l.queue.length() < len(keys) && l.Err() == nil {
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
	return errors.Join(errs...)
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// work creates a ledger, fills it through several segments, closes and reopens it.
func work(fs vfs.FS, o *oracle) error {
	o.init()
	opt, m, err := o.options(fs)
	if err != nil {
		return err
	}
	l, err := Create(ctx, opt, initDraft)
	if err != nil {
		return err
	}
	for reign := range 2 {
		for i := range 4 {
			if err = o.propose(l, m, fmt.Sprintf("one-%d-%d", reign, i)); err != nil {
				break
			}
			var keys []string
			for j := range 6 {
				key := fmt.Sprintf("many-%d-%d-%d", reign, i, j)
				keys = append(keys, key, key) // the second is refused because of the first
			}
			if err = o.round(l, m, keys...); err != nil {
				break
			}
		}
		if closed := l.Close(); err == nil {
			err = closed
		}
		if err != nil || reign == 1 {
			return err
		}
		if l, err = Open(ctx, opt); err != nil {
			return err
		}
	}
	return nil
}

// fill leaves a ledger as a killed process does: two tails, one of them full.
func fill(fs vfs.FS, o *oracle) error {
	o.init()
	opt, m, err := o.options(fs)
	if err != nil {
		return err
	}
	l, err := Create(ctx, opt, initDraft)
	if err != nil {
		return err
	}
	for i := range 3 {
		if err := o.round(l, m, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), fmt.Sprint(i, "c")); err != nil {
			return err
		}
	}
	l.fail(errors.New("killed"))
	if err := l.Close(); !errors.Is(err, ErrFailed) {
		return fmt.Errorf("closed a killed ledger: %w", err)
	}
	return nil
}

// reopen is a workload that begins with a recovery.
func reopen(fs vfs.FS, o *oracle) error {
	opt, m, err := o.options(fs)
	if err != nil {
		return err
	}
	l, err := Open(ctx, opt)
	if err != nil {
		return err
	}
	return errors.Join(o.propose(l, m, "reopened"), l.Close())
}

// check opens what is left and compares it with what was acknowledged.
func check(fs vfs.FS, o *oracle) error {
	o.init()
	opt, m, err := o.options(fs)
	if err != nil {
		return err
	}
	if err := checkFileIDs(opt.Engine.(engine.Appender)); err != nil {
		return err
	}
	l, err := Open(ctx, opt)
	if errors.Is(err, ErrNone) {
		if len(o.acked)+len(o.refused)+len(o.vouched) > 0 {
			return errors.New("the whole ledger is gone")
		}
		return nil
	}
	if err != nil {
		return err
	}
	err = o.compare(l)
	if err == nil {
		err = o.propose(l, m, fmt.Sprintf("after %d", l.Size()))
	}
	return errors.Join(err, l.Close())
}

func (o *oracle) compare(l *Ledger) error {
	if err := checkAll(l); err != nil {
		return err
	}
	size := l.Size()
	for _, told := range []map[uint64]string{o.acked, o.refused} {
		for index, key := range told {
			if index >= size {
				return fmt.Errorf("entry %d (%s) was acknowledged and is lost, the ledger has %d", index, key, size)
			}
			if e, _, _, err := l.Entry(ctx, index); err != nil || e.Private.Key != key {
				return fmt.Errorf("entry %d is %q, was acknowledged as %q (%v)", index, e.Private.Key, key, err)
			}
		}
	}
	for index := range size {
		_, leaf, _, err := l.Entry(ctx, index)
		if err != nil {
			return err
		}
		hash := entry.LeafHash(leaf)
		if was, ok := o.vouched[index]; ok && was != hash {
			return fmt.Errorf("entry %d was another one when it was read before", index)
		}
		o.vouched[index] = hash
	}
	if len(o.vouched) != int(size) {
		return fmt.Errorf("%d entries were read before, now there are %d", len(o.vouched), size)
	}
	return nil
}

// checkFileIDs sees to it that no two files share a file id, and so a key: unless they are the same file under two names.
func checkFileIDs(e engine.Appender) error {
	seen := make(map[frame.FileID][]byte)
	one := func(name string, f engine.File, err error) error {
		if err != nil {
			return err
		}
		defer f.Close()
		b := make([]byte, f.Size())
		if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
			return err
		}
		h, err := frame.ParseHeader(b, frame.MagicSegment)
		if err != nil {
			return nil // torn
		}
		if other, ok := seen[h.FileID]; ok && !bytes.Equal(other, b) {
			return fmt.Errorf("%s has the file id of another file", name)
		}
		seen[h.FileID] = b
		return nil
	}
	tails, err := e.Tails(ctx)
	if err != nil {
		return err
	}
	for _, t := range tails {
		f, err := t.Open()
		if err := one(t.Private, f, err); err != nil {
			return err
		}
	}
	return e.List(ctx, engine.Segments, func(i engine.Info) error {
		f, err := e.Open(ctx, i.Name)
		return one(i.Name, f, err)
	})
}

func scenario() crashtest.Scenario[oracle] {
	return crashtest.Scenario[oracle]{Work: work, Check: check, Copy: copyOracle}
}

func recoveryScenario() crashtest.Scenario[oracle] {
	return crashtest.Scenario[oracle]{Setup: fill, Work: reopen, Check: check, Copy: copyOracle}
}

// TestCrash cuts the power at every write and fails every fsync.
func TestCrash(t *testing.T) { crashtest.Run(t, scenario()) }

// TestCrashInRecovery does so while Open recovers tails.
func TestCrashInRecovery(t *testing.T) { crashtest.Run(t, recoveryScenario()) }

// TestCrashNotices switches on one deliberate bug at a time: the crash test must fail.
func TestCrashNotices(t *testing.T) {
	for name, f := range map[string]struct {
		bug bug.Bug
		run func() (int, error)
	}{
		"skip the fsync":                        {bug.SkipSegmentSync, scenario().CutPower},
		"acknowledge before the fsync":          {bug.AckBeforeSync, scenario().CutPower},
		"refuse before what it rests on":        {bug.RefuseBeforeDurable, scenario().CutPower},
		"retry a failed fsync":                  {bug.RetryFsync, scenario().FailSyncs},
		"reuse a file id in recovery":           {bug.ReuseFileID, recoveryScenario().CutPower},
		"remove the tail before its copy is in": {bug.RemoveTailFirst, recoveryScenario().CutPower},
	} {
		t.Run(name, func(t *testing.T) {
			bug.Plant(t, f.bug)
			runs, err := f.run()
			var found *crashtest.Failure
			if !errors.As(err, &found) {
				t.Fatalf("the bug went unnoticed in %d runs: %v", runs, err)
			}
			t.Log(found)
		})
	}
}

// tailOf leaves a ledger of n entries as a crash does and returns its one tail.
func tailOf(t *testing.T, fs vfs.FS, n int) (size uint64, tail []byte) {
	t.Helper()
	opt := testOptions(testEngine(t, fs))
	opt.SegmentBytes = 1 << 20
	l := mustCreate(t, opt)
	for i := range n {
		mustPut(t, l, fmt.Sprint(i))
	}
	tails, err := testEngine(t, fs).Tails(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(tails, func(t engine.Tail) bool { return t.Name == segment.Name(1, 0) })
	f, err := tails[i].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tail = make([]byte, f.Size())
	if _, err := f.ReadAt(tail, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return l.Size(), tail
}
