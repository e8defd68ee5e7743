package body

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
	"stele/internal/pack"
)

// Mending. A target may have a pack only in pieces: its tails, which were shipped while it grew. And several copies may each be damaged in another spot. Then the pack is made again
// chunk by chunk. Header, places and frames come from whatever file still has them; a chunk that no file has in its place comes from a piece and is sealed under the number that it had. The same key, number and text
// make the same bytes, so the SHA-256 of the pack's pack.seal entry proves the result like any copy. Nothing is written without that proof.

// pieced is a copy that may have a pack as several others.
type pieced interface {
	// Pieces names the packs, as the engine has them, that hold chunks of that one and belong to no other.
	Pieces(pack string) []string
}

// errMoved: a piece was superseded since the copy was listed: by the pack itself, or by a larger piece. The copy has to be asked anew.
var errMoved = errors.New("it was merged meanwhile")

// part is a file that holds chunks of a pack: the pack itself, perhaps damaged, or a piece.
type part struct {
	*packFile
	from string // the copy's name; empty: it lies here
}

// parts are what is left of a pack, here and in copies.
type parts struct {
	s      *Store
	name   [16]byte
	whole  []part // files of its name, perhaps damaged
	pieces map[entry.ID][]spot
	opened []*packFile
	used   map[string]bool // copies
	why    []error
}

// spot is a chunk in a piece.
type spot struct {
	part
	pack.Chunk
}

func newParts(s *Store, name [16]byte) *parts {
	return &parts{s: s, name: name, pieces: map[entry.ID][]spot{}, used: map[string]bool{}}
}

// gather opens what copies have of a pack. The caller closes it.
func (s *Store) gather(ctx context.Context, name [16]byte, copies []engine.Copy) *parts {
	p := newParts(s, name)
	for _, c := range copies {
		if f, err := s.openIn(ctx, c.Engine, name); err == nil {
			p.opened = append(p.opened, f)
			p.whole = append(p.whole, part{f, c.Name})
		} else if !errors.Is(err, engine.ErrNotExist) {
			p.why = append(p.why, fmt.Errorf("%s: %w", c.Name, err))
		}
		p.addPieces(ctx, c)
	}
	return p
}

// addPieces learns where in a copy's pieces of the pack the chunks are.
func (p *parts) addPieces(ctx context.Context, c engine.Copy) {
	e, ok := c.Engine.(pieced)
	if !ok {
		return
	}
	for _, name := range e.Pieces(pack.Name(p.name)) {
		short, ok := pack.ParseName(name)
		if !ok {
			continue
		}
		f, err := p.s.openIn(ctx, c.Engine, short)
		if errors.Is(err, engine.ErrNotExist) {
			err = fmt.Errorf("%w: %w", errMoved, err)
		}
		if err != nil {
			p.why = append(p.why, fmt.Errorf("%s: %w", c.Name, err))
			continue
		}
		p.opened = append(p.opened, f)
		chunks, err := pack.ReadIndex(f.file, f.file.Size())
		if err != nil {
			chunks, err = scanChunks(f.file) // a place is but a claim
		}
		if err != nil {
			p.why = append(p.why, fmt.Errorf("%s: %w", c.Name, err))
			continue
		}
		for _, chunk := range chunks {
			p.pieces[chunk.ID] = append(p.pieces[chunk.ID], spot{part{f, c.Name}, chunk})
		}
	}
}

func (p *parts) close() {
	for _, f := range p.opened {
		_ = f.file.Close() // it was only read
	}
}

// chunk reads a chunk from a piece: how it is stored below its seal, and its bytes, proven by seal and name.
func (p *parts) chunk(id *entry.ID, length int64) (flags uint8, stored, plain []byte, err error) {
	var why []error
	for _, at := range p.pieces[*id] {
		b := make([]byte, at.Length)
		if err = readFull(at.file, b, at.Offset); err == nil {
			flags, stored, plain, err = p.s.openStored(at.packFile, b, id, length)
		}
		if err == nil {
			p.used[at.from] = true
			return flags, stored, plain, nil
		}
		why = append(why, fmt.Errorf("%s, %s: %w", at.from, pack.Name(at.name), err))
	}
	if len(why) == 0 {
		return 0, nil, nil, fmt.Errorf("no piece has chunk %x", id[:8])
	}
	return 0, nil, nil, heal.Joined(why)
}

// openStored opens a frame that a copy yielded, and demands that its bytes have the chunk's name.
func (s *Store) openStored(f *packFile, b []byte, id *entry.ID, length int64) (flags uint8, stored, plain []byte, err error) {
	if bug.On(bug.ServeUnverified) {
		return b[5], b[pack.Overhead:], b[pack.Overhead:], nil
	}
	stored, flags, err = pack.OpenChunk(f.sealer, b, id)
	if err != nil {
		return 0, nil, nil, err
	}
	plain = stored
	if flags&frame.FlagZstd != 0 {
		if plain, err = decompress(nil, stored); err != nil {
			return 0, nil, nil, fmt.Errorf("chunk %x: %w", id[:8], err)
		}
	}
	switch {
	case length >= 0 && int64(len(plain)) != length:
		err = fmt.Errorf("chunk %x: %d bytes, should be %d: %w", id[:8], len(plain), length, frame.ErrCorrupt)
	case !s.names(plain, *id, f.keyID):
		err = misnamed(id)
	}
	return flags, stored, plain, err
}

// maxMendBytes bounds what is made again in memory.
const maxMendBytes = 256 << 20

