package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"stele/internal/engine"
	"stele/internal/frame"
)

// Options say what file a Writer makes.
type Options struct {
	StoreID          [16]byte
	KeyID            uint32
	Epoch            uint32
	First            uint64 // index of the first entry
	FileID           frame.FileID
	Sealer           *frame.Sealer // of FileID
	PreallocateBytes int64
	// BufferBytes gathers batches up to this length before they are written: for recovery, which syncs once, at the end. 0: each batch is
	// written by its Append.
	BufferBytes int
}

// Writer writes one segment. One goroutine at a time calls it; what View returned may be used beside it.
// After an error from Append, Sync or Seal every later call fails (DESIGN invariant 6).
type Writer struct {
	opt    Options
	header frame.Header
	g      engine.Growing

	off    int64
	number uint32
	rows   []Row
	last   Commit
	first  int64  // time of the first entry
	buf    []byte // encoded and not written
	err    error
}

// Create starts a segment. Its header is durable when Create returns, so that a torn header can only mean a file without entries.
func Create(ctx context.Context, e engine.Appender, opt Options) (*Writer, error) {
	name := Name(opt.Epoch, opt.First)
	g, err := e.Append(ctx, name, engine.AppendOptions{PreallocateBytes: opt.PreallocateBytes})
	if err != nil {
		return nil, fmt.Errorf("couldn't start segment %s: %w", name, err)
	}
	w := &Writer{opt: opt, g: g, off: frame.HeaderSize, header: frame.Header{Magic: frame.MagicSegment, Version: frame.Version,
		KeyID: opt.KeyID, FileID: opt.FileID, Epoch: opt.Epoch, First: opt.First, StoreID: opt.StoreID}}
	_, err = g.Write(w.header.Append(nil))
	if err == nil {
		err = g.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't start segment %s: %w", name, err), g.Close())
	}
	return w, nil
}

// Name is the name that the segment will have when sealed.
func (w *Writer) Name() string { return Name(w.opt.Epoch, w.opt.First) }

// First is the index of the first entry.
func (w *Writer) First() uint64 { return w.opt.First }

// Next is the index that the next batch must begin with.
func (w *Writer) Next() uint64 { return max(w.last.Size, w.opt.First) }

// FirstTime is the time of the first entry, microseconds since 1970.
func (w *Writer) FirstTime() int64 { return w.first }

// SizeBytes is the length of what was written.
func (w *Writer) SizeBytes() int64 { return w.off }

// Append writes a batch in one write, or gathers it (Options.BufferBytes). It is not durable before Sync.
func (w *Writer) Append(b Batch, firstTime int64) error {
	if w.err != nil {
		return w.err
	}
	if err := w.check(b); err != nil {
		return w.fail(err)
	}
	begin := len(w.buf)
	number, rows := w.number, w.rows
	for i := range b.Pairs {
		p, start := &b.Pairs[i], len(w.buf)
		w.buf = p.append(w.buf, w.opt.Sealer, number)
		rows = append(rows, Row{First: p.First, Count: uint32(p.Count), Off: w.off + int64(start-begin), Len: uint32(len(w.buf) - start), LastTime: p.LastTime})
		number += 2
	}
	w.buf = appendCommit(w.buf, &b.Commit, number)
	if err := w.parse(w.buf[begin:], b); err != nil {
		return w.fail(fmt.Errorf("what was encoded doesn't parse: %w", err))
	}
	if len(w.rows) == 0 {
		w.first = firstTime
	}
	w.off, w.number, w.rows, w.last = w.off+int64(len(w.buf)-begin), number+1, rows, b.Commit
	if len(w.buf) < w.opt.BufferBytes {
		return nil
	}
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.g.Write(w.buf); err != nil {
		return w.fail(err)
	}
	if w.buf = w.buf[:0]; cap(w.buf) > 8<<20 {
		w.buf = nil // one huge batch isn't a reason to keep its memory
	}
	return nil
}

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("couldn't write segment %s: %w", w.Name(), err)
	return w.err
}

