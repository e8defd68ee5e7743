package body

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/frame"
)

func TestReadOnly(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	a := put(t, s, random(300_000, 1), -1)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	b := put(t, s, random(5000, 2), -1)
	opt := options(e.PowerCut(), newPlaces())
	opt.ReadOnly = true
	p := opt.Places.(*memPlaces)
	r := open(t, opt)
	if !bytes.Equal(get(t, r, a.Body, 0, 300_000), random(300_000, 1)) {
		t.Fatal("a sealed pack reads otherwise")
	}
	if rd, err := r.Read(ctx, b.Body, 0, 5000); err != nil {
		t.Fatal(err)
	} else if _, err := io.Copy(io.Discard, rd); !errors.Is(err, ErrUnrecovered) {
		t.Fatalf("a chunk in a tail: %v", err)
	}
	if _, err := r.Write(ctx, bytes.NewReader(nil), WriteOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("wrote: %v", err)
	}
	if len(p.at) != 0 || len(p.known) != 0 {
		t.Fatal("a read-only store wrote to the index")
	}
}

// rewrite lets change edit a file of the engine.
func rewrite(t *testing.T, fs vfs.FS, path string, change func([]byte)) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	change(b)
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// tailOn leaves three bodies in a tail.
func tailOn(t *testing.T, fs *vfs.MemFS) (o *oracle, left *vfs.MemFS, path string) {
	t.Helper()
	o = &oracle{places: newPlaces()}
	s, err := openOn(fs, o, o.places)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		if err := o.put(s, 2*i, 3000, true); err != nil {
			t.Fatal(err)
		}
	}
	left = fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := left.List("store/open")
	if err != nil || len(names) != 1 {
		t.Fatalf("%d tails, %v", len(names), err)
	}
	return o, left, "store/open/" + names[0]
}

func TestABadSpotInATailLosesOneChunk(t *testing.T) {
	o, fs, path := tailOn(t, vfs.NewCrashableMem())
	rewrite(t, fs, path, func(b []byte) { b[500] ^= 1 })
	s, err := openOn(fs, o, newPlaces())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := sameBytes(s, o.acked[0]); !errors.Is(err, ErrErased) {
		t.Fatalf("the chunk that went bad: %v", err)
	}
	for _, x := range o.acked[1:] {
		if err := sameBytes(s, x); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATailThatDoesNotOpenIsKept(t *testing.T) {
	o, fs, _ := tailOn(t, vfs.NewCrashableMem())
	e, err := dir.Open(fs, "store", dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opt := options(e, newPlaces())
	opt.Keys = wrongKeys{}
	s := open(t, opt)
	if n := s.Stats().UnrecoveredTails; n != 1 {
		t.Fatalf("%d tails kept", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openOn(fs, o, newPlaces()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := checkBodies(s, o); err != nil {
		t.Fatalf("with the right key: %v", err)
	}
}

type wrongKeys struct{ testKeys }

func (wrongKeys) Sealer(_ uint32, f frame.FileID) (*frame.Sealer, error) {
	return frame.NewSealer([32]byte{99}, f)
}

func TestNewerFilesAreNotDamage(t *testing.T) {
	var older []byte
	newer := func(b []byte) {
		h, err := frame.ParseHeader(b, frame.MagicPack)
		if err != nil {
			t.Fatal(err)
		}
		older = bytes.Clone(b[:frame.HeaderSize])
		h.Version++
		copy(b, h.Append(nil))
	}
	o, fs, path := tailOn(t, vfs.NewCrashableMem())
	rewrite(t, fs, path, newer)
	if _, err := openOn(fs, o, newPlaces()); !errors.Is(err, frame.ErrVersion) {
		t.Fatalf("a tail of a newer program: %v", err)
	}
	if names, _ := fs.List("store/open"); len(names) != 1 {
		t.Fatal("it was removed")
	}
	rewrite(t, fs, path, func(b []byte) { copy(b, older) })
	s, err := openOn(fs, o, newPlaces())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("store/packs")
	if err != nil || len(names) != 1 {
		t.Fatalf("%d packs, %v", len(names), err)
	}
	rewrite(t, fs, "store/packs/"+names[0], newer)
	if _, err := openOn(fs, o, newPlaces()); !errors.Is(err, frame.ErrVersion) {
		t.Fatalf("a pack of a newer program: %v", err)
	}
}
