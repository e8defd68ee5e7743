package standby

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/node"
)

// direct is a primary in this process.
type direct struct {
	*node.Node
	piece int // bytes of one answer; 0: 4 MiB
}

func (d direct) ReplicaFiles(ctx context.Context, folder string) (out []stele.ReplicaFile, err error) {
	err = d.Node.ReplicaFiles(ctx, folder, func(f stele.ReplicaFile) error {
		out = append(out, f)
		return nil
	})
	return out, err
}

func (d direct) ReplicaRead(ctx context.Context, name string, off int64) (stele.ReplicaFile, []byte, error) {
	n := d.piece
	if n == 0 {
		n = 4 << 20
	}
	return d.Node.ReplicaRead(ctx, name, off, n)
}

func (d direct) Succession(ctx context.Context) (stele.Succession, error) {
	return d.Node.Ledger().Succession(ctx)
}

func (d direct) Learn(ctx context.Context, at uint64, data map[string]string) error {
	return d.Node.Learn(ctx, at, data, "a test")
}

// rig is a primary and its standby, each on a file system in memory.
type rig struct {
	t       testing.TB
	fs, sfs vfs.FS
	mu      sync.Mutex
	store   *node.Node
	wrap    func(Primary) Primary // what stands in between
	model   map[string][]byte
	opt     stele.Options
	slept   int
	sopt    Options
}

func newRig(t testing.TB) *rig { return newRigOn(t, nil) }

// newRigOn is newRig by a clock of its own.
func newRigOn(t testing.TB, clock stele.Clock) *rig {
	r := &rig{t: t, fs: vfs.NewMem(), sfs: vfs.NewMem(), model: map[string][]byte{}}
	r.opt = stele.Options{FS: r.fs, Clock: clock, Kit: "kits/kit.txt", SegmentBytes: 64 << 10, PackBytes: 256 << 10}
	must(t, r.fs.MkdirAll("kits", 0o700))
	s, err := node.Create(t.Context(), "primary", r.opt)
	must(t, err)
	r.store = s
	t.Cleanup(func() { r.primary().Close() })
	if _, err := s.CreateBucket(t.Context(), stele.Local(), "bkt", false); err != nil {
		t.Fatal(err)
	}
	r.sopt = Options{Folder: "standby", Store: stele.Options{FS: r.sfs, Clock: clock, SegmentBytes: 64 << 10, PackBytes: 256 << 10}, From: "test",
		Dial: func(ctx context.Context) (Primary, error) {
			var p Primary = direct{r.primary(), 0}
			if r.wrap != nil {
				p = r.wrap(p)
			}
			return p, nil
		},
		Sleep: func(ctx context.Context, d time.Duration) error {
			if r.slept++; r.slept > 100 {
				return errors.New("asked again a hundred times")
			}
			return ctx.Err()
		},
		Log: slog.New(slog.DiscardHandler),
	}
	return r
}

func (r *rig) primary() *node.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store
}

// restart ends the primary's process in an orderly way and starts another one.
func (r *rig) restart() {
	r.t.Helper()
	must(r.t, r.primary().Close())
	s, err := node.Open(r.t.Context(), "primary", r.opt)
	must(r.t, err)
	r.mu.Lock()
	r.store = s
	r.mu.Unlock()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) put(key string, size int, seed uint64) stele.Version {
	r.t.Helper()
	data := make([]byte, size)
	rng := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%s %d", key, seed))) // no two alike: nothing is deduplicated
	rng.Read(data)
	v, err := r.primary().Put(r.t.Context(), stele.PutRequest{By: stele.Local(), Bucket: "bkt", Key: key, Body: bytes.NewReader(data), Size: int64(size)})
	must(r.t, err)
	r.model[key] = data
	return v
}

// admit makes the standby's identity and admits it on the primary.
func (r *rig) admit() {
	r.t.Helper()
	rec, err := stele.NewStandby(r.sopt.Folder, r.sopt.Store)
	must(r.t, err)
	_, err = r.primary().AddStandby(r.t.Context(), stele.Local(), "one", rec)
	must(r.t, err)
}

// open opens the standby.
func (r *rig) open() *Standby {
	r.t.Helper()
	s := New(r.sopt)
	must(r.t, s.Open(r.t.Context()))
	return s
}

// catchUp follows until the standby is where the primary is.
func catchUp(t testing.TB, r *rig, s *Standby) {
	t.Helper()
	for i := 0; i == 0 && s.primary == nil || s.store.Follow.Here() < r.primary().Ledger().Size(); i++ {
		if err := s.round(t.Context(), false); err != nil && (i > 20 || !errors.Is(err, errStuck)) || i > 1000 {
			t.Fatal(err)
		}
	}
}

// same compares what a store serves with the model, and its tree with the primary's.
func (r *rig) same(what string, s *stele.Store) {
	r.t.Helper()
	p, err := s.List(r.t.Context(), stele.ListRequest{Bucket: "bkt", Max: 1000})
	must(r.t, err)
	if len(p.Versions) != len(r.model) {
		r.t.Fatalf("%s lists %d keys, %d were put", what, len(p.Versions), len(r.model))
	}
	for key, want := range r.model {
		if got := read(r.t, s, key); !bytes.Equal(got, want) {
			r.t.Fatalf("%s: %s has other bytes", what, key)
		}
	}
}

func read(t testing.TB, s *stele.Store, key string) []byte {
	t.Helper()
	v, err := s.Head(t.Context(), stele.Place{Bucket: "bkt", Key: key})
	must(t, err)
	must(t, s.Describe(t.Context(), &v))
	b, err := s.OpenBody(t.Context(), v, 0, -1)
	must(t, err)
	defer b.Close()
	got, err := io.ReadAll(b)
	must(t, err)
	return got
}

// sameTree compares the standby's tree with the primary's. A primary that was opened a moment ago may still write entries of its own, of packs that a crash left unsealed: they are followed first.
func (r *rig) sameTree(s *Standby) {
	r.t.Helper()
	size, root := r.primary().Ledger().TreeHead()
	c, _ := s.store.Follow.Accepted()
	for end := time.Now().Add(time.Minute); c.Size < size && time.Now().Before(end); runtime.Gosched() { // what is here already may be accepted later, once the primary has published it
		if err := s.round(r.t.Context(), false); err != nil && !errors.Is(err, errStuck) {
			r.t.Fatal(err)
		}
		size, root = r.primary().Ledger().TreeHead()
		c, _ = s.store.Follow.Accepted()
	}
	if c.Size != size || c.Root != root {
		r.t.Fatalf("the standby accepted %d %s, the primary is at %d %s", c.Size, c.Root, size, root)
	}
	if got, err := s.store.Follow.Root(r.t.Context(), size); err != nil || got != root {
		r.t.Fatalf("the standby's root is %s (%v), the primary's %s", got, err, root)
	}
}
