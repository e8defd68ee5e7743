package heal

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"stele/internal/engine"
	"stele/internal/frame"
)

// What a copy could not give is said with the copy as the subject, once, and without the names of kinds.
func TestWordsOfACopy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("couldn't open packs/x: %w", engine.ErrNotExist), "nas hasn't got it"},
		{fmt.Errorf("couldn't create packs/x: %w", fmt.Errorf("its SHA-256 is not the one in its pack.seal entry: %w", frame.ErrCorrupt)),
			"the one on nas is damaged (its SHA-256 is not the one in its pack.seal entry)"},
		{fmt.Errorf("couldn't replace packs/x: %w", fmt.Errorf("%w: %w", ErrUnproven, errors.New("SHA-256 ab, should be cd"))), "the one on nas is damaged (SHA-256 ab, should be cd)"},
		{fmt.Errorf("couldn't open packs/x: %w", io.ErrUnexpectedEOF), "the one on nas can't be read: unexpected EOF"},
		{fmt.Errorf("couldn't create packs/x: %w", engine.ErrFull), "the one on nas could not be written here: no space left"},
		{errors.New("couldn't say why"), "the one on nas can't be read: couldn't say why"},
	} {
		err := OfCopy("nas", c.err)
		if err.Error() != c.want {
			t.Errorf("%q: %q, want %q", c.err, err, c.want)
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%q lost its cause", err)
		}
	}
}
