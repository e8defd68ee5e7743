package stele

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/heal"
	"stele/internal/index"
)

// Copy is a copy of the store elsewhere, by which damage here is healed. What it yields is believed only as far as it proves itself.
type Copy = engine.Copy

// FolderCopy is a copy of a store's folder, as cp -r or rsync made it; name is what it is called in entries and in the log.
func FolderCopy(name, folder string) (Copy, error) {
	d, err := dir.Open(vfs.Default, folder, dir.Options{ReadOnly: true})
	if err != nil {
		return Copy{}, fmt.Errorf("couldn't open the copy %s: %w", name, err)
	}
	return Copy{Name: name, Engine: d}, nil
}

// heals are files that were replaced and whose heal entry is still to be written. A crash loses the queue, not the heals; the log has them.
type heals struct {
	mu    sync.Mutex
	queue []heal.Healed
}

// healed takes note of a replaced file. It is called on the goroutine that replaced it and doesn't wait for the ledger.
func (s *Store) healed(h heal.Healed) {
	s.core.Log.Warn("healed a damaged file", "file", h.Name, "from", h.From, "what", h.What, "bytes", h.Bytes, "wrong", h.Wrong)
	s.heals.mu.Lock()
	s.heals.queue = append(s.heals.queue, h)
	s.heals.mu.Unlock()
	s.core.WakeHousekeeping()
}

// unhealed takes note of damage that a reader met. It is called on the reader's goroutine, or on one of the ledger's, and doesn't wait for the ledger.
func (s *Store) unhealed(name string, err error) { s.damaged(name, byRead, err) }

// readSound takes note of a pack that is as it was sealed, though a reader met damage in it.
func (s *Store) readSound(name string) { s.foundSound(name) }

// appendHeals writes the heal entries of all files that were replaced.
func (s *Store) appendHeals(ctx context.Context) error {
	s.heals.mu.Lock()
	queue := s.heals.queue
	s.heals.queue = nil
	s.heals.mu.Unlock()
	for i := range queue {
		h := &queue[i]
		if _, err := s.commit(ctx, Actor{Key: core.ActorStele}, func(index.Reader, ledgerSlot) (ledgerDraft, error) {
			return ledgerDraft{Type: entry.Heal, Private: entry.Private{Name: h.Name, Reason: core.Reason(h.What), Data: h.Data()}}, nil
		}); err != nil {
			s.heals.mu.Lock()
			s.heals.queue = append(queue[i:len(queue):len(queue)], s.heals.queue...)
			s.heals.mu.Unlock()
			return err
		}
	}
	return nil
}

// bytes

// healMissing heals the sealed packs that are gone.
func (s *Store) healMissing(ctx context.Context) error {
	names, err := s.core.SealedPacks()
	if err != nil {
		return err
	}
	for _, name := range s.core.Body.Missing(names) {
		if ctx.Err() != nil {
			return nil
		}
		if err := s.core.Body.Heal(ctx, name, errGone); err != nil && ctx.Err() == nil {
			s.damaged(name, byStart, err)
		}
	}
	return nil
}

// healFor is healFile, and takes note of the outcome in the name of who met the damage.
func (s *Store) healFor(by string) func(ctx context.Context, file string, why error) error {
	return func(ctx context.Context, file string, why error) error {
		err := s.healFile(ctx, file, why)
		switch {
		case err == nil:
			s.foundSound(file)
		case ctx.Err() == nil:
			s.damaged(file, by, err)
		}
		return err
	}
}

// healFile replaces a damaged or missing file by a proven copy, or finds it whole.
func (s *Store) healFile(ctx context.Context, file string, why error) error {
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
