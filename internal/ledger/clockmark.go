package ledger

import (
	"context"
	"errors"
	"time"

	"stele/entry"
	"stele/internal/frame"
	"stele/internal/segment"
)

// startClock starts the clock of l where that of old, which is l or the epoch before it, stands by its entries.
func (l *Ledger) startClock(ctx context.Context, old *Ledger) error {
	last := time.UnixMicro(old.head.commit.Time).UTC()
	mark, at, err := old.newestClock(ctx)
	old.open.clear() // a file is opened when somebody reads it, so that what is done to it before is seen
	if err != nil {
		return err
	}
	l.seq.time.start(l.opt.Clock, l.opt.Keys.StoreID, last, mark, at)
	return nil
}

// newestClock finds the newest entry that carries the clock, from the end. nil: none does, they are of an older Stele. Where the entries are damaged it returns a clock that may not jump for now: a
// damaged byte must not buy time.
func (l *Ledger) newestClock(ctx context.Context) (mark *entry.Clock, at uint64, err error) {
	size := l.Size()
	least := size - min(size, markEvery+1)
	for to := size; to > least && mark == nil; {
		from := to - min(to-least, segment.PairEntries)
		err := l.Entries(ctx, from, to, func(e *entry.Entry) error {
			if e.Private.Clock != nil {
				mark, at = e.Private.Clock, e.Index
			}
			return nil
		})
		if errors.Is(err, frame.ErrCorrupt) {
			last := time.UnixMicro(l.head.commit.Time).UTC()
			return &entry.Clock{Run: last, Jumped: last, Spent: uint64(slackOffline / time.Microsecond)}, size, nil
		}
		if err != nil {
			return nil, 0, err
		}
		to = from
	}
	return mark, at, nil
}
