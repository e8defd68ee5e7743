package s3err

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
)

// The shared values of the table must not change under With and Msg.
func TestErrorsAreCopied(t *testing.T) {
	e := ErrNoSuchKey.With("Key", "a")
	a, b := e.With("X", "1"), e.With("Y", "2")
	if len(ErrNoSuchKey.Extra) != 0 || a.Extra[1].Name != "X" || b.Extra[1].Name != "Y" || ErrInvalidRequest.Msg("x").Message != "x" {
		t.Error("shared")
	}
	if !errors.Is(fmt.Errorf("x: %w", a), ErrNoSuchKey) || errors.Is(a, ErrNoSuchBucket) {
		t.Error("Is")
	}
	for _, e := range All() {
		if e.Code == "" || e.Message == "" || http.StatusText(e.Status) == "" {
			t.Errorf("%+v", e)
		}
	}
}
