package hydrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/ledger"
	"stele/internal/replicate"
	"stele/internal/retry"
)

// Hydration is how far a folder that is served from a backup is filled.
type Hydration struct {
	From             string
	Packs, PacksLeft int
	Bytes, BytesLeft int64 // of the index, packs and segments
	Brought          int64 // bytes, since Since
	Full             bool  // the folder has everything, and is a store by itself
	Err              string
	Since            time.Time // when this process began to fill it
}

// Left is how long the rest takes at the speed so far; 0: nobody knows yet, or it is done.
func (h *Hydration) Left(now time.Time) time.Duration {
	took := now.Sub(h.Since)
	if h.Brought <= 0 || took <= 0 {
		return 0
	}
	return time.Duration(float64(h.BytesLeft) / float64(h.Brought) * float64(took))
}

// filling is the filling of a folder under way.
type filling struct {
	limit *rate.Limiter

	mu     sync.Mutex
	status Hydration
	asked  []string // packs that were read beneath, oldest first
	known  map[string]bool
	full   chan struct{} // closed when there is nothing left to bring
	ended  chan struct{} // closed when nothing is brought any more, for whatever reason
}

// ask notes that a pack was opened beneath the folder: it is brought before the others.
func (f *filling) ask(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[string]bool{}
	}
	if !f.known[name] {
		f.known[name] = true
		f.asked = append(f.asked, name)
	}
}

func (f *filling) note(change func(h *Hydration)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.status)
}

// Hydration returns how far the folder is filled; false for a store that is not served from a backup.
func (s *Store) Hydration() (Hydration, bool) {
	if s.from == nil {
		return Hydration{}, false
	}
	f := &s.from.fill
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status, true
}

// Hydrated returns a channel that is closed when the folder has everything; nil for a store that is not served from a backup.
func (s *Store) Hydrated() <-chan struct{} {
	if s.from == nil {
		return nil
	}
	return s.from.fill.full
}

// startFilling begins to fill the folder.
func (s *Store) startFilling() {
	f := &s.from.fill
	f.limit = replicate.Rate(s.from.RateBytes)
	f.status.From, f.status.Since = s.from.Name, s.core.Now()
	if s.from.NoFill {
		return
	}
	if packs, err := s.missing(s.core.Life(), engine.Packs); err == nil {
		if segments, err := s.missingSegments(s.core.Life()); err == nil {
			s.countMissing(packs, segments)
		}
	}
	s.core.Beside(func() { s.keepFilling(s.core.Life()) })
}

// fillAgain is when filling a folder that failed is tried again.
var fillAgain = retry.Backoff{First: time.Second, Most: time.Minute}

// tellEvery is how often the log is told again that filling fails for the same reason.
const tellEvery = time.Hour

