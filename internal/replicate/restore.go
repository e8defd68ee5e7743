package replicate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/tree"
)

var (
	// ErrOccupied: the place to restore into holds something else.
	ErrOccupied = errors.New("the place is taken")
	// ErrLacking: packs that the ledger names are not on the target, or damaged there.
	ErrLacking = errors.New("the backup lacks packs")
)

// RestoreOptions say how to restore.
type RestoreOptions struct {
	Keys   *keyring.Keyring // of the source
	Format string           // content of meta/store.format
	// AcceptLacking finishes the restore although packs are missing or damaged on the target: what they held will not be readable.
	AcceptLacking bool
	// Progress is told of bytes that are there and proven, and of bytes in all, from several goroutines. May be nil.
	Progress func(done, total int64)
}

// RestoreReport is what was restored.
type RestoreReport struct {
	Size        uint64    // entries
	Root        tree.Hash // of that size, as signed
	Packs       int
	Segments    int
	Bytes       int64    // of all files
	CopiedBytes int64    // of them, those that were not there yet
	Lacking     []string // packs that are missing or damaged on the target
}

// restoreParallel is how many packs are copied at once.
const restoreParallel = 4

// Restore makes a store's files in into of what a source holds. Everything is verified while it is copied: the ledger's leaves, roots and signatures, each pack's SHA-256 against its
// pack.seal entry (or, where it has none yet, each chunk's seal). The format file comes last: until then into is no store, and calling Restore again goes on with what is
// there and proven. Into must be empty, or what an interrupted Restore of the same store left: ErrOccupied.
//
// ErrLacking: packs are missing or damaged on the target; all else is restored. engine.ErrFull: no room; make some and call again. frame.ErrCorrupt: the ledger on the target does not prove itself.
func Restore(ctx context.Context, source *Source, into engine.Appender, opt RestoreOptions) (RestoreReport, error) {
	r := &restoring{source: source, into: into, opt: opt}
	if err := r.prepare(ctx); err != nil {
		return RestoreReport{}, err
	}
	// A shipper may supersede tails while they are copied. Then another pass takes the newer files.
	var err error
	for range refreshes {
		if err = r.pass(ctx); !errors.Is(err, engine.ErrNotExist) {
			break
		}
		if rerr := source.Refresh(ctx); rerr != nil {
			return r.report, rerr
		}
	}
	if err == nil && !bug.On(bug.RestoreFormatFirst) {
		err = r.put(ctx, formatFile, opt.Format) // the commit point: from here on it is a store
	}
	return r.report, err
}

type restoring struct {
	source *Source
	into   engine.Appender
	opt    RestoreOptions
	report RestoreReport
	have   map[string]int64
	firsts map[uint32][]uint64 // of the segments that were there when a pass began
	done   atomic.Int64
	total  int64

	mu sync.Mutex // guards report while packs are copied
}

// prepare refuses a place that holds something else, and takes it.
func (r *restoring) prepare(ctx context.Context) error {
	r.have = map[string]int64{}
	for _, folder := range engine.Folders() {
		if err := r.into.List(ctx, folder, func(i engine.Info) error { r.have[i.Name] = i.SizeBytes; return nil }); err != nil {
			return fmt.Errorf("couldn't look at the place to restore into: %w", err)
		}
	}
	owner := ownerFile(r.opt.Keys.StoreID)
	_, ours := r.have[owner]
	switch _, done := r.have[formatFile]; {
	case done:
		return fmt.Errorf("couldn't restore: %w: there is a store already. Name an empty or missing folder", ErrOccupied)
	case len(r.have) > 0 && !ours:
		return fmt.Errorf("couldn't restore: %w by files that no interrupted restore of this store left. Name an empty or missing folder", ErrOccupied)
	}
	tails, err := r.into.Tails(ctx)
	if err != nil {
		return fmt.Errorf("couldn't look at the place to restore into: %w", err)
	}
	for _, t := range tails { // a copy that was cut short
		if !ours {
			return fmt.Errorf("couldn't restore: %w by %s. Name an empty or missing folder", ErrOccupied, t.Private)
		}
		if err := r.into.RemoveTail(ctx, t); err != nil {
			return fmt.Errorf("couldn't remove what an interrupted restore left: %w", err)
		}
	}
	if err := r.put(ctx, owner, fmt.Sprintf("copy of stele store %x\n", r.opt.Keys.StoreID)); err != nil {
		return err
	}
	if bug.On(bug.RestoreFormatFirst) {
		return r.put(ctx, formatFile, r.opt.Format)
	}
	return nil
}

