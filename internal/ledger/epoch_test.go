package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/segment"
	"stele/tree"
)

// beginEpoch begins the next epoch of a closed ledger with its first cut entries (0: all), and returns the options that open it.
func beginEpoch(opt Options, cut uint64) (Options, error) {
	l, err := OpenHalted(ctx, opt)
	if err != nil {
		return opt, err
	}
	if cut == 0 {
		cut = l.Size()
	}
	next, err := opt.Keys.Next(cut)
	if err == nil {
		err = l.Begin(ctx, next, cut, entry.Private{Actor: "local", Reason: "test"})
	}
	if err = errors.Join(err, l.Close()); err != nil {
		return opt, err
	}
	opt.Keys = next
	return opt, nil
}

func mustBegin(t testing.TB, opt Options, cut uint64) Options {
	t.Helper()
	opt, err := beginEpoch(opt, cut)
	if err != nil {
		t.Fatal(err)
	}
	return opt
}

// manyBatches makes a closed ledger of several segments with batches of several entries.
func manyBatches(t testing.TB, opt Options, rounds int) {
	t.Helper()
	l := mustCreate(t, opt)
	o, m := new(oracle), &model{applied: map[string]uint64{}, overlay: map[string]uint64{}}
	o.init()
	for i := range rounds {
		var keys []string
		for j := range 7 {
			keys = append(keys, fmt.Sprintf("%d-%d", i, j))
		}
		if err := o.round(l, m, keys...); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
}

func leavesOf(t testing.TB, opt Options) (leaves [][]byte) {
	t.Helper()
	l, err := OpenReadOnly(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.eachLeaf(ctx, 0, l.Size(), func(b []byte) error { leaves = append(leaves, bytes.Clone(b)); return nil }); err != nil {
		t.Fatal(err)
	}
	return leaves
}

// TestBegin begins an epoch with every cut: the entries below it are the old ones, byte for byte, the next one begins the epoch, and no old file is altered.
func TestBegin(t *testing.T) {
	fs := vfs.NewMem()
	opt := testOptions(testEngine(t, fs))
	opt.SegmentBytes = 3 << 10
	manyBatches(t, opt, 45) // beyond one group of leaves
	old := leavesOf(t, opt)
	files := copyMem(t, opt.Engine, all, nil)
	for cut := 1; cut <= len(old); cut += 1 + cut/100 {
		one := opt
		one.Engine = testEngine(t, vfs.NewMem())
		copyInto(t, files, one.Engine)
		one = mustBegin(t, one, uint64(cut))
		l, err := Open(ctx, one)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for i := range 3 {
			mustPut(t, l, fmt.Sprint("new", i))
		}
		if err := checkAll(l); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		e, _, _, err := l.Entry(ctx, uint64(cut))
		if err != nil || e.Type != entry.EpochBegin || e.Private.Reason != "test" {
			t.Fatalf("cut at %d: entry is a %s, %v", cut, e.Type, err)
		}
		if err := l.Entries(ctx, 0, uint64(cut), func(e *entry.Entry) error {
			if n, err := l.SizeAt(ctx, e.Time); err != nil || n != e.Index+1 {
				return fmt.Errorf("size at the time of entry %d is %d, %v", e.Index, n, err)
			}
			return nil
		}); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		mustClose(t, l)
		now := leavesOf(t, one)
		if len(now) != cut+4 || !slices.EqualFunc(now[:cut], old[:cut], bytes.Equal) {
			t.Fatalf("cut at %d: %d leaves, or others than before", cut, len(now))
		}
		for _, name := range names(t, files) {
			if !bytes.Equal(readAll(t, files, name), readAll(t, one.Engine, name)) {
				t.Fatalf("cut at %d: %s was altered", cut, name)
			}
		}
	}
	for _, cut := range []uint64{uint64(len(old)) + 1, 1 << 40} {
		if _, err := beginEpoch(opt, cut); !errors.Is(err, ErrRange) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func copyInto(t testing.TB, from, to engine.Engine) {
	t.Helper()
	for _, name := range names(t, from) {
		b := readAll(t, from, name)
		if err := to.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChain sorts segments of several epochs.
func TestChain(t *testing.T) {
	n := segment.Name
	chain, evidence, err := Chain([]string{n(1, 0), n(1, 10), n(1, 20), n(2, 15), n(2, 25), n(3, 30), n(4, 5), n(4, 40)})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%v", chain)
	none := uint64(1<<64 - 1)
	if want := fmt.Sprintf("%v", []Link{{n(1, 0), 1, 0, 5}, {n(4, 5), 4, 5, none}, {n(4, 40), 4, 40, none}}); got != want {
		t.Errorf("chain is %s, want %s", got, want)
	}
	if len(evidence) != 5 || evidence[0].Limit != 5 || evidence[2] != (Link{n(2, 15), 2, 15, 5}) {
		t.Errorf("evidence is %v", evidence)
	}
	if _, _, err := Chain([]string{"segments/x"}); err == nil {
		t.Error("a file that is no segment")
	}
}

// TestStolenKey: who has the key of the old epoch and goes on with it adds evidence, and nothing that is served.
func TestStolenKey(t *testing.T) {
	e := testEngine(t, vfs.NewMem())
	opt := testOptions(e)
	manyBatches(t, opt, 6)
	before := copyMem(t, e, all, nil)
	now := mustBegin(t, opt, 20)
	size := uint64(len(leavesOf(t, now)))

	thief := opt
	thief.Engine = testEngine(t, vfs.NewMem())
	copyInto(t, before, thief.Engine)
	l, err := Open(ctx, thief)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		mustPut(t, l, fmt.Sprint("forged", i))
	}
	head := Seen{By: "the thief", Epoch: 1}
	head.Size, head.Root = l.Head()
	mustClose(t, l)
	have := names(t, e)
	for _, name := range names(t, thief.Engine) {
		if !slices.Contains(have, name) {
			b := readAll(t, thief.Engine, name)
			if err := e.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if l, err = Open(ctx, now); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Size() != size {
		t.Errorf("%d entries, want %d: the old epoch was extended", l.Size(), size)
	}
	if err := checkAll(l); err != nil {
		t.Error(err)
	}
	if err := l.Compare(ctx, head); err != nil {
		t.Errorf("what an old epoch holds beyond its end is evidence: %v", err)
	}
	if _, err := Open(ctx, opt); !errors.Is(err, errEpoch) {
		t.Errorf("opened with the keyring of the old epoch: %v", err)
	}
}

// TestHandover: an epoch whose parent is another tree is found.
func TestHandover(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	manyBatches(t, opt, 6)
	pull := bug.Plant(t, bug.OtherParent)
	now := mustBegin(t, opt, 20)
	pull()
	if _, err := Open(ctx, now); !errors.Is(err, tree.ErrHandover) || !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("an epoch that names another parent: %v", err)
	}
	bug.Plant(t, bug.SkipParent)
	l, err := Open(ctx, now)
	if err != nil {
		t.Fatalf("with the check left out it must open, else this test proves nothing: %v", err)
	}
	mustClose(t, l)
}

// TestCutTooFar: an epoch that drops an entry too many is found.
func TestCutTooFar(t *testing.T) {
	for _, cut := range []uint64{20, 0} {
		opt := testOptions(testEngine(t, vfs.NewMem()))
		manyBatches(t, opt, 6)
		pull := bug.Plant(t, bug.CutTooFar)
		now := mustBegin(t, opt, cut)
		pull()
		if _, err := Open(ctx, now); !errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("an epoch that dropped one entry more than it was told: %v", err)
		}
	}
}

// TestLostEpoch: without the first segment of an epoch the ledger does not fall back to the epoch before.
func TestLostEpoch(t *testing.T) {
	fs := vfs.NewMem()
	opt := testOptions(testEngine(t, fs))
	manyBatches(t, opt, 6)
	now := mustBegin(t, opt, 20)
	l, err := Open(ctx, now)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, l, "acknowledged")
	l.fail(errors.New("killed"))
	if err := l.Close(); !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
	chain, _, err := Chain(names(t, opt.Engine))
	if err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("store/" + chain[len(chain)-1].Name); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*keyring.Keyring{opt.Keys, now.Keys} {
		bad := now
		bad.Engine, bad.Keys = testEngine(t, fs), keys
		if _, err := Open(ctx, bad); !errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("open without the epoch's first segment, keyring of epoch %d: %v", keys.Epoch, err)
		}
		if _, err := OpenReadOnly(ctx, bad); !errors.Is(err, frame.ErrCorrupt) {
			t.Errorf("the same read-only: %v", err)
		}
	}
}

// TestCompareEpochs: what others have seen, in this epoch and others.
func TestCompareEpochs(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	opt.Published = new(memFile)
	manyBatches(t, opt, 6)
	now := mustBegin(t, opt, 20)
	l, err := Open(ctx, now)
	if err != nil {
		t.Fatalf("the published checkpoint of the old epoch is beyond the cut, which is no rollback: %v", err)
	}
	mustPut(t, l, "k")
	defer l.Close()
	size, root := l.Head()
	below, err := l.Root(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	var super *SupersededError
	var behind *BehindError
	for _, c := range []struct {
		seen Seen
		want error
	}{
		{Seen{Size: size, Epoch: 2, Root: root}, nil},
		{Seen{Size: size}, nil},
		{Seen{Size: 10, Epoch: 1, Root: below}, nil},
		{Seen{Size: 10, Epoch: 1, Root: root}, ErrForked},
		{Seen{Size: 10, Epoch: 2, Root: root}, ErrForked},
		{Seen{Size: size + 1, Epoch: 2}, ErrBehind},
		{Seen{Size: size + 1}, ErrBehind},
		{Seen{Size: 43, Epoch: 1, Root: root}, nil},
		{Seen{Size: 1, Epoch: 3}, ErrSuperseded},
	} {
		if err := l.Compare(ctx, c.seen); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%+v: %v, want %v", c.seen, err, c.want)
		}
		later := now
		later.Seen, later.Published = []Seen{c.seen}, nil
		_, err := OpenHalted(ctx, later)
		if c.want != nil && (!errors.Is(err, c.want) || !errors.As(err, &super) && c.want == ErrSuperseded || !errors.As(err, &behind) && c.want == ErrBehind) {
			t.Errorf("open, %+v: %v, want %v", c.seen, err, c.want)
		}
	}
	// The folder was put back to before the promotion; what it has published since stays.
	bad := opt
	bad.Engine = copyMem(t, opt.Engine, func(name string) bool { return strings.HasPrefix(name, "segments/000001") }, nil)
	bad.Published = &memFile{note: l.Checkpoint()}
	d := testEngine(t, vfs.NewMem())
	copyInto(t, bad.Engine, d)
	bad.Engine = d
	if _, err := Open(ctx, bad); !errors.Is(err, ErrSuperseded) {
		t.Errorf("open of a ledger that was rolled back behind its last epoch: %v", err)
	}
}
