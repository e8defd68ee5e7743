package hydrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/ledger"
	"stele/internal/pack"
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
	wait  func(ctx context.Context, failures int) error // before each try

	mu     sync.Mutex
	status Hydration
	asked  []string // packs that were read beneath, oldest first
	known  map[string]bool
	full   chan struct{} // closed when there is nothing left to bring
	ended  chan struct{} // closed when nothing is brought any more, for whatever reason
}

// parallelSmall is how many small files of the index are brought at once.
const parallelSmall = 8

// ParallelFills is how many packs are brought at once. Tests change it.
var ParallelFills = 2

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
	if f.wait = s.Opt.RetryFill; f.wait == nil {
		f.wait = backOff
	}
	f.status.From, f.status.Since = s.from.Name, s.core.Now()
	if s.from.Still {
		return
	}
	if packs, err := s.Missing(s.core.Life, engine.Packs); err == nil {
		if segments, err := s.missingSegments(s.core.Life); err == nil {
			s.countMissing(packs, segments)
		}
	}
	s.core.Background.Go(func() { s.keepFilling(s.core.Life) })
}

// fillAgain is when filling a folder that failed is tried again.
var fillAgain = retry.Backoff{First: time.Second, Most: time.Minute}

// tellEvery is how often the log is told again that filling fails for the same reason.
const tellEvery = time.Hour

func backOff(ctx context.Context, failures int) error {
	return retry.Sleep(ctx, fillAgain.Wait(failures))
}

// keepFilling fills the folder, and tries again after a failure until the store is closed.
func (s *Store) keepFilling(ctx context.Context) {
	f := &s.from.fill
	defer close(f.ended)
	told, toldAt := "", time.Time{}
	for failures := 1; f.wait(ctx, failures-1) == nil; failures++ {
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
	packs, err := s.Missing(ctx, engine.Packs)
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

// Missing lists the files of a folder that lie beneath only.
func (s *Store) Missing(ctx context.Context, folder string) ([]engine.Info, error) {
	here := map[string]bool{}
	if err := s.from.local.List(ctx, folder, func(i engine.Info) error { here[i.Name] = true; return nil }); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(s.from.beneath.infos(folder), func(i engine.Info) bool { return here[i.Name] }), nil
}

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
		for _, i := range s.from.beneath.infos(folder) {
			all += i.SizeBytes
		}
	}
	s.from.fill.note(func(h *Hydration) {
		h.Packs, h.PacksLeft = len(s.from.beneath.infos(engine.Packs)), len(packs)
		h.Bytes, h.BytesLeft = max(all, left), left
	})
}

// bringIndex brings the tables that the index still reads from the snapshot.
func (s *Store) bringIndex(ctx context.Context) error {
	b := s.from
	if b.snapshot == nil {
		return nil
	}
	sizes := b.snapshot.Sizes()
	for _, name := range s.core.Index.Missing() {
		if err := s.bring(ctx, name, sizes[name], s.core.FS.PathJoin(s.core.Path(core.DirIndex), name), b.fill.limit); err != nil && !errors.Is(err, durable.ErrExist) {
			return err
		}
		s.core.Index.Arrived()
	}
	s.core.Index.Arrived()
	if b.Mark.Snapshot == "" {
		return nil
	}
	b.Mark.Snapshot = ""
	return s.WriteMark(b.Mark)
}

