package body

import (
	"context"
	"fmt"

	"stele/entry"
	"stele/internal/frame"
)

// piece is a part of a chunk that a reader wants.
type piece struct {
	id     entry.ID
	length int64 // of the whole chunk
	from   int64 // wanted: plain bytes from…
	to     int64 // …to
}

// walker goes through the pieces of a range of a body, in order.
type walker struct {
	s     *Store
	skip  int64 // bytes of what lies ahead that are before the range
	left  int64 // bytes of the range that lie ahead
	stack []position
}

// position is where the walker is in a list: of chunks, of manifests or of part bodies.
type position struct {
	m     *manifest
	parts []entry.Body
	i     int
}

// walk begins a walk over n bytes from off of a body.
func (s *Store) walk(ctx context.Context, b *entry.Body, off, n int64) (*walker, error) {
	if off < 0 || n < 0 || off > b.Size || n > b.Size-off {
		return nil, fmt.Errorf("%d bytes from %d of a body of %d: %w", n, off, b.Size, ErrRange)
	}
	w := &walker{s: s, skip: off, left: n}
	if n == 0 {
		return w, nil
	}
	return w, w.enter(ctx, b)
}

// enter puts a body's list on the stack, unless the body is one chunk.
func (w *walker) enter(ctx context.Context, b *entry.Body) error {
	switch b.Kind {
	case entry.BodyChunk:
		w.stack = append(w.stack, position{m: &manifest{ids: []entry.ID{b.Ref}, ends: []int64{b.Size}}})
		return nil
	case entry.BodyManifest:
		m, err := w.s.manifest(ctx, b.Ref)
		if err != nil {
			return err
		}
		return w.push(position{m: m}, m.size(), b.Size)
	case entry.BodyParts:
		parts, err := w.s.parts(ctx, b)
		if err != nil {
			return err
		}
		size := int64(0)
		for i := range parts {
			size += parts[i].Size
		}
		return w.push(position{parts: parts}, size, b.Size)
	case entry.BodyEmpty:
		if b.Size == 0 {
			return nil
		}
	}
	return fmt.Errorf("body of kind %q and %d bytes: %w", b.Kind, b.Size, frame.ErrCorrupt)
}

// push puts a list on the stack if it yields as many bytes as it is to stand for: a shorter one is never a shorter object.
func (w *walker) push(p position, size, want int64) error {
	if size != want {
		return fmt.Errorf("a list of %d bytes stands for %d: %w", size, want, frame.ErrCorrupt)
	}
	w.stack = append(w.stack, p)
	return nil
}

// next returns the next piece; false at the end of the range.
func (w *walker) next(ctx context.Context) (piece, bool, error) {
	for w.left > 0 {
		if len(w.stack) == 0 {
			return piece{}, false, fmt.Errorf("body ends %d bytes early: %w", w.left, frame.ErrCorrupt)
		}
		top := &w.stack[len(w.stack)-1]
		if top.m == nil {
			if err := w.nextPart(ctx, top); err != nil {
				return piece{}, false, err
			}
			continue
		}
		m := top.m
		if w.skip > 0 {
			i := m.at(m.start(min(top.i, len(m.ids))) + w.skip)
			w.skip -= m.start(i) - m.start(top.i)
			top.i = i
		}
		if top.i == len(m.ids) {
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		i := top.i
		top.i++
		length := m.ends[i] - m.start(i)
		if m.level > 0 {
			below, err := w.s.manifest(ctx, m.ids[i])
			if err != nil {
				return piece{}, false, err
			}
			if below.level != m.level-1 {
				return piece{}, false, fmt.Errorf("manifest of level %d below one of level %d: %w", below.level, m.level, frame.ErrCorrupt)
			}
			if err := w.push(position{m: below}, below.size(), length); err != nil {
				return piece{}, false, err
			}
			continue
		}
		p := piece{id: m.ids[i], length: length, from: w.skip, to: min(length, w.skip+w.left)}
		w.skip = 0
		w.left -= p.to - p.from
		return p, true, nil
	}
	return piece{}, false, nil
}

func (w *walker) nextPart(ctx context.Context, top *position) error {
	if top.i == len(top.parts) {
		w.stack = w.stack[:len(w.stack)-1]
		return nil
	}
	b := &top.parts[top.i]
	top.i++
	if w.skip >= b.Size {
		w.skip -= b.Size
		return nil
	}
	return w.enter(ctx, b)
}

// manifest reads a manifest chunk, or finds it read.
func (s *Store) manifest(ctx context.Context, id entry.ID) (*manifest, error) {
	if m := s.lists.get(id); m != nil {
		return m, nil
	}
	data, err := s.plain(ctx, id, -1)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("chunk %x: %w", id[:8], err)
	}
	s.lists.put(id, m)
	return m, nil
}

// parts reads the part bodies of a multipart body.
func (s *Store) parts(ctx context.Context, b *entry.Body) ([]entry.Body, error) {
	parts, err := s.PartsOf(ctx, *b)
	if err != nil {
		return nil, err
	}
	bodies := make([]entry.Body, len(parts))
	for i := range parts {
		if parts[i].Body.Kind == entry.BodyParts {
			return nil, fmt.Errorf("parts document: a part of parts: %w", frame.ErrCorrupt)
		}
		bodies[i] = parts[i].Body
	}
	return bodies, nil
}

func (s *Store) partsDocument(ctx context.Context, ref entry.ID) ([]byte, error) {
	data, err := s.plain(ctx, ref, -1)
	if err != nil || !isManifest(data) {
		return data, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("chunk %x: %w", ref[:8], err)
	}
	if m.size() > entry.MaxPartsDocument || m.level != 0 {
		return nil, fmt.Errorf("parts document of %d bytes: %w", m.size(), frame.ErrCorrupt)
	}
	doc := make([]byte, 0, m.size())
	for i, id := range m.ids {
		data, err := s.plain(ctx, id, m.ends[i]-m.start(i))
		if err != nil {
			return nil, err
		}
		doc = append(doc, data...)
	}
	return doc, nil
}
