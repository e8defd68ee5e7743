// Package s3err has the errors of S3: code, message and HTTP status, as a client is told them. How a reply carries one is s3api's.
package s3err

import (
	"fmt"
	"strconv"
)

// Error is an S3 error: what goes into the reply. Values in the table are shared; Msg and With return copies.
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

// NoSuchBucket is ErrNoSuchBucket with the bucket's name, as S3 has it.
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
	return TooSmall(got, limit).With("PartNumber", strconv.Itoa(n)).With("ETag", etag)
}

// TooSmall gives the size in bytes of an object and the smallest allowed.
func TooSmall(got, limit int64) *Error {
	return ErrEntityTooSmall.With("ProposedSize", strconv.FormatInt(got, 10)).With("MinSizeAllowed", strconv.FormatInt(limit, 10))
}

// InvalidRange gives the header and the object's size.
func InvalidRange(header string, size int64) *Error {
	return ErrInvalidRange.With("RangeRequested", header).With("ActualObjectSize", strconv.FormatInt(size, 10))
}
