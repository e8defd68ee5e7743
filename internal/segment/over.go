package segment

import "io"

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
