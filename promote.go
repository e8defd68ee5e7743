package stele

import (
	"context"
	"errors"
	"fmt"

	"stele/internal/core"
	"stele/internal/epoch"
)

// PromoteOptions say from where a new epoch goes on, and why.
type PromoteOptions struct {
	Options        // FS, Clock, Log, Identity (a recovery key, on a machine that the store is new to); the rest has no effect
	At      uint64 // the number of entries with which the new epoch goes on; 0: all
	Reason  string // for the record
	By      Actor  // who does it; none: the command line
	Asked   *Asked // PromoteFrom only: what Store.AskTargets has just returned; nil: the targets are asked
}

// Promote makes the store in folder, which no process holds, the primary of a new epoch: from the next Open on it takes writes under a signing key of its own, and whoever still follows the
// epoch before learns that it has ended. Nothing is altered or removed: entries beyond At stay in the old epoch's files.
//
// A crash leaves the old epoch or the new one; Promote may then be called again. ErrLocked: a process holds the folder. ErrSuperseded: the folder is of a primary from which another one has
// taken over. ErrFuture: the store has fewer entries than At.
func Promote(ctx context.Context, folder string, opt PromoteOptions) (_ Promotion, err error) {
	opt.ReadOnly = false
	s := newStore(folder, opt.Options)
	defer func() { err = core.Translate(err) }()
	if _, _, err := s.over.CheckFrom(ctx); err != nil {
		return Promotion{}, err
	}
	pin, standby, err := epoch.PinIn(s.core)
	if err == nil && standby && pin.Keyless {
		err = fmt.Errorf("%w: %s follows without keys: it can verify and cosign, and cannot read what it would have to serve. Promote a standby with keys, or restore from a target", ErrWrongKey, folder)
	} else if err == nil && !standby {
		err = s.core.CheckIsStore()
	}
	if err != nil {
		return Promotion{}, err
	}
	var asked *Asked
	if standby {
		if err := settleStandby(ctx, folder, opt.Options, pin); err != nil {
			return Promotion{}, err
		}
		warnOfMore(ctx, folder, opt.Options)
	} else if asked, err = askBefore(ctx, folder, opt.Options); err != nil && !(errors.Is(err, ErrBehind) && opt.At > 0) {
		return Promotion{}, err
	}
	if opt.At > 0 { // a cut gives up, by name, what comes after it
		asked = nil
	}
	return s.epochs.PromoteFolder(ctx, opt.how(), pin, standby, asked)
}

// how is what the room of epochs has to know of a promotion.
func (o *PromoteOptions) how() epoch.PromoteOptions {
	return epoch.PromoteOptions{At: o.At, Reason: o.Reason, By: o.By.Who()}
}
