package s3api

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"stele"
)

// s3Error is the S3 error for an error of the store.
func (c *call) s3Error(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if isRetention(err) {
		return ErrLocked
	}
	for i := range storeErrors {
		if errors.Is(err, storeErrors[i].from) {
			return storeErrors[i].to(c, err)
		}
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return ErrSlowDown.Msg("The server has no free file descriptor.") // it passes
	}
	if errors.Is(err, context.Canceled) && c.ctx.Err() != nil {
		return ErrRequestTimeout // nobody reads it
	}
	return FromError(err)
}

func exactly(e *Error) func(*call, error) *Error { return func(*call, error) *Error { return e } }

// said passes on what the store says, under S3's code.
func said(e *Error) func(*call, error) *Error {
	return func(_ *call, err error) *Error { return e.Msg("%s", sentence(err)) }
}

func sentence(err error) string {
	s := err.Error()
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// storeErrors translates, in order.
var storeErrors = []struct {
	from error
	to   func(*call, error) *Error
}{
	{stele.ErrNoBucket, func(c *call, _ error) *Error { return NoSuchBucket(c.q.Bucket) }},
	{stele.ErrNoKey, func(c *call, _ error) *Error { return NoSuchKey(c.q.Key) }},
	{stele.ErrNoVersion, func(c *call, _ error) *Error { return NoSuchVersion(c.q.Key, c.q.VersionID) }},
	{stele.ErrNoUpload, func(c *call, _ error) *Error { return NoSuchUpload(c.q.Query.Get("uploadId")) }},
	{stele.ErrMarker, func(c *call, _ error) *Error { return MethodNotAllowed(c.r.Method, "DeleteMarker") }},
	{stele.ErrBucketNotEmpty, func(c *call, _ error) *Error {
		if c.versioned() {
			return ErrVersionedBucketNotEmpty
		}
		return ErrBucketNotEmpty
	}},
	{stele.ErrPrecondition, func(c *call, _ error) *Error { return PreconditionFailed(c.conditionHeader()) }},
	{stele.ErrBusy, exactly(ErrConditionalConflict)},
	{stele.ErrOverwriteDenied, said(ErrAccessDenied)},
	{stele.ErrKeyRevoked, exactly(ErrInvalidAccessKeyID)},
	{stele.ErrRate, exactly(ErrSlowDown)},
	{stele.ErrIncomplete, exactly(ErrContentLengthMismatch)},
	{stele.ErrTooLong, exactly(ErrContentLengthMismatch)},
	{stele.ErrPartTooSmall, exactly(ErrEntityTooSmall)},
	{stele.ErrInvalidPart, exactly(ErrInvalidPart)},
	{stele.ErrPartOrder, exactly(ErrInvalidPartOrder)},
	{stele.ErrBadRange, exactly(ErrInvalidRange)},
	{stele.ErrBadName, func(c *call, err error) *Error {
		if c.q.Key == "" {
			return ErrInvalidBucketName.With("BucketName", c.q.Bucket)
		}
		return ErrInvalidArgument.Msg("%s", sentence(err))
	}},
	{stele.ErrBadState, said(ErrInvalidBucketState)},
	{stele.ErrTooLarge, exactly(ErrMetadataTooLarge)},
	{stele.ErrErased, exactly(ErrErased)},
	{stele.ErrFuture, said(ErrInvalidArgument)},
	{stele.ErrReadOnly, said(ErrAccessDenied)},
	{stele.ErrFull, func(_ *call, err error) *Error {
		var full *stele.FullError
		if errors.As(err, &full) && full.OnlyReads {
			return ErrStorageFull.Msg("The disk of the server is full. Whoever runs it has to make room there and start it again; until then reads work.")
		}
		if full != nil { // the figures, and not where on the server the folder is
			return ErrStorageFull.Msg("The disk of the server is full: %s. Whoever runs it has to make room there; meanwhile reads and deletes work.", full.What)
		}
		return ErrStorageFull
	}},
	{stele.ErrFailed, exactly(ErrServiceUnavailable)},
	{stele.ErrClosed, exactly(ErrServiceUnavailable)},
	{stele.ErrSuperseded, exactly(ErrServiceUnavailable)},
}

// conditionHeader guesses which condition of the request did not hold, for the error's element Condition.
func (c *call) conditionHeader() string {
	for _, h := range [...]string{"If-Match", "If-None-Match", "If-Unmodified-Since", "X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		if firstOf(c.r.Header, h) != "" {
			return strings.ToLower(h)
		}
	}
	return "If-Match"
}
