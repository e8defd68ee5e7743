package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"stele/internal/frame"
)

const pairPrefix = 12 // first and count

// Pair is a leaves frame and its privates frame, compressed and not yet (or no longer) sealed: the form in which recovery
// moves entries from one file to another without doing the work again.
type Pair struct {
	First    uint64
	Count    int
	LastTime int64 // of the last entry, microseconds since 1970; the format has it in the footer only

	leaves       []byte // the body of the leaves frame
	leavesZstd   bool
	privates     []byte // what the privates frame seals
	privatesZstd bool
	hasPrivates  bool // false if it was read without a key

	off int64 // where its frames begin, if it was read by a Scanner
	len uint32
}

// Row says where a pair that a Scanner returned is in the scanned file.
func (p *Pair) Row() Row {
	return Row{First: p.First, Count: uint32(p.Count), Len: p.len, Off: p.off, LastTime: p.LastTime}
}

// End is the index behind the pair's last entry.
func (p *Pair) End() uint64 { return p.First + uint64(p.Count) }

// EncodePair makes a pair of items, the entries from index first on. It decodes what it made and compares, so that what a faulty compressor or
// memory did never reaches a disk.
func EncodePair(first uint64, items []Item, lastTime int64) (Pair, error) {
	if len(items) == 0 || len(items) > BatchEntries {
		return Pair{}, fmt.Errorf("couldn't encode %d entries as a pair", len(items))
	}
	p := Pair{First: first, Count: len(items), LastTime: lastTime, hasPrivates: true}
	s := encodeScratch.Get().(*rawPair)
	defer encodeScratch.Put(s)
	if err := s.set(items); err != nil {
		return Pair{}, err
	}
	p.leaves = make([]byte, 0, pairPrefix+len(s.leaves))
	p.leaves = binary.BigEndian.AppendUint64(p.leaves, first)
	p.leaves = binary.BigEndian.AppendUint32(p.leaves, uint32(len(items)))
	p.leaves, p.leavesZstd = compress(p.leaves, s.leaves)
	p.privates, p.privatesZstd = compress(make([]byte, 0, len(s.privates)), s.privates)

	if err := s.check(p.leaves[pairPrefix:], p.leavesZstd, s.leaves); err != nil {
		return Pair{}, err
	}
	return p, s.check(p.privates, p.privatesZstd, s.privates)
}

// rawPair is a pair before compression.
type rawPair struct{ leaves, privates, again []byte }

var encodeScratch = sync.Pool{New: func() any { return new(rawPair) }}

// check decodes what was encoded.
func (s *rawPair) check(stored []byte, isZstd bool, want []byte) error {
	got, err := decompress(s.again, stored, isZstd)
	if err != nil || !bytes.Equal(got, want) {
		return errors.New("couldn't encode entries: what was encoded doesn't decode to them")
	}
	if isZstd {
		s.again = got
	}
	return nil
}

func (s *rawPair) set(items []Item) error {
	s.leaves, s.privates = s.leaves[:0], s.privates[:0]
	for i := range items {
		it := &items[i]
		if len(it.Leaf) == 0 || len(it.Leaf) > 1<<16-1 {
			return fmt.Errorf("couldn't encode a leaf of %d bytes", len(it.Leaf))
		}
		s.leaves = binary.BigEndian.AppendUint16(s.leaves, uint16(len(it.Leaf)))
		s.leaves = append(s.leaves, it.Leaf...)
		if it.Erased {
			s.privates = binary.BigEndian.AppendUint32(s.privates, 0)
			continue
		}
		s.privates = binary.BigEndian.AppendUint32(s.privates, uint32(16+len(it.Private)))
		s.privates = append(s.privates, it.Salt[:]...)
		s.privates = append(s.privates, it.Private...)
		if len(s.privates) > maxRaw {
			return fmt.Errorf("couldn't encode private parts of %d bytes as one pair", len(s.privates))
		}
	}
	return nil
}

// Scratch is memory to decode pairs in. What was decoded in it holds until it is used again.
type Scratch struct {
	rawLeaves, rawPrivates []byte
	leaves                 [][]byte
	items                  []Item
}

// Leaves returns the leaves alone, which needs no key.
func (p *Pair) Leaves() ([][]byte, error) { return p.LeavesIn(new(Scratch)) }

// LeavesIn is Leaves in s.
func (p *Pair) LeavesIn(s *Scratch) ([][]byte, error) {
	raw, err := decompress(s.rawLeaves, p.leaves[pairPrefix:], p.leavesZstd)
	if err != nil {
		return nil, err
	}
	if p.leavesZstd {
		s.rawLeaves = raw
	}
	if p.Count > len(raw)/2 {
		return nil, fmt.Errorf("count %d is more than the leaves can hold: %w", p.Count, frame.ErrCorrupt)
	}
	out := slices.Grow(s.leaves[:0], p.Count)
	for range p.Count {
		if len(raw) < 2 {
			return nil, fmt.Errorf("leaves end early: %w", frame.ErrCorrupt)
		}
		n := int(binary.BigEndian.Uint16(raw))
		if raw = raw[2:]; n == 0 || n > len(raw) {
			return nil, fmt.Errorf("leaf of %d bytes: %w", n, frame.ErrCorrupt)
		}
		out, raw = append(out, raw[:n:n]), raw[n:]
	}
	if len(raw) != 0 {
		return nil, fmt.Errorf("%d bytes behind the last leaf: %w", len(raw), frame.ErrCorrupt)
	}
	s.leaves = out
	return out, nil
}

