package enginetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"stele/internal/engine"
)

// Rig is an engine that grows files, and what the suite needs to hurt it. A hook may be nil; what needs it is then left
// out, which an engine's test says aloud by leaving the field empty.
type Rig struct {
	Engine engine.Appender
	// PowerCut returns the engine as it is opened after the power went, with what was durable and nothing else.
	PowerCut func() engine.Appender
	// FailSync makes the next fsync of a growing file fail, and with it lose what it was to make durable.
	FailSync func()
	// Fill makes the medium take no more bytes.
	Fill func()
}

// RunAppender runs Run and what holds for an engine that grows files. open returns an empty one.
func RunAppender(t *testing.T, open func(t testing.TB) Rig) {
	Run(t, func(t testing.TB) engine.Engine { return open(t).Engine })
	for _, stream := range []bool{false, true} {
		opt := engine.AppendOptions{Stream: stream}
		for _, c := range []struct {
			name string
			test func(*testing.T, Rig, engine.AppendOptions)
		}{
			{"Publish", testPublish},
			{"PublishPreallocated", testPublishPreallocated},
			{"PublishTaken", testPublishTaken},
			{"PublishRace", testPublishRace},
			{"Published", testPublished},
			{"GrowingRead", testGrowingRead},
			{"SyncBesideWrite", testSyncBesideWrite},
			{"Tails", testTails},
			{"AppendNames", testAppendNames},
			{"Durable", testDurable},
			{"CreateDurable", testCreateDurable},
			{"SyncFails", testSyncFails},
			{"Full", testFull},
		} {
			t.Run(fmt.Sprintf("%s/stream=%t", c.name, stream), func(t *testing.T) { c.test(t, open(t), opt) })
		}
	}
}

func grow(t testing.TB, e engine.Appender, name string, opt engine.AppendOptions) engine.Growing {
	t.Helper()
	g, err := e.Append(t.Context(), name, opt)
	if err != nil {
		t.Fatalf("Append(%s) = %v", name, err)
	}
	return g
}

func write(t testing.TB, g engine.Growing, p []byte) {
	t.Helper()
	before := bytes.Clone(p)
	if n, err := g.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write(%d bytes) = %d, %v", len(p), n, err)
	}
	if !bytes.Equal(p, before) {
		t.Fatal("Write changed what it was given")
	}
}

func sync1(t testing.TB, g engine.Growing) {
	t.Helper()
	if err := g.Sync(); err != nil {
		t.Fatalf("Sync() = %v", err)
	}
}

