package hydrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/core"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/hydrate"
	"stele/internal/ledger"
	"stele/internal/storetest"
)

func promote(x *storetest.BackedUp, fsys vfs.FS) (stele.Promotion, error) {
	return stele.PromoteFrom(ctx, storetest.Folder, hydrate.From{Target: x.Target, Name: "mem:///target"}, stele.PromoteOptions{Options: x.Options(fsys), Reason: "the house burnt down"})
}

// TestFromPromote: a folder that has next to nothing yet is promoted, takes writes at once that do not depend on the target, fills itself, and is an ordinary store then.
func TestFromPromote(t *testing.T) {
	x := storetest.NewBackedUp(t)
	here := vfs.NewMem()
	x.Gate = make(chan struct{})
	s, err := x.Open(here, x.Target)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	p, err := promote(x, here)
	if err != nil || p.From != 1 || p.To != 2 || p.Left != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := promote(x, here); !errors.Is(err, stele.ErrBadState) {
		t.Fatal("promoted twice:", err)
	}
	s, err = x.Open(here, x.Target)
	if err != nil {
		t.Fatal(err)
	}
	at := s.Ledger().Size()
	if got, err := storetest.Show(s, stele.View{}); err != nil || got != x.Shown[0] {
		t.Fatal("it shows something else:", err)
	}
	// The same bytes as an object that lies on the target only: they must be written again.
	const large = 60 << 10
	storetest.Put(t, s, "plain", "again", storetest.Data("large", large).Bytes())
	if stats := s.Rooms().Core.Body.Stats(); stats.DuplicateChunks != 0 {
		t.Fatalf("%d chunks were taken from packs that are not here", stats.DuplicateChunks)
	}
	missing, err := s.Rooms().Over.Missing(ctx, engine.Packs)
	if err != nil || len(missing) == 0 {
		t.Fatal("nothing is missing, the test sees nothing", err)
	}
	close(x.Gate)
	<-s.Rooms().Over.Hydrated()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := stele.Open(ctx, storetest.Folder, stele.Options{FS: here})
	if err != nil {
		t.Fatal("the folder is no store of its own:", err)
	}
	defer whole.Close()
	if got, err := storetest.Show(whole, stele.View{Size: at}); err != nil {
		t.Fatal(err)
	} else if want := x.Shown[0]; withoutTotals(got) != withoutTotals(want) {
		t.Fatalf("at the promotion it shows\n%s\nnot\n%s", got, want)
	}
	if got := storetest.Read(t, whole, stele.Place{Bucket: "plain", Key: "again"}); len(got) != large {
		t.Fatal(len(got))
	}
	storetest.Put(t, whole, "plain", "more", []byte("x"))
	r, err := whole.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err != nil || !r.OK() {
		t.Fatal(r.Problems, err)
	}
	if _, err := core.ReadFile(here, here.PathJoin(storetest.Folder, core.FileFrom)); !core.IsNotExist(err) {
		t.Fatal("the mark is still there:", err)
	}
}

// withoutTotals drops what a listing of the past does not have: counters and open uploads.
func withoutTotals(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.HasSuffix(line, " bytes\n") && strings.Contains(line, " objects, ") || strings.HasPrefix(line, "  upload ") || strings.HasPrefix(line, "    part ") {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}

// TestFullThenPromote: a folder that was filled first is promoted like any other, without its target.
func TestFullThenPromote(t *testing.T) {
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
	if _, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: stele.Options{FS: here, Identity: x.Identity}}); err != nil {
		t.Fatal(err)
	}
	s, err = stele.Open(ctx, storetest.Folder, stele.Options{FS: here})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.Put(t, s, "plain", "more", []byte("x"))
}

// TestFromPromoteCrash cuts the power at writes of a promotion and of what follows: the folder is the old epoch's or the new one's, and goes on.
func TestFromPromoteCrash(t *testing.T) {
	x := storetest.NewBackedUp(t)
	work := func(fs vfs.FS, acked *int) error {
		p, err := promote(x, fs)
		if err != nil && !errors.Is(err, stele.ErrBadState) {
			return err
		}
		s, err := x.Open(fs, x.Target)
		if err != nil {
			return fmt.Errorf("after %+v: %w", p, err)
		}
		for i := range 2 {
			if _, err = s.Put(ctx, stele.PutRequest{By: stele.Local(), Bucket: "plain", Key: fmt.Sprint("new", *acked), Body: strings.NewReader("x"), Size: 1}); err != nil {
				break
			}
			*acked++
			if i == 0 && s.Rooms().Over.FillEnded() != nil {
				<-s.Rooms().Over.FillEnded()
			}
		}
		return errors.Join(err, s.Close())
	}
	s := crashtest.Scenario[int]{
		Work: work,
		Check: func(fs vfs.FS, acked *int) error {
			if err := work(fs, acked); err != nil {
				return fmt.Errorf("going on: %w", err)
			}
			s, err := stele.Open(ctx, storetest.Folder, stele.Options{FS: fs})
			if err != nil {
				return err
			}
			for i := range *acked {
				if _, herr := s.Head(ctx, stele.Place{Bucket: "plain", Key: fmt.Sprint("new", i)}); herr != nil {
					err = errors.Join(err, fmt.Errorf("what was acknowledged is gone: %w", herr))
				}
			}
			page, lerr := s.List(ctx, stele.ListRequest{Bucket: "kept", Max: 100})
			if lerr != nil || len(page.Versions) == 0 {
				err = errors.Join(err, lerr, fmt.Errorf("%d objects", len(page.Versions)))
			}
			return errors.Join(err, s.Close())
		},
		Clones: 2,
	}
	if !storetest.Full {
		s.Stride, s.Clones = 23, 1
	}
	crashtest.Run(t, s)
}

// TestFromScrub: a promoted folder is scrubbed by the process that fills it, once it has everything: before that the scrub would read the target.
func TestFromScrub(t *testing.T) {
	x := storetest.NewBackedUp(t)
	here := vfs.NewMem()
	if _, err := promote(x, here); err != nil {
		t.Fatal(err)
	}
	x.Gate = make(chan struct{})
	rest, done := storetest.UntilDone()
	opt := x.Options(here)
	opt.ScrubDays, opt.Clock = 30, storetest.Waiting{Clock: storetest.Later{Clock: ledger.SystemClock{}}, Wait: func(ctx context.Context, d time.Duration) error {
		if d == 0 {
			return x.Once(ctx, d)
		}
		select {
		case <-x.Gate:
		default:
			t.Error("the scrub reads what is not here")
		}
		return rest(ctx, d)
	}}
	s, err := stele.OpenFrom(ctx, storetest.Folder, hydrate.From{Target: x.Target, Name: "mem:///target"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, "plain", "a write", []byte("meanwhile"))
	close(x.Gate)
	<-s.Rooms().Over.Hydrated()
	<-done
	if st := s.Rooms().Care.ScrubStatus(); st.Rounds != 1 || len(st.Bad) != 0 || st.Total == 0 {
		t.Errorf("%+v", st)
	}
	if h, _ := s.Rooms().Over.Hydration(); h.Brought == 0 || !h.Full {
		t.Errorf("%+v", h)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
