package body

import (
	"context"
	"errors"
	"fmt"

	"stele/entry"
	"stele/internal/frame"
	"stele/internal/pack"
)

// ErrNotGrowing: the pack is sealed, or gone.
var ErrNotGrowing = errors.New("the pack grows no more")

// Growth is a pack that grows and has durable chunks.
type Growth struct {
	Name     [16]byte
	Chunks   int   // durable ones
	EndBytes int64 // where the last of them ends in the file
}

// Packs returns the names of the packs that were sealed since an earlier call returned next (0: all), in the order in which they became known, and the packs that grow. Every chunk that was durable
// before the call is in the one or the other.
func (s *Store) Packs(since int) (sealed [][16]byte, next int, growing []Growth) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since = min(since, len(s.order))
	sealed = s.order[since:len(s.order):len(s.order)]
	for name, st := range s.packs {
		if st.open == nil {
			continue
		}
		if n := st.open.w.Durable(); n > 0 {
			last := st.open.w.Placed(n-1, n)[0]
			growing = append(growing, Growth{name, n, last.Offset + int64(last.Length)})
		}
	}
	return sealed, len(s.order), growing
}

// Seal seals a pack that grows, before it is full, and returns when it is durable under its name; nil too if it is sealed already. Writers go on in another one.
func (s *Store) Seal(name [16]byte) error {
	if err := s.writable(); err != nil {
		return err
	}
	p := s.hold(name)
	if p == nil {
		return nil
	}
	defer s.unhold(p)
	if p.lane != nil {
		p.lane.abandon(p)
	}
	return p.seal()
}

// Grows says whether a pack is still growing.
func (s *Store) Grows(name [16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.packs[name]
	return st != nil && st.open != nil
}

// PackOf returns the pack in which a chunk is looked for, if that pack is there, sealed or growing.
func (s *Store) PackOf(id entry.ID) (name [16]byte, ok bool, err error) {
	at, ok, err := s.lookup(&id)
	if err != nil || !ok {
		return name, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return at.Pack, s.packs[at.Pack] != nil, nil
}

// SealedInfo is what the pack.seal entry of a pack that was sealed since Open says, or will say.
func (s *Store) SealedInfo(name [16]byte) (entry.Pack, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.packs[name]
	if st == nil || st.info == nil {
		return entry.Pack{}, false
	}
	return *st.info, true
}

// growingRead is how much of a growing pack is read at once, in bytes.
const growingRead = 1 << 20

// GrowingChunks calls fn for the durable chunks from to to-1 of a growing pack, in file order, with their data as it is stored below the seal (flags say whether it is compressed). data holds
// until fn returns. ErrNotGrowing if the pack is sealed by now; frame.ErrCorrupt for a chunk that does not open.
func (s *Store) GrowingChunks(ctx context.Context, name [16]byte, from, to int, fn func(id *entry.ID, flags uint8, data []byte) error) error {
	p := s.hold(name)
	if p == nil {
		return fmt.Errorf("pack %x: %w", name, ErrNotGrowing)
	}
	defer s.unhold(p)
	chunks := p.w.Placed(from, to)
	if len(chunks) != to-from {
		return fmt.Errorf("pack %x has no durable chunks %d to %d: %w", name, from, to, frame.ErrCorrupt)
	}
	buf := make([]byte, 0, growingRead)
	for len(chunks) > 0 {
		n := together(chunks)
		start := chunks[0].Offset
		size := int(chunks[n-1].Offset + int64(chunks[n-1].Length) - start)
		if cap(buf) < size {
			buf = make([]byte, 0, size)
		}
		buf = buf[:size]
		if err := ctx.Err(); err != nil {
			return err
		}
		unread := readFull(p.grow, buf, start)
		for i := range chunks[:n] {
			c := &chunks[i]
			data, flags, err := s.growingChunk(ctx, p, c, buf[c.Offset-start:][:c.Length], unread)
			if err == nil {
				err = fn(&c.ID, flags, data)
			}
			if err != nil {
				return err
			}
		}
		chunks = chunks[n:]
	}
	return nil
}

// growingChunk opens a chunk whose frame is in b, or which could not be read with its neighbours for the reason given. If it is damaged, a copy's takes its place.
func (s *Store) growingChunk(ctx context.Context, p *openPack, c *pack.Chunk, b []byte, unread error) (data []byte, flags uint8, err error) {
	err = unread
	if err != nil {
		err = readFull(p.grow, b, c.Offset)
	}
	if err == nil {
		data, flags, err = pack.OpenChunk(p.sealer, b, &c.ID)
	}
	if err == nil || !mendable(err) {
		return data, flags, err
	}
	s.retire(p)
	got, why := s.fromCopies(ctx, &c.ID, Place{p.name, c.Offset, c.Length}, -1)
	if why != nil {
		return nil, 0, &DamagedError{pack.Name(p.name), fmt.Errorf("%w; no copy helps: %w", err, why)}
	}
	return got.stored, got.flags, nil
}

// together is how many of the chunks are read at once.
func together(chunks []pack.Chunk) int {
	n := 1
	for n < len(chunks) && chunks[n].Offset+int64(chunks[n].Length)-chunks[0].Offset <= growingRead {
		n++
	}
	return n
}
