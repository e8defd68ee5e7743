package ledger

import (
	"io"

	"stele/internal/frame"
)

// Growing is a segment that grows, as one that copies it sees it.
type Growing struct {
	Name         string
	FileID       frame.FileID // after a crash another file may have the name
	DurableBytes int64        // whole batches, which an fsync covers
	Size         uint64       // of the ledger at that length
}

// Growing lists the segments that are not sealed yet, in order, and the newest durable checkpoint, all as of one moment.
func (l *Ledger) Growing() (note []byte, size uint64, growing []Growing) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, f := range l.segments {
		if v := f.view; !f.sealed && v != nil {
			growing = append(growing, Growing{f.name, v.Header.FileID, v.EndBytes(), f.end})
		}
	}
	return l.note(l.head), l.head.size, growing
}

// OpenGrowing returns the durable bytes of a segment that grows; ok is false if no such segment does. The caller calls release when done: sealing waits for it.
func (l *Ledger) OpenGrowing(name string) (r io.ReaderAt, sizeBytes int64, release func(), ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, f := range l.segments {
		if v := f.view; f.name == name && !f.sealed && v != nil {
			f.users.Add(1)
			if f.over != nil {
				v = v.Over(f.over)
			}
			return v, v.EndBytes(), f.users.Done, true
		}
	}
	return nil, 0, nil, false
}
