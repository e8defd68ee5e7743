package follow

import (
	"context"
	"errors"
	"fmt"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/bug"
	"stele/internal/core"
	"stele/internal/ledger"
)

// RefusedError says which entry was not accepted, and why.
type RefusedError struct {
	Entry uint64
	Why   error
}

// Error names the entry and the reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("entry %d is not accepted: %v", e.Entry, e.Why)
}

// Unwrap returns Why.
func (e *RefusedError) Unwrap() error { return e.Why }

// ErrMissingChunk: an entry names bytes that are not here.
var ErrMissingChunk = errors.New("bytes that it names have not come")

// Judge checks what the entries of a piece mean. A *RefusedError if one of them may not be; nothing was written then. ErrMissingChunk in it may be cured by looking for
// packs again, if nothing else was wrong.
func (b *Store) Judge(ctx context.Context, p *ledger.Piece) error {
	if b.Pin.Keyless {
		return nil
	}
	for i := range p.Entries { // before anything is folded, so that it can be asked again
		if err := b.chunksHere(ctx, &p.Entries[i]); err != nil {
			return &RefusedError{p.Entries[i].Index, err}
		}
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		if len(entry.AppendPrivate(nil, &e.Private)) <= len("{}") {
			continue // a lawful erasure took its private part: it has no rows
		}
		err := b.judge(ctx, e)
		if err == nil {
			err = b.core.Index.Fold(e)
		}
		if err != nil {
			return &RefusedError{e.Index, err}
		}
	}
	return nil
}

// judge checks an entry against the rows that the entries before it make.
func (b *Store) judge(ctx context.Context, e *entry.Entry) error {
	p := &e.Private
	switch e.Type {
	case entry.ObjectRetention:
		return b.judgeRetention(e)
	case entry.ObjectHide:
		if p.Marker || bug.On(bug.ShortenLocks) {
			return nil
		}
		a, err := b.core.Index.Pending().Attrs(p.Inc, p.Key, p.Target)
		if err != nil {
			return err
		}
		if re := core.Forbids(a.Lock, e.Time, p.Bypass); re != nil {
			re.Bucket, re.Key = p.Bucket, p.Key
			return re
		}
	}
	if p, expected := e.ExpectedPack(); expected {
		return b.judgePack(ctx, &p)
	}
	return nil
}

// judgeRetention refuses what shortens a lock: the rule of SetRetention, judged again.
func (b *Store) judgeRetention(e *entry.Entry) error {
	p := &e.Private
	a, err := b.core.Index.Pending().Attrs(p.Inc, p.Key, p.Target)
	if err != nil || bug.On(bug.ShortenLocks) {
		return err
	}
	old, to := a.Lock, entry.Lock{}
	if p.Lock != nil {
		to = *p.Lock
	}
	if !old.Allows(to, e.Time, p.Bypass) {
		return fmt.Errorf("it shortens a lock: %w", &core.RetentionError{Bucket: p.Bucket, Key: p.Key, Mode: old.Mode, Until: old.Until, Hold: old.Hold})
	}
	return nil
}

// judgePack compares a sealed pack with what its entry says of it.
func (b *Store) judgePack(ctx context.Context, want *entry.Pack) error {
	got, ok := b.sums[want.Name]
	if !ok {
		if has, err := b.HasSealed(ctx, want.Name); err != nil || !has {
			return errors.Join(err, fmt.Errorf("%w: pack %s", ErrMissingChunk, want.Name))
		}
		var err error
		if got, err = b.core.Body.PackInfo(ctx, want.Name); err != nil {
			return err
		}
	}
	if got != *want {
		return fmt.Errorf("%w: pack %s has SHA-256 %x and %d bytes, its entry says %x and %d", core.ErrCorrupt, want.Name, got.SHA256, got.Size, want.SHA256, want.Size)
	}
	delete(b.sums, want.Name)
	return nil
}

// chunksHere looks for every chunk that an entry names, and for the pack that it seals.
func (b *Store) chunksHere(ctx context.Context, e *entry.Entry) error {
	if bug.On(bug.SkipChunksHere) {
		return nil
	}
	if p, expected := e.ExpectedPack(); expected {
		if has, err := b.HasSealed(ctx, p.Name); err != nil || !has {
			return errors.Join(err, fmt.Errorf("%w: pack %s", ErrMissingChunk, p.Name))
		}
	}
	for _, of := range []*entry.Body{e.Private.Body, e.Private.Doc} {
		if of == nil {
			continue
		}
		err := b.core.Body.Chunks(ctx, *of, func(id entry.ID) error {
			if _, ok, err := b.core.Index.Place(id); err != nil || !ok {
				return errors.Join(err, fmt.Errorf("%w: chunk %x", ErrMissingChunk, id[:8]))
			}
			return nil
		})
		if errors.Is(err, body.ErrErased) {
			err = fmt.Errorf("%w: %w", ErrMissingChunk, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
