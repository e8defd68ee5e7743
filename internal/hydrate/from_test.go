package hydrate_test

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

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/bug"
	"stele/internal/core"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/mem"
	"stele/internal/hydrate"
	"stele/internal/storetest"
)

// TestFrom: a backup is served at once from its snapshot, takes no writes, fills the folder, and the folder then needs no target.
func TestFrom(t *testing.T) {
	x := storetest.NewBackedUp(t)
	here := vfs.NewMem()
	x.Gate = make(chan struct{})
	s, err := x.Open(here, x.Target)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Rooms().Over.RestsOnSnapshot() {
		t.Fatal("the index was not begun from the snapshot")
	}
	if err := x.Check(s); err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "plain", Key: "x", Body: strings.NewReader("x"), Size: 1})
	if !errors.Is(err, stele.ErrUnpromoted) || !errors.Is(err, stele.ErrReadOnly) || !strings.Contains(err.Error(), "stele promote") {
		t.Fatal("a put:", err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "another", false); !errors.Is(err, stele.ErrUnpromoted) {
		t.Fatal("a bucket:", err)
	}
	if err := s.Rooms().Backups.FlushTargets(ctx); !errors.Is(err, stele.ErrUnpromoted) {
		t.Fatal("a sync of targets, to which nothing is shipped:", err)
	}
	if h, ok := s.Rooms().Over.Hydration(); !ok || h.Full || h.BytesLeft == 0 {
		t.Fatalf("%+v", h)
	}
	if _, err := stele.Open(ctx, storetest.Folder, stele.Options{FS: here, Identity: x.Identity}); !errors.Is(err, stele.ErrNotStore) || !strings.Contains(err.Error(), "--from mem:///target") {
		t.Fatal("a folder that is half full was opened:", err)
	}
	close(x.Gate)
	<-s.Rooms().Over.Hydrated()
	if h, _ := s.Rooms().Over.Hydration(); !h.Full || h.BytesLeft != 0 || h.PacksLeft != 0 {
		t.Fatalf("%+v", h)
	}
	if err := errors.Join(x.Check(s), s.Close()); err != nil {
		t.Fatal(err)
	}
	full, err := stele.Open(ctx, storetest.Folder, stele.Options{FS: here, Identity: x.Identity})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Check(full); err != nil {
		t.Fatal(err)
	}
	if _, err := full.CreateBucket(ctx, stele.Local(), "another", false); !errors.Is(err, stele.ErrUnpromoted) {
		t.Fatal("a full copy takes writes before it is promoted:", err)
	}
	r, err := full.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err != nil || !r.OK() {
		t.Fatal(r.Problems, err)
	}
	if err := full.Close(); err != nil {
		t.Fatal(err)
	}
	compareFiles(t, x, here)
}

