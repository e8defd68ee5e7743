package stele

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/body"
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
	s.log.Warn("healed a damaged file", "file", h.Name, "from", h.From, "what", h.What, "bytes", h.Bytes, "wrong", h.Wrong)
	s.heals.mu.Lock()
	s.heals.queue = append(s.heals.queue, h)
	s.heals.mu.Unlock()
	s.wakeHousekeeping()
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
		if _, err := s.commit(ctx, Actor{Key: actorStele}, func(index.Reader, ledgerSlot) (ledgerDraft, error) {
			return ledgerDraft{Type: entry.Heal, Private: entry.Private{Name: h.Name, Reason: reason(h.What), Data: h.Data()}}, nil
		}); err != nil {
			s.heals.mu.Lock()
			s.heals.queue = append(queue[i:len(queue):len(queue)], s.heals.queue...)
			s.heals.mu.Unlock()
			return err
		}
	}
	return nil
}

const maxReason = 500 // bytes

// reason makes of an error what an entry can hold.
func reason(text string) string {
	text = strings.ToValidUTF8(text, "?")
	for len(text) > maxReason {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// sealOf is what a pack's newest seal entry says of it, also one that is still to be written.
func (s *Store) sealOf(ctx context.Context, name string) (entry.Pack, bool, error) {
	s.seals.mu.Lock()
	for _, p := range s.seals.queue {
		if p.Name == name {
			s.seals.mu.Unlock()
			return p, true, nil
		}
	}
	s.seals.mu.Unlock()
	at, ok, err := s.index.SealedBy(name)
	if err != nil || !ok {
		return entry.Pack{}, false, err
	}
	e, _, _, err := s.led().Entry(ctx, at)
	if err != nil {
		return entry.Pack{}, false, fmt.Errorf("couldn't read the seal entry of %s: %w", name, err)
	}
	if e.Private.Pack == nil || e.Private.Pack.Name != name { // the index decides nothing
		return entry.Pack{}, false, fmt.Errorf("%w: entry %d does not seal %s: delete the index folder, it will be rebuilt", ErrCorrupt, at, name)
	}
	return *e.Private.Pack, true, nil
}

// sealedPacks returns the names of all packs that an entry seals.
func (s *Store) sealedPacks() (names []string, err error) {
	err = s.index.EachSealed(func(name string) error { names = append(names, name); return nil })
	return names, err
}

// healMissing heals the sealed packs that are gone.
func (s *Store) healMissing(ctx context.Context) error {
	names, err := s.sealedPacks()
	if err != nil {
		return err
	}
	for _, name := range s.body.Missing(names) {
		if ctx.Err() != nil {
			return nil
		}
		if err := s.body.Heal(ctx, name, errGone); err != nil && ctx.Err() == nil {
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
		return s.led().Heal(ctx, file, why)
	}
	err := s.body.Heal(ctx, file, why)
	if errors.Is(err, body.ErrSound) {
		return nil
	}
	return err
}

var errGone = errors.New("the file is gone")

var started = time.Now()

// monotonic is a clock that nobody sets.
func (s *Store) monotonic() time.Duration {
	if s.opt.Clock != nil {
		return s.opt.Clock.Monotonic()
	}
	return time.Since(started)
}
