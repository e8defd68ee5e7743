package replicate

import (
	"errors"
	"fmt"
	"testing"

	"stele/internal/frame"
)

// TestWords: what is wrong with a file is one sentence that names it once, and errors.Is still finds each cause.
func TestWords(t *testing.T) {
	short := fmt.Errorf("it has 5 bytes there and 6 here: %w", frame.ErrCorrupt)
	err := altered("packs/a.pack", short)
	if want := "the target was altered: packs/a.pack on the target is not what was shipped (it has 5 bytes there and 6 here). It is left as it is; name another place, or move that file away"; err.Error() != want {
		t.Errorf("altered:\n%v\nwant\n%s", err, want)
	}
	if !errors.Is(err, ErrAltered) || !errors.Is(err, frame.ErrCorrupt) || !Refused(err) {
		t.Errorf("altered is not an ErrAltered of a corrupt file")
	}
	other := errors.New("no answer")
	if got := altered("packs/a.pack", other); got != other {
		t.Errorf("an error that is no damage: %v", got)
	}
	why := errors.New("packs/a.pack is damaged here, and there is no copy to heal it from; what is wrong with it: trailer")
	err = notHealed(fmt.Errorf("couldn't ship packs/a.pack: trailer: %w", frame.ErrCorrupt), why)
	if want := "couldn't ship: " + why.Error() + ". If a folder somewhere has a copy of it: `stele verify --deep --heal --from COPY`"; err.Error() != want {
		t.Errorf("not healed:\n%v\nwant\n%s", err, want)
	}
	if !errors.Is(err, frame.ErrCorrupt) || !errors.Is(err, why) {
		t.Errorf("a heal that failed hides its causes")
	}
}