// compareFiles: what came is, byte for byte, what the target has.
func compareFiles(t *testing.T, x *storetest.BackedUp, fsys vfs.FS) {
	t.Helper()
	for _, folder := range []string{engine.Packs, engine.Segments, engine.Keyrings, engine.Meta} {
		err := x.Target.List(ctx, folder, func(i engine.Info) error {
			f, err := x.Target.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			want, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			if err != nil {
				return err
			}
			got, err := core.ReadFile(fsys, fsys.PathJoin(storetest.Folder, i.Name))
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
			x := storetest.NewBackedUp(t)
			spoilSnapshot(t, x, how)
			s, err := x.Open(vfs.NewMem(), x.Target)
			if err != nil {
				t.Fatal(err)
			}
			if s.Rooms().Over.RestsOnSnapshot() {
				t.Fatal("the snapshot was believed")
			}
			<-s.Rooms().Over.Hydrated()
			if err := errors.Join(x.Check(s), s.Close()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func spoilSnapshot(t *testing.T, x *storetest.BackedUp, how string) {
	t.Helper()
	names := namesOf(t, x.Target, engine.Snapshots)
	lists := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasSuffix(n, ".idx") })
	if len(lists) != 1 {
		t.Fatal(lists)
	}
	content := bytesOf(t, x.Target, lists[0])
	remove := func(name string) {
		if err := x.Target.Remove(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	create := func(name string, b []byte) {
		if err := x.Target.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
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
		y := storetest.NewBackedUp(t)
		for _, name := range namesOf(t, y.Target, engine.Snapshots) {
			if b := bytesOf(t, y.Target, name); strings.HasSuffix(name, ".idx") {
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
	defer hydrate.FillOneByOne()() // two that start at once are opened in any order
	x := storetest.NewBackedUp(t)
	x.Gate = make(chan struct{})
	order := &recorder{Engine: x.Target}
	s, err := x.Open(vfs.NewMem(), order)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Head(ctx, stele.Place{Bucket: "brief", Key: "k2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.ReadBody(s, v); err != nil {
		t.Fatal(err)
	}
	asked, packs := s.Rooms().Over.AskedFor()
	if len(asked) == 0 || len(asked) == packs {
		t.Fatalf("%d packs were read of %d", len(asked), packs)
	}
	order.clear()
	close(x.Gate)
	<-s.Rooms().Over.Hydrated()
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
	spoil  func(name string, Data []byte) // changes what is read of a pack
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
func fillWith(t *testing.T, x *storetest.BackedUp, spoil func(string, []byte)) (string, []string) {
	t.Helper()
	x.Gate = make(chan struct{})
	target := &recorder{Engine: x.Target}
	here := vfs.NewMem()
	s, err := x.Open(here, target)
	if err != nil {
		t.Fatal(err)
	}
	target.mu.Lock()
	target.spoil = spoil
	target.mu.Unlock()
	close(x.Gate)
	<-s.Rooms().Over.FillEnded()
	h, _ := s.Rooms().Over.Hydration()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := dir.Open(here, storetest.Folder, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return h.Err, namesOf(t, d, engine.Packs)
}

// TestFromProvesPacks: a pack whose bytes are not those of its entry never counts as being here.
func TestFromProvesPacks(t *testing.T) {
	x := storetest.NewBackedUp(t)
	flip := func(_ string, b []byte) { b[len(b)-1] ^= 1 }
	if why, packs := fillWith(t, x, flip); !strings.Contains(why, "SHA-256") && !strings.Contains(why, "could not be brought") || len(packs) != 0 {
		t.Fatalf("%q, here: %v", why, packs)
	}
	bug.Plant(t, bug.FillUnproven)
	if _, packs := fillWith(t, x, flip); len(packs) == 0 {
		t.Fatal("the deliberate bug makes no difference: the test sees nothing")
	}
}

// TestFromRolledBack: where the target has less than it had, the folder keeps and shows what it brought before: it may be the last copy.
func TestFromRolledBack(t *testing.T) {
	x := storetest.NewBackedUp(t)
	here := vfs.NewMem()
	s, err := x.Open(here, x.Target)
	if err != nil {
		t.Fatal(err)
	}
	<-s.Rooms().Over.Hydrated()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names := namesOf(t, x.Target, engine.Segments)
	older := mem.New()
	for _, folder := range []string{engine.Meta, engine.Keyrings, engine.Packs, engine.Segments} {
		for _, name := range namesOf(t, x.Target, folder) {
			if b := bytesOf(t, x.Target, name); name != names[len(names)-1] {
				if err := older.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s, err = x.Open(here, older)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.Check(s), s.Close()); err != nil {
		t.Fatal(err)
	}
	d, err := dir.Open(here, storetest.Folder, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := namesOf(t, d, engine.Segments); !slices.Equal(got, names) {
		t.Fatalf("the folder holds %v, not %v: entries that only it had were removed", got, names)
	}
	fresh, err := x.Open(vfs.NewMem(), older) // without the folder: what the target has
	if err != nil {
		t.Fatal(err)
	}
	if size := fresh.Ledger().Size(); size == 0 || size >= s.Ledger().Size() {
		t.Fatalf("the older target shows %d entries", size)
	}
	if err := fresh.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFromWrongPlaces: what is not a backup, not of this store, or no place for one, is refused, and the folder stays as it was.
func TestFromWrongPlaces(t *testing.T) {
	x, y := storetest.NewBackedUp(t), storetest.NewBackedUp(t)
	here := vfs.NewMem()
	if _, err := x.Open(here, mem.New()); err == nil || !strings.Contains(err.Error(), "nothing was shipped") {
		t.Fatal("an empty target:", err)
	}
	x.Identity, y.Identity = y.Identity, x.Identity
	if _, err := x.Open(here, x.Target); !errors.Is(err, stele.ErrWrongKey) {
		t.Fatal("another store's key:", err)
	}
	x.Identity, y.Identity = y.Identity, x.Identity
	x.Gate = make(chan struct{}) // nothing is brought: a keyring of x's in the folder would be met first
	s, err := x.Open(here, x.Target)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := y.Open(here, y.Target); err == nil || !strings.Contains(err.Error(), "name another folder") {
		t.Fatal("another store's target:", err)
	}
	other := vfs.NewMem()
	if err := storetest.WriteFiles(other, map[string][]byte{"data/": nil, "data/letter.txt": []byte("dear")}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Open(other, x.Target); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Fatal("a folder with other files:", err)
	}
}

// TestFromCrash cuts the power at writes, and fails fsyncs, of filling a folder: the same command goes on, and what is here then is the backup.
func TestFromCrash(t *testing.T) {
	x := storetest.NewBackedUp(t)
	again := func(fs vfs.FS) error {
		s, err := x.Open(fs, x.Target)
		if err != nil {
			return err
		}
		err = x.Check(s)
		<-s.Rooms().Over.FillEnded()
		if h, _ := s.Rooms().Over.Hydration(); !h.Full && err == nil {
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
			s, err := stele.Open(ctx, storetest.Folder, stele.Options{FS: fs, Identity: x.Identity})
			if err != nil {
				return err
			}
			return errors.Join(x.Check(s), s.Close())
		},
		Clones: 2,
	}
	if !storetest.Full {
		s.Stride, s.Clones = 17, 1
	}
	crashtest.Run(t, s)
}
