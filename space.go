package stele

import (
	"fmt"
	"sync"
	"time"
)

// A reserve of the disk is left for the ledger, for the index and for what frees space: writes of bodies are refused before it is touched, reads and hides go on.
const (
	reserveMin   = 64 << 20 // bytes
	reserveShare = 100      // or this part of the disk, whichever is more, up to reserveMax
	reserveMax   = 4 << 30
	spaceKeptFor = time.Second
)

// space is what the disk said last.
type space struct {
	mu          sync.Mutex
	asked       time.Time
	free, total uint64
	known       bool
}

// Space returns free and total bytes of the disk that holds the store, and whether they could be told.
func (s *Store) Space() (free, total uint64, ok bool) {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	if now := time.Now(); now.Sub(s.space.asked) > spaceKeptFor {
		s.space.asked = now
		u, err := s.fs.GetDiskUsage(s.dir)
		s.space.known = err == nil
		s.space.free, s.space.total = u.AvailBytes, u.TotalBytes
	}
	return s.space.free, s.space.total, s.space.known
}

// reserve returns the bytes that bodies may not take.
func reserve(total uint64) uint64 {
	return min(max(reserveMin, total/reserveShare), reserveMax)
}

// Room returns ErrFull while writes of bodies are refused for want of space, else nil.
func (s *Store) Room() error { return s.roomFor(0) }

// roomFor refuses a body that would touch the reserve; size below 0: not known.
func (s *Store) roomFor(size int64) error {
	free, total, ok := s.Space()
	if !ok || free >= reserve(total)+uint64(max(size, 0)) {
		return nil
	}
	return fmt.Errorf("%w: %d MiB are free, of which %d MiB are kept for the ledger. Make room on the disk that holds %s, or move the folder to a larger one; reads and deletes go on",
		ErrFull, free>>20, reserve(total)>>20, s.dir)
}
