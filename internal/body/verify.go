package body

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// Verify reads a body whole, names each chunk again, and hashes the bytes again to the body's SHA-256 (of a multipart
// body: the parts document and each part). frame.ErrCorrupt if anything differs; a DamagedError if a pack is to blame. It heals nothing and asks no copy.
func (s *Store) Verify(ctx context.Context, b entry.Body) error {
	return s.verify(context.WithValue(ctx, localOnly{}, true), b)
}

func (s *Store) verify(ctx context.Context, b entry.Body) error {
	if b.Kind == entry.BodyParts {
		doc, err := s.partsDocument(ctx, b.Ref)
		if err != nil {
			return err
		}
		if sha256.Sum256(doc) != b.SHA256 {
			return fmt.Errorf("parts document: SHA-256 differs: %w", frame.ErrCorrupt)
		}
		parts, err := s.parts(ctx, &b)
		if err != nil {
			return err
		}
		size := int64(0)
		for i := range parts {
			if err := s.verify(ctx, parts[i]); err != nil {
				return fmt.Errorf("part %d of %d: %w", i+1, len(parts), err)
			}
			size += parts[i].Size
		}
		if size != b.Size {
			return fmt.Errorf("parts of %d bytes, should be %d: %w", size, b.Size, frame.ErrCorrupt)
		}
		return nil
	}
	r, err := s.Read(ctx, b, 0, b.Size)
	if err != nil {
		return err
	}
	defer r.Close()
	r.(*reader).verify = true
	sum := sha256.New()
	if _, err := r.WriteTo(sum); err != nil {
		return err
	}
	if entry.Hash(sum.Sum(nil)) != b.SHA256 {
		return fmt.Errorf("body: SHA-256 differs: %w", frame.ErrCorrupt)
	}
	return nil
}

// EachPlace calls fn for every chunk, with the place where it is looked for, in any order.
func (s *Store) EachPlace(ctx context.Context, fn func(entry.ID, Place) error) error {
	n := 0
	each := func(id entry.ID, at Place) error {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return fn(id, at)
	}
	if err := s.opt.Places.ForEach(each); err != nil {
		return err
	}
	s.mu.Lock()
	extra := maps.Clone(s.extra)
	s.mu.Unlock()
	for id, at := range extra {
		if err := each(id, at); err != nil {
			return err
		}
	}
	return nil
}

