package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"stele/internal/s3api/s3err"
)

func TestFromError(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{errors.New("disk on fire"), "InternalError"}, {fmt.Errorf("x: %w", s3err.ErrSlowDown), "SlowDown"}, {io.ErrUnexpectedEOF, "IncompleteBody"},
		{&http.MaxBytesError{Limit: 5}, "MaxMessageLengthExceeded"}, {t.Context().Err(), "InternalError"},
	} {
		if c.err == nil {
			continue
		}
		if got := FromError(c.err); got.Code != c.code {
			t.Errorf("%v: %s", c.err, got.Code)
		}
	}
	if e := FromError(errors.New("secret path /x")); strings.Contains(e.Message, "secret") {
		t.Error("an internal error shows its cause")
	}
}