// bring copies a file of the snapshot to a path, durably, once it has proven itself.
func (s *Store) bring(ctx context.Context, name string, size int64, path string, limit *rate.Limiter) error {
	r, err := s.from.snapshot.Whole(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	err = durable.Create(s.core.FS, path+"."+durable.Random()+".tmp", path, size, replicate.PacedReader(ctx, r, limit, s.from.fill.count), 0o600)
	if err != nil {
		return fmt.Errorf("couldn't bring %s of the index: %w", name, err)
	}
	return nil
}

func (f *filling) count(n int) {
	f.note(func(h *Hydration) { h.BytesLeft, h.Brought = max(0, h.BytesLeft-int64(n)), h.Brought+int64(n) })
}

// bringPacks brings packs, those that were asked for first, the others in the order in which they were sealed. One that can't be brought keeps no other back.
func (s *Store) bringPacks(ctx context.Context, missing []engine.Info) error {
	queue, err := s.inOrder(missing)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(ParallelFills)
	var mu sync.Mutex
	var failed []error
	for ctx.Err() == nil {
		next, ok := s.from.fill.next(&queue)
		if !ok {
			break
		}
		group.Go(func() error {
			if err := s.bringPack(ctx, next); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	if len(failed) > 0 {
		return lacks(failed)
	}
	return ctx.Err()
}

// queued is a pack to bring.
type queued struct {
	engine.Info
	sealed uint64 // its pack.seal entry; math.MaxUint64: none
}

func (s *Store) inOrder(missing []engine.Info) ([]queued, error) {
	queue := make([]queued, 0, len(missing))
	for _, i := range missing {
		at, ok, err := s.core.Index.SealedBy(i.Name)
		if err != nil {
			return nil, err
		}
		if !ok {
			at = math.MaxUint64
		}
		queue = append(queue, queued{i, at})
	}
	slices.SortFunc(queue, func(a, b queued) int {
		return cmp.Or(cmp.Compare(a.sealed, b.sealed), strings.Compare(a.Name, b.Name))
	})
	return queue, nil
}

// next takes the next pack out of the queue.
func (f *filling) next(queue *[]queued) (q queued, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.asked) > 0 {
		name := f.asked[0]
		f.asked = f.asked[1:]
		for i := range *queue {
			if (*queue)[i].Name == name {
				q = (*queue)[i]
				*queue = slices.Delete(*queue, i, i+1)
				return q, true
			}
		}
	}
	if len(*queue) == 0 {
		return q, false
	}
	q, *queue = (*queue)[0], (*queue)[1:]
	return q, true
}

// bringPack brings a pack, once its bytes hash to what its pack.seal entry says. One without an entry is proven frame by frame first. What this target has not got whole is sought on the others.
func (s *Store) bringPack(ctx context.Context, q queued) error {
	want, err := s.packSeal(ctx, q)
	if err == nil {
		err = s.bringFrom(ctx, s.from.beneath.source, q.Name, want)
	}
	if err != nil && want.SHA256 != (entry.Hash{}) && ctx.Err() == nil && !errors.Is(err, engine.ErrFull) && !errors.Is(err, engine.ErrFailed) {
		err = s.bringElsewhere(ctx, q.Name, want, err)
	}
	if err != nil {
		return fmt.Errorf("%s could not be brought: %w", q.Name, err)
	}
	if name, ok := pack.ParseName(q.Name); ok {
		s.core.Body.Moved([][16]byte{name})
		s.core.Body.Unretire([][16]byte{name})
	}
	s.from.fill.note(func(h *Hydration) { h.PacksLeft-- })
	return nil
}

// bringFrom copies a pack into the folder.
func (s *Store) bringFrom(ctx context.Context, from engine.Engine, name string, want entry.Pack) error {
	f, err := from.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Size() != want.Size && !bug.On(bug.FillUnproven) {
		return fmt.Errorf("it has %d bytes, its pack.seal entry says %d: %w", f.Size(), want.Size, frame.ErrCorrupt)
	}
	err = s.from.local.Create(ctx, name, f.Size(), s.proven(ctx, f, want.SHA256))
	if errors.Is(err, engine.ErrExist) {
		return nil
	}
	return err
}

// bringElsewhere brings a pack from another target than the one that is served, which has said why it doesn't.
func (s *Store) bringElsewhere(ctx context.Context, name string, want entry.Pack, why error) error {
	whys := []error{heal.OfCopy(s.from.Name, why)}
	for _, c := range s.Opt.Copies() {
		err := s.bringFrom(ctx, c.Engine, name, want)
		if err == nil {
			s.core.Log.Warn("the backup that is served hasn't got this pack whole; another target had a good copy, which was brought", "pack", name, "good_copy", c.Name, "reason", heal.Joined(whys))
			return nil
		}
		whys = append(whys, heal.OfCopy(c.Name, err))
		if errors.Is(err, engine.ErrFull) || errors.Is(err, engine.ErrFailed) || ctx.Err() != nil {
			break
		}
	}
	return heal.Joined(whys)
}

// lacks is the error of packs that could not be brought.
func lacks(failed []error) error {
	next := "The filling goes on by itself once a target has them: repair that copy, or add a target that holds one. To end it without what lay in them: `stele serve --from … --accept-lacking`"
	for _, passing := range []error{engine.ErrFull, engine.ErrFailed} {
		if errors.Is(failed[0], passing) {
			return failed[0] // it is for the disk here, which says so
		}
	}
	if len(failed) == 1 {
		return fmt.Errorf("%w. %s", failed[0], strings.Replace(next, "has them", "has it", 1))
	}
	return fmt.Errorf("%d packs could not be brought; the first: %w. %s", len(failed), failed[0], next)
}

// bringLacking brings the packs that entries seal and that are neither here nor on the target: another target may have them.
func (s *Store) bringLacking(ctx context.Context) error {
	names, err := s.core.ExpectedPacks()
	if err != nil {
		return err
	}
	var failed []error
	lacking := s.core.Body.Missing(names)
	for _, name := range lacking {
		want, ok, err := s.core.SealOf(ctx, name)
		if err == nil && ok {
			err = s.bringElsewhere(ctx, name, want, engine.ErrNotExist)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s could not be brought: %w", name, err))
		}
	}
	if len(failed) < len(lacking) {
		if err := s.core.Body.LearnMore(ctx); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return lacks(failed)
	}
	return nil
}

// packSeal returns what is known of a pack's bytes.
func (s *Store) packSeal(ctx context.Context, q queued) (entry.Pack, error) {
	if p, ok, err := s.core.SealOf(ctx, q.Name); ok || err != nil {
		return p, err
	}
	r, err := s.core.Body.VerifyPack(ctx, q.Name)
	return r.Pack, err
}

// proven reads a pack beneath, and fails at its end unless its bytes hash to what they should.
func (s *Store) proven(ctx context.Context, f engine.File, want entry.Hash) io.Reader {
	fill := &s.from.fill
	check := &want
	if bug.On(bug.FillUnproven) {
		check = nil
	}
	if fill.limit == nil {
		return replicate.Proven(ctx, f, check, func(n int64) { fill.count(int(n)) })
	}
	return replicate.PacedReader(ctx, replicate.Proven(ctx, f, check, nil), fill.limit, fill.count)
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
		for _, i := range s.from.beneath.infos(folder) {
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
	f, err := s.from.beneath.source.Open(ctx, name)
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
			size, _ := s.from.beneath.size(f.Name)
			missing = append(missing, engine.Info{Name: f.Name, SizeBytes: size})
		}
	}
	return missing, err
}

// becomeFull notes that the folder needs no target any more.
func (s *Store) becomeFull() error {
	b := s.from
	if s.core.State == core.Primary {
		if err := s.DropMark(); err != nil {
			return err
		}
	} else {
		b.Mark.Full = true
		if err := s.WriteMark(b.Mark); err != nil {
			return err
		}
	}
	b.beneath.end()
	b.fill.note(func(h *Hydration) { h.Full, h.BytesLeft, h.PacksLeft, h.Err = true, 0, 0, "" })
	close(b.fill.full)
	s.core.Log.Info("the folder has everything of the backup", "from", b.Name, "took", s.core.Now().Sub(b.fill.status.Since).Round(time.Second))
	return nil
}