// Chunks calls fn for every chunk that a body needs: manifests, the parts document, and its bytes, perhaps several times.
func (s *Store) Chunks(ctx context.Context, b entry.Body, fn func(entry.ID) error) error {
	switch b.Kind {
	case entry.BodyEmpty:
		return nil
	case entry.BodyChunk:
		return fn(b.Ref)
	case entry.BodyManifest:
		return s.manifestChunks(ctx, b.Ref, fn)
	case entry.BodyParts:
		data, err := s.plain(ctx, b.Ref, -1)
		if err != nil {
			return err
		}
		if isManifest(data) {
			err = s.manifestChunks(ctx, b.Ref, fn)
		} else {
			err = fn(b.Ref)
		}
		if err != nil {
			return err
		}
		parts, err := s.parts(ctx, &b)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if err := s.Chunks(ctx, p, fn); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("body of kind %q: %w", b.Kind, frame.ErrCorrupt)
}

func (s *Store) manifestChunks(ctx context.Context, id entry.ID, fn func(entry.ID) error) error {
	if err := fn(id); err != nil {
		return err
	}
	m, err := s.manifest(ctx, id)
	if err != nil {
		return err
	}
	for _, below := range m.ids {
		if m.level > 0 {
			err = s.manifestChunks(ctx, below, fn)
		} else {
			err = fn(below)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// PackInfo reads a sealed pack whole and returns what a pack.seal entry says of it.
func (s *Store) PackInfo(ctx context.Context, name string) (entry.Pack, error) {
	f, err := s.opt.Engine.Open(ctx, name)
	if err != nil {
		return entry.Pack{}, fmt.Errorf("couldn't open pack %s: %w", name, err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return entry.Pack{}, fmt.Errorf("couldn't read pack %s: %w", name, err)
	}
	return entry.Pack{Name: name, SHA256: entry.Hash(sum.Sum(nil)), Size: n}, nil
}

// PackReport is what VerifyPack found in a pack that is as it should be.
type PackReport struct {
	Pack       entry.Pack
	KeyID      uint32
	Chunks     int
	PlainBytes int64
}

// VerifyPack reads a sealed pack whole, without any index: header, every frame, its seal, its chunk's name, the footer and trailer
// against the frames. frame.ErrCorrupt at the first difference, frame.ErrVersion for a newer format.
func (s *Store) VerifyPack(ctx context.Context, name string) (PackReport, error) {
	return s.VerifyPackChunks(ctx, name, nil)
}

// VerifyPackChunks is VerifyPack, and calls each for every chunk that is authenticated and has the name of its bytes, up to the first difference. The bytes are good until each returns.
func (s *Store) VerifyPackChunks(ctx context.Context, name string, each func(id entry.ID, at Place, plain []byte)) (PackReport, error) {
	short, ok := pack.ParseName(name)
	if !ok {
		return PackReport{}, fmt.Errorf("%s: %w", name, engine.ErrName)
	}
	f, err := s.opt.Engine.Open(ctx, name)
	if err != nil {
		return PackReport{}, fmt.Errorf("couldn't open pack %s: %w", name, err)
	}
	defer f.Close()
	rep, err := s.verifyPack(ctx, f, short, each)
	if err != nil {
		return rep, fmt.Errorf("pack %s: %w", name, err)
	}
	rep.Pack.Name = name
	return rep, nil
}

func (s *Store) verifyPack(ctx context.Context, f engine.File, name [16]byte, each func(entry.ID, Place, []byte)) (rep PackReport, err error) {
	sum := sha256.New()
	tee := &hashingReader{f: f, sum: sum}
	h, err := pack.ReadHeader(tee, name)
	if err != nil {
		return rep, err
	}
	if h.StoreID != s.opt.StoreID {
		return rep, fmt.Errorf("pack of another store: %w", frame.ErrCorrupt)
	}
	sealer, err := s.opt.Keys.Sealer(h.KeyID, h.FileID)
	if err != nil {
		return rep, err
	}
	index, err := pack.ReadIndex(f, f.Size())
	if err != nil {
		return rep, err
	}
	rep.KeyID = h.KeyID
	end, sealed, why := pack.Scan(tee, f.Size(), func(c pack.Scanned) error {
		if rep.Chunks == len(index) || index[rep.Chunks] != c.Chunk {
			return fmt.Errorf("footer and frames differ at chunk %d: %w", rep.Chunks, frame.ErrCorrupt)
		}
		data, err := s.open(sealer, c.Frame, &c.ID, -1, nil)
		if err != nil {
			return err
		}
		if !s.names(data, c.ID, h.KeyID) {
			return fmt.Errorf("chunk %x: its bytes have another name: %w", c.ID[:8], frame.ErrCorrupt)
		}
		if each != nil {
			each(c.ID, Place{name, c.Offset, c.Length}, data)
		}
		rep.Chunks++
		rep.PlainBytes += int64(len(data))
		return ctx.Err()
	})
	switch {
	case why != nil && (errors.Is(why, frame.ErrEnd) || errors.Is(why, frame.ErrTorn)):
		return rep, fmt.Errorf("%w: %w", frame.ErrCorrupt, why)
	case why != nil:
		return rep, why
	case !sealed || end+pack.TrailerSize != f.Size() || rep.Chunks != len(index):
		return rep, fmt.Errorf("footer and frames differ: %w", frame.ErrCorrupt)
	}
	if err := tee.rest(f.Size()); err != nil {
		return rep, err
	}
	rep.Pack.SHA256, rep.Pack.Size = entry.Hash(sum.Sum(nil)), f.Size()
	return rep, nil
}

// names says whether data is chunk want of a pack of that key: named under it, or under an earlier one (chunks keep their
// names when they are moved into a newer pack).
func (s *Store) names(data []byte, want entry.ID, keyID uint32) bool {
	for id := keyID; ; id-- {
		if s.keyOf(id).chunkID(data) == want {
			return true
		}
		if id <= 1 { // key ids are counted from 1
			return false
		}
	}
}

// hashingReader hashes a file while it is read forward.
type hashingReader struct {
	f   engine.File
	sum io.Writer
	at  int64
}

func (h *hashingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.f.ReadAt(p, off)
	if from := h.at - off; from >= 0 && from < int64(n) {
		h.sum.Write(p[from:n])
		h.at = off + int64(n)
	}
	return n, err
}

// rest hashes what was not read, which is the beginning or the end.
func (h *hashingReader) rest(size int64) error {
	_, err := io.Copy(h.sum, io.NewSectionReader(h.f, h.at, size-h.at))
	return err
}
