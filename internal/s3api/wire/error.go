package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"

	"stele/internal/s3api/s3err"
)

// FromError gives the S3 error for any error: itself if it is one, else what a failed read of a body means, else InternalError.
func FromError(err error) *s3err.Error {
	var e *s3err.Error
	var tooLong *http.MaxBytesError
	var ne net.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &tooLong):
		return s3err.ErrMaxMessageLengthExceeded.With("MaxMessageLengthBytes", strconv.FormatInt(tooLong.Limit, 10))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return s3err.ErrContentLengthMismatch
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return s3err.ErrRequestTimeout
	}
	return s3err.ErrInternalError
}
