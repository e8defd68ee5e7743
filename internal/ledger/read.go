package ledger

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"stele/entry"
	"stele/internal/frame"
	"stele/internal/segment"
)

// Entry returns an entry, with its leaf and its private part as they are stored. private is nil if a lawful erasure dropped it.
func (l *Ledger) Entry(ctx context.Context, index uint64) (e entry.Entry, leaf, private []byte, err error) {
	f, err := l.find(index)
	if err != nil {
		return entry.Entry{}, nil, nil, err
	}
	err = l.healing(ctx, f, func() (err error) { e, leaf, private, err = l.entryOf(ctx, f, index); return err })
	return e, leaf, private, err
}

func (l *Ledger) entryOf(ctx context.Context, f *file, index uint64) (e entry.Entry, leaf, private []byte, err error) {
	r, release, err := l.acquire(ctx, f)
	if err != nil {
		return entry.Entry{}, nil, nil, fmt.Errorf("couldn't read entry %d: %w", index, err)
	}
	defer release()
	i, ok := r.Find(index)
	if !ok {
		return entry.Entry{}, nil, nil, fmt.Errorf("couldn't read entry %d: segment %s hasn't got it: %w", index, f.name, frame.ErrCorrupt)
	}
	p, err := r.Pair(i)
	if err != nil {
		return entry.Entry{}, nil, nil, err
	}
	items, err := p.Items()
	if err != nil {
		return entry.Entry{}, nil, nil, fmt.Errorf("couldn't read entry %d: %w", index, err)
	}
	it := &items[index-p.First]
	if e, err = decode(it, index); err != nil {
		return entry.Entry{}, nil, nil, fmt.Errorf("couldn't read the ledger: %w", err)
	}
	return e, it.Leaf, it.Private, nil
}

const (
	decoders = 2 // goroutines that decode ahead
	ahead    = 8 // pieces of the ledger that may be decoded and not yet taken
	pieceLen = 512
)

// piece is a run of pairs of one segment, decoded by one goroutine at a time.
type piece struct {
	file     *file
	from, to uint64 // entries
	mark     []byte // leaves that do not end in it are passed over; nil: none
	entries  []entry.Entry
	err      error
	done     chan struct{}
}

// Entries calls fn for the entries from to to-1, in order, until its first error, which it returns. An entry may be kept. Every private part is checked against its leaf.
func (l *Ledger) Entries(ctx context.Context, from, to uint64, fn func(*entry.Entry) error) error {
	return l.entries(ctx, from, to, nil, fn)
}

// EntriesOf is Entries for those of one type. Of the others no more is decoded than the leaf, so that it costs a fraction.
func (l *Ledger) EntriesOf(ctx context.Context, t entry.Type, from, to uint64, fn func(*entry.Entry) error) error {
	return l.entries(ctx, from, to, fmt.Appendf(nil, `,"type":"%s"}`, t), fn) // so ends the leaf of every one
}

