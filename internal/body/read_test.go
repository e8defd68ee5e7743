package body

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
	"stele/internal/pack"
)

func TestErasedAndMissing(t *testing.T) {
	e, p := mem.New(), newPlaces()
	s := open(t, options(e, p))
	w := put(t, s, random(600_000, 1), -1)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var victim entry.ID
	n := 0
	if err := s.Chunks(ctx, w.Body, func(id entry.ID) error {
		if n++; n == 20 {
			victim = id
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	read := func() (int, error) {
		r, err := s.Read(ctx, w.Body, 0, w.Body.Size)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if !bytes.HasPrefix(random(600_000, 1), got) {
			t.Fatal("wrong bytes before the error")
		}
		return len(got), err
	}
	at := p.at[victim]
	delete(p.at, victim)
	if n, err := read(); !errors.Is(err, ErrErased) || n == 600_000 {
		t.Fatalf("a chunk without a place: %d bytes, %v", n, err)
	}
	p.at[victim] = Place{Pack: [16]byte{1}, Offset: 96, Length: at.Length}
	if n, err := read(); !errors.Is(err, frame.ErrCorrupt) || n == 600_000 {
		t.Fatalf("a chunk in a pack that is gone: %d bytes, %v", n, err)
	}
	p.at[victim] = Place{Pack: at.Pack, Offset: at.Offset + 1, Length: at.Length}
	if n, err := read(); !errors.Is(err, frame.ErrCorrupt) || n == 600_000 {
		t.Fatalf("a chunk at a wrong place: %d bytes, %v", n, err)
	}
	p.at[victim] = at
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(ctx, w.Body, 1, w.Body.Size); !errors.Is(err, ErrRange) {
		t.Fatalf("a range beyond the end: %v", err)
	}
	short := w.Body
	short.Size++ // an entry that says more than its manifest
	if _, err := s.Read(ctx, short, 0, short.Size); !errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("a manifest that is too short: %v", err)
	}
	other := w.Body
	other.SHA256[0] ^= 1
	if err := s.Verify(ctx, other); !errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("another SHA-256: %v", err)
	}
}

func TestParts(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	var parts entry.Parts
	var want []byte
	for i := range 900 { // enough for a parts document of several chunks
		data := random(1+i*7, uint64(i))
		if i == 400 {
			data = random(700_000, 400)
		}
		w := put(t, s, data, int64(len(data)))
		want = append(want, data...)
		parts = append(parts, entry.Part{Number: i + 1, Body: w.Body})
	}
	doc := entry.AppendParts(nil, parts)
	w, err := s.WriteDocument(ctx, doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	w.Release()
	b := entry.Body{Kind: entry.BodyParts, Ref: w.Body.Ref, SHA256: sha256.Sum256(doc), Size: int64(len(want))}
	if !bytes.Equal(get(t, s, b, 0, b.Size), want) {
		t.Fatal("read otherwise")
	}
	for range 30 {
		off := rand.Int64N(b.Size)
		n := rand.Int64N(min(b.Size-off, 100_000) + 1)
		if !bytes.Equal(get(t, s, b, off, n), want[off:off+n]) {
			t.Fatalf("range %d+%d reads otherwise", off, n)
		}
	}
	if err := s.Verify(ctx, b); err != nil {
		t.Fatal(err)
	}
	seen := map[entry.ID]bool{}
	if err := s.Chunks(ctx, b, func(id entry.ID) error { seen[id] = true; return nil }); err != nil || len(seen) < 900 {
		t.Fatalf("%d chunks, %v", len(seen), err)
	}
	b.Size--
	if _, err := s.Read(ctx, b, 0, b.Size); !errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("parts longer than the body: %v", err)
	}
}

func TestLeases(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	data := random(50_000, 1)
	first, err := s.Write(ctx, bytes.NewReader(data), WriteOptions{SizeHint: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var names [][16]byte
	_ = e.List(ctx, engine.Packs, func(i engine.Info) error {
		name, _ := pack.ParseName(i.Name)
		names = append(names, name)
		return nil
	})
	if leased := s.Retire(names); len(leased) != 1 {
		t.Fatalf("%d of %d packs are leased by a body that is not committed", len(leased), len(names))
	}
	s.Unretire(names)
	first.Release()
	first.Release()
	second := put(t, s, data, -1)
	if second.StoredBytes != 0 {
		t.Fatal("not deduplicated")
	}
	third, err := s.Write(ctx, bytes.NewReader(data), WriteOptions{SizeHint: -1})
	if err != nil {
		t.Fatal(err)
	}
	if leased := s.Retire(names); len(leased) != 1 {
		t.Fatal("a hit does not lease its pack")
	}
	third.Release()
	if leased := s.Retire(names); len(leased) != 0 {
		t.Fatal("a released pack is leased")
	}
	if fourth := put(t, s, data, -1); fourth.StoredBytes == 0 {
		t.Fatal("deduplicated against a pack that is to be erased")
	}
	if err := e.Remove(ctx, pack.Name(names[0])); err != nil {
		t.Fatal(err)
	}
	s.Forget(names)
	if !bytes.Equal(get(t, s, second.Body, 0, 50_000), data) {
		t.Fatal("the newer copy is not read")
	}
}

// turningKeys has a current key that changes.
type turningKeys struct {
	testKeys
	now *atomic.Uint32
}

func (k turningKeys) Current() uint32 { return k.now.Load() }

func TestKeyRotation(t *testing.T) {
	e := mem.New()
	opt := options(e, newPlaces())
	keys := turningKeys{now: new(atomic.Uint32)}
	keys.now.Store(1)
	opt.Keys = keys
	s := open(t, opt)
	data := random(700_000, 1) // more than half a pack: a spare of the first key is there
	a := put(t, s, data, -1)
	small := put(t, s, data[:1000], -1)
	keys.now.Store(2)
	b := put(t, s, data, -1)
	c := put(t, s, data[:1000], -1)
	if b.StoredBytes == 0 || b.Body.Ref == a.Body.Ref {
		t.Fatal("a chunk keeps its name under another key")
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	ids := map[uint32]int{}
	if err := e.List(ctx, engine.Packs, func(i engine.Info) error {
		rep, err := s.VerifyPack(ctx, i.Name)
		ids[rep.KeyID]++
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if ids[1] == 0 || ids[2] == 0 {
		t.Fatalf("packs by key: %v", ids)
	}
	for _, w := range []*Written{a, b, small, c} {
		if err := s.Verify(ctx, w.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if tails, _ := e.Tails(ctx); len(tails) > 1 { // the spare of the old key is the next Open's
		t.Fatalf("%d tails after Close", len(tails))
	}
	opt.Places = newPlaces()
	if err := open(t, opt).Close(); err != nil {
		t.Fatal(err)
	}
	if tails, _ := e.Tails(ctx); len(tails) != 0 {
		t.Fatalf("%d tails after a second Close", len(tails))
	}
}

func TestSmallObjectsCostLittle(t *testing.T) {
	opt := options(mem.New(), newPlaces())
	opt.PackBytes = 64 << 20
	packed := int64(0)
	opt.Sealed = func(p entry.Pack) { packed += p.Size }
	s := open(t, opt)
	const n = 5000
	for i := range n {
		w, err := s.Write(ctx, newUnique(4096, uint64(i)+1<<30), WriteOptions{SizeHint: 4096})
		if err != nil {
			t.Fatal(err)
		}
		w.Release()
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	over := float64(packed)/n - 4096
	t.Logf("%.1f bytes besides 4,096", over)
	if over > 110 {
		t.Fatalf("%.1f bytes besides 4,096", over)
	}
}

// TestReadingTakesBoundedMemory: what compresses a thousandfold is not decompressed ahead of who reads it.
func TestReadingTakesBoundedMemory(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	data := make([]byte, 24<<20)
	for i := 0; i < len(data); i += 4 << 10 { // no two chunks are the same
		binary.BigEndian.PutUint64(data[i:], uint64(i))
	}
	for _, n := range []int64{200_000, int64(len(data))} {
		w := put(t, s, data[:n], n)
		r, err := s.Read(ctx, w.Body, 0, n)
		if err != nil {
			t.Fatal(err)
		}
		for got := int64(0); got < n; {
			run := r.(*reader).fetch(ctx)
			if run.err != nil && run.err != io.EOF {
				t.Fatal(run.err)
			}
			plain, pooled := 0, 0
			for _, p := range run.plain {
				plain += len(p)
			}
			for _, m := range run.mem {
				pooled += len(m.b)
			}
			if plain > streamBytes || pooled > 2*readBytes[len(readBytes)-1] {
				t.Fatalf("a run of %d chunks holds %d bytes in %d of pooled memory, the limit is %d", len(run.pieces), plain, pooled, streamBytes)
			}
			for _, p := range run.plain {
				if !bytes.Equal(p, data[got:got+int64(len(p))]) {
					t.Fatalf("other bytes at %d", got)
				}
				got += int64(len(p))
			}
			run.free()
		}
		r.Close()
	}
}

func TestTeeSeesEveryByte(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	for _, n := range []int{0, 1000, 100_000, 2 << 20} {
		a, b := sha256.New(), &bytes.Buffer{}
		w, err := s.Write(ctx, bytes.NewReader(random(n, 1)), WriteOptions{SizeHint: -1, Tee: []io.Writer{a, b}})
		if err != nil {
			t.Fatal(err)
		}
		w.Release()
		if entry.Hash(a.Sum(nil)) != w.Body.SHA256 || !bytes.Equal(b.Bytes(), random(n, 1)) {
			t.Fatalf("%d bytes: the tee saw others", n)
		}
		boom := errors.New("boom")
		if _, err := s.Write(ctx, bytes.NewReader(random(n, 1)), WriteOptions{SizeHint: -1, Tee: []io.Writer{failingWriter{boom}}}); n > 0 && !errors.Is(err, boom) {
			t.Fatalf("%d bytes: a tee that fails: %v", n, err)
		}
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestCancel(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	c, cancel := context.WithCancel(ctx)
	r := io.MultiReader(bytes.NewReader(random(3<<20, 1)), readerFunc(func([]byte) (int, error) { cancel(); return 1, nil }))
	if _, err := s.Write(c, r, WriteOptions{SizeHint: -1}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled write: %v", err)
	}
	w := put(t, s, random(5<<20, 2), -1)
	c, cancel = context.WithCancel(ctx)
	rd, err := s.Read(c, w.Body, 0, w.Body.Size)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, rd); err == nil || n == w.Body.Size {
		t.Fatal("a cancelled read ended well")
	}
	if err := rd.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := rd.Read(make([]byte, 1)); err == nil {
		t.Fatal("read after Close")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
