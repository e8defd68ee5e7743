package hydrate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
)

// A pack that can't be brought names the pack, each copy with what is wrong with it, and what to do.
func TestWordsOfAPackThatIsLacking(t *testing.T) {
	vault := fmt.Errorf("couldn't create packs/69b8.pack: %w", fmt.Errorf("its SHA-256 is not the one in its pack.seal entry: %w", frame.ErrCorrupt))
	nas := fmt.Errorf("couldn't open packs/69b8.pack: %w", engine.ErrNotExist)
	one := fmt.Errorf("packs/69b8.pack could not be brought: %w", heal.Joined([]error{heal.OfCopy("vault", vault), heal.OfCopy("nas", nas)}))
	got := lacks([]error{one}).Error()
	want := "packs/69b8.pack could not be brought: the one on vault is damaged (its SHA-256 is not the one in its pack.seal entry); nas hasn't got it. The filling goes on by itself once a target has it: "
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s\nwant %s…", got, want)
	}
	if got := lacks([]error{one, one}).Error(); !strings.HasPrefix(got, "2 packs could not be brought; the first: packs/69b8.pack could not") || !errors.Is(lacks([]error{one}), frame.ErrCorrupt) {
		t.Error(got)
	}
	if err := lacks([]error{fmt.Errorf("x: %w", engine.ErrFull)}); strings.Contains(err.Error(), "target") {
		t.Errorf("the disk here is full, and it says: %v", err)
	}
}
