package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"stele/internal/engine"
	"stele/internal/ledger"
)

// layer is a folder over another engine.
type layer struct {
	engine.Appender
	under engine.Engine
}

// Layer puts local over under, which nobody may write to through it: reads go to local first, then to under; a listing is the union; all writes go to local, and a name that under has is taken.
// A file that under holds can't be removed: ErrBelow, also if local has a copy of it.
// Who fills local with what under has creates it in local itself.
func Layer(local engine.Appender, under engine.Engine) engine.Appender {
	return &layer{local, under}
}

// below says whether under has a file of that name.
func (l *layer) below(ctx context.Context, name string) (bool, error) {
	f, err := l.under.Open(ctx, name)
	if errors.Is(err, engine.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("couldn't look for %s in the layer below: %w", name, err)
	}
	return true, f.Close()
}

// free returns engine.ErrExist if under has the name.
func (l *layer) free(ctx context.Context, name string) error {
	taken, err := l.below(ctx, name)
	if err == nil && taken {
		err = fmt.Errorf("couldn't create %s: %w in the layer below", name, engine.ErrExist)
	}
	return err
}

func (l *layer) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	if err := l.free(ctx, name); err != nil {
		return err
	}
	return l.Appender.Create(ctx, name, size, r)
}

func (l *layer) Append(ctx context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	if err := l.free(ctx, name); err != nil {
		return nil, err
	}
	return l.Appender.Append(ctx, name, opt)
}

// Replace implements engine.Replacer: what heals a file of either goes to local, which hides the damaged one below.
func (l *layer) Replace(ctx context.Context, name string, size int64, r io.Reader) error {
	to, ok := l.Appender.(engine.Replacer)
	if !ok {
		return fmt.Errorf("couldn't replace %s: the engine replaces nothing", name)
	}
	return to.Replace(ctx, name, size, r)
}

func (l *layer) Open(ctx context.Context, name string) (engine.File, error) {
	f, err := l.Appender.Open(ctx, name)
	if errors.Is(err, engine.ErrNotExist) {
		return l.under.Open(ctx, name)
	}
	return f, err
}

// OpenHolder implements ledger.Holder.
func (l *layer) OpenHolder(ctx context.Context, epoch uint32, first, end uint64) (engine.File, error) {
	return ledger.OpenHolder(ctx, l.under, epoch, first, end)
}

func (l *layer) Remove(ctx context.Context, name string) error {
	if err := engine.CheckName(name); err != nil {
		return err
	}
	if !engine.Removable(name) {
		return l.Appender.Remove(ctx, name) // says why not
	}
	taken, err := l.below(ctx, name)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("couldn't remove %s: %w", name, ErrBelow)
	}
	return l.Appender.Remove(ctx, name)
}

func (l *layer) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	var infos []engine.Info
	take := func(i engine.Info) error { infos = append(infos, i); return nil }
	if err := l.Appender.List(ctx, prefix, take); err != nil {
		return err
	}
	if err := l.under.List(ctx, prefix, take); err != nil {
		return fmt.Errorf("couldn't list the layer below: %w", err)
	}
	// Stable: local's word comes first.
	slices.SortStableFunc(infos, func(a, b engine.Info) int { return cmp.Compare(a.Name, b.Name) })
	infos = slices.CompactFunc(infos, func(a, b engine.Info) bool { return a.Name == b.Name })
	for _, i := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(i); err != nil {
			return err
		}
	}
	return nil
}
