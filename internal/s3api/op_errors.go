package s3api

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"stele"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// s3Error is the S3 error for an error of the store.
func (c *call) s3Error(err error) *s3err.Error {
	var e *s3err.Error
	if errors.As(err, &e) {
		return e
	}
	if isRetention(err) {
		return s3err.ErrLocked
	}
	for i := range storeErrors {
		if errors.Is(err, storeErrors[i].from) {
			return storeErrors[i].to(c, err)
		}
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return s3err.ErrSlowDown.Msg("The server has no free file descriptor.") // it passes
	}
	if errors.Is(err, context.Canceled) && c.ctx.Err() != nil {
		return s3err.ErrRequestTimeout // nobody reads it
	}
	return wire.FromError(err)
}

func exactly(e *s3err.Error) func(*call, error) *s3err.Error {
	return func(*call, error) *s3err.Error { return e }
}

// said passes on what the store says, under S3's code.
func said(e *s3err.Error) func(*call, error) *s3err.Error {
	return func(_ *call, err error) *s3err.Error { return e.Msg("%s", sentence(err)) }
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
	to   func(*call, error) *s3err.Error
}{
	{stele.ErrNoBucket, func(c *call, _ error) *s3err.Error { return s3err.NoSuchBucket(c.q.Bucket) }},
	{stele.ErrNoKey, func(c *call, _ error) *s3err.Error { return s3err.NoSuchKey(c.q.Key) }},
	{stele.ErrNoVersion, func(c *call, _ error) *s3err.Error { return s3err.NoSuchVersion(c.q.Key, c.q.VersionID) }},
	{stele.ErrNoUpload, func(c *call, _ error) *s3err.Error { return s3err.NoSuchUpload(c.q.Query.Get("uploadId")) }},
	{stele.ErrMarker, func(c *call, _ error) *s3err.Error { return s3err.MethodNotAllowed(c.r.Method, "DeleteMarker") }},
	{stele.ErrBucketNotEmpty, func(c *call, _ error) *s3err.Error {
		if c.versioned() {
			return s3err.ErrVersionedBucketNotEmpty
		}
		return s3err.ErrBucketNotEmpty
	}},
	{stele.ErrPrecondition, func(c *call, _ error) *s3err.Error { return s3err.PreconditionFailed(c.conditionHeader()) }},
	{stele.ErrBusy, exactly(s3err.ErrConditionalConflict)},
	{stele.ErrOverwriteDenied, said(s3err.ErrAccessDenied)},
	{stele.ErrKeyRevoked, exactly(s3err.ErrInvalidAccessKeyID)},
	{stele.ErrRate, exactly(s3err.ErrSlowDown)},
	{stele.ErrIncomplete, exactly(s3err.ErrContentLengthMismatch)},
	{stele.ErrTooLong, exactly(s3err.ErrContentLengthMismatch)},
	{stele.ErrPartTooSmall, exactly(s3err.ErrEntityTooSmall)},
	{stele.ErrInvalidPart, exactly(s3err.ErrInvalidPart)},
	{stele.ErrPartOrder, exactly(s3err.ErrInvalidPartOrder)},
	{stele.ErrBadRange, exactly(s3err.ErrInvalidRange)},
	{stele.ErrBadName, func(c *call, err error) *s3err.Error {
		if c.q.Key == "" {
			return s3err.ErrInvalidBucketName.With("BucketName", c.q.Bucket)
		}
		return s3err.ErrInvalidArgument.Msg("%s", sentence(err))
	}},
	{stele.ErrBadState, said(s3err.ErrInvalidBucketState)},
	{stele.ErrTooLarge, exactly(s3err.ErrMetadataTooLarge)},
	{stele.ErrErased, exactly(s3err.ErrErased)},
	{stele.ErrFuture, said(s3err.ErrInvalidArgument)},
	{stele.ErrReadOnly, said(s3err.ErrAccessDenied)},
	{stele.ErrFull, func(_ *call, err error) *s3err.Error {
		var full *stele.FullError
		if errors.As(err, &full) && full.OnlyReads {
			return s3err.ErrStorageFull.Msg("The disk of the server is full. Whoever runs it has to make room there and start it again; until then reads work.")
		}
		if full != nil { // the figures, and not where on the server the folder is
			return s3err.ErrStorageFull.Msg("The disk of the server is full: %s. Whoever runs it has to make room there; meanwhile reads and deletes work.", full.What)
		}
		return s3err.ErrStorageFull
	}},
	{stele.ErrFailed, exactly(s3err.ErrServiceUnavailable)},
	{stele.ErrClosed, exactly(s3err.ErrServiceUnavailable)},
	{stele.ErrSuperseded, exactly(s3err.ErrServiceUnavailable)},
}

// conditionHeader guesses which condition of the request did not hold, for the error's element Condition.
func (c *call) conditionHeader() string {
	for _, h := range [...]string{"If-Match", "If-None-Match", "If-Unmodified-Since", "X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		if wire.First(c.r.Header, h) != "" {
			return strings.ToLower(h)
		}
	}
	return "If-Match"
}
