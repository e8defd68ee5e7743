package core

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/body"
)

// slowClose is a body's reader whose end takes its time.
type slowClose struct {
	body.Reader
	begun, end chan struct{}
}

func (r slowClose) Close() error {
	r.begun <- struct{}{}
	<-r.end
	return nil
}

// TestCloseWaitsForAReaderThatEnds: what a reader still fetches while it is closed has ended before the store closes what it reads.
func TestCloseWaitsForAReaderThatEnds(t *testing.T) {
	s := New("data", Options{FS: vfs.NewMem()})
	r := slowClose{begun: make(chan struct{}, 2), end: make(chan struct{})}
	b := s.Track(r, fetchesAhead)
	closed, ended := make(chan struct{}), make(chan struct{})
	go func() { b.Close(); close(closed) }()
	<-r.begun
	if !s.readers[b] {
		t.Error("a reader that has not ended is off the account")
	}
	go func() { s.endReaders(); close(ended) }()
	close(r.end)
	<-closed
	<-ended
	if len(s.readers) != 0 {
		t.Error("a reader that has ended is on the account")
	}
}
