package hydrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"stele/internal/engine"
	"stele/internal/ledger"
	"stele/internal/replicate"
	"stele/internal/segment"
)

// lowerLayer is what lies below a folder that is served from a backup: the source, with its listing kept, so that what the folder writes and lists does not depend on the target, and only
// reading what the folder has not got does. It tells which packs are asked for.
type lowerLayer struct {
	source *replicate.Source
	sealed func(ctx context.Context) (map[string]bool, error) // the packs that the folder itself has whole; nil: it hides none of the source's

	mu    sync.RWMutex
	asked func(pack string)        // a pack is opened there; may be nil
	moved func(context.Context)    // the source was listed anew, because a pack had gone; may be nil
	files map[string][]engine.Info // by folder, ascending
	sizes map[string]int64
	over  bool      // the folder has everything: there is nothing beneath it any more
	ahead *prefetch // of segments, while the ledger is opened; else nil
}

var _ engine.Engine = (*lowerLayer)(nil)

// newLowerLayer lists what a source holds. Of snapshots it shows nothing: a store has none. It hides the pieces, shipped while a pack grew, of packs that the folder has whole (sealed; nil: none).
func newLowerLayer(ctx context.Context, source *replicate.Source, sealed func(context.Context) (map[string]bool, error)) (*lowerLayer, error) {
	b := &lowerLayer{source: source, sealed: sealed}
	return b, b.list(ctx)
}

func (b *lowerLayer) list(ctx context.Context) error {
	files, sizes := map[string][]engine.Info{}, map[string]int64{}
	hidden, err := b.hidden(ctx)
	if err != nil {
		return err
	}
	for _, folder := range []string{engine.Keyrings, engine.Meta, engine.Packs, engine.Segments} {
		err := b.source.List(ctx, folder, func(i engine.Info) error {
			if hidden[i.Name] {
				return nil
			}
			files[folder] = append(files[folder], i)
			sizes[i.Name] = i.SizeBytes
			return nil
		})
		if err != nil {
			return fmt.Errorf("couldn't list the backup: %w", err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files, b.sizes = files, sizes
	return nil
}

// hidden are the pieces of packs that the folder has whole.
func (b *lowerLayer) hidden(ctx context.Context) (map[string]bool, error) {
	if b.sealed == nil {
		return nil, nil
	}
	whole, err := b.sealed(ctx)
	hidden := map[string]bool{}
	for name := range whole {
		for _, piece := range b.source.Pieces(name) {
			hidden[piece] = !whole[piece]
		}
	}
	return hidden, err
}

// tell says who is to be told what.
func (b *lowerLayer) tell(asked func(pack string), moved func(context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.moved = asked, moved
}

// readAhead reads the ends of files before they are asked for, until the function that it returns is called.
func (b *lowerLayer) readAhead(ctx context.Context, infos []engine.Info) (end func()) {
	names := make([]string, len(infos))
	for i := range infos {
		names[i] = infos[i].Name
	}
	a := startPrefetch(ctx, names, b.source.Open)
	set := func(a *prefetch) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ahead = a
	}
	set(a)
	return func() {
		set(nil)
		a.end()
	}
}

// end says that the folder has everything.
func (b *lowerLayer) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over, b.files, b.sizes = true, nil, nil
}

func (b *lowerLayer) size(name string) (int64, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n, ok := b.sizes[name]
	return n, ok
}

// infos returns what lies in a folder.
func (b *lowerLayer) infos(folder string) []engine.Info {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Clone(b.files[folder])
}

// Open implements engine.Engine. A name that was not listed is not asked for.
func (b *lowerLayer) Open(ctx context.Context, name string) (engine.File, error) {
	if err := engine.CheckName(name); err != nil {
		return nil, err
	}
	if _, ok := b.size(name); !ok {
		return nil, fmt.Errorf("couldn't open %s: %w", name, engine.ErrNotExist)
	}
	b.mu.RLock()
	ahead := b.ahead
	b.mu.RUnlock()
	if f, ok := ahead.take(ctx, name); ok {
		return f, nil
	}
	f, err := b.source.Open(ctx, name)
	if !strings.HasPrefix(name, engine.Packs) {
		return f, err
	}
	b.mu.RLock()
	asked, moved := b.asked, b.moved
	b.mu.RUnlock()
	switch {
	case err == nil && asked != nil:
		asked(name)
	case errors.Is(err, engine.ErrNotExist) && moved != nil:
		// The one who ships there still does, and made a larger pack of this one.
		if rerr := b.source.Refresh(ctx); rerr == nil && b.list(ctx) == nil {
			moved(ctx)
		}
	}
	return f, err
}

// OpenHolder implements ledger.Holder.
func (b *lowerLayer) OpenHolder(ctx context.Context, epoch uint32, first, end uint64) (engine.File, error) {
	b.mu.RLock()
	over := b.over
	b.mu.RUnlock()
	if over {
		return nil, fmt.Errorf("couldn't open a file of entry %d: %w", first, engine.ErrNotExist)
	}
	return b.source.OpenHolder(ctx, epoch, first, end)
}

// List implements engine.Engine.
func (b *lowerLayer) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	if err := engine.CheckPrefix(prefix); err != nil {
		return err
	}
	folder, _ := engine.SplitName(prefix)
	for _, i := range b.infos(folder) {
		if !strings.HasPrefix(i.Name, prefix) {
			continue
		}
		if err := errors.Join(ctx.Err(), fn(i)); err != nil {
			return err
		}
	}
	return nil
}

// Create implements engine.Engine.
func (b *lowerLayer) Create(context.Context, string, int64, io.Reader) error {
	return replicate.ErrReadOnly
}

// Remove implements engine.Engine.
func (b *lowerLayer) Remove(context.Context, string) error { return replicate.ErrReadOnly }

// bringMoved makes a segment of the ledger anew in the folder if another file has taken its place on the target since the ledger was opened: it is gone (err), or b goes beyond its end.
func (s *Store) bringMoved(ctx context.Context, l *ledger.Ledger, name string, b []byte, err error) (moved bool, _ error) {
	all := l.Segments()
	at := slices.IndexFunc(all, func(f ledger.SegmentInfo) bool { return f.Name == name })
	if at < 0 || err != nil && !errors.Is(err, engine.ErrNotExist) {
		return false, err
	}
	f := all[at]
	if err == nil {
		epoch, _, _ := segment.ParseName(name)
		_, foot, ferr := segment.ReadFooter(bytes.NewReader(b), int64(len(b)))
		if ferr != nil || foot.Commit.Size <= f.End {
			return false, nil // as it was, or for CheckSegment to refuse
		}
		if at+1 < len(all) {
			if next, _, _ := segment.ParseName(all[at+1].Name); next != epoch {
				return false, nil // what is behind the end is evidence of an epoch that went another way
			}
		}
	}
	if b, err = l.SegmentBytes(ctx, f.First, f.End); err != nil {
		return false, fmt.Errorf("couldn't bring %s: %w", name, err)
	}
	return true, s.place(ctx, name, b)
}