func publish(t testing.TB, g engine.Growing) {
	t.Helper()
	if err := g.Publish(); err != nil {
		t.Fatalf("Publish() = %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
}

func tails(t testing.TB, e engine.Appender) []engine.Tail {
	t.Helper()
	got, err := e.Tails(t.Context())
	if err != nil {
		t.Fatalf("Tails() = %v", err)
	}
	return got
}

// pieces are lengths that are aligned and not, small, and larger than any buffer.
var pieces = []int{1, 4095, 4096, 8192, 5, 1 << 20, 100000, 3<<20 + 17, 4096, 0, 12345}

func testPublish(t *testing.T, r Rig, opt engine.AppendOptions) {
	g := grow(t, r.Engine, "packs/p", opt)
	var want []byte
	for i, n := range pieces {
		p := pattern(n)
		if i%2 == 0 {
			p = engine.AlignedBuffer(n)
			copy(p, pattern(n))
		}
		write(t, g, p)
		want = append(want, p...)
		clear(p) // the engine may not keep what it was given
		if i%3 == 2 && len(want)%g.Align() == 0 {
			sync1(t, g)
		}
	}
	wantAbsent(t, r.Engine, "packs/p")
	publish(t, g)
	if got := read(t, r.Engine, "packs/p"); !bytes.Equal(got, want) {
		t.Errorf("%d bytes were published, %d come back, not the same", len(want), len(got))
	}
	if got := tails(t, r.Engine); len(got) != 0 {
		t.Errorf("Tails() after Publish = %v", got)
	}
	if got := list(t, r.Engine, "packs/"); len(got) != 1 || got[0].SizeBytes != int64(len(want)) {
		t.Errorf("List() after Publish = %v, want one of %d bytes", got, len(want))
	}
}

func testPublishPreallocated(t *testing.T, r Rig, opt engine.AppendOptions) {
	opt.PreallocateBytes = 1 << 20
	for i, n := range []int{0, 1, 4096, 100001, 1 << 20, 1<<20 + 1, 2 << 20} {
		name := fmt.Sprintf("segments/%d", i)
		g := grow(t, r.Engine, name, opt)
		want := pattern(n)
		write(t, g, want)
		publish(t, g)
		if got := read(t, r.Engine, name); !bytes.Equal(got, want) {
			t.Errorf("%d bytes were published, %d come back, not the same", n, len(got))
		}
	}
}

func testPublishTaken(t *testing.T, r Rig, opt engine.AppendOptions) {
	g := grow(t, r.Engine, "packs/p", opt)
	write(t, g, pattern(4096))
	create(t, r.Engine, "packs/p", []byte("first"))
	wantErr(t, "Publish onto a taken name", g.Publish(), engine.ErrExist)
	if got := read(t, r.Engine, "packs/p"); string(got) != "first" {
		t.Errorf("a refused Publish changed the file to %d bytes", len(got))
	}
	wantFailed(t, g)
	if err := g.Close(); err != nil {
		t.Errorf("Close() = %v", err)
	}
	got := tails(t, r.Engine)
	if len(got) != 1 || got[0].Name != "packs/p" {
		t.Fatalf("Tails() = %v, want the refused one", got)
	}
	// A taken name is no fault of the medium: the engine goes on.
	create(t, r.Engine, "packs/q", []byte("x"))
}

// wantFailed checks that a growing file refuses all that writes.
func wantFailed(t testing.TB, g engine.Growing) {
	t.Helper()
	_, err := g.Write(pattern(4096))
	wantErr(t, "Write after a failure", err, engine.ErrFailed)
	wantErr(t, "Sync after a failure", g.Sync(), engine.ErrFailed)
	wantErr(t, "Publish after a failure", g.Publish(), engine.ErrFailed)
}

func testPublishRace(t *testing.T, r Rig, opt engine.AppendOptions) {
	const racers = 8
	var gs [racers]engine.Growing
	for i := range gs {
		gs[i] = grow(t, r.Engine, "segments/s", opt)
		write(t, gs[i], bytes.Repeat([]byte{byte(i)}, 4096))
	}
	var errs [racers]error
	var wg sync.WaitGroup
	for i := range gs {
		wg.Go(func() { errs[i] = gs[i].Publish() })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		if err == nil && winner >= 0 {
			t.Fatalf("racers %d and %d both published", winner, i)
		} else if err == nil {
			winner = i
		} else {
			wantErr(t, "a losing Publish", err, engine.ErrExist)
		}
		_ = gs[i].Close()
	}
	if winner < 0 {
		t.Fatal("nobody published")
	}
	if got := read(t, r.Engine, "segments/s"); !bytes.Equal(got, bytes.Repeat([]byte{byte(winner)}, 4096)) {
		t.Error("the file isn't what its only publisher wrote")
	}
	if got := tails(t, r.Engine); len(got) != racers-1 {
		t.Errorf("%d tails, want the %d losers", len(got), racers-1)
	}
}

func testPublished(t *testing.T, r Rig, opt engine.AppendOptions) {
	g := grow(t, r.Engine, "packs/p", opt)
	want := pattern(5000)
	write(t, g, want)
	if err := g.Publish(); err != nil {
		t.Fatal(err)
	}
	checkReadAt(t, g, want)
	if _, err := g.Write([]byte("more")); err == nil {
		t.Error("Write into a published file = nil")
	}
	if err := g.Publish(); err == nil {
		t.Error("second Publish = nil")
	}
	_ = g.Close()
	if got := read(t, r.Engine, "packs/p"); !bytes.Equal(got, want) {
		t.Error("the published file changed")
	}
}

func testGrowingRead(t *testing.T, r Rig, opt engine.AppendOptions) {
	opt.PreallocateBytes = 1 << 20
	g := grow(t, r.Engine, "packs/p", opt)
	defer g.Close()
	want := pattern(3 * 4096)
	for i := range 3 {
		write(t, g, want[i*4096:(i+1)*4096])
		sync1(t, g)
		// What was preallocated and not written is not there to be read.
		checkReadAt(t, g, want[:(i+1)*4096])
	}
}

func testSyncBesideWrite(t *testing.T, r Rig, opt engine.AppendOptions) {
	opt.PreallocateBytes = 1 << 20
	g := grow(t, r.Engine, "packs/p", opt)
	block := pattern(4096)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := g.Sync(); err != nil {
				t.Errorf("Sync beside Write = %v", err)
				return
			}
		}
	})
	for range 200 {
		write(t, g, block)
	}
	close(done)
	wg.Wait()
	publish(t, g)
	if got := read(t, r.Engine, "packs/p"); !bytes.Equal(got, bytes.Repeat(block, 200)) {
		t.Error("what was written beside Sync comes back changed")
	}
}