func (l *Ledger) entries(ctx context.Context, from, to uint64, mark []byte, fn func(*entry.Entry) error) error {
	if size := l.Size(); to > size || from > to {
		return fmt.Errorf("entries %d to %d: %w of %d entries", from, to, ErrRange, size)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work, order := make(chan *piece), make(chan *piece, ahead)
	for range decoders {
		go func() {
			var scratch segment.Scratch
			for p := range work {
				p.err = l.healing(ctx, p.file, func() (err error) { p.entries, err = l.decodePiece(ctx, p, &scratch); return err })
				close(p.done)
			}
		}()
	}
	go l.cut(ctx, from, to, mark, work, order)
	for p := range order {
		<-p.done
		if p.err != nil {
			return p.err
		}
		for i := range p.entries {
			if err := fn(&p.entries[i]); err != nil {
				return err
			}
		}
		from = p.to
	}
	if from != to { // cut ended early
		return ctx.Err()
	}
	return nil
}

// cut cuts the entries into pieces for the decoders, and queues them in order.
func (l *Ledger) cut(ctx context.Context, from, to uint64, mark []byte, work, order chan<- *piece) {
	defer close(work)
	defer close(order)
	for from < to {
		f, err := l.find(from)
		p := &piece{file: f, from: from, to: to, mark: mark, err: err, done: make(chan struct{})}
		if err == nil {
			p.err = l.healing(ctx, f, func() (err error) { p.to, err = l.pieceEnd(ctx, f, from, to); return err })
		}
		bad := p.err != nil
		if bad {
			close(p.done)
		}
		select {
		case order <- p:
		case <-ctx.Done():
			return
		}
		if bad {
			return
		}
		select {
		case work <- p:
		case <-ctx.Done():
			return
		}
		from = p.to
	}
}

// pieceEnd returns where a piece that begins at from ends: at the end of a pair, of the segment, or at to.
func (l *Ledger) pieceEnd(ctx context.Context, f *file, from, to uint64) (uint64, error) {
	r, release, err := l.acquire(ctx, f)
	if err != nil {
		return 0, err
	}
	defer release()
	rows, to := r.Rows(), f.within(to)
	i, ok := r.Find(from)
	if !ok {
		return 0, fmt.Errorf("segment %s hasn't got entry %d: %w", f.name, from, frame.ErrCorrupt)
	}
	end := rows[i].First + uint64(rows[i].Count)
	for i++; i < len(rows) && end-from < pieceLen && end < to; i++ {
		end = rows[i].First + uint64(rows[i].Count)
	}
	return min(end, to), nil
}

func (l *Ledger) decodePiece(ctx context.Context, p *piece, scratch *segment.Scratch) ([]entry.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, release, err := l.acquire(ctx, p.file)
	if err != nil {
		return nil, err
	}
	defer release()
	first, ok := r.Find(p.from)
	last, ok2 := r.Find(p.to - 1)
	if !ok || !ok2 {
		return nil, fmt.Errorf("segment %s hasn't got entries %d to %d: %w", p.file.name, p.from, p.to-1, frame.ErrCorrupt)
	}
	pairs, err := r.Pairs(first, last+1)
	if err != nil {
		return nil, err
	}
	var out []entry.Entry
	if p.mark == nil {
		out = make([]entry.Entry, 0, p.to-p.from)
	}
	for i := range pairs {
		wanted, err := p.wants(&pairs[i], scratch)
		if err == nil && !wanted {
			continue
		}
		var items []segment.Item
		if err == nil {
			items, err = pairs[i].ItemsIn(scratch)
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't read entries from %d on: %w", pairs[i].First, err)
		}
		for j := range items {
			index := pairs[i].First + uint64(j)
			if index < p.from || index >= p.to || !bytes.HasSuffix(items[j].Leaf, p.mark) {
				continue
			}
			e, err := decode(&items[j], index)
			if err != nil {
				return nil, fmt.Errorf("couldn't read the ledger: %w", err)
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// wants says whether a pair has entries that are asked for.
func (p *piece) wants(pair *segment.Pair, scratch *segment.Scratch) (bool, error) {
	if p.mark == nil {
		return true, nil
	}
	leaves, err := pair.LeavesIn(scratch)
	return slices.ContainsFunc(leaves, func(leaf []byte) bool { return bytes.HasSuffix(leaf, p.mark) }), err
}

// SizeAt is the number of entries whose time is not after t.
func (l *Ledger) SizeAt(ctx context.Context, t time.Time) (size uint64, err error) {
	at := t.UnixMicro()
	l.mu.RLock()
	files := l.segments
	i := sort.Search(len(files), func(i int) bool { return files[i].first == files[i].end || files[i].lastTime > at })
	size = l.head.size
	var f *file
	if i < len(files) && files[i].first < files[i].end {
		f = files[i]
	}
	l.mu.RUnlock()
	if f == nil {
		return size, nil
	}
	err = l.healing(ctx, f, func() (err error) { size, err = l.sizeIn(ctx, f, at); return err })
	return size, err
}

// sizeIn is SizeAt where the moment lies within f.
func (l *Ledger) sizeIn(ctx context.Context, f *file, at int64) (uint64, error) {
	r, release, err := l.acquire(ctx, f)
	if err != nil {
		return 0, fmt.Errorf("couldn't find the size at a time: %w", err)
	}
	defer release()
	n := r.FindTime(at)
	if n == len(r.Rows()) {
		return f.end, nil
	}
	p, err := r.Pair(n)
	if err != nil {
		return 0, err
	}
	return within(&p, at)
}

// within returns the index of the first entry of a pair that is later than at.
func within(p *segment.Pair, at int64) (uint64, error) {
	leaves, err := p.Leaves()
	if err != nil {
		return 0, fmt.Errorf("couldn't find the size at a time: %w", err)
	}
	for i := range leaves {
		leaf, err := entry.ParseLeaf(leaves[i])
		if err != nil {
			return 0, fmt.Errorf("entry %d: %v: %w", p.First+uint64(i), err, frame.ErrCorrupt)
		}
		if leaf.Time.UnixMicro() > at {
			return p.First + uint64(i), nil
		}
	}
	return p.End(), nil
}
