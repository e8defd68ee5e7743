package stele

import (
	"errors"
	"fmt"
	"time"

	"stele/internal/moment"
)

// Sentinels that callers act on. What a user sees wraps them with the verb that failed and a next step.
var (
	ErrNoBucket        = errors.New("no such bucket")
	ErrNoKey           = errors.New("no such key")
	ErrNoVersion       = errors.New("no such version")
	ErrNoUpload        = errors.New("no such upload")
	ErrBucketExists    = errors.New("bucket exists")
	ErrBucketNotEmpty  = errors.New("bucket is not empty")
	ErrMarker          = errors.New("the version is a delete marker") // a read named it by version id
	ErrPrecondition    = errors.New("precondition failed")            // If-Match, If-None-Match, decided at the commit
	ErrNotModified     = errors.New("not modified")
	ErrBusy            = errors.New("a conflicting write of the same key is under way")
	ErrOverwriteDenied = errors.New("this access key may add but not overwrite")
	ErrKeyRevoked      = errors.New("the access key was revoked")
	ErrRate            = errors.New("the access key causes more entries than its rate allows")
	ErrNoAccessKey     = errors.New("no such access key")
	ErrNoStandby       = errors.New("no such standby")
	ErrIncomplete      = errors.New("the body ended before its declared length")
	ErrTooLong         = errors.New("the body is longer than its declared length")
	ErrInvalidPart     = errors.New("a part is missing or is not the one that was named")
	ErrPartOrder       = errors.New("parts are not in ascending order")
	ErrPartTooSmall    = errors.New("a part other than the last is smaller than 5 MiB")
	ErrBadName         = errors.New("bad name")
	ErrWhich           = errors.New("several answer to that, name one") // it is an ErrBadName as well
	ErrBadRange        = errors.New("range cannot be satisfied")
	ErrBadState        = errors.New("not possible as things are") // versioning cannot be suspended under object lock, …
	ErrTooLarge        = errors.New("too large")
	ErrErased          = errors.New("the bytes were erased")
	ErrFuture          = errors.New("that moment is in the future")
	ErrBadMoment       = moment.ErrUnreadable                      // it is an ErrBadName as well
	ErrBeforeStore     = errors.New("the store did not exist yet") // it is an ErrBadName as well
	ErrCorrupt         = errors.New("damaged")                     // bytes are not what was written; never served
	ErrReadOnly        = errors.New("store is open for reading only")
	ErrUnpromoted      = fmt.Errorf("%w until it is promoted: `stele promote` makes it the primary", ErrReadOnly)
	ErrFull            = errors.New("no space left for writes")
	ErrFailed          = errors.New("storage failed; the store takes no more writes until it is started anew")
	ErrLocked          = errors.New("the store is in use by another process")
	ErrWrongKey        = errors.New("this key does not open the store")
	ErrNotStore        = errors.New("not a Stele store")
	ErrVersion         = errors.New("written by a newer Stele")
	ErrBehind          = errors.New("the ledger is behind what was seen of it")
	ErrSuperseded      = errors.New("another primary has taken over; this store takes no more writes")
	ErrClosed          = errors.New("the store is closed")
)

// RetentionError refuses what Object Lock forbids (S3: AccessDenied). Errors.As tells a caller until when.
type RetentionError struct {
	Bucket, Key, VersionID string
	Mode                   string    // GOVERNANCE or COMPLIANCE; empty: a legal hold
	Until                  time.Time // zero for a legal hold
	Hold                   bool
}

func (e *RetentionError) Error() string {
	if e.Hold && e.Mode == "" {
		return fmt.Sprintf("%s/%s version %s is under a legal hold", e.Bucket, e.Key, e.VersionID)
	}
	return fmt.Sprintf("%s/%s version %s is locked (%s) until %s", e.Bucket, e.Key, e.VersionID, e.Mode, e.Until.UTC().Format(time.RFC3339))
}

// worded is an error of a kind whose message is its own: it doesn't repeat the kind's words.
type worded struct {
	error
	kinds []error
}

func (w worded) Unwrap() []error { return append([]error{w.error}, w.kinds...) }

// badValue is an ErrBadName about what is no name: a role, a rate, a schedule.
func badValue(format string, args ...any) error {
	return ofKind(fmt.Errorf(format, args...), ErrBadName)
}

// badState is an ErrBadState that says what stands in the way: of a bucket, a target, a standby, the store.
func badState(format string, args ...any) error {
	return ofKind(fmt.Errorf(format, args...), ErrBadState)
}

// ofKind makes err an error of further kinds.
func ofKind(err error, kinds ...error) error { return worded{err, kinds} }
