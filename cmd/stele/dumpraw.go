package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"stele"
	"stele/internal/frame"
)

type dumpRawCmd struct {
	File string `arg:"" help:"A segment or pack, sealed or growing."`
}

// frameKinds are the names of frames. Frozen.
var frameKinds = map[frame.Kind]string{
	frame.KindLeaves: "leaves", frame.KindPrivates: "privates", frame.KindCommit: "commit",
	frame.KindChunk: "chunk", frame.KindPad: "pad", frame.KindFooter: "footer",
}

func (c *dumpRawCmd) Run(ctx context.Context, a *app) error {
	f, err := os.Open(c.File)
	if err != nil {
		return sourceError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sourceError(err)
	}
	var b [frame.HeaderSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return fmt.Errorf("%w: %s is too short to be a segment or a pack", stele.ErrCorrupt, c.File)
	}
	magic := string(b[:8])
	if magic != frame.MagicSegment && magic != frame.MagicPack {
		return fmt.Errorf("%s is neither a segment nor a pack: it begins with %q", c.File, magic)
	}
	h, err := frame.ParseHeader(b[:], magic)
	switch {
	case errors.Is(err, frame.ErrVersion):
		return fmt.Errorf("%w: %s: %w", stele.ErrVersion, c.File, err)
	case err != nil:
		return fmt.Errorf("%w: %s: %w", stele.ErrCorrupt, c.File, err)
	}
	if err := printHeader(a, &h, info.Size()); err != nil {
		return err
	}
	return rawFrames(ctx, a, f, info.Size())
}

func printHeader(a *app, h *frame.Header, bytes int64) error {
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "magic": h.Magic, "version": h.Version, "key_id": h.KeyID, "file_id": hex.EncodeToString(h.FileID[:]),
			"epoch": h.Epoch, "first": h.First, "store": hex.EncodeToString(h.StoreID[:]), "bytes": bytes})
	}
	_, err := fmt.Fprintf(a.stdout, "%s version %d, store %x, epoch %d, first entry %d, key %d, %d bytes\nfile id %x\n%12s  %-8s  %5s  %8s  %10s\n",
		h.Magic, h.Version, h.StoreID, h.Epoch, h.First, h.KeyID, bytes, h.FileID, "OFFSET", "KIND", "FLAGS", "NUMBER", "LENGTH")
	return err
}

// rawFrames prints one frame after the other, each with its CRC checked, until there are no more.
func rawFrames(ctx context.Context, a *app, r io.ReaderAt, end int64) error {
	var buf []byte
	for off := int64(frame.HeaderSize); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, n, err := readFrame(r, off, end, &buf)
		switch {
		case errors.Is(err, frame.ErrEnd):
			return rawEnd(a, off, "end: reserved room or nothing")
		case errors.Is(err, frame.ErrTorn):
			return rawEnd(a, off, "the file ends inside a frame: normal in one that was growing when the power went")
		case err != nil:
			return fmt.Errorf("%w: at offset %d: %w", stele.ErrCorrupt, off, err)
		}
		if a.cli.JSON {
			err = a.document(map[string]any{"v": 1, "offset": off, "kind": frameKinds[f.Kind], "flags": f.Flags, "number": f.Number, "length": n})
		} else {
			_, err = fmt.Fprintf(a.stdout, "%12d  %-8s  %5d  %8d  %10d\n", off, frameKinds[f.Kind], f.Flags, f.Number, n)
		}
		if err != nil {
			return err
		}
		if off += int64(n); f.Kind == frame.KindFooter {
			return rawEnd(a, off, fmt.Sprintf("trailer, %d bytes", end-off))
		}
	}
}

func rawEnd(a *app, off int64, what string) error {
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "offset": off, "end": what})
	}
	_, err := fmt.Fprintf(a.stdout, "%12d  %s\n", off, what)
	return err
}

// readFrame reads the frame at off into buf, which grows as needed.
func readFrame(r io.ReaderAt, off, end int64, buf *[]byte) (frame.Frame, int, error) {
	if off == end {
		return frame.Frame{}, 0, frame.ErrEnd
	}
	head := make([]byte, min(frame.FrameHeaderSize, end-off))
	if _, err := r.ReadAt(head, off); err != nil {
		return frame.Frame{}, 0, err
	}
	n, err := frame.Length(head)
	if err != nil {
		return frame.Frame{}, 0, err
	}
	if off+int64(n) > end {
		return frame.Frame{}, 0, frame.ErrTorn
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	b := (*buf)[:n]
	if _, err := r.ReadAt(b, off); err != nil {
		return frame.Frame{}, 0, err
	}
	return frame.Parse(b)
}
