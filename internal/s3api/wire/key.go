package wire

import (
	"strconv"

	"stele/internal/s3api/s3err"
)

// MaxKeyBytes is how long a key may be, as at AWS.
const MaxKeyBytes = 1024

// KeyTooLong is the error for a key of n bytes.
func KeyTooLong(n int) error {
	return s3err.ErrKeyTooLong.With("Size", strconv.Itoa(n)).With("MaxSizeAllowed", strconv.Itoa(MaxKeyBytes))
}
