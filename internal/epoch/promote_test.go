package epoch_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/crashtest"
	"stele/internal/fsck"
	"stele/internal/keyring"
	"stele/internal/storetest"
	"stele/verify"
)

// life is a closed store with some history, and what it showed at every size.
type life struct {
	fs    vfs.FS
	w     *storetest.Client
	shown []string // by size
	size  uint64
	vkey  string
	old   []byte // receipt of entry one
	one   uint64
}

func (x *life) options() stele.Options { return x.w.SmallOptions(x.fs) }

func newLife(t testing.TB) *life {
	t.Helper()
	x := &life{fs: vfs.NewMem(), w: storetest.NewClient()}
	s, err := stele.Create(ctx, storetest.Folder, x.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := x.w.All(s,
		storetest.Change{Do: "createBucket", Bucket: "plain"},
		storetest.Change{Do: "createBucket", Bucket: "kept", On: true},
		storetest.Change{Do: "put", Bucket: "plain", Key: "one", Content: storetest.Data("one", 300)},
		storetest.Change{Do: "put", Bucket: "kept", Key: "text", Content: storetest.Data("zero", 9000)},
		storetest.Change{Do: "put", Bucket: "kept", Key: "text", Content: storetest.Data("three", 5000)},
		storetest.Change{Do: "hide", Bucket: "kept", Key: "text"},
		storetest.Change{Do: "put", Bucket: "plain", Key: "large", Content: storetest.Data("four", 17<<10)},
		storetest.Change{Do: "put", Bucket: "plain", Key: "last", Content: storetest.Data("five", 100)},
		storetest.Change{Do: "put", Bucket: "kept", Key: "more", Content: storetest.Data("six", 3000)},
	); err != nil {
		t.Fatal(err)
	}
	x.vkey, x.size = s.Ledger().VKey(), s.Ledger().Size()
	v, err := s.Head(ctx, stele.Place{Bucket: "plain", Key: "one"})
	if err != nil {
		t.Fatal(err)
	}
	if x.one = v.Entry; err != nil {
		t.Fatal(err)
	}
	if x.old, err = s.Ledger().Receipt(ctx, x.one); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, storetest.Folder, x.options()); err != nil {
		t.Fatal(err)
	}
	x.size = s.Ledger().Size()
	for at := range x.size + 1 {
		text, err := storetest.Show(s, stele.View{Size: at})
		if err != nil {
			t.Fatal(err)
		}
		x.shown = append(x.shown, text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, storetest.Folder, x.options()); err != nil { // closing may have sealed packs
		t.Fatal(err)
	}
	x.size = s.Ledger().Size()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return x
}

// same compares what the store shows at every size up to that with what it showed before.
func (x *life) same(t testing.TB, s *stele.Store, size uint64) {
	t.Helper()
	for at := range min(size+1, uint64(len(x.shown))) {
		if at == 0 {
			continue
		}
		if text, err := storetest.Show(s, stele.View{Size: at}); err != nil || text != x.shown[at] {
			t.Fatalf("at size %d: %v\n%s", at, err, storetest.Diff(text, x.shown[at]))
		}
	}
}

func mustVerify(t testing.TB, s *stele.Store) fsck.Report {
	t.Helper()
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err != nil || !r.OK() {
		t.Fatalf("verify: %+v %v", r.Problems, err)
	}
	return r
}

// TestPromote promotes a store with and without a cut: what it showed at every size up to there it shows as before, version ids included, and it takes writes.
func TestPromote(t *testing.T) {
	for _, left := range []uint64{0, 1, 4, 9} {
		t.Run(fmt.Sprintf("without the last %d", left), func(t *testing.T) {
			x := newLife(t)
			cut := x.size - left
			p, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: x.options(), At: cut, Reason: "test"})
			if err != nil {
				t.Fatal(err)
			}
			if p.From != 1 || p.To != 2 || p.Cut != cut || p.Left != left || !strings.Contains(p.VKey, "/2+") {
				t.Errorf("%+v", p)
			}
			s, err := stele.Open(ctx, storetest.Folder, x.options())
			if err != nil {
				t.Fatal(err)
			}
			x.same(t, s, cut)
			if s.Ledger().VKey() != p.VKey || s.Ledger().Epoch() != 2 || len(s.Ledger().Epochs()) != 2 || s.Ledger().Epochs()[1] != (stele.EpochBegin{Epoch: 2, First: cut}) {
				t.Errorf("vkey %s, epochs %v", s.Ledger().VKey(), s.Ledger().Epochs())
			}
			v := storetest.Put(t, s, "kept", "new", []byte("of the new epoch"))
			if !strings.HasPrefix(v.ID, "00000002") {
				t.Errorf("version id %s", v.ID)
			}
			if got, err := s.Head(ctx, stele.Place{Bucket: "kept", Key: "new", VersionID: v.ID}); err != nil || got.ID != v.ID {
				t.Errorf("by its id: %v", err)
			}
			if _, err := s.Head(ctx, stele.Place{Bucket: "kept", Key: "new", VersionID: strings.Replace(v.ID, "00000002", "00000001", 1)}); !errors.Is(err, stele.ErrNoVersion) {
				t.Errorf("by the id of an entry of the other epoch: %v", err)
			}
			x.receipts(t, s, p.VKey)
			r := mustVerify(t, s)
			if left == 0 && len(r.Evidence) != 0 || left > 0 && (len(r.Evidence) != 1 || r.Evidence[0].Broken != "" || r.Evidence[0].From > cut || r.Evidence[0].To != x.size) {
				t.Errorf("evidence %+v", r.Evidence)
			}
			now, err := storetest.Show(s, stele.View{Size: s.Ledger().Size()})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			// The index is derived.
			if err := x.fs.RemoveAll(x.fs.PathJoin(storetest.Folder, core.DirIndex)); err != nil {
				t.Fatal(err)
			}
			if s, err = stele.Open(ctx, storetest.Folder, x.options()); err != nil {
				t.Fatal(err)
			}
			x.same(t, s, cut)
			if text, err := storetest.Show(s, stele.View{Size: s.Ledger().Size()}); err != nil || text != now {
				t.Errorf("with the index rebuilt: %v\n%s", err, storetest.Diff(text, now))
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// receipts: an old one verifies with the old key, a new one of the same entry with the new key.
func (x *life) receipts(t testing.TB, s *stele.Store, vkey string) {
	t.Helper()
	file := storetest.Data("one", 300).Bytes()
	if _, err := verify.Receipt(x.old, x.vkey, bytes.NewReader(file)); err != nil {
		t.Errorf("an old receipt: %v", err)
	}
	receipt, err := s.Ledger().Receipt(ctx, x.one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Receipt(receipt, vkey, bytes.NewReader(file)); err != nil {
		t.Errorf("a new receipt of an old entry: %v", err)
	}
	if _, err := verify.Receipt(receipt, x.vkey, bytes.NewReader(file)); !errors.Is(err, verify.ErrFailed) {
		t.Errorf("a new receipt with the old key: %v", err)
	}
}

// TestPromoteElsewhere promotes with nothing but the files and the recovery kit, as on a machine that the store is new to.
func TestPromoteElsewhere(t *testing.T) {
	x := newLife(t)
	text, err := core.ReadFile(x.fs, "kit.txt")
	if err != nil {
		t.Fatal(err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := core.ReadFile(x.fs, storetest.Folder+"/"+core.FileIdentity)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{core.FileIdentity, core.FileRootKey} {
		if err := x.fs.Remove(storetest.Folder + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
	opt := stele.PromoteOptions{Options: x.options()}
	if _, err := stele.Promote(ctx, storetest.Folder, opt); !errors.Is(err, stele.ErrWrongKey) {
		t.Fatalf("without a key: %v", err)
	}
	opt.Identity = kit.RecoveryIdentity
	if _, err := stele.Promote(ctx, storetest.Folder, opt); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"the machine's own": "", "the kit": kit.RecoveryIdentity} {
		again := x.options()
		again.Identity = key
		s, err := stele.Open(ctx, storetest.Folder, again)
		if err != nil {
			t.Fatalf("with %s key: %v", name, err)
		}
		x.same(t, s, x.size)
		if err := s.Keys().ConfirmKit(ctx, stele.Local(), text); err != nil {
			t.Errorf("the kit, confirmed in a later epoch: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	old := x.options()
	old.Identity = string(bytes.TrimSpace(identity))
	if _, err := stele.Open(ctx, storetest.Folder, old); !errors.Is(err, stele.ErrWrongKey) {
		t.Errorf("the old machine's key opens the new epoch: %v", err)
	}
}

// TestPromoteTwice cuts to before the last promotion as well.
func TestPromoteTwice(t *testing.T) {
	x := newLife(t)
	for i, cut := range []uint64{x.size - 2, x.size - 1, x.size - 5, 0} {
		if _, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: x.options(), At: cut}); err != nil {
			t.Fatal(err)
		}
		s, err := stele.Open(ctx, storetest.Folder, x.options())
		if err != nil {
			t.Fatal(err)
		}
		x.same(t, s, min(x.size-5, cut))
		storetest.Put(t, s, "kept", "new", []byte("new"))
		r := mustVerify(t, s)
		for _, e := range r.Evidence {
			if e.Broken != "" && i < 2 {
				t.Errorf("after %d promotions: %+v", i+1, e)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: x.options(), At: 1000}); !errors.Is(err, stele.ErrFuture) {
		t.Errorf("beyond the end: %v", err)
	}
}

// TestSupersede: a primary that learns of a later epoch stops writing for good; what it holds stays readable.
func TestSupersede(t *testing.T) {
	x := newLife(t)
	s, err := stele.Open(ctx, storetest.Folder, x.options())
	if err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "kept", "last", []byte("acknowledged"))
	if err := s.Rooms().Core.Supersede(1, "nobody"); err == nil || s.Failed() != nil {
		t.Errorf("by its own epoch: %v, %v", err, s.Failed())
	}
	if err := s.Rooms().Core.Supersede(2, "target nas"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "late", false); !errors.Is(err, stele.ErrSuperseded) || errors.Is(err, stele.ErrFailed) {
		t.Errorf("a write: %v", err)
	}
	if err := s.Failed(); !errors.Is(err, stele.ErrSuperseded) {
		t.Errorf("Failed: %v", err)
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "kept", Key: "last"}); string(got) != "acknowledged" {
		t.Errorf("read %q", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for range 2 {
		if _, err := stele.Open(ctx, storetest.Folder, x.options()); !errors.Is(err, stele.ErrSuperseded) || !strings.Contains(err.Error(), "opy from the new primary") {
			t.Errorf("open: %v", err)
		}
	}
	if _, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: x.options()}); !errors.Is(err, stele.ErrSuperseded) {
		t.Errorf("promote: %v", err)
	}
	ro := x.options()
	ro.ReadOnly = true
	if s, err = stele.Open(ctx, storetest.Folder, ro); err != nil {
		t.Fatal(err)
	}
	if got := storetest.Read(t, s, stele.Place{Bucket: "kept", Key: "last"}); string(got) != "acknowledged" {
		t.Errorf("read %q", got)
	}
	if err := s.Rooms().Core.Supersede(2, "nobody"); !errors.Is(err, stele.ErrReadOnly) {
		t.Errorf("a reader: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// fenced is a store that is told of a later epoch while it is written to.
type fenced struct {
	w     *storetest.Client
	acked []string
	done  bool // Supersede has returned
}

func fenceScenario(t testing.TB, play func(vfs.FS) vfs.FS) crashtest.Scenario[fenced] {
	files := storetest.Template(t)
	return crashtest.Scenario[fenced]{
		Setup: func(fs vfs.FS, f *fenced) error {
			f.w = storetest.NewClient()
			return storetest.WriteFiles(fs, files)
		},
		Copy: func(f *fenced) *fenced { c := *f; c.w = f.w.Clone(); return &c },
		Work: func(fs vfs.FS, f *fenced) error {
			s, err := stele.Open(ctx, storetest.Folder, f.w.Options(play(fs)))
			if err != nil {
				return err
			}
			for i := range 3 {
				name := fmt.Sprintf("bucket-%d", i)
				if _, err = s.CreateBucket(ctx, stele.Local(), name, false); err != nil {
					break
				}
				f.acked = append(f.acked, name)
			}
			if err == nil {
				err = s.Rooms().Core.Supersede(2, "a test")
				f.done = err == nil
			}
			return errors.Join(err, s.Close())
		},
		Check: func(fs vfs.FS, f *fenced) error {
			s, err := stele.Open(ctx, storetest.Folder, f.w.Options(fs))
			if err == nil {
				err = s.Close()
				if f.done {
					err = errors.New("a store that was superseded opens for writing")
				}
			} else if errors.Is(err, stele.ErrSuperseded) {
				err = nil
			}
			if err != nil {
				return err
			}
			opt := f.w.Options(fs)
			opt.ReadOnly = true
			if s, err = stele.Open(ctx, storetest.Folder, opt); err != nil {
				return fmt.Errorf("couldn't read what is left: %w", err)
			}
			for _, name := range f.acked {
				if _, e := s.Bucket(ctx, name, stele.View{}); e != nil {
					err = errors.Join(err, fmt.Errorf("%s was acknowledged: %w", name, e))
				}
			}
			return errors.Join(err, s.Close())
		},
	}
}

// TestCrashInSupersede cuts the power at every write of it.
func TestCrashInSupersede(t *testing.T) {
	crashtest.Run(t, fenceScenario(t, func(fs vfs.FS) vfs.FS { return fs }))
}

// TestCrashInSupersedeNotices: a mark that is not durable, name included, when Supersede returns is missed. (Of a mark whose bytes alone are lost the name is enough.)
func TestCrashInSupersedeNotices(t *testing.T) {
	runs, err := fenceScenario(t, storetest.Without("folder", core.FileSuperseded)).CutPower()
	var found *crashtest.Failure
	if !errors.As(err, &found) {
		t.Fatalf("the bug went unnoticed in %d runs: %v", runs, err)
	}
	t.Log(found)
}

// promoted is a promotion under way, and what must be found after a crash.
type promoted struct {
	w     *storetest.Client
	shown map[uint64]string
	size  uint64
	cut   uint64
	done  bool // Promote has returned, or a Check has seen the new epoch
}

// promoteScenario promotes a store that was killed.
func promoteScenario(t testing.TB, left uint64) crashtest.Scenario[promoted] {
	x := storetest.NewTampered(t, true)
	template := &promoted{shown: map[uint64]string{}}
	s, _, err := x.Open(t, x.Files)
	if err != nil {
		t.Fatal(err)
	}
	template.size = s.Ledger().Size()
	for at := uint64(1); at <= template.size; at++ {
		if template.shown[at], err = storetest.Show(s, stele.View{Size: at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	template.cut = template.size - left
	return crashtest.Scenario[promoted]{
		Setup: func(fs vfs.FS, p *promoted) error {
			*p = *template
			p.w = x.Client.Clone()
			return storetest.WriteFiles(fs, x.Files)
		},
		Copy: func(p *promoted) *promoted { c := *p; c.w, c.shown = p.w.Clone(), maps.Clone(p.shown); return &c },
		Work: func(fs vfs.FS, p *promoted) error {
			opt := p.w.SmallOptions(fs)
			if _, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: opt, At: p.cut}); err != nil {
				return err
			}
			p.done = true
			s, err := stele.Open(ctx, storetest.Folder, opt)
			if err != nil {
				return err
			}
			_, err = s.CreateBucket(ctx, stele.Local(), "after", false)
			return errors.Join(err, s.Close())
		},
		Check: func(fs vfs.FS, p *promoted) error {
			s, err := stele.Open(ctx, storetest.Folder, p.w.SmallOptions(fs))
			if err != nil {
				return err
			}
			return errors.Join(p.check(s), s.Close())
		},
	}
}

func (p *promoted) check(s *stele.Store) error {
	size := p.size
	if s.Ledger().Epoch() == 2 {
		size, p.done = p.cut, true
		if e, err := s.Ledger().Entry(ctx, p.cut); err != nil || e.Type != entry.EpochBegin {
			return fmt.Errorf("entry %d is a %s: %v", p.cut, e.Type, err)
		}
	} else if p.done {
		return errors.New("the new epoch is gone")
	}
	for at := uint64(1); at <= size; at++ {
		if text, err := storetest.Show(s, stele.View{Size: at}); err != nil || text != p.shown[at] {
			return fmt.Errorf("at size %d: %v\n%s", at, err, storetest.Diff(text, p.shown[at]))
		}
	}
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err == nil && !r.OK() {
		err = fmt.Errorf("verify: %+v", r.Problems)
	}
	return err
}

// TestCrashInPromote cuts the power at writes of a promotion, and fails its fsyncs, with and without a cut.
func TestCrashInPromote(t *testing.T) {
	for _, left := range []uint64{0, 3} {
		t.Run(fmt.Sprintf("without the last %d", left), func(t *testing.T) {
			s := promoteScenario(t, left)
			switch {
			case testing.Short():
				s.Stride, s.Clones = 13, 1
			case !storetest.Full:
				s.Stride, s.Clones = 3, 2
			}
			crashtest.Run(t, s)
		})
	}
}
