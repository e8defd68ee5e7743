package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// Follower is a ledger that another process writes. What that one made durable comes here as the bytes of its segments, is checked as a recovery checks a tail
// (leaves, private parts, order, roots, signature), and only then written, byte for byte, to growing files of the same names. So whenever a follower ends, it leaves
// what a crash of the primary would leave.
//
// Check, Accept and Show are called in this order by one goroutine. Everything of Ledger that reads may be called beside them.
type Follower struct {
	*Ledger
	cur *following // nil: the next segment has not begun to come
}

// following is the segment that is arriving.
type following struct {
	name      string
	epoch     uint32
	first     uint64
	start     tree.Frontier // at its first entry
	scan      *segment.Scanner
	src       aheadFile
	rows      []segment.Row // of what was accepted
	firstTime int64
	tail      bool // it comes from a tail of our own

	g    engine.Growing // nil until something was accepted
	file *file          // as readers see it, nil until something was shown
}

// aheadFile is a growing file, followed by bytes that were received and not accepted yet.
type aheadFile struct {
	g       io.ReaderAt
	written int64
	ahead   []byte
}

// ReadAt implements io.ReaderAt over both.
func (a *aheadFile) ReadAt(p []byte, off int64) (n int, err error) {
	if off < a.written {
		if n, err = a.g.ReadAt(p[:min(int64(len(p)), a.written-off)], off); err != nil && (err != io.EOF || n == 0) {
			return n, err
		}
	}
	if n < len(p) && off+int64(n) >= a.written && off+int64(n)-a.written < int64(len(a.ahead)) {
		n += copy(p[n:], a.ahead[off+int64(n)-a.written:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Piece is what Check found in order: whole batches that go on from the ledger's end.
type Piece struct {
	Entries []entry.Entry // without private parts for a follower without keys
	Size    uint64        // of the ledger with them
	Root    tree.Hash
	Note    []byte // the signed checkpoint of that size
	Sealed  bool   // the segment ends with it

	seg      *following
	end      int64 // of the segment's bytes that it holds
	hashes   []tree.Hash
	groups   []tree.Hash
	rows     []segment.Row
	frontier tree.Frontier
	last     segment.Commit
	signer   *tree.Verifier
	first    int64 // time of the segment's first entry
	replaces bool
}

// ErrUnproven: what came is not what its leaves, its root or its signature say.
var ErrUnproven = errors.New("the primary's files are not what it signed")

// Follow opens a ledger for following. Engine must be an engine.Appender whose sealed segments are the primary's. What its tails hold was checked before it was
// written, and is checked again. Nothing is recovered into other files. A tree without entries is no error.
func Follow(ctx context.Context, opt Options) (*Follower, error) {
	l, err := makeLedger(opt, true)
	if err != nil {
		return nil, err
	}
	if err := l.loadSealed(ctx); err != nil {
		return nil, err
	}
	if err := l.standAtEnd(ctx); err != nil {
		return nil, fmt.Errorf("couldn't open the ledger: %w", err)
	}
	l.newestAt = l.head.size
	f := &Follower{Ledger: l}
	if err := f.resume(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't resume following: %w", err), f.Close())
	}
	l.publish.newest = l.Checkpoint()
	return f, nil
}

func (f *Follower) app() engine.Appender { return f.opt.Engine.(engine.Appender) }

// resume copies what the tails hold into fresh growing files: no file is written to again after a crash. Only then they are removed.
func (f *Follower) resume(ctx context.Context) error {
	if _, ok := f.opt.Engine.(engine.Appender); !ok {
		return errors.New("the engine can't append")
	}
	tails, err := segmentTails(ctx, f.app())
	if err != nil {
		return err
	}
	for len(tails) > 0 { // one segment after the other: the tail of the next may begin where this one's ends
		best, piece := -1, (*Piece)(nil)
		for i, t := range tails {
			if t.Name != f.nextName() {
				continue
			}
			p, err := f.checkTail(t)
			if err != nil {
				return fmt.Errorf("tail %s: %w", t.Private, err)
			}
			if p != nil && (piece == nil || p.Size > piece.Size) {
				best, piece = i, p
			}
		}
		if best < 0 {
			break
		}
		f.cur = piece.seg
		if err := f.Accept(ctx, piece); err != nil {
			return err
		}
		f.Show(piece)
		f.Forget() // reserved room, or what was torn
	}
	for _, t := range tails {
		if _, first, _ := segment.ParseName(t.Name); first > f.head.size {
			continue // behind a gap: nothing of ours was ever accepted there, but it is not ours to judge
		}
		if err := f.app().RemoveTail(ctx, t); err != nil {
			return fmt.Errorf("couldn't remove tail %s: %w", t.Private, err)
		}
	}
	return nil
}

// checkTail checks a tail as what came from the primary. nil: it holds no whole batch.
func (f *Follower) checkTail(t engine.Tail) (*Piece, error) {
	file, err := t.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := make([]byte, file.Size())
	if n, err := file.ReadAt(b, 0); n < len(b) {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	seg := f.newSegment()
	seg.src.ahead, seg.tail = b, true
	defer func() { seg.tail = false }()
	p, err := f.check(seg, tree.MaxSize)
	if err == nil && p.Size == f.head.size {
		return nil, nil
	}
	return p, err
}

func (f *Follower) newSegment() *following {
	seg := &following{name: f.nextName(), epoch: f.NextEpoch(), first: f.head.size, start: f.seq.frontier}
	seg.scan = segment.NewScanner(&seg.src, 0, seg.first, f.dataKeys())
	return seg
}

// Want is the segment that is to come next, and from which byte on. id is that of the file that has come so far, zero if none has.
func (f *Follower) Want() (name string, off int64, id frame.FileID) {
	if f.cur == nil {
		return f.nextName(), 0, id
	}
	return f.cur.name, f.cur.src.written + int64(len(f.cur.src.ahead)), f.cur.scan.Header.FileID
}

// Check takes the next bytes of the segment that Want names, and returns what whole batches they complete, none beyond the ledger size limit. Bytes that complete no
// batch are kept for the next call. A Piece without entries has nothing to accept, unless it is Sealed. Errors: ErrUnproven, frame.ErrVersion, that of the key.
func (f *Follower) Check(b []byte, limit uint64) (*Piece, error) {
	if f.cur == nil {
		f.cur = f.newSegment()
	}
	f.cur.src.ahead = append(f.cur.src.ahead, b...)
	p, err := f.check(f.cur, limit)
	if err != nil {
		f.Forget()
	}
	return p, err
}

// Forget drops bytes that were given to Check and not accepted.
func (f *Follower) Forget() {
	if seg := f.cur; seg != nil && seg.g == nil {
		f.cur = nil
	} else if seg != nil {
		seg.src.ahead = nil
		seg.rescan(f.dataKeys(), f.head.size)
	}
}

// rescan begins the scan anew, behind what was accepted.
func (s *following) rescan(keys segment.Keys, size uint64) {
	s.scan = segment.NewScanner(&s.src, s.src.written, s.first, keys)
	for next := s.first; next < size; {
		b, err := s.scan.Next()
		if err != nil {
			return // what was accepted doesn't read back: the next Check says so
		}
		next = b.Commit.Size
	}
}

// Replace checks a whole sealed segment that has the name of the one that came so far and is another file: the primary crashed, and copied its tail into a file of
// its own. It must hold every entry that was accepted.
func (f *Follower) Replace(b []byte) (*Piece, error) {
	old := f.cur
	if old == nil {
		return nil, errors.New("couldn't replace a segment: none has begun to come")
	}
	seg := &following{name: old.name, epoch: old.epoch, first: old.first, start: old.start}
	seg.src.ahead = b
	seg.scan = segment.NewScanner(&seg.src, 0, seg.first, f.dataKeys())
	p, err := f.check(seg, tree.MaxSize)
	switch {
	case err != nil:
		return nil, err
	case !p.Sealed && p.Size != f.endOf(seg.epoch):
		return nil, fmt.Errorf("segment %s was replaced by one that is not sealed: %w", seg.name, ErrUnproven)
	case p.Sealed && seg.scan.Footer().Commit.Size < f.head.size: // p.Size is never below that
		return nil, &BehindError{"this standby", f.head.size, seg.scan.Footer().Commit.Size}
	}
	p.replaces = true
	return p, nil
}

// Accept makes the piece durable, under the primary's bytes. After an error the follower must be opened again.
func (f *Follower) Accept(ctx context.Context, p *Piece) error {
	seg := p.seg
	n := p.end - seg.src.written
	if n == 0 && !p.Sealed {
		return nil
	}
	if seg.g == nil {
		g, err := f.app().Append(ctx, seg.name, engine.AppendOptions{PreallocateBytes: f.opt.SegmentBytes + f.opt.SegmentBytes/4})
		if err != nil {
			return fmt.Errorf("couldn't begin segment %s: %w", seg.name, err)
		}
		seg.g, seg.src.g = g, g
	}
	if n > 0 {
		if _, err := seg.g.Write(seg.src.ahead[:n]); err != nil {
			return f.fail(fmt.Errorf("couldn't write segment %s: %w", seg.name, err))
		}
	}
	if !p.Sealed && p.Size == f.endOf(seg.epoch) {
		if err := f.sealHere(p); err != nil {
			return f.fail(fmt.Errorf("couldn't seal segment %s: %w", seg.name, err))
		}
	} else if p.Sealed {
		if err := seg.g.Publish(); err != nil {
			return f.fail(fmt.Errorf("couldn't publish segment %s: %w", seg.name, err))
		}
	} else if !bug.On(bug.SkipSegmentSync) {
		if err := seg.g.Sync(); err != nil {
			return f.fail(fmt.Errorf("couldn't sync segment %s: %w", seg.name, err))
		}
	}
	seg.src.written += n
	seg.src.ahead = slices.Clone(seg.src.ahead[n:])
	return nil
}

// Show lets readers see an accepted piece.
func (f *Follower) Show(p *Piece) {
	seg := p.seg
	old := f.cur
	f.cur = seg
	seg.rows, seg.firstTime = append(seg.rows, p.rows...), p.first
	view, err := segment.NewView(seg.g, seg.scan.Header, slices.Clip(seg.rows), seg.firstTime, f.dataKeys())
	if err != nil {
		f.fail(err) // the key was there when the piece was checked
		return
	}
	f.mu.Lock()
	if p.Size > f.head.size {
		f.head = head{p.Size, p.Root, p.last, p.signer}
		f.groups = append(f.groups, p.groups...)
		f.blocks = tree.BlockHashes(f.blocks, f.groups)
		f.newest = append(f.newest, p.hashes...)
		f.trim()
		f.seq.frontier = p.frontier
	}
	if p.replaces {
		f.segments = f.segments[:len(f.segments)-1]
	}
	if seg.file == nil {
		seg.file = &file{name: seg.name, first: seg.first, end: f.head.size, firstTime: seg.firstTime}
		f.segments = append(f.segments, seg.file)
	}
	seg.file.view, seg.file.end, seg.file.lastTime, seg.file.sealed = view, f.head.size, f.head.commit.Time, p.Sealed
	note := f.note(f.head)
	f.mu.Unlock()
	f.publish.mu.Lock()
	f.publish.newest = note
	f.publish.mu.Unlock()
	if p.replaces {
		f.drop(old)
	}
	if p.Sealed {
		f.hide(seg.file)
		_ = seg.g.Close() // all is durable under its name
		f.cur = nil
	}
}

// Failed is what ended following, or nil.
func (f *Follower) Failed() error { return f.failed() }

// drop closes a segment that another file replaced. Its tail is removed at the next start.
func (f *Follower) drop(old *following) {
	if old.file != nil {
		f.hide(old.file)
	}
	if old.g != nil {
		_ = old.g.Close() // what it held, the new file holds
	}
}

// Close closes the files. What was not sealed stays as a tail.
func (f *Follower) Close() error {
	var err error
	if f.cur != nil && f.cur.g != nil {
		if f.cur.file != nil {
			f.hide(f.cur.file)
		}
		err = f.cur.g.Close()
	}
	return errors.Join(err, f.Ledger.Close())
}