// keepFilling fills the folder, and tries again after a failure until the store is closed.
func (s *Store) keepFilling(ctx context.Context) {
	f := &s.from.fill
	defer close(f.ended)
	told, toldAt := "", time.Time{}
	for failures := 1; s.core.Sleep(ctx, fillAgain.Wait(failures-1)) == nil; failures++ {
		err := s.fillFolder(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		f.note(func(h *Hydration) { h.Err = err.Error() })
		if now := s.core.Now(); !durable.Alike(told, err.Error()) || now.Sub(toldAt) >= tellEvery { // else the log has it
			told, toldAt = err.Error(), now
			s.core.Log.Error("couldn't fill the folder from the backup; it is tried again", "err", err, "tries", failures)
		}
		if errors.Is(err, engine.ErrFailed) {
			return
		}
	}
}

// fillFolder brings everything that the folder lacks: tables of the index, packs, segments, and last the file that says that the folder is a store. Each file is proven before it gets its
// name, so that what a crash leaves is whole files, and going on is beginning again.
func (s *Store) fillFolder(ctx context.Context) error {
	packs, err := s.missing(ctx, engine.Packs)
	if err != nil {
		return err
	}
	segments, err := s.missingSegments(ctx)
	if err != nil {
		return err
	}
	s.countMissing(packs, segments)
	if err := s.bringIndex(ctx); err != nil {
		return err
	}
	lacking := errors.Join(s.bringPacks(ctx, packs), s.bringLacking(ctx))
	switch {
	case lacking == nil:
	case s.from.AcceptLacking && ctx.Err() == nil && !errors.Is(lacking, engine.ErrFull) && !errors.Is(lacking, engine.ErrFailed):
		s.core.Log.Error("the folder goes on without packs that no target has; reading what lay in them fails", "err", lacking)
	default:
		return lacking
	}
	if err := s.bringSegments(ctx, s.core.Ledger(), segments); err != nil {
		return err
	}
	if err := s.bringRest(ctx); err != nil {
		return err
	}
	return s.becomeFull()
}

// missing lists the files of a folder that lie beneath only.
func (s *Store) missing(ctx context.Context, folder string) ([]engine.Info, error) {
	here := map[string]bool{}
	if err := s.from.local.List(ctx, folder, func(i engine.Info) error { here[i.Name] = true; return nil }); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(s.from.lower.infos(folder), func(i engine.Info) bool { return here[i.Name] }), nil
}

// countMissing begins the count of what is left to bring.
func (s *Store) countMissing(packs, segments []engine.Info) {
	left := int64(0)
	for _, i := range slices.Concat(packs, segments) {
		left += i.SizeBytes
	}
	if s.from.snapshot != nil {
		sizes := s.from.snapshot.Sizes()
		for _, name := range s.core.Index.Missing() {
			left += sizes[name]
		}
	}
	all := int64(0)
	for _, folder := range []string{engine.Packs, engine.Segments} {
		for _, i := range s.from.lower.infos(folder) {
			all += i.SizeBytes
		}
	}
	s.from.fill.note(func(h *Hydration) {
		h.Packs, h.PacksLeft = len(s.from.lower.infos(engine.Packs)), len(packs)
		h.Bytes, h.BytesLeft = max(all, left), left
	})
}

func (f *filling) count(n int) {
	f.note(func(h *Hydration) { h.BytesLeft, h.Brought = max(0, h.BytesLeft-int64(n)), h.Brought+int64(n) })
}

// bringSegments brings segments, each checked whole first: private parts against leaves, leaves against the signed root.
func (s *Store) bringSegments(ctx context.Context, l *ledger.Ledger, missing []engine.Info) error {
	for _, i := range missing {
		b, err := s.contents(ctx, i.Name)
		moved, err := s.bringMoved(ctx, l, i.Name, b, err)
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		if _, err := l.CheckSegment(ctx, i.Name, bytes.NewReader(b), int64(len(b))); err != nil {
			return fmt.Errorf("couldn't bring: %w", err)
		}
		if err := s.place(ctx, i.Name, b); err != nil {
			return err
		}
	}
	return nil
}

// bringRest brings the keyrings, and what says whose the store is; last the file by which the folder becomes a store.
func (s *Store) bringRest(ctx context.Context) error {
	var names []string
	for _, folder := range []string{engine.Keyrings, engine.Meta} {
		for _, i := range s.from.lower.infos(folder) {
			if i.Name != core.FileFormat {
				names = append(names, i.Name)
			}
		}
	}
	for _, name := range append(names, core.FileFormat) {
		b, err := s.contents(ctx, name)
		if err != nil {
			return err
		}
		if err := s.place(ctx, name, b); err != nil {
			return err
		}
	}
	return nil
}

// contents reads a file beneath whole.
func (s *Store) contents(ctx context.Context, name string) ([]byte, error) {
	f, err := s.from.lower.source.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("couldn't bring %s: %w", name, err)
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("couldn't bring %s: %w", name, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return b, nil
}

// place makes a small file in the folder, durably and whole.
func (s *Store) place(ctx context.Context, name string, b []byte) error {
	err := s.from.local.Create(ctx, name, int64(len(b)), replicate.PacedReader(ctx, bytes.NewReader(b), s.from.fill.limit, s.from.fill.count))
	if err != nil && !errors.Is(err, engine.ErrExist) {
		return fmt.Errorf("couldn't bring %s: %w", name, err)
	}
	return nil
}

// missingSegments lists the sealed segments of the ledger that the folder has not: the ledger's, and not what the target shows by now, where somebody may still ship and merge them.
func (s *Store) missingSegments(ctx context.Context) (missing []engine.Info, err error) {
	here := map[string]bool{}
	err = s.from.local.List(ctx, engine.Segments, func(i engine.Info) error { here[i.Name] = true; return nil })
	for _, f := range s.core.Ledger().Segments() {
		if f.Sealed && !here[f.Name] {
			size, _ := s.from.lower.size(f.Name)
			missing = append(missing, engine.Info{Name: f.Name, SizeBytes: size})
		}
	}
	return missing, err
}

// becomeFull notes that the folder needs no target any more. All files are durable by now, so that a crash before the mark costs one more look at the target.
func (s *Store) becomeFull() error {
	b := s.from
	if s.core.State() == core.Primary {
		if err := s.DropMark(); err != nil {
			return err
		}
	} else {
		b.Mark.Full = true
		if err := s.WriteMark(b.Mark); err != nil {
			return err
		}
	}
	b.lower.end()
	b.fill.note(func(h *Hydration) { h.Full, h.BytesLeft, h.PacksLeft, h.Err = true, 0, 0, "" })
	close(b.fill.full)
	s.core.Log.Info("the folder has everything of the backup", "from", b.Name, "took", s.core.Now().Sub(b.fill.status.Since).Round(time.Second))
	return nil
}
