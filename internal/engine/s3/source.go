package s3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"stele/internal/durable"
	"stele/internal/engine"
)

// spoolBytes is up to which size a source that can't be read twice is kept in memory; a larger one goes to a temporary file.
const spoolBytes = 1 << 20

// source is what a file will hold, read once already: its length is right and its digest known before a byte is sent, and it can be sent again.
type source struct {
	io.ReadSeeker
	start  int64 // where it begins
	size   int64
	sha256 [sha256.Size]byte
	close  func()
	failed error // what reading it failed with while it was sent
}

// readSource reads r, which must yield size bytes and no more. An io.ReadSeeker is read in place, from where it stands; anything else is kept aside.
func readSource(ctx context.Context, r io.Reader, size int64) (*source, error) {
	src := &source{size: size, close: func() {}}
	if seeker, ok := r.(io.ReadSeeker); ok {
		if at, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			src.ReadSeeker, src.start = seeker, at
		}
	}
	hash := sha256.New()
	var into io.Writer = hash
	if src.ReadSeeker == nil {
		s, err := src.spool(size)
		if err != nil {
			return nil, err
		}
		into = io.MultiWriter(hash, s)
	}
	// One more than announced, to see that there is no more.
	n, err := io.Copy(into, io.LimitReader(engine.Until(ctx, r), size+1))
	switch {
	case err != nil:
		err = fmt.Errorf("couldn't read the source: %w", err)
	case n != size:
		err = durable.ErrLength
	default:
		hash.Sum(src.sha256[:0])
		err = src.rewind()
	}
	if err != nil {
		src.close()
		return nil, err
	}
	return src, nil
}

// spool makes the place aside.
func (src *source) spool(size int64) (io.Writer, error) {
	if size <= spoolBytes {
		m := &memory{b: make([]byte, 0, max(size, 0)+1)}
		src.ReadSeeker = m
		return m, nil
	}
	f, err := os.CreateTemp("", "stele-upload-")
	if err != nil {
		return nil, fmt.Errorf("couldn't put the source aside: %w", err)
	}
	_ = os.Remove(f.Name()) // gone with its last descriptor, whatever happens to us; where that can't be, close removes it
	src.ReadSeeker = f
	src.close = func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	return f, nil
}

// rewind brings the source to its beginning.
func (src *source) rewind() error {
	if _, err := src.Seek(src.start, io.SeekStart); err != nil {
		return fmt.Errorf("couldn't read the source again: %w", err)
	}
	return nil
}

// body is the source for one request. It has no Seek: what is repeated is ours to decide.
func (src *source) body(ctx context.Context) io.Reader {
	return io.LimitReader(&sending{engine.Until(ctx, src.ReadSeeker), src}, src.size)
}

// sending notes that it was the source that broke, not the line.
type sending struct {
	io.Reader
	src *source
}

func (r *sending) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.src.failed = err
	}
	return n, err
}

// memory is a small place aside.
type memory struct {
	b  []byte
	at int
}

func (m *memory) Write(p []byte) (int, error) {
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) Read(p []byte) (int, error) {
	if m.at >= len(m.b) {
		return 0, io.EOF
	}
	n := copy(p, m.b[m.at:])
	m.at += n
	return n, nil
}

// Seek knows the beginning alone.
func (m *memory) Seek(offset int64, _ int) (int64, error) {
	m.at = int(offset)
	return offset, nil
}
