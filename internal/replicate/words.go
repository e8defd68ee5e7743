package replicate

import (
	"errors"
	"fmt"
	"strings"

	"stele/internal/frame"
)

// altered is an ErrAltered in one sentence, if err says that a file of the target is corrupt.
func altered(file string, err error) error {
	if !errors.Is(err, frame.ErrCorrupt) {
		return err
	}
	why := strings.TrimSuffix(err.Error(), ": "+frame.ErrCorrupt.Error())
	return &worded{fmt.Sprintf("%v: %s on the target is not what was shipped (%s). It is left as it is; name another place, or move that file away", ErrAltered, file, why), []error{ErrAltered, err}}
}

// worded is an error whose text says in one sentence what several errors say one after another. errors.Is sees them.
type worded struct {
	text   string
	causes []error
}

func (w *worded) Error() string   { return w.text }
func (w *worded) Unwrap() []error { return w.causes }

// notHealed is why a file that is damaged here was not shipped. What a heal says names the file, its damage and each copy: the first error would only say it once more.
func notHealed(err, why error) error {
	return &worded{fmt.Sprintf("couldn't ship: %v. If a folder somewhere has a copy of it: `stele verify --deep --heal --from COPY`", why), []error{err, why}}
}
