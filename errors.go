package stele

import (
	"errors"

	"stele/internal/core"
	"stele/internal/moment"
)

// Sentinels that callers act on. What a user sees wraps them with the verb that failed and a next step.
var (
	ErrNoBucket        = errors.New("no such bucket")
	ErrNoKey           = core.ErrNoKey
	ErrNoVersion       = errors.New("no such version")
	ErrNoUpload        = errors.New("no such upload")
	ErrBucketExists    = errors.New("bucket exists")
	ErrBucketNotEmpty  = errors.New("bucket is not empty")
	ErrMarker          = errors.New("the version is a delete marker") // a read named it by version id
	ErrPrecondition    = errors.New("precondition failed")            // If-Match, If-None-Match, decided at the commit
	ErrBusy            = errors.New("a conflicting write of the same key is under way")
	ErrOverwriteDenied = errors.New("this access key may add but not overwrite")
	ErrKeyRevoked      = core.ErrKeyRevoked
	ErrRate            = core.ErrRate
	ErrNoAccessKey     = errors.New("no such access key")
	ErrIncomplete      = errors.New("the body ended before its declared length")
	ErrTooLong         = errors.New("the body is longer than its declared length")
	ErrInvalidPart     = errors.New("a part is missing or is not the one that was named")
	ErrPartOrder       = errors.New("parts are not in ascending order")
	ErrPartTooSmall    = errors.New("a part other than the last is smaller than 5 MiB")
	ErrBadName         = core.ErrBadName
	ErrWhich           = core.ErrWhich // it is an ErrBadName as well
	ErrBadRange        = core.ErrBadRange
	ErrBadState        = core.ErrBadState // versioning cannot be suspended under object lock, …
	ErrTooLarge        = core.ErrTooLarge
	ErrErased          = core.ErrErased
	ErrFuture          = core.ErrFuture
	ErrBadMoment       = moment.ErrUnreadable                      // it is an ErrBadName as well
	ErrBeforeStore     = errors.New("the store did not exist yet") // it is an ErrBadName as well
	ErrCorrupt         = core.ErrCorrupt
	ErrReadOnly        = core.ErrReadOnly
	ErrUnpromoted      = core.ErrUnpromoted
	ErrFull            = core.ErrFull
	ErrFailed          = core.ErrFailed
	ErrLocked          = core.ErrLocked
	ErrWrongKey        = core.ErrWrongKey
	ErrNotStore        = core.ErrNotStore
	ErrVersion         = core.ErrVersion
	ErrBehind          = core.ErrBehind
	ErrSuperseded      = core.ErrSuperseded
	ErrClosed          = core.ErrClosed
)

// RetentionError refuses what Object Lock forbids (S3: AccessDenied). Errors.As tells a caller until when.
type RetentionError = core.RetentionError
