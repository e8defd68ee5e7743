package s3api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// Error is an S3 error: what goes into the reply. Values in the table below are shared; Msg and With return copies.
type Error struct {
	Code    string
	Message string
	Status  int     // HTTP status
	Extra   []Field // elements of this error only, in order, after Message
}

// Field is one extra element of an error document, such as BucketName.
type Field struct{ Name, Value string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is makes errors.Is compare codes, so that an error with extra elements is still its kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Msg returns a copy with another message.
func (e *Error) Msg(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// With returns a copy with one more element.
func (e *Error) With(name, value string) *Error {
	c := *e
	c.Extra = append(e.Extra[:len(e.Extra):len(e.Extra)], Field{name, value})
	return &c
}

// InvalidArgument is the error for one argument: S3 names the argument and repeats its value.
func InvalidArgument(name, value, format string, args ...any) *Error {
	return ErrInvalidArgument.Msg(format, args...).With("ArgumentName", name).With("ArgumentValue", value)
}

// NoSuchBucket, NoSuchKey, NoSuchVersion and NoSuchUpload carry the name that was not found, as S3 does.
func NoSuchBucket(bucket string) *Error { return ErrNoSuchBucket.With("BucketName", bucket) }

// NoSuchKey is ErrNoSuchKey with the key.
func NoSuchKey(key string) *Error { return ErrNoSuchKey.With("Key", key) }

// NoSuchVersion is ErrNoSuchVersion with key and version.
func NoSuchVersion(key, version string) *Error {
	return ErrNoSuchVersion.With("Key", key).With("VersionId", version)
}

// NoSuchUpload is ErrNoSuchUpload with the upload id.
func NoSuchUpload(id string) *Error { return ErrNoSuchUpload.With("UploadId", id) }

// PreconditionFailed names the header that did not hold.
func PreconditionFailed(header string) *Error { return ErrPreconditionFailed.With("Condition", header) }

// MethodNotAllowed names the method and what it was tried on: SERVICE, BUCKET, OBJECT or a sub-resource.
func MethodNotAllowed(method, resource string) *Error {
	return ErrMethodNotAllowed.With("Method", method).With("ResourceType", resource)
}

// EntityTooLarge gives the proposed and the largest size in bytes.
func EntityTooLarge(got, limit int64) *Error {
	return ErrEntityTooLarge.With("ProposedSize", strconv.FormatInt(got, 10)).With("MaxSizeAllowed", strconv.FormatInt(limit, 10))
}

// EntityTooSmall gives the size of part number n and the smallest allowed, in bytes.
func EntityTooSmall(got, limit int64, n int, etag string) *Error {
	return entityTooSmall(got, limit).With("PartNumber", strconv.Itoa(n)).With("ETag", etag)
}

func entityTooSmall(got, limit int64) *Error {
	return ErrEntityTooSmall.With("ProposedSize", strconv.FormatInt(got, 10)).With("MinSizeAllowed", strconv.FormatInt(limit, 10))
}

// InvalidRange gives the header and the object's size.
func InvalidRange(header string, size int64) *Error {
	return ErrInvalidRange.With("RangeRequested", header).With("ActualObjectSize", strconv.FormatInt(size, 10))
}

// FromError gives the S3 error for any error: itself if it is one, else what a failed read of a body means, else InternalError.
func FromError(err error) *Error {
	var e *Error
	var tooLong *http.MaxBytesError
	var ne net.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &tooLong):
		return ErrMaxMessageLengthExceeded.With("MaxMessageLengthBytes", strconv.FormatInt(tooLong.Limit, 10))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrContentLengthMismatch
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return ErrRequestTimeout
	}
	return ErrInternalError
}

// ReplyIDs are what every reply carries, so that a log line, an entry and a client's report can be joined.
type ReplyIDs struct {
	RequestID string // x-amz-request-id
	HostID    string // x-amz-id-2
}

// Set writes the ids into the reply's header.
func (ids ReplyIDs) Set(h http.Header) {
	h["X-Amz-Request-Id"] = []string{ids.RequestID}
	h["X-Amz-Id-2"] = []string{ids.HostID}
}

// AppendError appends e's XML document. resource is the path of the request; empty: left out.
func AppendError(b []byte, e *Error, resource string, ids ReplyIDs) []byte {
	w := xw{b: append(b, xmlHeader...)}
	w.open("Error")
	w.str("Code", e.Code)
	w.str("Message", e.Message)
	for _, f := range e.Extra {
		w.str(f.Name, f.Value)
	}
	if resource != "" {
		w.str("Resource", resource)
	}
	w.str("RequestId", ids.RequestID)
	w.str("HostId", ids.HostID)
	w.close("Error")
	return w.b
}

// WriteError sends err as an S3 error reply. A HEAD request and a 304 get no body, as HTTP demands.
func WriteError(w http.ResponseWriter, r *http.Request, err error, ids ReplyIDs) *Error {
	e := FromError(err)
	h := w.Header()
	ids.Set(h)
	if r.Method == http.MethodHead || e.Status == http.StatusNotModified {
		w.WriteHeader(e.Status)
		return e
	}
	body := AppendError(nil, e, "", ids)
	h["Content-Type"] = []string{"application/xml"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(e.Status)
	w.Write(body) //nolint:errcheck // the client is gone; nobody is left to tell
	return e
}
