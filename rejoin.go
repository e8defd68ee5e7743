package stele

import (
	"context"
	"errors"
	"fmt"

	"stele/internal/core"
)

// IsStore reports whether a folder holds a store of its own, or that of a former primary.
func IsStore(folder string, opt Options) bool {
	return folderOf(folder, opt).HasFormat()
}

// Rejoin makes the folder of a former primary a standby's of the one that took over from it, which shows its succession. All that it holds it has then accepted, and what the new epoch left out
// will be its evidence. Nothing is altered or removed. The one point is the pin: a crash before it leaves the store as it was, or superseded.
// ErrSuccession: the other one has not taken over from this store.
func Rejoin(ctx context.Context, folder string, opt Options, from string, u Succession) (err error) {
	opt.OpenTarget, opt.AskHandover, opt.ScrubDays, opt.ReadOnly = nil, nil, 0, false
	s := newStore(folder, opt)
	defer func() { err = core.Translate(err) }()
	pin, err := s.epochs.KeyPin(ctx, from)
	if err != nil {
		return err
	}
	next, _, err := pin.Succeed(u)
	if err != nil {
		return fmt.Errorf("%s holds a store of its own, in epoch %d, and the server at %s has not taken over from it: a standby needs an empty folder, or that of a former primary: %w", s.core.Dir(), pin.Epoch(), from, err)
	}
	if err := rest(ctx, folder, opt, next.Epoch(), from); err != nil {
		return err
	}
	return s.core.Locked(func() error { return s.epochs.FollowFrom(ctx, from) })
}

// rest opens the store once, so that what a crash left in tails is in segments, and marks it as superseded.
func rest(ctx context.Context, folder string, opt Options, epoch uint32, by string) error {
	open, err := Open(ctx, folder, opt)
	if errors.Is(err, ErrSuperseded) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(open.core.Supersede(epoch, by), open.Close())
}