func (r *restoring) put(ctx context.Context, name, text string) error {
	err := r.into.Create(ctx, name, int64(len(text)), strings.NewReader(text))
	if err != nil && !errors.Is(err, engine.ErrExist) {
		return restoreError(name, err)
	}
	return nil
}

func restoreError(name string, err error) error {
	if errors.Is(err, engine.ErrFull) {
		return fmt.Errorf("couldn't restore %s: %w. Make room and restore again: it goes on where it stopped", name, err)
	}
	return fmt.Errorf("couldn't restore %s: %w", name, err)
}

// pass copies what the source shows now and into lacks.
func (r *restoring) pass(ctx context.Context) error {
	led, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: r.source, Keys: r.opt.Keys})
	if err != nil {
		return fmt.Errorf("couldn't read the backup's ledger: %w", err)
	}
	defer led.Close()
	size, root := led.Head()
	r.report = RestoreReport{Size: size, Root: root}
	seals, err := expectedPacks(ctx, led)
	if err != nil {
		return fmt.Errorf("couldn't read the backup's ledger: %w", err)
	}
	packs, err := r.measure(ctx)
	if err != nil {
		return err
	}
	if err := r.keyrings(ctx); err != nil {
		return err
	}
	// Packs and segments are copied side by side: packs wait for the medium, segments for the CPU. Which is there first does not matter, because the place is no store before its format file is there.
	both, bctx := errgroup.WithContext(ctx)
	both.Go(func() error { return r.packs(bctx, packs, seals) })
	both.Go(func() error { return r.segments(bctx, led) })
	if err := both.Wait(); err != nil {
		return err
	}
	r.report.Bytes = r.done.Load()
	if n := len(r.report.Lacking); n > 0 && !r.opt.AcceptLacking {
		return fmt.Errorf("%w: %d of them, first %s. Restore from another target, or accept what is missing", ErrLacking, n, r.report.Lacking[0])
	}
	return nil
}

// expectedPacks are the packs that ought to exist, by name, as the ledger says.
func expectedPacks(ctx context.Context, led *ledger.Ledger) (map[string]entry.Pack, error) {
	seals := map[string]entry.Pack{}
	err := led.EntriesOf(ctx, entry.PackSeal, 0, led.Size(), func(e *entry.Entry) error {
		if p, expected := e.ExpectedPack(); expected {
			seals[p.Name] = p
		}
		return nil
	})
	return seals, err
}

// measure adds up what will be there, and returns the packs.
func (r *restoring) measure(ctx context.Context) (packs []engine.Info, err error) {
	r.done.Store(0)
	r.total = 0
	err = r.source.List(ctx, engine.Packs, func(i engine.Info) error {
		packs = append(packs, i)
		r.total += i.SizeBytes
		return nil
	})
	for _, i := range r.source.segments() {
		r.total += i.SizeBytes
	}
	if err != nil {
		err = fmt.Errorf("couldn't list the backup: %w", err)
	}
	return packs, err
}

func (r *restoring) advance(n int64) {
	done := r.done.Add(n)
	if r.opt.Progress != nil {
		r.opt.Progress(done, max(r.total, done))
	}
}

func (r *restoring) keyrings(ctx context.Context) error {
	return r.source.List(ctx, engine.Keyrings, func(i engine.Info) error {
		_, err := r.copy(ctx, i, nil)
		return err
	})
}

// copy copies a file unless it is there. A file that is there has its whole length: Create leaves no part of one, and looked at its digest.
func (r *restoring) copy(ctx context.Context, i engine.Info, want *entry.Hash) (copied bool, err error) {
	if size, ok := r.there(i.Name); ok && size == i.SizeBytes {
		r.advance(size)
		return false, nil
	} else if ok {
		return false, fmt.Errorf("couldn't restore %s: it is there with %d bytes, the backup's has %d: %w. Restore into another, empty folder", i.Name, size, i.SizeBytes, frame.ErrCorrupt)
	}
	f, err := r.source.Open(ctx, i.Name)
	if err != nil {
		return false, fmt.Errorf("couldn't read %s: %w", i.Name, err)
	}
	defer f.Close()
	if err := r.into.Create(ctx, i.Name, f.Size(), Proven(ctx, f, want, r.advance)); err != nil {
		return false, restoreError(i.Name, err)
	}
	r.took(i.Name, f.Size())
	return true, nil
}

