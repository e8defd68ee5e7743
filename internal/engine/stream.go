package engine

import (
	"context"
	"io"

	"stele/internal/durable"
)

// Until returns r, which fails once ctx has ended: a copy ends with whoever asked for it.
func Until(ctx context.Context, r io.Reader) io.Reader { return &until{ctx, r} }

type until struct {
	ctx context.Context
	r   io.Reader
}

func (u *until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// Streamer is what a File or a Growing may offer to who reads much of it in large pieces.
type Streamer interface {
	// ReadStream reads n bytes at off, in the way that costs least if they are not read again soon. It returns them, or as many as there are and why,
	// within room, an AlignedBuffer of at least n+StreamRoom bytes; where off is a multiple of durable.BlockBytes, n rounded up to one is enough, and the bytes are at room's start.
	// It may be called concurrently, wherever ReadAt may.
	ReadStream(room []byte, off int64, n int) ([]byte, error)
}

// StreamRoom is by how many bytes the memory for ReadStream is longer than what it reads.
const StreamRoom = durable.StreamRoom

// ReadStream reads as r's own ReadStream does, or as its ReadAt where it has none.
func ReadStream(r io.ReaderAt, room []byte, off int64, n int) ([]byte, error) {
	if s, ok := r.(Streamer); ok {
		return s.ReadStream(room, off, n)
	}
	got, err := r.ReadAt(room[:n], off)
	if got == n {
		err = nil
	}
	return room[:got], err
}
