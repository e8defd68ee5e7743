package durable

import (
	"errors"
	"os"
)

// ErrLocked: another process holds the folder in a way that excludes this one.
var ErrLocked = errors.New("folder is locked by another process")

// LockFile is the name of the lock in a data folder. It is never removed.
const LockFile = "LOCK"

// Lock is a held lock on a data folder. The system drops it when the process ends, however it ends.
type Lock struct{ f *os.File }

// Close gives the lock back.
func (l *Lock) Close() error {
	if l.f == nil { // of a file system that takes no writes
		return nil
	}
	return l.f.Close()
}
