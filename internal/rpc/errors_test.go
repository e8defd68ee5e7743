package rpc

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
		wire := ErrorOf(c.err)
		if wire.Code != c.code {
			t.Errorf("%v has the code %q, want %q", c.err, wire.Code, c.code)
		}
		if got := wire.Err(); !errors.Is(got, c.is) || got.Error() != c.err.Error() {
			t.Errorf("%v came over as %v", c.err, got)
		}
	}
	if err := ErrorOf(errors.New("no space left on device")).Err(); errors.Is(err, syscall.ENOSPC) {
		t.Error("words made a full disk")
	}
}

// TestWhoNeedsNoKey: one call lets everybody in, because its argument proves itself.
func TestWhoNeedsNoKey(t *testing.T) {
	for _, r := range All() {
		if (r.Access == Proof) != (r.Name == Learn.Row().Name) {
			t.Errorf("%s may be called by %s", r.Name, r.Access)
		}
	}
}
