package stele

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/core"
	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/hydrate"
	"stele/internal/ledger"
)

func (x *backedUp) promote(fsys vfs.FS) (Promotion, error) {
	return PromoteFrom(ctx, crashFolder, hydrate.From{Target: x.target, Name: "mem:///target"}, PromoteOptions{Options: x.options(fsys), Reason: "the house burnt down"})
}

// TestFromPromote: a folder that has next to nothing yet is promoted, takes writes at once that do not depend on the target, fills itself, and is an ordinary store then.
func TestFromPromote(t *testing.T) {
	x := newBackup(t)
	here := vfs.NewMem()
	x.gate = make(chan struct{})
	s, err := x.open(here, x.target)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	p, err := x.promote(here)
	if err != nil || p.From != 1 || p.To != 2 || p.Left != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := x.promote(here); !errors.Is(err, ErrBadState) {
		t.Fatal("promoted twice:", err)
	}
	s, err = x.open(here, x.target)
	if err != nil {
		t.Fatal(err)
	}
	at := s.Size()
	if got, err := show(s, View{}); err != nil || got != x.shown[0] {
		t.Fatal("it shows something else:", err)
	}
	// The same bytes as an object that lies on the target only: they must be written again.
	const large = 60 << 10
	put(t, s, "plain", "again", b("large", large).bytes())
	if stats := s.core.Body.Stats(); stats.DuplicateChunks != 0 {
		t.Fatalf("%d chunks were taken from packs that are not here", stats.DuplicateChunks)
	}
	missing, err := s.over.Missing(ctx, engine.Packs)
	if err != nil || len(missing) == 0 {
		t.Fatal("nothing is missing, the test sees nothing", err)
	}
	close(x.gate)
	<-s.over.Hydrated()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := Open(ctx, crashFolder, Options{FS: here})
	if err != nil {
		t.Fatal("the folder is no store of its own:", err)
	}
	defer whole.Close()
	if got, err := show(whole, View{Size: at}); err != nil {
		t.Fatal(err)
	} else if want := x.shown[0]; withoutTotals(got) != withoutTotals(want) {
		t.Fatalf("at the promotion it shows\n%s\nnot\n%s", got, want)
	}
	if got := read(t, whole, Place{Bucket: "plain", Key: "again"}); len(got) != large {
		t.Fatal(len(got))
	}
	put(t, whole, "plain", "more", []byte("x"))
	r, err := whole.Verify(ctx, VerifyOptions{By: Local(), Deep: true})
	if err != nil || !r.OK() {
		t.Fatal(r.Problems, err)
	}
	if _, err := core.ReadFile(here, here.PathJoin(crashFolder, core.FileFrom)); !core.IsNotExist(err) {
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
	if _, err := Promote(ctx, crashFolder, PromoteOptions{Options: Options{FS: here, Identity: x.identity}}); err != nil {
		t.Fatal(err)
	}
	s, err = Open(ctx, crashFolder, Options{FS: here})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "plain", "more", []byte("x"))
}

// TestFromPromoteCrash cuts the power at writes of a promotion and of what follows: the folder is the old epoch's or the new one's, and goes on.
func TestFromPromoteCrash(t *testing.T) {
	x := newBackup(t)
	work := func(fs vfs.FS, acked *int) error {
		p, err := x.promote(fs)
		if err != nil && !errors.Is(err, ErrBadState) {
			return err
		}
		s, err := x.open(fs, x.target)
		if err != nil {
			return fmt.Errorf("after %+v: %w", p, err)
		}
		for i := range 2 {
			if _, err = s.Put(ctx, PutRequest{By: Local(), Bucket: "plain", Key: fmt.Sprint("new", *acked), Body: strings.NewReader("x"), Size: 1}); err != nil {
				break
			}
			*acked++
			if i == 0 && s.over.FillEnded() != nil {
				<-s.over.FillEnded()
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
			s, err := Open(ctx, crashFolder, Options{FS: fs})
			if err != nil {
				return err
			}
			for i := range *acked {
				if _, herr := s.Head(ctx, Place{Bucket: "plain", Key: fmt.Sprint("new", i)}); herr != nil {
					err = errors.Join(err, fmt.Errorf("what was acknowledged is gone: %w", herr))
				}
			}
			page, lerr := s.List(ctx, ListRequest{Bucket: "kept", Max: 100})
			if lerr != nil || len(page.Versions) == 0 {
				err = errors.Join(err, lerr, fmt.Errorf("%d objects", len(page.Versions)))
			}
			return errors.Join(err, s.Close())
		},
		Clones: 2,
	}
	if !full {
		s.Stride, s.Clones = 23, 1
	}
	crashtest.Run(t, s)
}

// TestFromScrub: a promoted folder is scrubbed by the process that fills it, once it has everything: before that the scrub would read the target.
func TestFromScrub(t *testing.T) {
	x := newBackup(t)
	here := vfs.NewMem()
	if _, err := x.promote(here); err != nil {
		t.Fatal(err)
	}
	x.gate = make(chan struct{})
	rest, done := untilDone()
	opt := x.options(here)
	opt.ScrubDays, opt.Clock = 30, waiting{later{ledger.SystemClock{}}, func(ctx context.Context, d time.Duration) error {
		if d == 0 {
			return x.once(ctx, d)
		}
		select {
		case <-x.gate:
		default:
			t.Error("the scrub reads what is not here")
		}
		return rest(ctx, d)
	}}
	s, err := OpenFrom(ctx, crashFolder, hydrate.From{Target: x.target, Name: "mem:///target"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "plain", "a write", []byte("meanwhile"))
	close(x.gate)
	<-s.over.Hydrated()
	<-done
	if st := s.care.ScrubStatus(); st.Rounds != 1 || len(st.Bad) != 0 || st.Total == 0 {
		t.Errorf("%+v", st)
	}
	if h, _ := s.over.Hydration(); h.Brought == 0 || !h.Full {
		t.Errorf("%+v", h)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
