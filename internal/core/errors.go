package core

import (
	"context"
	"errors"
	"fmt"

	"stele/internal/body"
	"stele/internal/ledger"
)

// Sentinels that callers act on; the root package shows them as its own. What a user sees wraps them with the verb that failed and a next step.
var (
	ErrNoKey      = errors.New("no such key")
	ErrBadName    = errors.New("bad name")
	ErrTooLarge   = errors.New("too large")
	ErrKeyRevoked = errors.New("the access key was revoked")
	ErrRate       = errors.New("the access key causes more entries than its rate allows")
	ErrBadRange   = errors.New("range cannot be satisfied")
	ErrErased     = errors.New("the bytes were erased")
	ErrFuture     = errors.New("that moment is in the future")
	ErrCorrupt    = errors.New("damaged") // bytes are not what was written; never served
	ErrReadOnly   = errors.New("store is open for reading only")
	ErrUnpromoted = fmt.Errorf("%w until it is promoted: `stele promote` makes it the primary", ErrReadOnly)
	ErrStandby    = fmt.Errorf("%w: this is a standby. Write to the primary, or make this one the primary with `stele promote`", ErrReadOnly)
	ErrFull       = errors.New("no space left for writes")
	ErrFailed     = errors.New("storage failed; the store takes no more writes until it is started anew")
	ErrLocked     = errors.New("the store is in use by another process")
	ErrWrongKey   = errors.New("this key does not open the store")
	ErrNotStore   = errors.New("not a Stele store")
	ErrVersion    = errors.New("written by a newer Stele")
	ErrBehind     = errors.New("the ledger is behind what was seen of it")
	ErrSuperseded = errors.New("another primary has taken over; this store takes no more writes")
	ErrClosed     = errors.New("the store is closed")
	ErrBadState   = errors.New("not possible as things are")       // versioning cannot be suspended under object lock, …
	ErrWhich      = errors.New("several answer to that, name one") // it is an ErrBadName as well
)

// BadValue is an ErrBadName about what is no name: a role, a rate, a schedule.
func BadValue(format string, args ...any) error {
	return OfKind(fmt.Errorf(format, args...), ErrBadName)
}

// BadState is an ErrBadState that says what stands in the way: of a bucket, a target, a standby, the store.
func BadState(format string, args ...any) error {
	return OfKind(fmt.Errorf(format, args...), ErrBadState)
}

// BrokeOff says whether looking was ended before it was done, by who asked or by Close.
func BrokeOff(err error) bool {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded, ErrClosed, body.ErrClosed, ledger.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// worded is an error of a kind whose message is its own: it doesn't repeat the kind's words.
type worded struct {
	error
	kinds []error
}

func (w worded) Unwrap() []error { return append([]error{w.error}, w.kinds...) }

// OfKind makes err an error of further kinds.
func OfKind(err error, kinds ...error) error { return worded{err, kinds} }
