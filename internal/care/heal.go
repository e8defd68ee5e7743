package care

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/heal"
	"stele/internal/index"
	"stele/internal/ledger"
)

// heals are files that were replaced and whose heal entry is still to be written. A crash loses the queue, not the heals; the log has them.
type heals struct {
	mu    sync.Mutex
	queue []heal.Healed
}

// NoteHealed takes note of a replaced file. It is called on the goroutine that replaced it and doesn't wait for the ledger.
func (s *Care) NoteHealed(h heal.Healed) {
	s.core.Log.Warn("healed a damaged file", "file", h.Name, "from", h.From, "what", h.What, "bytes", h.Bytes, "wrong", h.Wrong)
	s.heals.mu.Lock()
	s.heals.queue = append(s.heals.queue, h)
	s.heals.mu.Unlock()
	s.core.WakeHousekeeping()
}

// NoteUnhealed takes note of damage that a reader met. It is called on the reader's goroutine, or on one of the ledger's, and doesn't wait for the ledger.
func (s *Care) NoteUnhealed(name string, err error) { s.NoteDamage(name, ByRead, err) }

// AppendHeals writes the heal entries of all files that were replaced.
func (s *Care) AppendHeals(ctx context.Context) error {
	s.heals.mu.Lock()
	queue := s.heals.queue
	s.heals.queue = nil
	s.heals.mu.Unlock()
	for i := range queue {
		h := &queue[i]
		if _, err := s.core.Record(ctx, core.Who{Key: core.ActorStele}, func(index.Reader, ledger.Slot) (ledger.Draft, error) {
			return ledger.Draft{Type: entry.Heal, Private: entry.Private{Name: h.Name, Reason: core.Reason(h.What), Data: h.Data()}}, nil
		}); err != nil {
			s.heals.mu.Lock()
			s.heals.queue = append(queue[i:len(queue):len(queue)], s.heals.queue...)
			s.heals.mu.Unlock()
			return err
		}
	}
	return nil
}

// HealMissing heals the sealed packs that are gone.
func (s *Care) HealMissing(ctx context.Context) error {
	names, err := s.core.ExpectedPacks()
	if err != nil {
		return err
	}
	for _, name := range s.core.Body.Missing(names) {
		if ctx.Err() != nil {
			return nil
		}
		if err := s.core.Body.Heal(ctx, name, errGone); err != nil && ctx.Err() == nil {
			s.NoteDamage(name, ByStart, err)
		}
	}
	return nil
}

// HealFor is healFile, and takes note of the outcome in the name of who met the damage.
func (s *Care) HealFor(by string) func(ctx context.Context, file string, why error) error {
	return func(ctx context.Context, file string, why error) error {
		err := s.healFile(ctx, file, why)
		switch {
		case err == nil:
			s.NoteSound(file)
		case ctx.Err() == nil:
			s.NoteDamage(file, by, err)
		}
		return err
	}
}

// healFile replaces a damaged or missing file by a proven copy, or finds it whole.
func (s *Care) healFile(ctx context.Context, file string, why error) error {
	if folder, _ := engine.SplitName(file); folder == engine.Segments {
		return s.core.Ledger().Heal(ctx, file, why)
	}
	err := s.core.Body.Heal(ctx, file, why)
	if errors.Is(err, body.ErrSound) {
		return nil
	}
	return err
}

var errGone = errors.New("the file is gone")

// GotSegments reports whether a segment came back from a copy, and its heal entry is still to be written.
func (s *Care) GotSegments() bool {
	s.heals.mu.Lock()
	defer s.heals.mu.Unlock()
	return slices.ContainsFunc(s.heals.queue, func(h heal.Healed) bool { return strings.HasPrefix(h.Name, engine.Segments) })
}
