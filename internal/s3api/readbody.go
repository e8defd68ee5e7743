package s3api

import (
	"bytes"
	"io"
	"strconv"

	"stele/internal/s3api/s3err"
)

// Bodies are read whole before they are parsed, so their size is what one request can cost. AWS's own caps where it names one.
const (
	MaxConfigBytes   = 512 << 10 // any bucket or object setting in XML
	MaxDeleteBytes   = 4 << 20   // DeleteObjects: 1,000 keys of 1,024 bytes, escaped
	MaxCompleteBytes = 4 << 20   // CompleteMultipartUpload: 10,000 parts with ETag and checksum
)

// readSized reads a body of at most limit bytes, which says that it has size bytes (below 0: it doesn't say), so that they are allocated once. A longer one is
// ErrMaxMessageLengthExceeded, and nothing beyond the limit is kept.
func readSized(r io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(size, 0), limit)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, s3err.ErrMaxMessageLengthExceeded.With("MaxMessageLengthBytes", strconv.FormatInt(limit, 10))
	}
	return b.Bytes(), nil
}
