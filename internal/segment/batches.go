package segment

import (
	"fmt"

	"stele/internal/frame"
)

// Batches calls fn for each batch of the entries from to to-1, commit included, in order, until its first error, which it returns. from must begin a batch of the segment and
// to end one. Beside a writer it reads what the reader showed when it was made. The pairs have their times; a batch may be kept.
func (r *Reader) Batches(from, to uint64, fn func(Batch) error) error {
	first, ok1 := r.Find(from)
	last, ok2 := r.Find(to - 1)
	if !ok1 || !ok2 || from >= to || r.rows[first].First != from || r.rows[last].First+uint64(r.rows[last].Count) != to {
		return fmt.Errorf("entries %d to %d are no whole batches of segment %s: %w", from, to-1, Name(r.Header.Epoch, r.Header.First), frame.ErrCorrupt)
	}
	end := r.rows[last].Off + int64(r.rows[last].Len) + frame.FrameHeaderSize + commitSize
	s := &Scanner{Header: r.Header, win: window{r: r.r, size: end}, sealer: r.sealer, off: r.rows[first].Off, next: from, begun: true}
	fr, _, err := s.frame(s.off)
	if err == nil {
		err = s.why
	}
	if err != nil {
		return fmt.Errorf("couldn't read the batch of entry %d: %w", from, notTorn(err))
	}
	s.number = fr.Number
	row := first
	for s.next < to {
		b, err := s.Next()
		if err != nil {
			return fmt.Errorf("couldn't read the batch of entry %d of segment %s: %w", s.next, Name(r.Header.Epoch, r.Header.First), orBroken(err, s.why))
		}
		for i := range b.Pairs {
			b.Pairs[i].LastTime = r.rows[row].LastTime
			row++
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// orBroken says why a file that should hold more batches does not.
func orBroken(err, why error) error {
	if why != nil {
		return notWhole(why)
	}
	return err
}
