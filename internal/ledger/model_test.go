package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"stele/entry"
	"stele/tree"
)

// oneRun is a machine that is never switched off: its monotonic time goes on over all starts.
type oneRun struct{ *testClock }

func (oneRun) Boot() string { return "the one run" }

// TestModel runs random puts, closes, kills and power cuts against a list in memory.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewCrashableMem()
		clock := newClock()
		var keys []string // of entry i+1
		var l *Ledger
		options := func() Options {
			opt := testOptions(testEngine(t, fs))
			opt.Clock = oneRun{clock} // else the hours between starts would be unproven jumps
			opt.SegmentBytes = 1 << rapid.IntRange(9, 13).Draw(t, "segment")
			return opt
		}
		l, err := Create(ctx, options(), initDraft)
		if err != nil {
			t.Fatal(err)
		}
		reopen := func() {
			if l, err = Open(ctx, options()); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				n := rapid.IntRange(1, 40).Draw(t, "n")
				got := make([]entry.Entry, n)
				var wg sync.WaitGroup
				for i := range n {
					wg.Go(func() {
						var err error
						if got[i], err = l.Append(ctx, put(fmt.Sprintf("k%d", len(keys)+i))); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				base := len(keys)
				keys = append(keys, make([]string, n)...)
				for _, e := range got {
					i := int(e.Index) - 1 - base
					if i < 0 || i >= n || keys[base+i] != "" {
						t.Fatalf("put got index %d after %d", e.Index, base+1)
					}
					keys[base+i] = e.Private.Key
				}
			},
			"close": func(t *rapid.T) {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				reopen()
			},
			"kill": func(t *rapid.T) {
				l.fail(errors.New("killed"))
				if err := l.Close(); !errors.Is(err, ErrFailed) {
					t.Fatal(err)
				}
				reopen()
			},
			"power cut": func(t *rapid.T) {
				seed := rapid.Uint64().Draw(t, "seed")
				left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rapid.IntRange(0, 100).Draw(t, "percent"), RNG: rand.New(rand.NewPCG(seed, 1))})
				l.fail(errors.New("the power went"))
				_ = l.Close()
				fs = left
				reopen()
			},
			"time": func(t *rapid.T) {
				d := rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 20 * time.Hour}).Draw(t, "passes")
				clock.move(d, d)
			},
			"": func(t *rapid.T) {
				size := l.Size()
				if size != uint64(len(keys))+1 {
					t.Fatalf("size %d, want %d", size, len(keys)+1)
				}
				from := uint64(rapid.IntRange(0, int(size)).Draw(t, "from"))
				i := from
				if err := l.Entries(ctx, from, size, func(e *entry.Entry) error {
					if e.Index != i || i > 0 && e.Private.Key != keys[i-1] {
						return fmt.Errorf("entry %d is %d, %q", i, e.Index, e.Private.Key)
					}
					i++
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				at := uint64(rapid.IntRange(0, int(size)-1).Draw(t, "at"))
				e, _, _, err := l.Entry(ctx, at)
				if err != nil {
					t.Fatal(err)
				}
				n, err := l.SizeAt(ctx, e.Time)
				if err != nil || n <= at {
					t.Fatalf("size at the time of entry %d is %d, %v", at, n, err)
				}
			},
		})
		if err := checkAll(l); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTiles reads the whole tree through tiles and bundles, as a stranger's client does, and checks it against the checkpoint.
func TestTiles(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	opt.SegmentBytes = 64 << 10
	l := mustCreate(t, opt)
	fill := func(n int) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if _, err := l.Append(ctx, put(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	fill(1200)
	mustClose(t, l)
	l, err := Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fill(777)
	size, root := l.Head()
	client := tlog.TileHashReader(tlog.Tree{N: int64(size), Hash: tlog.Hash(root)}, tileClient{l})
	for i := uint64(0); i < size; i += 13 {
		hashes, err := client.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(i))}) // proves them against the root
		if err != nil {
			t.Fatal(err)
		}
		n := int64(i / tree.GroupSize)
		width := int(min(tree.GroupSize, size-uint64(n)*tree.GroupSize))
		bundle, err := l.LeafBundle(ctx, n, width)
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := tree.ParseBundle(bundle)
		if err != nil || len(leaves) != width {
			t.Fatalf("bundle of %d leaves, want %d, %v", len(leaves), width, err)
		}
		if tlog.RecordHash(leaves[i%tree.GroupSize]) != hashes[0] {
			t.Fatalf("leaf %d isn't the one in the tree", i)
		}
	}
	if _, err := l.LeafBundle(ctx, int64(size/tree.GroupSize), tree.GroupSize); !errors.Is(err, ErrRange) {
		t.Errorf("a bundle beyond the ledger: %v", err)
	}
}

type tileClient struct{ l *Ledger }

func (c tileClient) Height() int { return 8 }

func (c tileClient) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, t := range tiles {
		b, err := c.l.Tile(ctx, t.L, t.N, t.W)
		if err != nil {
			return nil, err
		}
		data = append(data, bytes.Clone(b))
	}
	return data, nil
}

func (c tileClient) SaveTiles([]tlog.Tile, [][]byte) {}
