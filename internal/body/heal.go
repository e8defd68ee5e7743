package body

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/pack"
)

// Healing. A chunk that does not open at its place is read from the same place of a copy, or from a piece (mend.go), where GCM and its own name prove it, and the reader goes on. The pack is
// healed in the background: fetched whole from the first copy that has the SHA-256 of its pack.seal entry (or, before there is one, every chunk and footer as they should be), else made again of
// what several files hold, and put in place of the damaged file. A pack that grows takes no more chunks once damage was met in it; it is sealed, and healed like any other.

// DamagedError says which pack a chunk could not be read from. errors.Is sees its cause.
type DamagedError struct {
	Pack string // the engine's name
	Err  error
}

// Error implements error.
func (e *DamagedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// ErrSound: there was nothing to heal. The pack is as it was sealed.
var ErrSound = errors.New("the pack is as it was sealed")

func (s *Store) copies() []engine.Copy {
	if s.opt.Copies == nil {
		return nil
	}
	return s.opt.Copies()
}

// mendable says whether an error may mean that the medium lost something.
func mendable(err error) bool {
	for _, not := range []error{context.Canceled, context.DeadlineExceeded, ErrErased, ErrUnrecovered, ErrClosed} {
		if errors.Is(err, not) {
			return false
		}
	}
	return true
}

// localOnly marks the context of a read that must not be answered from a copy, because it asks whether the file here is sound.
type localOnly struct{}

// rescue reads from a copy a chunk that cannot be read at its place, for the reason given, and has its pack healed in the background.
func (s *Store) rescue(ctx context.Context, id *entry.ID, place Place, length int64, cause error) ([]byte, error) {
	if !mendable(cause) {
		return nil, cause
	}
	name := pack.Name(place.Pack)
	damaged := &DamagedError{name, cause}
	if s.opt.Copies == nil || ctx.Value(localOnly{}) != nil || s.closed.Load() {
		return nil, damaged
	}
	var got *salvaged
	none := false
	err := s.turns.Do(ctx, fmt.Sprintf("%s@%d", name, place.Offset), func() (err error) {
		got, err = s.fromCopies(ctx, id, place, length)
		if none = errors.Is(err, errNoCopies); none {
			return nil // there may be one the next time
		}
		return err
	})
	if err == nil && got == nil && !none { // another reader's turn: the copies are good for this chunk
		got, err = s.fromCopies(ctx, id, place, length)
	}
	if none || errors.Is(err, errNoCopies) {
		s.tellDamage(place.Pack, cause)
		return nil, damaged
	}
	if p := s.hold(place.Pack); p != nil {
		s.retire(p)
		s.unhold(p)
	} else {
		s.healBehind(name, cause)
	}
	if err != nil {
		damaged.Err = fmt.Errorf("%w; no copy helps: %w", cause, err)
		if s.opt.ReadOnly {
			s.tellDamage(place.Pack, damaged.Err)
		}
		return nil, damaged
	}
	return got.plain, nil
}

// tellDamage reports damage that no copy could heal. It reads a sealed pack whole first, because the index may be wrong, or a single read may have failed, while the pack is sound.
func (s *Store) tellDamage(name pack.Name16, cause error) {
	p := s.hold(name)
	if p != nil {
		s.unhold(p)
	}
	switch {
	case p == nil && !s.opt.ReadOnly:
		s.healBehind(pack.Name(name), cause)
	case s.opt.Unhealed != nil:
		s.opt.Unhealed(pack.Name(name), cause)
	}
}

// salvaged is a chunk that a copy had.
type salvaged struct {
	flags         uint8
	stored, plain []byte // below the seal; decompressed
}

var errNoCopies = errors.New("there is no copy")

// fromCopies reads one chunk from the first copy in which it proves itself.
func (s *Store) fromCopies(ctx context.Context, id *entry.ID, place Place, length int64) (*salvaged, error) {
	for look := 1; ; look++ {
		copies := s.copies()
		if len(copies) == 0 {
			return nil, errNoCopies
		}
		var why []error
		for _, c := range copies {
			got, err := s.fromCopy(ctx, c, id, place, length)
			if err == nil {
				s.stats.rescued.Add(1)
				return got, nil
			}
			why = append(why, heal.OfCopy(c.Name, err))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		err := heal.Joined(why)
		if look == 2 || !errors.Is(err, errMoved) {
			return nil, err
		}
	}
}

// fromCopy reads a chunk from the place that it has here, or from a piece.
func (s *Store) fromCopy(ctx context.Context, c engine.Copy, id *entry.ID, place Place, length int64) (got *salvaged, err error) {
	got = &salvaged{}
	f, err := s.openIn(ctx, c.Engine, place.Pack)
	if err == nil {
		defer f.file.Close()
		b := make([]byte, place.Length)
		if err = readFull(f.file, b, place.Offset); err == nil {
			got.flags, got.stored, got.plain, err = s.openStored(f, b, id, length)
		}
	}
	if _, ok := c.Engine.(pieced); err == nil || !ok {
		return got, err
	}
	p := newParts(s, place.Pack)
	defer p.close()
	p.addPieces(ctx, c)
	if len(p.pieces[*id]) == 0 {
		return nil, heal.Joined(append(p.why, err))
	}
	got.flags, got.stored, got.plain, err = p.chunk(id, length)
	return got, err
}

// retire ends the growth of a pack in which damage was met, so that it is sealed and can be healed. p is held.
func (s *Store) retire(p *openPack) {
	if p.damaged.Swap(true) || p.lane == nil {
		return
	}
	p.mu.Lock()
	sealed := p.sealed
	p.mu.Unlock()
	if sealed && p.damaged.Swap(false) { // by somebody who saw no damage
		s.healBehind(pack.Name(p.name), errGrewDamaged)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() { // else Close seals it
		s.work.Go(func() { p.lane.roll(p) })
	}
}

var errGrewDamaged = errors.New("it was damaged while it grew")

// healBehind has a pack healed while the caller goes on.
func (s *Store) healBehind(name string, cause error) {
	if s.opt.ReadOnly || s.turns.Busy(name) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() { // Close waits for s.work once it has set this
		return
	}
	s.work.Go(func() {
		err := s.Heal(s.ctx, name, cause)
		switch {
		case errors.Is(err, ErrSound) && s.opt.Sound != nil:
			s.opt.Sound(name)
		case err != nil && !errors.Is(err, ErrSound) && s.ctx.Err() == nil && s.opt.Unhealed != nil:
			s.opt.Unhealed(name, err)
		}
	})
}

// healSealed heals a pack that was damaged while it grew: in the background, or at once if the store is about to close.
func (s *Store) healSealed(name string) {
	if !s.closed.Load() {
		s.healBehind(name, errGrewDamaged)
		return
	}
	if err := s.Heal(context.Background(), name, errGrewDamaged); err != nil && !errors.Is(err, ErrSound) && s.opt.Unhealed != nil {
		s.opt.Unhealed(name, err)
	}
}

// Heal replaces a damaged or missing pack by the first copy that proves itself. If another goroutine is healing it already, Heal waits for that and shares its outcome. why says what was found wrong. nil: the pack is whole now. ErrSound: it
// always was. A pack that could not be healed is not tried again for a minute, and one that is
// damaged again after it was healed waits longer each time (heal.AgainError), unless the context is one of heal.AtOnce.
func (s *Store) Heal(ctx context.Context, name string, why error) error {
	short, ok := pack.ParseName(name)
	if !ok {
		return fmt.Errorf("%s: %w", name, engine.ErrName)
	}
	if s.opt.ReadOnly {
		return fmt.Errorf("couldn't heal %s: %w", name, ErrReadOnly)
	}
	sound := false
	err := s.turns.Do(ctx, name, func() error {
		seal, err := s.sealOf(ctx, name)
		if err != nil {
			return fmt.Errorf("couldn't heal %s: %w", name, err)
		}
		if sound = s.isSound(ctx, short, seal); sound {
			s.files.drop([][16]byte{short}) // perhaps it was opened before an earlier heal
			return nil
		}
		if err := s.turns.Again(ctx, name); err != nil {
			return err
		}
		if err := s.healFrom(ctx, short, seal, why); err != nil {
			return fmt.Errorf("%s is damaged here, %w", name, err)
		}
		s.turns.Replaced(name)
		return s.healed(ctx, short)
	})
	if err == nil && sound {
		return ErrSound
	}
	return err
}

// sealOf is what a pack's entry says of it, or will say of one that was sealed since Open; nil if there is none yet.
func (s *Store) sealOf(ctx context.Context, name string) (*entry.Pack, error) {
	if short, ok := pack.ParseName(name); ok {
		if p, ok := s.SealedInfo(short); ok {
			return &p, nil
		}
	}
	if s.opt.Seal == nil {
		return nil, nil
	}
	p, ok, err := s.opt.Seal(ctx, name)
	if err != nil || !ok {
		return nil, err
	}
	return &p, nil
}

// isSound says whether the pack is what it should be, so that it was the index or one reading that was wrong.
func (s *Store) isSound(ctx context.Context, name [16]byte, seal *entry.Pack) bool {
	if seal == nil {
		_, err := s.VerifyPack(ctx, pack.Name(name))
		return err == nil
	}
	p, err := s.PackInfo(ctx, seal.Name)
	return err == nil && p.SHA256 == seal.SHA256 && p.Size == seal.Size
}

// healFrom replaces a pack by the first copy that proves itself.
func (s *Store) healFrom(ctx context.Context, name [16]byte, seal *entry.Pack, why error) error {
	var errs []error
	for look := 1; ; look++ {
		copies := s.copies()
		if len(copies) == 0 {
			return fmt.Errorf("and there is no copy to heal it from; what is wrong with it: %w", why)
		}
		var h heal.Healed
		h, errs = s.replaceFrom(ctx, name, seal, copies)
		if len(errs) == 0 {
			h.What = why.Error()
			if s.opt.Healed != nil {
				s.opt.Healed(h)
			}
			return nil
		}
		if look == 2 || ctx.Err() != nil || !errors.Is(heal.Joined(errs), errMoved) {
			return fmt.Errorf("and no copy is good: %w; what is wrong here: %w", heal.Joined(errs), why)
		}
	}
}

// replaceFrom replaces a pack by the first of the copies that proves itself, or by what is made again of several.
func (s *Store) replaceFrom(ctx context.Context, name [16]byte, seal *entry.Pack, copies []engine.Copy) (h heal.Healed, errs []error) {
	for _, c := range copies {
		h, err := s.replace(ctx, name, seal, c)
		if err == nil {
			return h, nil
		}
		errs = append(errs, heal.OfCopy(c.Name, err))
		if errors.Is(err, engine.ErrFailed) || errors.Is(err, engine.ErrFull) || ctx.Err() != nil {
			return h, errs // another copy does not help
		}
	}
	h, err := s.mend(ctx, name, seal, copies)
	if err == nil {
		return h, nil
	}
	return h, append(errs, fmt.Errorf("nor can it be put together from what is left of all of them: %w", err))
}

func (s *Store) replace(ctx context.Context, name [16]byte, seal *entry.Pack, c engine.Copy) (heal.Healed, error) {
	h := heal.Healed{Name: pack.Name(name), From: c.Name}
	want := entry.Pack{}
	if seal != nil {
		want = *seal
	} else if err := s.proveByFrames(ctx, c.Engine, name, &want); err != nil {
		return h, err
	}
	h.Bytes = want.Size
	proven := func(sum entry.Hash) error {
		if sum != want.SHA256 && !bug.On(bug.ReplacePackUnverified) {
			return fmt.Errorf("SHA-256 %s, should be %s", sum, want.SHA256)
		}
		return nil
	}
	var err error
	h.Difference, err = heal.Replace(ctx, s.opt.Engine, h.Name, want.Size, c.Engine, proven)
	return h, err
}

// proveByFrames verifies a copy of a pack that no entry has sealed yet: header, every chunk by seal and name, the footer, and that it holds every chunk that is known to be in
// the pack (a footer is in clear, so that anyone could write one for a shorter file).
func (s *Store) proveByFrames(ctx context.Context, e engine.Engine, name [16]byte, want *entry.Pack) error {
	f, err := e.Open(ctx, pack.Name(name))
	if err != nil {
		return err
	}
	defer f.Close()
	rep, err := s.verifyPack(ctx, f, name, nil)
	if err != nil {
		return err
	}
	chunks, err := pack.ReadIndex(f, f.Size())
	if err != nil {
		return err
	}
	has := make(map[entry.ID]Place, len(chunks))
	for _, c := range chunks {
		has[c.ID] = Place{name, c.Offset, c.Length}
	}
	err = s.opt.Places.ForEach(func(id entry.ID, p Place) error {
		if p.Pack == name && has[id] != p {
			return fmt.Errorf("it hasn't got chunk %x in its place: %w", id[:8], heal.ErrUnproven)
		}
		return nil
	})
	want.Name, want.SHA256, want.Size = pack.Name(name), rep.Pack.SHA256, rep.Pack.Size
	return err
}

// healed makes a replaced pack known to readers.
func (s *Store) healed(ctx context.Context, name [16]byte) error {
	s.files.drop([][16]byte{name})
	s.stats.healed.Add(1)
	s.mu.Lock()
	if s.packs[name] == nil {
		s.packs[name] = &packState{}
	}
	s.mu.Unlock()
	if known, err := s.opt.Places.KnowsPack(name); err != nil || known {
		return err
	}
	return s.learn(ctx, name)
}

// openIn opens a pack of that engine and gets its key.
func (s *Store) openIn(ctx context.Context, e engine.Engine, name [16]byte) (*packFile, error) {
	f, err := e.Open(ctx, pack.Name(name))
	if errors.Is(err, engine.ErrNotExist) && e == s.opt.Engine && s.anyLeft.Load() {
		f, err = s.openLeft(name, err)
	}
	if err != nil {
		return nil, err
	}
	h, err := pack.ReadHeader(f, name)
	if err == nil && h.StoreID != s.opt.StoreID {
		err = fmt.Errorf("the pack is another store's: %w", frame.ErrCorrupt)
	}
	var sealer *frame.Sealer
	if err == nil {
		sealer, err = s.opt.Keys.Sealer(h.KeyID, h.FileID)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &packFile{name: name, file: f, sealer: sealer, keyID: h.KeyID}, nil
}

// Missing returns which of the packs named are not there and not growing.
func (s *Store) Missing(names []string) (gone []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if short, ok := pack.ParseName(n); ok && s.packs[short] == nil {
			gone = append(gone, n)
		}
	}
	return gone
}

// Scrub reads a sealed pack whole, no faster than pace lets it, and returns how many bytes it read: the SHA-256 must be that of its entry; with frames, or without an entry, every
// frame, name and the footer must be as well. pace is called with the number of bytes about to be read, and its error ends the scrub.
func (s *Store) Scrub(ctx context.Context, name string, frames bool, pace func(int64) error) (n int64, err error) {
	short, ok := pack.ParseName(name)
	if !ok {
		return 0, fmt.Errorf("%s: %w", name, engine.ErrName)
	}
	f, err := s.opt.Engine.Open(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("couldn't open pack %s: %w", name, err)
	}
	defer f.Close()
	seal, err := s.sealOf(ctx, name)
	if err != nil {
		return 0, err
	}
	paced := &pacedFile{File: f, pace: pace}
	var sum entry.Hash
	if frames || seal == nil {
		rep, err := s.verifyPack(ctx, paced, short, nil)
		if err != nil {
			return paced.read, fmt.Errorf("pack %s: %w", name, err)
		}
		sum = rep.Pack.SHA256
	} else {
		h := sha256.New()
		if _, err := io.CopyBuffer(h, io.NewSectionReader(paced, 0, f.Size()), make([]byte, scrubBytes)); err != nil {
			return paced.read, fmt.Errorf("couldn't read pack %s: %w", name, err)
		}
		sum = entry.Hash(h.Sum(nil))
	}
	switch {
	case seal == nil:
	case f.Size() != seal.Size:
		err = fmt.Errorf("pack %s: %d bytes, sealed with %d: %w", name, f.Size(), seal.Size, frame.ErrCorrupt)
	case sum != seal.SHA256:
		err = fmt.Errorf("pack %s: SHA-256 %s, sealed as %s: %w", name, sum, seal.SHA256, frame.ErrCorrupt)
	}
	return paced.read, err
}

const scrubBytes = 1 << 20 // read at once

// pacedFile calls pace before each read, so that the scrub leaves the disk to requests.
type pacedFile struct {
	engine.File
	pace func(int64) error
	read int64
}

func (p *pacedFile) ReadAt(b []byte, off int64) (int, error) {
	if err := p.pace(int64(len(b))); err != nil {
		return 0, err
	}
	n, err := p.File.ReadAt(b, off)
	p.read += int64(n)
	return n, err
}
