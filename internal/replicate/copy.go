package replicate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"golang.org/x/time/rate"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
)

// burstBytes is how much a limited copy reads at once.
const burstBytes = 64 << 10

// Rate makes a limiter of bytes per second; nil for 0.
func Rate(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), burstBytes)
}

// reader reads a file that is being copied: at the pace of a limiter, and with a digest of it all. The last bytes come only once the digest is the right one, so that a Create of other bytes fails.
// It can be read again from the start.
type reader struct {
	ctx   context.Context
	r     io.ReaderAt
	size  int64
	limit *rate.Limiter
	want  *entry.Hash // nil: any
	count func(n int64)

	off int64
	sum hash.Hash
}

func newReader(ctx context.Context, r io.ReaderAt, size int64, limit *rate.Limiter, want *entry.Hash, count func(int64)) *reader {
	return &reader{ctx: ctx, r: r, size: size, limit: limit, want: want, count: count, sum: sha256.New()}
}

// requestBytes is how much is asked for at once of what is no local file: each piece is a request to a server.
const requestBytes = 4 << 20

// Proven reads a file whole, a local one past the page cache where that costs less. Its last bytes come only if all of them hash to want (nil: whatever they hash to), else frame.ErrCorrupt.
// count is told of bytes read; it may be nil.
func Proven(ctx context.Context, f engine.File, want *entry.Hash, count func(n int64)) io.Reader {
	r := newReader(ctx, f, f.Size(), nil, want, count)
	if _, local := f.(engine.Streamer); local {
		return r
	}
	return bufio.NewReaderSize(r, int(min(f.Size(), requestBytes)))
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n := int(min(int64(len(p)), r.size-r.off))
	if r.limit != nil {
		n = min(n, burstBytes)
		if err := r.limit.WaitN(r.ctx, n); err != nil {
			return 0, err
		}
	}
	got, err := engine.ReadStream(r.r, p, r.off, n)
	if len(got) < n {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("the file ends before its length: %w", frame.ErrCorrupt)
		}
		return 0, err
	}
	copy(p, got) // of themselves, but where r.off is in the middle of a block
	r.off += int64(n)
	if r.want != nil {
		r.sum.Write(p[:n])
		if r.off == r.size && entry.Hash(r.sum.Sum(nil)) != *r.want {
			return 0, fmt.Errorf("its SHA-256 is not the one in its pack.seal entry: %w", frame.ErrCorrupt)
		}
	}
	if r.count != nil {
		r.count(int64(n))
	}
	return n, nil
}

// Seek implements io.Seeker, to the start only.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch {
	case offset == 0 && whence == io.SeekCurrent:
		return r.off, nil
	case offset == 0 && whence == io.SeekStart:
		r.off = 0
		r.sum.Reset()
		return 0, nil
	case offset == 0 && whence == io.SeekEnd:
		return r.size, nil // somebody measures
	}
	return 0, errors.New("a file that is being copied is read from its start")
}

// create puts bytes that were made and checked here on the target.
func (s *session) create(ctx context.Context, name string, b []byte) error {
	if err := s.target.Create(ctx, name, int64(len(b)), newReader(ctx, bytes.NewReader(b), int64(len(b)), s.limit, nil, s.bytes)); err != nil {
		return notTaken(name, err)
	}
	return nil
}

// notTaken is why the target did not take a file.
func notTaken(name string, err error) error {
	if err = unwritable(err); errors.Is(err, ErrUnwritable) {
		return err
	}
	return fmt.Errorf("couldn't ship %s: %w", name, err)
}

// copyFile copies a sealed file of the origin byte for byte. want is the digest that it must have, nil if it was checked otherwise.
func (s *session) copyFile(ctx context.Context, name string, f engine.File, want *entry.Hash) error {
	if bug.On(bug.ShipUnverified) {
		want = nil
	}
	err := s.target.Create(ctx, name, f.Size(), newReader(ctx, f, f.Size(), s.limit, want, s.bytes))
	if errors.Is(err, engine.ErrExist) {
		same, serr := s.same(ctx, name, f.Size(), f)
		if serr != nil {
			return serr
		}
		if !same {
			if _, err := io.Copy(io.Discard, newReader(ctx, f, f.Size(), nil, want, nil)); err != nil {
				return fmt.Errorf("couldn't ship %s: %w", name, err) // ours is the one that is wrong
			}
			return fmt.Errorf("%w: it has another %s", ErrForked, name)
		}
		err = nil // our own lost reply
	}
	if err != nil {
		return notTaken(name, err)
	}
	return nil
}

// ReadFull fills b, which is as long as what is read.
func (r *reader) ReadFull(b []byte) (int, error) { return io.ReadFull(r, b) }

// bytesFile is a file in memory.
type bytesFile struct{ b []byte }

func (f bytesFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.b).ReadAt(p, off)
}
func (f bytesFile) Size() int64  { return int64(len(f.b)) }
func (f bytesFile) Close() error { return nil }
