package stele

import (
	"context"
	"errors"

	"stele/internal/follow"
)

// askBefore asks, before a folder is promoted, what every start asks: a former primary that was not told yet must not begin an epoch beside the one that took over. It returns what the targets
// have seen. Whatever else keeps the store from opening is for the promotion to judge.
func askBefore(ctx context.Context, folder string, opt Options) (*Asked, error) {
	if opt.AskHandover == nil && opt.OpenTarget == nil {
		return nil, nil
	}
	opt.ReadOnly, opt.noBackground = false, true
	s, err := Open(ctx, folder, opt)
	if errors.Is(err, ErrSuperseded) || errors.Is(err, ErrBehind) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return s.epochs.AskTargets(ctx), s.Close()
}

// settleStandby seals what a standby's folder holds of an epoch that it has turned to, if all of that is a tail: which epoch a folder is in is told by its sealed segments.
func settleStandby(ctx context.Context, folder string, opt Options, pin StandbyPin) error {
	if tails, err := follow.OnlyTails(ctx, folderOf(folder, opt), pin); err != nil || !tails {
		return err
	}
	b, err := OpenStandby(ctx, folder, opt)
	if err != nil {
		return err
	}
	return errors.Join(b.Follow.SealTail(), b.Close())
}

// warnOfMore says in the log what a target has that a standby, which is about to be promoted, never got: the new epoch goes on without it. It is no reason to refuse: where a primary died, waiting
// brings nothing, and what the target holds stays there as evidence.
func warnOfMore(ctx context.Context, folder string, opt Options) {
	if opt.OpenTarget == nil {
		return
	}
	b, err := OpenStandby(ctx, folder, opt)
	if err != nil {
		return // the promotion meets the same error, and says so
	}
	defer b.Close()
	for _, seen := range b.epochs.AskTargets(ctx).Seen {
		if size := b.Ledger().Size(); seen.Size > size {
			b.core.Log.Error("a target has entries that this standby never got, and the new epoch goes on without them: compare with `stele ls --at` on a server that serves from the target", "target", seen.By, "has", seen.Size, "here", size)
		}
	}
}
