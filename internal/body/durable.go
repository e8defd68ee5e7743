package body

import (
	"io"

	"stele/internal/pack"
)

// Growing is a pack that grows, as one that copies it sees it.
type Growing struct {
	Name         string // the engine's name that it will have
	DurableBytes int64  // up to the end of the last chunk that an fsync covers; 0: there is none yet
}

// Growing lists the packs that grow. A chunk that was durable before the call is in one of them, or in a sealed pack.
func (s *Store) Growing() []Growing {
	s.mu.Lock()
	open := make([]*openPack, 0, len(s.grown))
	for p := range s.grown {
		open = append(open, p)
	}
	s.mu.Unlock()
	out := make([]Growing, len(open))
	for i, p := range open {
		out[i] = Growing{pack.Name(p.name), p.durableBytes()}
	}
	return out
}

func (p *openPack) durableBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.durable
}

// OpenGrowing returns the durable bytes of a pack that grows; ok is false if no such pack does. The caller calls release when done.
func (s *Store) OpenGrowing(name string) (r io.ReaderAt, sizeBytes int64, release func(), ok bool) {
	short, ok := pack.ParseName(name)
	if !ok {
		return nil, 0, nil, false
	}
	p := s.hold(short)
	if p == nil {
		return nil, 0, nil, false
	}
	return p.grow, p.durableBytes(), func() { s.unhold(p) }, true
}
