package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"stele/internal/s3api"
)

const (
	logDelay = 20 * time.Millisecond // an access line is written this long after it was made, at the latest
	logRoom  = 32 << 10              // bytes that may wait
)

// logBuffer gathers the access lines of busy moments: a system call for each was 6 % of the CPU of small requests. Any other line is written at once, with what waits before it.
// A crash loses at most logDelay of access lines; the ledger, not the log, is the record of what was changed.
type logBuffer struct {
	mu    sync.Mutex
	w     io.Writer
	lines []byte
	timer *time.Timer // running while lines wait
	err   error       // of the last write, for the next caller
}

func newLogBuffer(w io.Writer) *logBuffer {
	b := &logBuffer{w: w}
	b.timer = time.AfterFunc(time.Hour, func() { b.Flush() }) //nolint:errcheck // b.err keeps it
	b.timer.Stop()
	return b
}

// Write keeps whole lines until they are flushed.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) == 0 {
		b.timer.Reset(logDelay)
	}
	b.lines = append(b.lines, p...)
	if len(b.lines) >= logRoom {
		b.flush()
	}
	err := b.err
	b.err = nil
	return len(p), err
}

// Flush writes what waits.
func (b *logBuffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
	return b.err
}

func (b *logBuffer) flush() {
	if len(b.lines) > 0 {
		_, b.err = b.w.Write(b.lines)
		b.lines = b.lines[:0]
	}
}

// flushing is a handler over a logBuffer that lets only access lines wait.
type flushing struct {
	slog.Handler
	buffer *logBuffer
}

func (h flushing) Handle(ctx context.Context, r slog.Record) error {
	if err := h.Handler.Handle(ctx, r); err != nil || r.Message == s3api.AccessLine {
		return err
	}
	return h.buffer.Flush()
}

func (h flushing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushing{h.Handler.WithAttrs(attrs), h.buffer}
}

func (h flushing) WithGroup(name string) slog.Handler {
	return flushing{h.Handler.WithGroup(name), h.buffer}
}
