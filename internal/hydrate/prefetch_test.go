package hydrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"stele/internal/engine"
)

var ctx = context.Background()

// openCount is a file of bytes in memory that knows how many of its kind are open.
type openCount struct {
	*bytes.Reader
	open, reads *atomic.Int64
}

func (f openCount) Size() int64 { return f.Reader.Size() }

func (f openCount) Close() error { f.open.Add(-1); return nil }

func (f openCount) ReadAt(p []byte, off int64) (int, error) {
	f.reads.Add(1)
	return f.Reader.ReadAt(p, off)
}

// TestAhead: what was read ahead is the file's own bytes, wherever it is read; a name is read ahead once; whoever asks in another order, for other names or not at all waits for nobody; a file that
// can't be read ahead is opened as ever; and in the end nothing stays open.
func TestAhead(t *testing.T) {
	var open, reads atomic.Int64
	contents := map[string][]byte{}
	var names []string
	for i, size := range []int{0, 1, prefetchHead, prefetchHead + 1, prefetchTail - 1, prefetchTail, prefetchTail + 1, 3 * prefetchTail} {
		for k := range 6 {
			name := fmt.Sprintf("segments/%d-%d", i, k)
			b := make([]byte, size)
			rand.NewChaCha8([32]byte{byte(i), byte(k)}).Read(b)
			contents[name] = b
			names = append(names, name)
		}
	}
	bad := names[7]
	begun := make(chan string, 10*len(names))
	source := func(_ context.Context, name string) (engine.File, error) {
		begun <- name
		if name == bad {
			return nil, errors.New("no route")
		}
		open.Add(1)
		return openCount{bytes.NewReader(contents[name]), &open, &reads}, nil
	}
	shuffled := append([]string{}, names...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for what, asked := range map[string][]string{"as they are begun": make([]string, len(names)), "in order": names, "backwards or so": shuffled, "some": names[20:25], "none": nil, "others": {"segments/other"}} {
		a := startPrefetch(ctx, names, source)
		ahead := 0
		for _, name := range asked {
			asBegun := name == ""
			if asBegun {
				name = <-begun
			}
			f, ok := a.take(ctx, name)
			if !ok && asBegun && name != bad {
				t.Errorf("%s was begun and not read ahead", name)
			}
			if !ok {
				continue
			}
			ahead++
			want := contents[name]
			if f.Size() != int64(len(want)) || name == bad {
				t.Fatalf("%s: %s has %d bytes, want %d", what, name, f.Size(), len(want))
			}
			for _, r := range [][2]int{{0, len(want)}, {0, min(96, len(want))}, {len(want) / 2, min(40, len(want)/2)}, {len(want) - min(50, len(want)), min(50, len(want))}, {max(0, len(want)-prefetchTail-1), min(2, len(want))}} {
				p := make([]byte, r[1])
				if n, err := f.ReadAt(p, int64(r[0])); n != len(p) || !bytes.Equal(p, want[r[0]:r[0]+r[1]]) {
					t.Errorf("%s: %s, %d bytes at %d: %d, other ones or %v", what, name, r[1], r[0], n, err)
				}
			}
			if n, err := f.ReadAt(make([]byte, 10), f.Size()-5); len(want) >= 5 && (n != 5 || err == nil) {
				t.Errorf("%s: %s, over its end: %d bytes, %v", what, name, n, err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if _, again := a.take(ctx, name); again {
				t.Errorf("%s: %s was read ahead twice", what, name)
			}
		}
		a.end()
		for len(begun) > 0 {
			<-begun
		}
		if n := open.Load(); n != 0 {
			t.Errorf("%s: %d files stay open", what, n)
		}
		if what == "others" && ahead > 0 {
			t.Errorf("%d files nobody named were read ahead", ahead)
		}
	}
}