// mend makes a pack again of what is left of it here and of what copies have, and puts it in place of the damaged file.
func (s *Store) mend(ctx context.Context, name [16]byte, seal *entry.Pack, copies []engine.Copy) (heal.Healed, error) {
	h := heal.Healed{Name: pack.Name(name)}
	if seal == nil {
		return h, errors.New("no entry says what it was")
	}
	if h.Bytes = seal.Size; seal.Size > maxMendBytes {
		return h, fmt.Errorf("%d bytes are too many to be made again of pieces", seal.Size)
	}
	p := s.gather(ctx, name, copies)
	defer p.close()
	local, err := s.opt.Engine.Open(ctx, h.Name)
	if err == nil {
		defer local.Close()
	} else if !errors.Is(err, engine.ErrNotExist) {
		return h, err
	}
	b, err := p.rebuild(local, seal)
	if err != nil {
		return h, heal.Joined(append(p.why, err))
	}
	if h.From = strings.Join(slices.Sorted(maps.Keys(p.used)), "+"); h.From == "" {
		h.From = "what is left of it"
	}
	h.Difference, err = heal.ReplaceWith(ctx, s.opt.Engine, h.Name, engine.NewBytesFile(b), func(entry.Hash) error { return nil })
	return h, err
}

// rebuild makes the pack's bytes again. local is what lies here, nil if nothing does. A header or an index that a copy made up leads to other bytes, and the next one is tried.
func (p *parts) rebuild(local engine.File, want *entry.Pack) ([]byte, error) {
	if local != nil {
		p.whole = append([]part{{&packFile{name: p.name, file: local}, ""}}, p.whole...)
	}
	layouts, err := p.layouts()
	if err != nil {
		return nil, err
	}
	err = errors.New("nobody has its header")
	for _, h := range p.headers(local) {
		for _, chunks := range layouts {
			var b []byte
			if b, err = p.rebuildAs(h, want.Size, chunks); err != nil {
				continue
			}
			sum := entry.Hash(sha256.Sum256(b))
			if sum == want.SHA256 || bug.On(bug.ReplacePackUnverified) {
				return b, nil
			}
			err = fmt.Errorf("made again of pieces it has SHA-256 %s, should be %s: %w", sum, want.SHA256, heal.ErrUnproven)
		}
	}
	return nil, err
}

func (p *parts) rebuildAs(h frame.Header, size int64, chunks []pack.Chunk) ([]byte, error) {
	clear(p.used)
	sealer, err := p.s.opt.Keys.Sealer(h.KeyID, h.FileID)
	if err != nil {
		return nil, err
	}
	scratch := make([]byte, pack.Overhead+pack.MaxData)
	return pack.Rebuild(h, size, chunks, func(i int, number uint32, b []byte) error {
		c := &chunks[i]
		if p.inPlace(sealer, c, number, b, scratch) {
			return nil
		}
		flags, stored, _, err := p.chunk(&c.ID, -1)
		if err != nil {
			return err
		}
		if len(stored) != len(b)-pack.Overhead {
			return fmt.Errorf("chunk %x is stored otherwise in its piece: %w", c.ID[:8], heal.ErrUnproven)
		}
		pack.SealChunk(b, sealer, &c.ID, flags, number, stored)
		return nil
	})
}

// inPlace fills b with the chunk's frame from a file that has it in its place.
func (p *parts) inPlace(sealer *frame.Sealer, c *pack.Chunk, number uint32, b, scratch []byte) bool {
	for _, w := range p.whole {
		if readFull(w.file, b, c.Offset) != nil {
			continue
		}
		if f, _, err := frame.Parse(b); err != nil || f.Number != number {
			continue
		}
		if _, _, err := pack.OpenChunk(sealer, scratch[:copy(scratch, b)], &c.ID); err != nil {
			continue
		}
		if w.from != "" {
			p.used[w.from] = true
		}
		return true
	}
	return false
}

// headers are what the pack's header may be: what is in memory if it grew in this process, what files of its name begin with, or what the damage has left of that.
func (p *parts) headers(local engine.File) (all []frame.Header) {
	p.s.mu.Lock()
	st := p.s.packs[p.name]
	p.s.mu.Unlock()
	if st != nil && st.header.Magic != "" {
		return []frame.Header{st.header}
	}
	for _, w := range p.whole {
		if h, err := pack.ReadHeader(w.file, p.name); err == nil && h.StoreID == p.s.opt.StoreID && !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	var b [frame.HeaderSize]byte
	if local != nil && readFull(local, b[:], 0) == nil { // only the second half of the file id stands nowhere else
		h := frame.Header{Magic: frame.MagicPack, Version: frame.Version, KeyID: p.s.opt.Keys.Current(), Epoch: p.s.opt.Epoch, StoreID: p.s.opt.StoreID}
		copy(h.FileID[:], p.name[:])
		copy(h.FileID[16:], b[32:48])
		all = append(all, h)
	}
	return all
}

// layouts are where the chunks may have been: what an index at the end of a file says, and what whole frames and Places know.
func (p *parts) layouts() (all [][]pack.Chunk, err error) {
	at := map[int64]pack.Chunk{}
	for _, w := range p.whole {
		if chunks, err := pack.ReadIndex(w.file, w.file.Size()); err == nil {
			all = append(all, chunks)
			continue
		}
		_, _ = pack.Salvage(w.file, w.file.Size(), func(c pack.Scanned) error { at[c.Offset] = c.Chunk; return nil }) // as far as it can be read
	}
	err = p.s.opt.Places.ForEach(func(id entry.ID, place Place) error {
		if place.Pack == p.name {
			at[place.Offset] = pack.Chunk{ID: id, Offset: place.Offset, Length: place.Length}
		}
		return nil
	})
	if len(at) > 0 {
		all = append(all, slices.SortedFunc(maps.Values(at), func(a, b pack.Chunk) int { return cmp.Compare(a.Offset, b.Offset) }))
	}
	if err == nil && len(all) == 0 {
		err = errors.New("nobody knows which chunks it had")
	}
	return all, err
}