func testTails(t *testing.T, r Rig, opt engine.AppendOptions) {
	live := grow(t, r.Engine, "packs/live", opt)
	defer live.Close()
	if got := tails(t, r.Engine); len(got) != 0 {
		t.Errorf("Tails() = %v, want none: the file is growing", got)
	}
	want := pattern(8192)
	for range 2 { // two of one name, as after two crashes
		g := grow(t, r.Engine, "segments/0000.a-b", opt)
		write(t, g, want)
		sync1(t, g)
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantAbsent(t, r.Engine, "segments/0000.a-b")
	got := tails(t, r.Engine)
	if len(got) != 2 || got[0].Private == got[1].Private {
		t.Fatalf("Tails() = %v, want two", got)
	}
	for i, tail := range got {
		if tail.Name != "segments/0000.a-b" || tail.SizeBytes < 8192 {
			t.Errorf("tail = %+v", tail)
		}
		f, err := tail.Open()
		if err != nil {
			t.Fatalf("opening a tail: %v", err)
		}
		if b := readFile(t, f); !bytes.Equal(b[:8192], want) {
			t.Error("a tail's bytes come back changed")
		}
		if err := r.Engine.RemoveTail(t.Context(), tail); err != nil {
			t.Fatalf("RemoveTail = %v", err)
		}
		wantErr(t, "second RemoveTail", r.Engine.RemoveTail(t.Context(), tail), engine.ErrNotExist)
		if left := tails(t, r.Engine); len(left) != 1-i {
			t.Errorf("%d tails after removing %d of 2", len(left), i+1)
		}
	}
}

func testAppendNames(t *testing.T, r Rig, opt engine.AppendOptions) {
	for _, name := range badNames {
		_, err := r.Engine.Append(t.Context(), name, opt)
		wantErr(t, fmt.Sprintf("Append(%q)", name), err, engine.ErrName)
	}
}

func testDurable(t *testing.T, r Rig, opt engine.AppendOptions) {
	if r.PowerCut == nil {
		t.Skip("this rig can't cut the power")
	}
	sealed, tail := pattern(10000), pattern(3*4096)
	g := grow(t, r.Engine, "packs/sealed", opt)
	write(t, g, sealed)
	publish(t, g)
	g = grow(t, r.Engine, "packs/tail", opt)
	write(t, g, tail)
	sync1(t, g)
	write(t, g, pattern(4096)) // not synced: may be lost
	fresh := grow(t, r.Engine, "packs/fresh", opt)

	after := r.PowerCut()
	_, _ = g.Close(), fresh.Close()
	if got := read(t, after, "packs/sealed"); !bytes.Equal(got, sealed) {
		t.Error("a published file changed in a power cut")
	}
	got := tails(t, after)
	if len(got) != 2 || got[0].Name != "packs/fresh" && got[1].Name != "packs/fresh" {
		t.Fatalf("Tails() after a power cut = %v, want packs/fresh and packs/tail", got)
	}
	for _, tl := range got {
		if tl.Name != "packs/tail" {
			continue
		}
		f, err := tl.Open()
		if err != nil {
			t.Fatal(err)
		}
		if b := readFile(t, f); len(b) < len(tail) || !bytes.Equal(b[:len(tail)], tail) {
			t.Error("synced bytes of a growing file were lost in a power cut")
		}
	}
	create(t, after, "packs/more", []byte("the store goes on"))
}

func testCreateDurable(t *testing.T, r Rig, _ engine.AppendOptions) {
	if r.PowerCut == nil {
		t.Skip("this rig can't cut the power")
	}
	for _, name := range []string{"meta/store.format", "packs/gone", "packs/kept", "segments/s"} {
		create(t, r.Engine, name, []byte(name))
	}
	if err := r.Engine.Remove(t.Context(), "packs/gone"); err != nil {
		t.Fatal(err)
	}
	after := r.PowerCut()
	for _, name := range []string{"meta/store.format", "packs/kept", "segments/s"} {
		if got := read(t, after, name); string(got) != name {
			t.Errorf("%s after a power cut = %q", name, got)
		}
	}
	wantAbsent(t, after, "packs/gone")
}

func testSyncFails(t *testing.T, r Rig, opt engine.AppendOptions) {
	if r.FailSync == nil {
		t.Skip("this rig can't fail an fsync")
	}
	create(t, r.Engine, "packs/before", []byte("readable"))
	bystander := grow(t, r.Engine, "segments/s", opt)
	write(t, bystander, pattern(4096))
	g := grow(t, r.Engine, "packs/p", opt)
	write(t, g, pattern(4096))
	r.FailSync()
	if err := g.Sync(); err == nil {
		t.Fatal("a failed fsync went unnoticed")
	}
	wantFailed(t, g)
	// Not one byte more, by no way into this engine.
	wantFailed(t, bystander)
	wantErr(t, "Create after a failed fsync", r.Engine.Create(t.Context(), "packs/c", 0, bytes.NewReader(nil)), engine.ErrFailed)
	_, err := r.Engine.Append(t.Context(), "packs/a", opt)
	wantErr(t, "Append after a failed fsync", err, engine.ErrFailed)
	wantErr(t, "Remove after a failed fsync", r.Engine.Remove(t.Context(), "packs/before"), engine.ErrFailed)
	wantAbsent(t, r.Engine, "packs/p")
	// Reads go on.
	if got := read(t, r.Engine, "packs/before"); string(got) != "readable" {
		t.Errorf("a read after a failed fsync gives %q", got)
	}
}

func testFull(t *testing.T, r Rig, opt engine.AppendOptions) {
	if r.Fill == nil {
		t.Skip("this rig can't be full")
	}
	create(t, r.Engine, "packs/before", []byte("readable"))
	g := grow(t, r.Engine, "packs/p", opt)
	r.Fill()
	big := 4 << 20
	err := r.Engine.Create(t.Context(), "packs/c", int64(big), bytes.NewReader(pattern(big)))
	wantErr(t, "Create on a full medium", err, engine.ErrFull)
	wantAbsent(t, r.Engine, "packs/c")
	_, err = g.Write(pattern(big))
	wantErr(t, "Write on a full medium", err, engine.ErrFull)
	if errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Write on a full medium = %v", err)
	}
	wantFailed(t, g)
	_ = g.Close()
	if got := read(t, r.Engine, "packs/before"); string(got) != "readable" {
		t.Errorf("a read on a full medium gives %q", got)
	}
	// Room is made by removing packs, so that must go on.
	if err := r.Engine.Remove(t.Context(), "packs/before"); err != nil {
		t.Errorf("Remove on a full medium = %v", err)
	}
}