// Items returns the entries. A pair that was read without a key has none to give: an error.
func (p *Pair) Items() ([]Item, error) { return p.ItemsIn(new(Scratch)) }

// ItemsIn is Items in s.
func (p *Pair) ItemsIn(s *Scratch) ([]Item, error) {
	if !p.hasPrivates {
		return nil, errors.New("couldn't read private parts: the file was opened without its key")
	}
	leaves, err := p.LeavesIn(s)
	if err != nil {
		return nil, err
	}
	raw, err := decompress(s.rawPrivates, p.privates, p.privatesZstd)
	if err != nil {
		return nil, err
	}
	if p.privatesZstd {
		s.rawPrivates = raw
	}
	s.items = slices.Grow(s.items[:0], len(leaves))[:len(leaves)]
	for i := range s.items {
		if raw, err = s.items[i].parse(leaves[i], raw); err != nil {
			return nil, err
		}
	}
	if len(raw) != 0 {
		return nil, fmt.Errorf("%d bytes behind the last private part: %w", len(raw), frame.ErrCorrupt)
	}
	return s.items, nil
}

// parse takes the item of a leaf from the start of raw, and returns the rest.
func (it *Item) parse(leaf, raw []byte) (rest []byte, err error) {
	*it = Item{Leaf: leaf}
	if len(raw) < 4 {
		return nil, fmt.Errorf("private parts end early: %w", frame.ErrCorrupt)
	}
	n := int(binary.BigEndian.Uint32(raw))
	switch raw = raw[4:]; {
	case n == 0:
		it.Erased = true
		return raw, nil
	case n < 16 || n > len(raw):
		return nil, fmt.Errorf("private part of %d bytes: %w", n, frame.ErrCorrupt)
	}
	copy(it.Salt[:], raw)
	it.Private = raw[16:n:n]
	return raw[n:], nil
}

// additional data of the privates: it ties them to their place in the file and to the leaves in clear, so that who has the key sees
// an edited leaf without the tree.
func (p *Pair) ad() []byte {
	sum := sha256.Sum256(p.leaves)
	ad := make([]byte, 0, 1+pairPrefix+len(sum))
	ad = append(ad, byte(frame.KindPrivates))
	ad = append(ad, p.leaves[:pairPrefix]...)
	return append(ad, sum[:]...)
}

// append appends the pair's two frames, numbered from number on.
func (p *Pair) append(dst []byte, s *frame.Sealer, number uint32) []byte {
	start := len(dst)
	dst = append(frame.Begin(dst), p.leaves...)
	frame.End(dst, start, frame.KindLeaves, flags(p.leavesZstd), number)
	start = len(dst)
	dst = s.Seal(frame.Begin(dst), number+1, p.privates, p.ad())
	frame.End(dst, start, frame.KindPrivates, flags(p.privatesZstd), number+1)
	return dst
}

func flags(isZstd bool) uint8 {
	if isZstd {
		return frame.FlagZstd
	}
	return 0
}

// parsePair makes a pair of its two frames. Without a sealer the privates stay closed. It aliases the frames' bodies.
func parsePair(e, v frame.Frame, s *frame.Sealer) (Pair, error) {
	if e.Kind != frame.KindLeaves || v.Kind != frame.KindPrivates || v.Number != e.Number+1 || (e.Flags|v.Flags)&^frame.FlagZstd != 0 {
		return Pair{}, fmt.Errorf("frames %d and %d are no pair: %w", e.Number, v.Number, frame.ErrCorrupt)
	}
	if len(e.Body) < pairPrefix {
		return Pair{}, fmt.Errorf("frame %d: short: %w", e.Number, frame.ErrCorrupt)
	}
	count := binary.BigEndian.Uint32(e.Body[8:])
	p := Pair{
		First: binary.BigEndian.Uint64(e.Body), Count: int(count),
		leaves: e.Body, leavesZstd: e.Flags&frame.FlagZstd != 0, privatesZstd: v.Flags&frame.FlagZstd != 0,
	}
	if count == 0 || count > maxRaw || p.First > 1<<53 {
		return Pair{}, fmt.Errorf("frame %d: %d entries from %d on: %w", e.Number, count, p.First, frame.ErrCorrupt)
	}
	if s == nil {
		return p, nil
	}
	var err error
	p.privates, err = s.Open(nil, v.Number, v.Body, p.ad())
	p.hasPrivates = err == nil
	return p, err
}
