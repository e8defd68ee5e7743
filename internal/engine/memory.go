package engine

import (
	"bytes"
	"context"
)

// Memory is an Appender whose one growing file is in memory, so that what writes segments and packs every day writes those as well that are to be sent or compared. Nothing but Append may be asked of it, once.
type Memory struct {
	Appender // nil
	buf      bytes.Buffer
}

// Append implements Appender.
func (m *Memory) Append(context.Context, string, AppendOptions) (Growing, error) { return m, nil }

// Align implements Growing.
func (m *Memory) Align() int { return 1 }

// Write implements Growing.
func (m *Memory) Write(p []byte) (int, error) { return m.buf.Write(p) }

// Sync implements Growing.
func (m *Memory) Sync() error { return nil }

// Publish implements Growing.
func (m *Memory) Publish() error { return nil }

// Close implements Growing.
func (m *Memory) Close() error { return nil }

// ReadAt implements Growing.
func (m *Memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.buf.Bytes()).ReadAt(p, off)
}

// Bytes is what was written.
func (m *Memory) Bytes() []byte { return m.buf.Bytes() }

// BytesFile is a file whose content is at hand.
type BytesFile struct{ *bytes.Reader }

// NewBytesFile returns a file of b.
func NewBytesFile(b []byte) BytesFile { return BytesFile{bytes.NewReader(b)} }

// Close implements File.
func (BytesFile) Close() error { return nil }
