package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stele/internal/durable"
	"stele/internal/engine"
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
	inodes      inodes

	refused atomic.Bool // the medium had no room for a write, whatever it says is free: a quota, or no inodes
	probed  time.Time
	probe   error // what the last probe met
}

// inodes are the files that a disk can still hold.
type inodes struct{ free, total uint64 }

// reserveInodes are left for the ledger and the index, which make a file now and then. A pack takes one.
const reserveInodes = 64

// Met notes that a write met a full medium, and translates the error. What the disk says is free does not tell all: from then on Room tries.
func (s *Store) Met(err error) error {
	if noRoom(err) {
		s.space.refused.Store(true)
	}
	return Translate(err)
}

// tryRoom returns nil once the medium has room for a pack again, after it had none. It asks at most once a second.
func (s *Store) tryRoom() error {
	if !s.space.refused.Load() {
		return nil
	}
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	if now := time.Now(); now.Sub(s.space.probed) > spaceKeptFor {
		s.space.probed, s.space.probe = now, s.probeRoom()
	}
	if s.space.probe == nil {
		s.space.refused.Store(false)
		return nil
	}
	return &FullError{What: fmt.Sprintf("it takes no new file of %d MiB (%v)", s.packBytes()>>20, s.space.probe), Helps: "Make room, or raise the quota or the number of files (inodes)", Dir: s.dir}
}

// probeRoom makes a file as a write would begin one, and removes it.
func (s *Store) probeRoom() error {
	path := s.Path("tmp/room-" + durable.Random()) // in the engine's folder of temporary files, which are swept
	f, err := durable.Grow(s.FS, path, durable.GrowOptions{PreallocateBytes: s.packBytes()})
	if err == nil {
		_, err = f.Write([]byte("room"))
		err = errors.Join(err, f.Close())
	}
	if rerr := s.FS.Remove(path); err == nil && !IsNotExist(rerr) {
		err = rerr
	}
	return err
}

func (s *Store) packBytes() int64 {
	if s.opt.PackBytes > 0 {
		return s.opt.PackBytes
	}
	return 64 << 20
}

// Space returns free and total bytes of the disk that holds the store, and whether they could be told.
func (s *Store) Space() (free, total uint64, ok bool) {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	if now := time.Now(); now.Sub(s.space.asked) > spaceKeptFor {
		s.space.asked = now
		u, err := s.FS.GetDiskUsage(s.dir)
		s.space.known = err == nil
		s.space.free, s.space.total = u.AvailBytes, u.TotalBytes
		if s.onDisk() {
			s.space.inodes = inodesOf(s.dir)
		}
	}
	return s.space.free, s.space.total, s.space.known
}

// reserve returns the bytes that bodies may not take.
func reserve(total uint64) uint64 {
	return min(max(reserveMin, total/reserveShare), reserveMax)
}

// Disk is how the disk that holds the store stands.
type Disk struct {
	Free, Total, Reserved uint64 // bytes; the last Reserved ones are for the ledger
	Inodes                uint64 // files that it can still hold; 0: not known, or none
	Known                 bool
}

// Low is less than a twentieth of the disk, or than 10 GiB where that is less, beside what is reserved; or few inodes.
func (d *Disk) Low() bool {
	return d.Known && (d.Free < d.Reserved+min(d.Total/20, 10<<30) || d.Inodes > 0 && d.Inodes < lowInodes)
}

const lowInodes = 1024

// Disk returns how the disk stands.
func (s *Store) Disk() (d Disk) {
	d.Free, d.Total, d.Known = s.Space()
	d.Reserved, d.Inodes = reserve(d.Total), s.freeInodes().free
	return d
}

// Room returns ErrFull while writes of bodies are refused for want of space, else nil.
func (s *Store) Room() error { return s.RoomFor(0) }

func (s *Store) freeInodes() inodes {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return s.space.inodes
}

// RoomFor refuses a body that would touch the reserve; size below 0: not known.
func (s *Store) RoomFor(size int64) error {
	if err := s.tryRoom(); err != nil {
		return err
	}
	free, total, ok := s.Space()
	if n := s.freeInodes(); n.total > 0 && n.free < reserveInodes {
		return &FullError{What: fmt.Sprintf("it has room for %d more files (inodes), and the last %d are reserved for the ledger", n.free, reserveInodes), Helps: "Remove files that are not the store's", Dir: s.dir}
	}
	if !ok || free >= reserve(total)+uint64(max(size, 0)) {
		return nil
	}
	what := fmt.Sprintf("%d MiB are free, and the last %d MiB are reserved for the ledger", free>>20, reserve(total)>>20)
	if size > 0 && free >= reserve(total) {
		what = fmt.Sprintf("%d MiB are free beside the %d MiB that are reserved for the ledger, and this write needs %d MiB", (free-reserve(total))>>20, reserve(total)>>20, (size+1<<20-1)>>20)
	}
	return &FullError{What: what, Helps: "Make room", Dir: s.dir}
}

// FullError is an ErrFull that knows the figures.
type FullError struct {
	What  string // is free, and what is reserved
	Helps string // a sentence without its end
	Dir   string // of the store: for who runs it, not for its clients

	OnlyReads bool // the store was opened for reading only, and takes writes after another start
}

// Error implements error. Its second sentence is the next step.
func (e *FullError) Error() string {
	if e.OnlyReads {
		return fmt.Sprintf("the disk is full: %s. %s on the disk that holds %s, or move the folder to a larger one, then start the server again; until then reads work, and nothing is written", e.What, e.Helps, e.Dir)
	}
	return fmt.Sprintf("the disk is full: %s. %s on the disk that holds %s, or move the folder to a larger one; meanwhile reads and deletes work", e.What, e.Helps, e.Dir)
}

// Unwrap makes it an ErrFull.
func (e *FullError) Unwrap() error { return ErrFull }

// noRoom says whether an error is for want of room, which passes, and not for damage.
func noRoom(err error) bool {
	return errors.Is(err, engine.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// NotAsked says whether a file could not be looked at: nothing is known of it then, and least of all that it is damaged.
func NotAsked(err error) bool {
	for _, why := range []error{syscall.EROFS, syscall.EMFILE, syscall.ENFILE, syscall.EACCES, syscall.EPERM, syscall.ENOMEM} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}

// recoverLeft recovers what a crash left, and what a full disk had no room for at the start, once there is. What is in it stays readable until then.
func (s *Store) recoverLeft(ctx context.Context) error {
	n := s.Body.LeftTails()
	if n == 0 || s.Room() != nil {
		return nil
	}
	if err := s.Body.RecoverLeft(ctx); err != nil {
		return err
	}
	s.Log.Info("recovered what a crash left on the full disk", "tails", n)
	return nil
}
