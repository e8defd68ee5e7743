package segment

import (
	"io"

	"stele/internal/frame"
)

// Over returns a reader that takes the first len(b) bytes of the file from b, which must be what the file held before it was damaged.
func (r *Reader) Over(b []byte) *Reader {
	over := *r
	over.r = overlay{b, r.r}
	return &over
}

type overlay struct {
	b     []byte
	under io.ReaderAt
}

func (o overlay) ReadAt(p []byte, off int64) (n int, err error) {
	if off < int64(len(o.b)) {
		n = copy(p, o.b[off:])
	}
	if n == len(p) {
		return n, nil
	}
	m, err := o.under.ReadAt(p[n:], off+int64(n))
	return n + m, err
}

// Resume scans a file from within: off is where the batch begins whose first entry is next and whose first frame has that number; h is the file's header, as it was written.
func Resume(r io.ReaderAt, sizeBytes int64, h frame.Header, off int64, number uint32, next uint64, keys Keys) (*Scanner, error) {
	sealer, err := keys.sealer(&h)
	return &Scanner{Header: h, win: window{r: r, size: sizeBytes}, sealer: sealer, off: off, number: number, next: next, begun: true}, err
}

// Number is the number that the next frame will have.
func (w *Writer) Number() uint32 { return w.number }
