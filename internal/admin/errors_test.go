package admin

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"stele"
)

// TestSystemErrorsOnTheWire: a client knows a full disk and a failing one of the server by their errors, not by their words; what Stele calls by a name of its own has no second one.
func TestSystemErrorsOnTheWire(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
		is   error
	}{
		{fmt.Errorf("couldn't write the kit: %w", &os.PathError{Op: "write", Path: "kit", Err: syscall.ENOSPC}), "NoSpace", syscall.ENOSPC},
		{fmt.Errorf("couldn't read: %w", syscall.EIO), "IO", syscall.EIO},
		{fmt.Errorf("%w: %w", stele.ErrFull, syscall.ENOSPC), "Full", stele.ErrFull},
		{fmt.Errorf("%w: %w", stele.ErrFailed, syscall.EIO), "Failed", stele.ErrFailed},
	} {
		wire := toWire(c.err)
		if wire.Code != c.code {
			t.Errorf("%v has the code %q, want %q", c.err, wire.Code, c.code)
		}
		if got := wire.err(); !errors.Is(got, c.is) || got.Error() != c.err.Error() {
			t.Errorf("%v came over as %v", c.err, got)
		}
	}
	if err := toWire(errors.New("no space left on device")).err(); errors.Is(err, syscall.ENOSPC) {
		t.Error("words made a full disk")
	}
}

// TestWhoNeedsNoKey: one method lets everybody in, because what it is given proves itself.
func TestWhoNeedsNoKey(t *testing.T) {
	for name, m := range methods {
		if m.anyone != (name == "Learn") {
			t.Errorf("%s may be called without a key: %t", name, m.anyone)
		}
	}
}
