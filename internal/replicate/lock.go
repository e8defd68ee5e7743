package replicate

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"stele/internal/engine"
)

// TailLock is for how long tails are locked: they are superseded within hours, and what is locked can't be removed.
const TailLock = 24 * time.Hour

// shortTails is a target whose tails are created through an engine of their own.
type shortTails struct {
	engine.Engine
	engine.Locker
	tails engine.Engine
}

// ShortTails makes one target of two engines over the same place: tails are created through the second, which locks for TailLock or not at all.
func ShortTails(target interface {
	engine.Engine
	engine.Locker
}, tails engine.Engine) engine.Engine {
	return shortTails{target, target, tails}
}

// Create implements engine.Engine.
func (s shortTails) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	if strings.HasPrefix(name, engine.Tails) {
		return s.tails.Create(ctx, name, size, r)
	}
	return s.Engine.Create(ctx, name, size, r)
}

// renewEvery is how often the locks of a target are looked at.
const renewEvery = 24 * time.Hour

// renew lengthens the locks of files that are still needed, each once half its time is over: sealed packs and segments, keyrings and what says whose the copy is. It never shortens one.
func (s *session) renew(ctx context.Context, now time.Time) error {
	l, ok := s.target.(engine.Locker)
	if !ok || now.Sub(s.renewed) < renewEvery {
		return nil
	}
	length, err := l.LockFor(ctx)
	if err != nil || length == 0 {
		return err
	}
	names := []string{ownerFile(s.o.Keys.StoreID), formatFile}
	for name := range s.have {
		names = append(names, name)
	}
	for _, name := range names {
		until, err := l.LockedUntil(ctx, name)
		if err == nil && until.Sub(now) < length/2 {
			err = l.Renew(ctx, name, now.Add(length))
		}
		if err != nil && !errors.Is(err, engine.ErrNotExist) {
			return err
		}
	}
	s.renewed = now
	return nil
}
