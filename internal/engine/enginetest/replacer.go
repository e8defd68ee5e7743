package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"stele/internal/engine"
)

// RunReplacer runs what holds for an engine that heals. open returns an empty one.
func RunReplacer(t *testing.T, open func(t testing.TB) engine.Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, engine.Engine, engine.Replacer)
	}{
		{"Replace", testReplace},
		{"ReplaceRefused", testReplaceRefused},
		{"ReplaceUnderReaders", testReplaceUnderReaders},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := open(t)
			r, ok := e.(engine.Replacer)
			if !ok {
				t.Fatalf("%T is no engine.Replacer", e)
			}
			c.test(t, e, r)
		})
	}
}

func testReplace(t *testing.T, e engine.Engine, r engine.Replacer) {
	for _, name := range []string{"packs/p", "segments/s", "packs/gone"} {
		if name != "packs/gone" {
			create(t, e, name, pattern(5000))
		}
		for _, n := range []int{0, 1, 5000, 3<<20 + 5} { // shorter, longer, empty
			want := bytes.Repeat([]byte{byte(n + 1)}, n)
			if err := r.Replace(t.Context(), name, int64(n), iotest.HalfReader(bytes.NewReader(want))); err != nil {
				t.Fatalf("Replace(%s, %d bytes) = %v", name, n, err)
			}
			if got := read(t, e, name); !bytes.Equal(got, want) {
				t.Errorf("%s after Replace with %d bytes reads as %d others", name, n, len(got))
			}
			if got := list(t, e, name); len(got) != 1 || got[0].SizeBytes != int64(n) {
				t.Errorf("List(%s) after Replace = %v", name, got)
			}
		}
	}
}

func testReplaceRefused(t *testing.T, e engine.Engine, r engine.Replacer) {
	old := pattern(5000)
	create(t, e, "packs/p", old)
	broken := errors.New("the copy is not the file")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		what string
		ctx  context.Context
		size int64
		from io.Reader
		want error
	}{
		{"a short source", t.Context(), 100, bytes.NewReader(pattern(99)), nil},
		{"a long source", t.Context(), 100, bytes.NewReader(pattern(101)), nil},
		{"a source that fails", t.Context(), 100, io.MultiReader(bytes.NewReader(pattern(50)), iotest.ErrReader(broken)), broken},
		{"a source that fails after its last byte", t.Context(), 100, io.MultiReader(bytes.NewReader(pattern(100)), iotest.ErrReader(broken)), broken},
		{"an ended context", ended, 100, bytes.NewReader(pattern(100)), context.Canceled},
	} {
		for _, name := range []string{"packs/p", "packs/none"} {
			err := r.Replace(c.ctx, name, c.size, c.from)
			if err == nil || c.want != nil && !errors.Is(err, c.want) && name == "packs/p" {
				t.Errorf("Replace(%s) from %s = %v", name, c.what, err)
			}
		}
		if got := read(t, e, "packs/p"); !bytes.Equal(got, old) {
			t.Fatalf("a refused Replace, from %s, changed the file", c.what)
		}
		wantAbsent(t, e, "packs/none")
	}
	for _, name := range append([]string{"keyring/000001", "meta/store.format", "tails/t", "snapshots/s"}, badNames...) {
		wantErr(t, fmt.Sprintf("Replace(%q)", name), r.Replace(t.Context(), name, 1, strings.NewReader("x")), engine.ErrName)
	}
}

// testReplaceUnderReaders: who has the file open reads the old one whole, who opens it reads one of the two whole.
func testReplaceUnderReaders(t *testing.T, e engine.Engine, r engine.Replacer) {
	const size = 100_000
	of := func(b int) []byte { return bytes.Repeat([]byte{byte(b)}, size) }
	create(t, e, "packs/p", of(0))
	held, err := e.Open(t.Context(), "packs/p")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if got := read(t, e, "packs/p"); !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
					t.Error("a reader saw two files in one")
				}
			}
		})
	}
	for i := 1; i <= 20; i++ {
		if err := r.Replace(t.Context(), "packs/p", size, bytes.NewReader(of(i))); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if got := readFile(t, held); !bytes.Equal(got, of(0)) {
		t.Error("a file that was open changed")
	}
}
