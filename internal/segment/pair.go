package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

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
	rawLeaves, rawPrivates, err := appendItems(items)
	if err != nil {
		return Pair{}, err
	}
	p.leaves = make([]byte, 0, pairPrefix+len(rawLeaves)/2)
	p.leaves = binary.BigEndian.AppendUint64(p.leaves, first)
	p.leaves = binary.BigEndian.AppendUint32(p.leaves, uint32(len(items)))
	p.leaves, p.leavesZstd = compress(p.leaves, rawLeaves)
	p.privates, p.privatesZstd = compress(nil, rawPrivates)

	gotLeaves, err := decompress(p.leaves[pairPrefix:], p.leavesZstd)
	if err != nil || !bytes.Equal(gotLeaves, rawLeaves) {
		return Pair{}, errors.New("couldn't encode leaves: what was encoded doesn't decode to them")
	}
	gotPrivates, err := decompress(p.privates, p.privatesZstd)
	if err != nil || !bytes.Equal(gotPrivates, rawPrivates) {
		return Pair{}, errors.New("couldn't encode private parts: what was encoded doesn't decode to them")
	}
	return p, nil
}

func appendItems(items []Item) (leaves, privates []byte, err error) {
	nLeaves, nPrivates := 0, 0
	for i := range items {
		nLeaves += 2 + len(items[i].Leaf)
		nPrivates += 4 + 16 + len(items[i].Private)
	}
	if nLeaves+nPrivates > maxRaw {
		return nil, nil, fmt.Errorf("couldn't encode entries of %d bytes in one pair", nLeaves+nPrivates)
	}
	leaves, privates = make([]byte, 0, nLeaves), make([]byte, 0, nPrivates)
	for i := range items {
		it := &items[i]
		if len(it.Leaf) == 0 || len(it.Leaf) > 1<<16-1 {
			return nil, nil, fmt.Errorf("couldn't encode a leaf of %d bytes", len(it.Leaf))
		}
		leaves = binary.BigEndian.AppendUint16(leaves, uint16(len(it.Leaf)))
		leaves = append(leaves, it.Leaf...)
		if it.Erased {
			privates = binary.BigEndian.AppendUint32(privates, 0)
			continue
		}
		privates = binary.BigEndian.AppendUint32(privates, uint32(16+len(it.Private)))
		privates = append(privates, it.Salt[:]...)
		privates = append(privates, it.Private...)
	}
	return leaves, privates, nil
}

// Leaves returns the leaves alone, which needs no key. They alias one buffer of their own or the pair's.
func (p *Pair) Leaves() ([][]byte, error) {
	raw, err := decompress(p.leaves[pairPrefix:], p.leavesZstd)
	if err != nil {
		return nil, err
	}
	if p.Count > len(raw)/2 {
		return nil, fmt.Errorf("count %d is more than the leaves can hold: %w", p.Count, frame.ErrCorrupt)
	}
	out := make([][]byte, 0, p.Count)
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
	return out, nil
}

// Items returns the entries. A pair that was read without a key has none to give: an error.
func (p *Pair) Items() ([]Item, error) {
	if !p.hasPrivates {
		return nil, errors.New("couldn't read private parts: the file was opened without its key")
	}
	leaves, err := p.Leaves()
	if err != nil {
		return nil, err
	}
	raw, err := decompress(p.privates, p.privatesZstd)
	if err != nil {
		return nil, err
	}
	items := make([]Item, len(leaves))
	for i := range items {
		items[i].Leaf = leaves[i]
		if len(raw) < 4 {
			return nil, fmt.Errorf("private parts end early: %w", frame.ErrCorrupt)
		}
		n := int(binary.BigEndian.Uint32(raw))
		raw = raw[4:]
		switch {
		case n == 0:
			items[i].Erased = true
		case n < 16 || n > len(raw):
			return nil, fmt.Errorf("private part of %d bytes: %w", n, frame.ErrCorrupt)
		default:
			copy(items[i].Salt[:], raw)
			items[i].Private, raw = raw[16:n:n], raw[n:]
		}
	}
	if len(raw) != 0 {
		return nil, fmt.Errorf("%d bytes behind the last private part: %w", len(raw), frame.ErrCorrupt)
	}
	return items, nil
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
