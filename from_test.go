package stele

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
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/bug"
	"stele/internal/core"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/hydrate"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// backedUp is a target to serve from, and what must be seen there.
type backedUp struct {
	target   *mem.Mem
	identity string   // recovery key
	shown    []string // by moment: now, and at the size of the snapshot
	at       []View
	snapshot uint64        // entries in the snapshot
	gate     chan struct{} // what filling waits for
}

// newBackup makes a store with a rich history on a file system of its own, takes a snapshot of its index in the middle, and copies it to a target as a shipper would.
func newBackup(t testing.TB) *backedUp {
	t.Helper()
	fsys := vfs.NewMem()
	w := newWitness()
	s, err := Create(ctx, crashFolder, w.options(fsys))
	if err != nil {
		t.Fatal(err)
	}
	kit, err := core.ReadFile(fsys, "kit.txt")
	if err != nil {
		t.Fatal(err)
	}
	k, err := keyring.ParseKit(kit)
	if err != nil {
		t.Fatal(err)
	}
	x := &backedUp{target: mem.New(), identity: k.RecoveryIdentity, gate: opened}
	if err := w.firstReign(s); err != nil {
		t.Fatal(err)
	}
	snap, err := s.backup.SnapshotIndex(ctx, x.target)
	if err != nil {
		t.Fatal(err)
	}
	x.at, x.snapshot = []View{{}, {Size: s.Size()}}, snap.Size
	if err := w.secondReign(s); err != nil {
		t.Fatal(err)
	}
	for _, at := range x.at {
		text, err := show(s, at)
		if err != nil {
			t.Fatal(err)
		}
		x.shown = append(x.shown, text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	x.copyFrom(t, fsys)
	return x
}

// copyFrom ships what a closed store has and the target has not.
func (x *backedUp) copyFrom(t testing.TB, fsys vfs.FS) {
	t.Helper()
	d, err := dir.Open(fsys, crashFolder, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{engine.Meta, engine.Keyrings, engine.Packs, engine.Segments} {
		err := d.List(ctx, folder, func(i engine.Info) error {
			f, err := d.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			return x.target.Create(ctx, i.Name, i.SizeBytes, io.NewSectionReader(f, 0, i.SizeBytes))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// options are those of a server that serves from the backup, on a file system.
func (x *backedUp) options(fsys vfs.FS) Options {
	return Options{FS: fsys, Identity: x.identity, Clock: waiting{ledger.SystemClock{}, x.once}}
}

// once lets the folder be filled once the gate is open, and not again after a failure.
func (x *backedUp) once(ctx context.Context, d time.Duration) error {
	if d > 0 {
		return errors.New("once is enough in a test")
	}
	select {
	case <-x.gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// opened is an open gate.
var opened = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (x *backedUp) open(fsys vfs.FS, target engine.Engine) (*Store, error) {
	return OpenFrom(ctx, crashFolder, hydrate.From{Target: target, Name: "mem:///target"}, x.options(fsys))
}

// check compares what a store shows with what the backed up one showed.
func (x *backedUp) check(s *Store) error {
	for i, at := range x.at {
		got, err := show(s, at)
		if err != nil {
			return err
		}
		if got != x.shown[i] {
			return fmt.Errorf("at %+v it shows\n%s\nnot\n%s", at, got, x.shown[i])
		}
	}
	return nil
}

// TestFrom: a backup is served at once from its snapshot, takes no writes, fills the folder, and the folder then needs no target.
func TestFrom(t *testing.T) {
	x := newBackup(t)
	here := vfs.NewMem()
	x.gate = make(chan struct{})
	s, err := x.open(here, x.target)
	if err != nil {
		t.Fatal(err)
	}
	if !s.over.RestsOnSnapshot() {
		t.Fatal("the index was not begun from the snapshot")
	}
	if err := x.check(s); err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(ctx, PutRequest{By: Local(), Bucket: "plain", Key: "x", Body: strings.NewReader("x"), Size: 1})
	if !errors.Is(err, ErrUnpromoted) || !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "stele promote") {
		t.Fatal("a put:", err)
	}
	if _, err := s.CreateBucket(ctx, Local(), "another", false); !errors.Is(err, ErrUnpromoted) {
		t.Fatal("a bucket:", err)
	}
	if err := s.backup.FlushTargets(ctx); !errors.Is(err, ErrUnpromoted) {
		t.Fatal("a sync of targets, to which nothing is shipped:", err)
	}
	if h, ok := s.over.Hydration(); !ok || h.Full || h.BytesLeft == 0 {
		t.Fatalf("%+v", h)
	}
	if _, err := Open(ctx, crashFolder, Options{FS: here, Identity: x.identity}); !errors.Is(err, ErrNotStore) || !strings.Contains(err.Error(), "--from mem:///target") {
		t.Fatal("a folder that is half full was opened:", err)
	}
	close(x.gate)
	<-s.over.Hydrated()
	if h, _ := s.over.Hydration(); !h.Full || h.BytesLeft != 0 || h.PacksLeft != 0 {
		t.Fatalf("%+v", h)
	}
	if err := errors.Join(x.check(s), s.Close()); err != nil {
		t.Fatal(err)
	}
	full, err := Open(ctx, crashFolder, Options{FS: here, Identity: x.identity})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.check(full); err != nil {
		t.Fatal(err)
	}
	if _, err := full.CreateBucket(ctx, Local(), "another", false); !errors.Is(err, ErrUnpromoted) {
		t.Fatal("a full copy takes writes before it is promoted:", err)
	}
	r, err := full.Verify(ctx, VerifyOptions{By: Local(), Deep: true})
	if err != nil || !r.OK() {
		t.Fatal(r.Problems, err)
	}
	if err := full.Close(); err != nil {
		t.Fatal(err)
	}
	x.compareFiles(t, here)
}

// compareFiles: what came is, byte for byte, what the target has.
func (x *backedUp) compareFiles(t *testing.T, fsys vfs.FS) {
	t.Helper()
	for _, folder := range []string{engine.Packs, engine.Segments, engine.Keyrings, engine.Meta} {
		err := x.target.List(ctx, folder, func(i engine.Info) error {
			f, err := x.target.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			want, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			if err != nil {
				return err
			}
			got, err := core.ReadFile(fsys, fsys.PathJoin(crashFolder, i.Name))
			if err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("%s is another file here: %w", i.Name, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFromWithoutSnapshot: without one, or with one that does not prove itself, the ledger is folded and the same is shown.
func TestFromWithoutSnapshot(t *testing.T) {
	for _, how := range []string{"none", "forged", "stale", "foreign"} {
		t.Run(how, func(t *testing.T) {
			x := newBackup(t)
			x.spoilSnapshot(t, how)
			s, err := x.open(vfs.NewMem(), x.target)
			if err != nil {
				t.Fatal(err)
			}
			if s.over.RestsOnSnapshot() {
				t.Fatal("the snapshot was believed")
			}
			<-s.over.Hydrated()
			if err := errors.Join(x.check(s), s.Close()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (x *backedUp) spoilSnapshot(t *testing.T, how string) {
	t.Helper()
	names := namesOf(t, x.target, engine.Snapshots)
	lists := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasSuffix(n, ".idx") })
	if len(lists) != 1 {
		t.Fatal(lists)
	}
	content := bytesOf(t, x.target, lists[0])
	remove := func(name string) {
		if err := x.target.Remove(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	create := func(name string, b []byte) {
		if err := x.target.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	remove(lists[0])
	switch how {
	case "forged":
		content[len(content)/2] ^= 1
		create(lists[0], content)
	case "stale": // the list says that it is of another moment
		base := strings.TrimPrefix(lists[0], engine.Snapshots)
		create(engine.Snapshots+"00000000000000000003-"+base[21:], content)
	case "foreign":
		y := newBackup(t)
		for _, name := range namesOf(t, y.target, engine.Snapshots) {
			if b := bytesOf(t, y.target, name); strings.HasSuffix(name, ".idx") {
				create(lists[0], b)
			} else {
				create(name, b)
			}
		}
	}
}

func namesOf(t *testing.T, e engine.Engine, prefix string) (names []string) {
	t.Helper()
	if err := e.List(ctx, prefix, func(i engine.Info) error { names = append(names, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return names
}

func bytesOf(t *testing.T, e engine.Engine, name string) []byte {
	t.Helper()
	f, err := e.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFromAskedFirst: a pack that was read is brought before those that were not.
func TestFromAskedFirst(t *testing.T) {
	hydrate.ParallelFills = 1 // two that start at once are opened in any order
	defer func() { hydrate.ParallelFills = 2 }()
	x := newBackup(t)
	x.gate = make(chan struct{})
	order := &recorder{Engine: x.target}
	s, err := x.open(vfs.NewMem(), order)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Head(ctx, Place{Bucket: "brief", Key: "k2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readBody(s, v); err != nil {
		t.Fatal(err)
	}
	asked, packs := s.over.AskedFor()
	if len(asked) == 0 || len(asked) == packs {
		t.Fatalf("%d packs were read of %d", len(asked), packs)
	}
	order.clear()
	close(x.gate)
	<-s.over.Hydrated()
	first := order.packs()[:len(asked)]
	for _, name := range asked {
		if !slices.Contains(first, name) {
			t.Fatalf("brought first: %v, asked for: %v", first, asked)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// recorder notes the packs that are opened, and can make them unreadable.
type recorder struct {
	engine.Engine
	mu     sync.Mutex
	opened []string
	spoil  func(name string, b []byte) // changes what is read of a pack
}

func (r *recorder) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = nil
}

func (r *recorder) packs() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.opened)
}

func (r *recorder) Open(ctx context.Context, name string) (engine.File, error) {
	f, err := r.Engine.Open(ctx, name)
	if err != nil || !strings.HasPrefix(name, engine.Packs) {
		return f, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = append(r.opened, name)
	return recorded{f, r, name}, nil
}

type recorded struct {
	engine.File
	r    *recorder
	name string
}

func (f recorded) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.r.mu.Lock()
	spoil := f.r.spoil
	f.r.mu.Unlock()
	if spoil != nil && off == 0 {
		spoil(f.name, p[:n])
	}
	return n, err
}

// fillWith fills a folder from a target that yields wrong bytes of every pack, and returns the error and what is here then.
func (x *backedUp) fillWith(t *testing.T, spoil func(string, []byte)) (string, []string) {
	t.Helper()
	x.gate = make(chan struct{})
	target := &recorder{Engine: x.target}
	here := vfs.NewMem()
	s, err := x.open(here, target)
	if err != nil {
		t.Fatal(err)
	}
	target.mu.Lock()
	target.spoil = spoil
	target.mu.Unlock()
	close(x.gate)
	<-s.over.FillEnded()
	h, _ := s.over.Hydration()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := dir.Open(here, crashFolder, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return h.Err, namesOf(t, d, engine.Packs)
}

// TestFromProvesPacks: a pack whose bytes are not those of its entry never counts as being here.
func TestFromProvesPacks(t *testing.T) {
	x := newBackup(t)
	flip := func(_ string, b []byte) { b[len(b)-1] ^= 1 }
	if why, packs := x.fillWith(t, flip); !strings.Contains(why, "SHA-256") && !strings.Contains(why, "could not be brought") || len(packs) != 0 {
		t.Fatalf("%q, here: %v", why, packs)
	}
	bug.Plant(t, bug.FillUnproven)
	if _, packs := x.fillWith(t, flip); len(packs) == 0 {
		t.Fatal("the deliberate bug makes no difference: the test sees nothing")
	}
}

// TestFromRolledBack: where the target has less than it had, the folder keeps and shows what it brought before: it may be the last copy.
func TestFromRolledBack(t *testing.T) {
	x := newBackup(t)
	here := vfs.NewMem()
	s, err := x.open(here, x.target)
	if err != nil {
		t.Fatal(err)
	}
	<-s.over.Hydrated()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names := namesOf(t, x.target, engine.Segments)
	older := mem.New()
	for _, folder := range []string{engine.Meta, engine.Keyrings, engine.Packs, engine.Segments} {
		for _, name := range namesOf(t, x.target, folder) {
			if b := bytesOf(t, x.target, name); name != names[len(names)-1] {
				if err := older.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s, err = x.open(here, older)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.check(s), s.Close()); err != nil {
		t.Fatal(err)
	}
	d, err := dir.Open(here, crashFolder, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := namesOf(t, d, engine.Segments); !slices.Equal(got, names) {
		t.Fatalf("the folder holds %v, not %v: entries that only it had were removed", got, names)
	}
	fresh, err := x.open(vfs.NewMem(), older) // without the folder: what the target has
	if err != nil {
		t.Fatal(err)
	}
	if size := fresh.Size(); size == 0 || size >= s.Size() {
		t.Fatalf("the older target shows %d entries", size)
	}
	if err := fresh.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFromWrongPlaces: what is not a backup, not of this store, or no place for one, is refused, and the folder stays as it was.
func TestFromWrongPlaces(t *testing.T) {
	x, y := newBackup(t), newBackup(t)
	here := vfs.NewMem()
	if _, err := x.open(here, mem.New()); err == nil || !strings.Contains(err.Error(), "nothing was shipped") {
		t.Fatal("an empty target:", err)
	}
	x.identity, y.identity = y.identity, x.identity
	if _, err := x.open(here, x.target); !errors.Is(err, ErrWrongKey) {
		t.Fatal("another store's key:", err)
	}
	x.identity, y.identity = y.identity, x.identity
	x.gate = make(chan struct{}) // nothing is brought: a keyring of x's in the folder would be met first
	s, err := x.open(here, x.target)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := y.open(here, y.target); err == nil || !strings.Contains(err.Error(), "name another folder") {
		t.Fatal("another store's target:", err)
	}
	other := vfs.NewMem()
	if err := restore(other, map[string][]byte{"data/": nil, "data/letter.txt": []byte("dear")}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.open(other, x.target); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Fatal("a folder with other files:", err)
	}
}

// TestFromCrash cuts the power at writes, and fails fsyncs, of filling a folder: the same command goes on, and what is here then is the backup.
func TestFromCrash(t *testing.T) {
	x := newBackup(t)
	again := func(fs vfs.FS) error {
		s, err := x.open(fs, x.target)
		if err != nil {
			return err
		}
		err = x.check(s)
		<-s.over.FillEnded()
		if h, _ := s.over.Hydration(); !h.Full && err == nil {
			err = fmt.Errorf("it is not full: %s", h.Err)
		}
		return errors.Join(err, s.Close())
	}
	s := crashtest.Scenario[int]{
		Work: func(fs vfs.FS, _ *int) error { return again(fs) },
		Check: func(fs vfs.FS, _ *int) error {
			if err := again(fs); err != nil {
				return fmt.Errorf("going on: %w", err)
			}
			s, err := Open(ctx, crashFolder, Options{FS: fs, Identity: x.identity})
			if err != nil {
				return err
			}
			return errors.Join(x.check(s), s.Close())
		},
		Clones: 2,
	}
	if !full {
		s.Stride, s.Clones = 17, 1
	}
	crashtest.Run(t, s)
}
