package heal

import (
	"errors"
	"strings"

	"stele/internal/engine"
	"stele/internal/frame"
)

// OfCopy is why a copy could not give a file, with the copy as the subject: `vault hasn't got it`, `nas's copy is damaged (…)`. errors.Is sees err.
func OfCopy(copyName string, err error) error { return &ofCopy{copyName, err} }

type ofCopy struct {
	name string
	err  error
}

func (o *ofCopy) Unwrap() error { return o.err }

func (o *ofCopy) Error() string {
	is := func(kind error) bool { return errors.Is(o.err, kind) }
	switch {
	case is(engine.ErrFull), is(engine.ErrFailed): // it is not the copy that is to blame
		return "the one on " + o.name + " could not be written here: " + Because(o.err)
	case is(engine.ErrNotExist):
		return o.name + " hasn't got it"
	case is(frame.ErrCorrupt), is(ErrUnproven):
		return "the one on " + o.name + " is damaged (" + Because(o.err) + ")"
	}
	return "the one on " + o.name + " can't be read: " + Because(o.err)
}

// Because is an error without what was being done when it happened: who reads it is told that once, in front. `couldn't create packs/x: its SHA-256 is wrong: corrupt` is `its SHA-256 is wrong`.
func Because(err error) string {
	for strings.HasPrefix(err.Error(), "couldn't ") {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	text := err.Error()
	for _, kind := range []error{frame.ErrCorrupt, ErrUnproven} {
		for _, rest := range []string{": " + kind.Error(), kind.Error() + ": "} {
			if short, cut := strings.CutSuffix(text, rest); cut {
				text = short
			} else if short, cut := strings.CutPrefix(text, rest); cut {
				text = short
			}
		}
	}
	return text
}
