// Package enginetest is the conformance suite of the storage contract. The tests of every engine call Run; those of an
// engine with growing files call RunAppender as well.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"stele/internal/engine"
)

// Run runs what holds for any engine. open returns an empty one.
func Run(t *testing.T, open func(t testing.TB) engine.Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, engine.Engine)
	}{
		{"Empty", testEmpty},
		{"CreateOpen", testCreateOpen},
		{"CreateTaken", testCreateTaken},
		{"CreateRace", testCreateRace},
		{"CreateWrongSize", testCreateWrongSize},
		{"CreateSourceFails", testCreateSourceFails},
		{"CreateCancelled", testCreateCancelled},
		{"ReadAt", testReadAt},
		{"List", testList},
		{"ListStops", testListStops},
		{"Remove", testRemove},
		{"Names", testNames},
		{"Concurrent", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func create(t testing.TB, e engine.Engine, name string, content []byte) {
	t.Helper()
	if err := e.Create(t.Context(), name, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatalf("Create(%s) = %v", name, err)
	}
}

func read(t testing.TB, e engine.Engine, name string) []byte {
	t.Helper()
	f, err := e.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("Open(%s) = %v", name, err)
	}
	return readFile(t, f)
}

// readFile reads and closes f.
func readFile(t testing.TB, f engine.File) []byte {
	t.Helper()
	defer func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	if int64(len(b)) != f.Size() {
		t.Fatalf("read %d bytes of %d", len(b), f.Size())
	}
	return b
}

func list(t testing.TB, e engine.Engine, prefix string) []engine.Info {
	t.Helper()
	var got []engine.Info
	err := e.List(t.Context(), prefix, func(i engine.Info) error {
		got = append(got, i)
		return nil
	})
	if err != nil {
		t.Fatalf("List(%s) = %v", prefix, err)
	}
	return got
}

func names(infos []engine.Info) []string {
	var s []string
	for _, i := range infos {
		s = append(s, i.Name)
	}
	return s
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func wantAbsent(t testing.TB, e engine.Engine, name string) {
	t.Helper()
	f, err := e.Open(t.Context(), name)
	if err == nil {
		_ = f.Close()
	}
	wantErr(t, "Open("+name+")", err, engine.ErrNotExist)
	if got := list(t, e, name); len(got) != 0 {
		t.Errorf("List(%s) = %v, want nothing", name, got)
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func testEmpty(t *testing.T, e engine.Engine) {
	for _, folder := range engine.Folders() {
		if got := list(t, e, folder); len(got) != 0 {
			t.Errorf("List(%s) of an empty engine = %v", folder, got)
		}
	}
	wantAbsent(t, e, "segments/0001")
	wantErr(t, "Remove of nothing", e.Remove(t.Context(), "packs/0001"), engine.ErrNotExist)
}

func testCreateOpen(t *testing.T, e engine.Engine) {
	for i, n := range []int{0, 1, 4095, 4096, 4097, 1 << 20, 1<<20 + 1, 3<<20 + 5} {
		name := fmt.Sprintf("%sfile-%d.x", engine.Folders()[i%len(engine.Folders())], i)
		want := pattern(n)
		// A source that yields less than it is asked for is no shorter.
		err := e.Create(t.Context(), name, int64(n), iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(want))))
		if err != nil {
			t.Fatalf("Create(%s, %d bytes) = %v", name, n, err)
		}
		if got := read(t, e, name); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes come back changed", name, n)
		}
	}
}

func testCreateTaken(t *testing.T, e engine.Engine) {
	create(t, e, "meta/store.format", []byte("first"))
	err := e.Create(t.Context(), "meta/store.format", 6, strings.NewReader("second"))
	wantErr(t, "Create of a taken name", err, engine.ErrExist)
	if got := read(t, e, "meta/store.format"); string(got) != "first" {
		t.Errorf("a refused Create changed the file to %q", got)
	}
}

func testCreateRace(t *testing.T, e engine.Engine) {
	const racers = 32
	for round := range 8 {
		name := fmt.Sprintf("segments/%06d", round)
		var wg sync.WaitGroup
		errs := make([]error, racers)
		start := make(chan struct{})
		for i := range racers {
			wg.Go(func() {
				<-start
				errs[i] = e.Create(t.Context(), name, 10000, bytes.NewReader(bytes.Repeat([]byte{byte(i)}, 10000)))
			})
		}
		close(start)
		wg.Wait()
		winner := -1
		for i, err := range errs {
			if err == nil {
				if winner >= 0 {
					t.Fatalf("racers %d and %d both created %s", winner, i, name)
				}
				winner = i
			} else if !errors.Is(err, engine.ErrExist) {
				t.Errorf("a losing Create = %v, want ErrExist", err)
			}
		}
		if winner < 0 {
			t.Fatalf("nobody created %s", name)
		}
		if got := read(t, e, name); !bytes.Equal(got, bytes.Repeat([]byte{byte(winner)}, 10000)) {
			t.Errorf("%s isn't what its only creator wrote", name)
		}
	}
}

func testCreateWrongSize(t *testing.T, e engine.Engine) {
	for _, c := range []struct{ size, yields int }{{0, 1}, {1, 0}, {10, 9}, {10, 11}, {1 << 20, 1<<20 - 1}, {1 << 20, 1<<20 + 1}, {5, 3 << 20}} {
		name := "packs/p"
		err := e.Create(t.Context(), name, int64(c.size), bytes.NewReader(pattern(c.yields)))
		if err == nil {
			t.Errorf("Create of %d bytes from %d = nil", c.size, c.yields)
		}
		wantAbsent(t, e, name)
	}
	create(t, e, "packs/p", []byte("the name is still free"))
}

func testCreateSourceFails(t *testing.T, e engine.Engine) {
	broken := errors.New("source broke")
	err := e.Create(t.Context(), "packs/p", 100, io.MultiReader(bytes.NewReader(pattern(50)), iotest.ErrReader(broken)))
	wantErr(t, "Create from a broken source", err, broken)
	wantAbsent(t, e, "packs/p")
	create(t, e, "packs/p", pattern(100))
}

func testCreateCancelled(t *testing.T, e engine.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := e.Create(ctx, "packs/p", 4, strings.NewReader("data"))
	wantErr(t, "Create with an ended context", err, context.Canceled)
	wantAbsent(t, e, "packs/p")
}

func testReadAt(t *testing.T, e engine.Engine) {
	want := pattern(10000)
	create(t, e, "packs/p", want)
	f, err := e.Open(t.Context(), "packs/p")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != 10000 {
		t.Errorf("Size() = %d, want 10000", f.Size())
	}
	checkReadAt(t, f, want)
}

// checkReadAt checks io.ReaderAt's rules at the edges of want.
func checkReadAt(t *testing.T, f io.ReaderAt, want []byte) {
	t.Helper()
	size := len(want)
	for _, c := range []struct {
		off, n, got int
		eof         bool
	}{
		{0, size, size, false}, {0, 1, 1, false}, {size - 1, 1, 1, false}, {1, size - 2, size - 2, false},
		{0, size + 1, size, true}, {size - 1, 2, 1, true}, {size, 1, 0, true}, {size + 1, 1, 0, true}, {size + 1<<20, 10, 0, true},
	} {
		p := make([]byte, c.n)
		n, err := f.ReadAt(p, int64(c.off))
		// At the very end io.ReaderAt allows nil and io.EOF alike.
		exact := c.off+c.n == size && err == io.EOF
		if n != c.got || (err == io.EOF) != c.eof && !exact || err != nil && err != io.EOF {
			t.Errorf("ReadAt(%d bytes, %d) of %d = %d, %v; want %d, EOF %t", c.n, c.off, size, n, err, c.got, c.eof)
		} else if c.got > 0 && !bytes.Equal(p[:n], want[c.off:c.off+n]) {
			t.Errorf("ReadAt(%d bytes, %d) gives other bytes", c.n, c.off)
		}
		got, err := engine.ReadStream(f, engine.AlignedBuffer(c.n+engine.StreamRoom), int64(c.off), c.n)
		if len(got) != c.got || c.eof != (err == io.EOF) || err != nil && err != io.EOF {
			t.Errorf("ReadStream(%d bytes, %d) of %d = %d, %v; want %d, EOF %t", c.n, c.off, size, len(got), err, c.got, c.eof)
		} else if c.got > 0 && !bytes.Equal(got, want[c.off:c.off+c.got]) {
			t.Errorf("ReadStream(%d bytes, %d) gives other bytes", c.n, c.off)
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("ReadAt(-1) = %v, want an error that isn't EOF", err)
	}
	if _, err := engine.ReadStream(f, engine.AlignedBuffer(1+engine.StreamRoom), -1, 1); err == nil || err == io.EOF {
		t.Errorf("ReadStream(-1) = %v, want an error that isn't EOF", err)
	}
}

func testList(t *testing.T, e engine.Engine) {
	all := []string{
		"keyring/000001", "meta/store.format", "packs/00ff", "packs/0a", "packs/0a-1", "packs/0a.1", "packs/b",
		"segments/1-1", "segments/1.1", "segments/10", "segments/9",
	}
	for i := range all {
		name := all[(i*7)%len(all)] // not in order
		create(t, e, name, pattern(len(name)))
	}
	for prefix, want := range map[string][]string{
		"packs/": all[2:7], "packs/0": all[2:6], "packs/0a": all[3:6], "packs/0a.1": all[5:6], "packs/c": nil,
		"segments/": all[7:], "segments/1": all[7:10], "keyring/": all[:1], "meta/s": all[1:2], "meta/store.format": all[1:2],
	} {
		slices.Sort(want)
		got := list(t, e, prefix)
		if !slices.Equal(names(got), want) {
			t.Errorf("List(%s) = %v, want %v", prefix, names(got), want)
		}
		for _, i := range got {
			if i.SizeBytes != int64(len(i.Name)) {
				t.Errorf("List(%s): %s has %d bytes, want %d", prefix, i.Name, i.SizeBytes, len(i.Name))
			}
		}
	}
	for _, prefix := range []string{"", "p", "packs", "other/", "packs/../", "packs/a/", "/packs/"} {
		err := e.List(t.Context(), prefix, func(engine.Info) error { return nil })
		wantErr(t, fmt.Sprintf("List(%q)", prefix), err, engine.ErrName)
	}
}

func testListStops(t *testing.T, e engine.Engine) {
	for i := range 5 {
		create(t, e, fmt.Sprintf("packs/%d", i), nil)
	}
	stop := errors.New("stop")
	calls := 0
	err := e.List(t.Context(), engine.Packs, func(engine.Info) error {
		if calls++; calls == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 2 {
		t.Errorf("List = %v after %d calls, want fn's error after 2", err, calls)
	}
}

func testRemove(t *testing.T, e engine.Engine) {
	create(t, e, "packs/p", pattern(5000))
	f, err := e.Open(t.Context(), "packs/p")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if err := e.Remove(t.Context(), "packs/p"); err != nil {
		t.Fatalf("Remove = %v", err)
	}
	wantAbsent(t, e, "packs/p")
	wantErr(t, "second Remove", e.Remove(t.Context(), "packs/p"), engine.ErrNotExist)
	for _, name := range []string{"tails/t", "snapshots/s"} {
		create(t, e, name, nil)
		if err := e.Remove(t.Context(), name); err != nil {
			t.Errorf("Remove(%s) = %v", name, err)
		}
		wantAbsent(t, e, name)
	}
	for _, name := range []string{"segments/s", "keyring/000001", "meta/store.format"} {
		create(t, e, name, []byte("stays"))
		wantErr(t, "Remove("+name+")", e.Remove(t.Context(), name), engine.ErrName)
		if got := read(t, e, name); string(got) != "stays" {
			t.Errorf("%s after a refused Remove = %q", name, got)
		}
	}
}

var badNames = []string{
	"", "packs/", "packs", "p", "/packs/p", "packs//p", "packs/../segments/s", "packs/..", "packs/.", "packs/.hidden",
	"packs/P", "packs/a b", "packs/a_b", "packs/a/b", "packs/a\x00", "packs/é", "open/x", "tmp/x", "other/x", "../packs/p",
	"packs/" + strings.Repeat("a", 200),
}

func testNames(t *testing.T, e engine.Engine) {
	for _, name := range badNames {
		wantErr(t, fmt.Sprintf("Create(%q)", name), e.Create(t.Context(), name, 1, strings.NewReader("x")), engine.ErrName)
		_, err := e.Open(t.Context(), name)
		wantErr(t, fmt.Sprintf("Open(%q)", name), err, engine.ErrName)
		wantErr(t, fmt.Sprintf("Remove(%q)", name), e.Remove(t.Context(), name), engine.ErrName)
	}
	create(t, e, "packs/"+strings.Repeat("a", 194), []byte("the longest"))
	create(t, e, "packs/-", []byte("x"))
	create(t, e, "packs/a..b", []byte("x"))
}

func testConcurrent(t *testing.T, e engine.Engine) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				name := fmt.Sprintf("packs/%d-%d", w, i)
				if err := e.Create(t.Context(), name, int64(1000*w+i), bytes.NewReader(pattern(1000*w+i))); err != nil {
					t.Errorf("Create(%s) = %v", name, err)
					return
				}
				if got := read(t, e, name); !bytes.Equal(got, pattern(1000*w+i)) {
					t.Errorf("%s comes back changed", name)
				}
				// Strongly consistent: our own file is listed at once, whatever others do.
				if got := list(t, e, name); len(got) == 0 || got[0].Name != name {
					t.Errorf("%s isn't listed after its Create", name)
				}
				if i%2 == 0 {
					if err := e.Remove(t.Context(), name); err != nil {
						t.Errorf("Remove(%s) = %v", name, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if got := list(t, e, engine.Packs); len(got) != 40 {
		t.Errorf("%d packs are left, want 40", len(got))
	}
}