func (r *restoring) there(name string) (int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size, ok := r.have[name]
	return size, ok
}

func (r *restoring) took(name string, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.have[name] = size
	r.report.CopiedBytes += size
}

func (r *restoring) lacks(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Lacking = append(r.report.Lacking, name)
}

// packs copies all packs, several at once.
func (r *restoring) packs(ctx context.Context, packs []engine.Info, seals map[string]entry.Pack) error {
	there := map[string]bool{}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(restoreParallel)
	for _, i := range packs {
		there[i.Name] = true
		group.Go(func() error {
			err := r.pack(gctx, i, seals)
			if errors.Is(err, frame.ErrCorrupt) && !errors.Is(err, engine.ErrNotExist) && gctx.Err() == nil { // what is gone is looked for again
				r.lacks(i.Name)
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for name := range seals {
		if !there[name] {
			r.lacks(name)
		}
	}
	r.report.Packs = len(packs)
	return nil
}

func (r *restoring) pack(ctx context.Context, i engine.Info, seals map[string]entry.Pack) error {
	seal, ok := seals[i.Name]
	switch {
	case bug.On(bug.RestoreUnverified):
		_, err := r.copy(ctx, i, nil)
		return err
	case ok && seal.Size != i.SizeBytes:
		return fmt.Errorf("%s has %d bytes, sealed with %d: %w", i.Name, i.SizeBytes, seal.Size, frame.ErrCorrupt)
	case ok:
		_, err := r.copy(ctx, i, &seal.SHA256)
		return err
	}
	// A tail, or a pack that was sealed a moment before the backup ends.
	if size, there := r.there(i.Name); !there || size != i.SizeBytes {
		if err := r.openChunks(ctx, i.Name); err != nil {
			return err
		}
	}
	_, err := r.copy(ctx, i, nil)
	return err
}

// openChunks proves a pack by its own means: every chunk opens under its name, and the index at its end is that of its frames.
func (r *restoring) openChunks(ctx context.Context, name string) error {
	f, err := r.source.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", name, err)
	}
	defer f.Close()
	return proveChunks(f, name, r.opt.Keys)
}

func proveChunks(f engine.File, name string, keys *keyring.Keyring) error {
	short, ok := pack.ParseName(name)
	if !ok {
		return fmt.Errorf("%s is not the name of a pack: %w", name, frame.ErrCorrupt)
	}
	h, err := pack.ReadHeader(f, short)
	if err != nil {
		return err
	}
	if h.StoreID != keys.StoreID {
		return fmt.Errorf("%s is of store %x: %w", name, h.StoreID, frame.ErrCorrupt)
	}
	sealer, err := keys.Sealer(h.KeyID, h.FileID)
	if err != nil {
		return err
	}
	index, err := pack.ReadIndex(f, f.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n := 0
	_, sealed, why := pack.Scan(f, f.Size(), func(c pack.Scanned) error {
		if n >= len(index) || index[n] != c.Chunk {
			return fmt.Errorf("chunk %d is not the one in the index: %w", n, frame.ErrCorrupt)
		}
		n++
		_, _, err := pack.OpenChunk(sealer, c.Frame, &c.ID)
		return err
	})
	if why == nil && (!sealed || n != len(index)) {
		why = fmt.Errorf("%d chunks, the index has %d: %w", n, len(index), frame.ErrCorrupt)
	}
	if why != nil {
		return fmt.Errorf("%s: %w", name, why)
	}
	return nil
}

// FetchPacks copies the packs of a source that into lacks, and proves each by its own chunks and index. A store needs it after it got back entries that it had lost. It returns how many it copied.
func FetchPacks(ctx context.Context, source *Source, into engine.Engine, keys *keyring.Keyring) (int, error) {
	have := map[string]bool{}
	if err := into.List(ctx, engine.Packs, func(i engine.Info) error { have[i.Name] = true; return nil }); err != nil {
		return 0, err
	}
	n := 0
	err := source.List(ctx, engine.Packs, func(i engine.Info) error {
		if have[i.Name] {
			return nil
		}
		f, err := source.Open(ctx, i.Name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := proveChunks(f, i.Name, keys); err != nil {
			return err
		}
		n++
		return into.Create(ctx, i.Name, f.Size(), newReader(ctx, f, f.Size(), nil, nil, nil))
	})
	if err != nil {
		err = fmt.Errorf("couldn't fetch packs from a copy: %w", err)
	}
	return n, err
}