func (w *Writer) check(b Batch) error {
	next := w.Next()
	if len(b.Pairs) == 0 || b.Commit.First != next {
		return fmt.Errorf("batch of %d pairs begins at %d, not at %d", len(b.Pairs), b.Commit.First, next)
	}
	for i := range b.Pairs {
		p := &b.Pairs[i]
		if p.First != next || !p.hasPrivates {
			return fmt.Errorf("pair begins at %d, not at %d, or has no private parts", p.First, next)
		}
		next = p.End()
	}
	if b.Commit.Size != next || b.Commit.Time != b.Pairs[len(b.Pairs)-1].LastTime {
		return fmt.Errorf("commit says size %d, its entries end at %d", b.Commit.Size, next)
	}
	return nil
}

// parse reads the frames in buf as a reader will and compares them with b.
func (w *Writer) parse(buf []byte, b Batch) error {
	got, n, err := parseBatch(buf, w.number, w.opt.Sealer)
	if err != nil {
		return err
	}
	same := n == len(buf) && got.Commit == b.Commit && len(got.Pairs) == len(b.Pairs)
	for i := range b.Pairs {
		same = same && bytes.Equal(got.Pairs[i].leaves, b.Pairs[i].leaves) && bytes.Equal(got.Pairs[i].privates, b.Pairs[i].privates) &&
			got.Pairs[i].leavesZstd == b.Pairs[i].leavesZstd && got.Pairs[i].privatesZstd == b.Pairs[i].privatesZstd
	}
	if !same {
		return errors.New("it isn't the batch")
	}
	return nil
}

// Sync makes everything written durable.
func (w *Writer) Sync() error {
	if w.err != nil {
		return w.err
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.g.Sync(); err != nil {
		return w.fail(err)
	}
	return nil
}

// Seal writes the footer and publishes the segment, durably. edge and groups are the tree's: see Footer.
func (w *Writer) Seal(edge [][32]byte, group uint64, groups [][32]byte) error {
	if w.err != nil {
		return w.err
	}
	if len(w.rows) == 0 {
		return w.fail(errors.New("a segment without entries can't be sealed"))
	}
	f := Footer{Commit: w.last, FirstTime: w.first, LastTime: w.last.Time, Edge: edge, Group: group, Groups: groups}
	if err := f.setRows(w.rows); err != nil {
		return w.fail(err)
	}
	buf := f.append(frame.Begin(nil))
	frame.End(buf, 0, frame.KindFooter, flags(f.tableZstd), w.number)
	if err := w.parseFooter(buf); err != nil {
		return w.fail(fmt.Errorf("the footer doesn't parse: %w", err))
	}
	buf = appendTrailer(buf, w.off)
	w.buf = append(w.buf, buf...)
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.g.Publish(); err != nil {
		return w.fail(err)
	}
	w.off += int64(len(buf))
	w.err = fmt.Errorf("segment %s is sealed", w.Name())
	return nil
}

func (w *Writer) parseFooter(buf []byte) error {
	fr, _, err := frame.Parse(buf)
	if err != nil {
		return err
	}
	f, err := parseFooter(fr)
	if err != nil {
		return err
	}
	rows, err := f.Rows(w.opt.First)
	if err != nil {
		return err
	}
	for i := range w.rows {
		if rows[i] != w.rows[i] {
			return errors.New("its table isn't the segment's")
		}
	}
	return nil
}

// View reads the batches written so far. The caller sees to it that they are durable before it reads them.
func (w *Writer) View() *Reader {
	return &Reader{Header: w.header, r: w.g, sealer: w.opt.Sealer, rows: w.rows[:len(w.rows):len(w.rows)], first: w.first}
}

// Close closes the file. What was not sealed stays as a tail.
func (w *Writer) Close() error { return w.g.Close() }
