package ledger

import (
	"context"
	"errors"
	"fmt"

	"stele/internal/engine"
	"stele/internal/segment"
)

// Holder is an engine in which other files can take the place of a segment while it is read: a target, on which a shipper merges the tails of a segment that grows, and removes them once it has
// shipped that segment. What is opened there under a segment's name is that segment and no other, engine.ErrNotExist once it is gone; so who opens a ledger over it never takes a longer file for the one
// that was listed. An open ledger knows which entries it wants, and finds them here.
type Holder interface {
	// OpenHolder opens a file that has entries first to end-1 of an epoch. It may begin before them and end behind them. engine.ErrNotExist: no file has them all.
	OpenHolder(ctx context.Context, epoch uint32, first, end uint64) (engine.File, error)
}

// OpenHolder asks an engine for a file that has these entries; engine.ErrNotExist if it is no Holder.
func OpenHolder(ctx context.Context, e engine.Engine, epoch uint32, first, end uint64) (engine.File, error) {
	if h, ok := e.(Holder); ok {
		return h.OpenHolder(ctx, epoch, first, end)
	}
	return nil, fmt.Errorf("couldn't open a file of entry %d: %w", first, engine.ErrNotExist)
}

// openHeld opens a segment, or what has taken its place and has its entries up to end-1.
func openHeld(ctx context.Context, e engine.Engine, name string, end uint64) (engine.File, error) {
	f, err := e.Open(ctx, name)
	if !errors.Is(err, engine.ErrNotExist) {
		return f, err
	}
	epoch, first, _ := segment.ParseName(name)
	f, herr := OpenHolder(ctx, e, epoch, first, end)
	if errors.Is(herr, engine.ErrNotExist) {
		return nil, err
	}
	return f, herr
}

// OpenHolder implements Holder.
func (a *substitutes) OpenHolder(ctx context.Context, epoch uint32, first, end uint64) (engine.File, error) {
	return OpenHolder(ctx, a.Engine, epoch, first, end)
}
