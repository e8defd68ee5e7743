package replicate

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"stele/internal/durable"
	"stele/internal/engine"
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

// ErrUnwritable: the target is reached and takes nothing: it is full, read-only, not ours to write to, or its disk fails.
var ErrUnwritable = errors.New("the target takes no writes")

// unwritable puts into words why a target did not take a file, where it said so itself. What was full or failed is the target's disk: the engine's errors are hidden, since they would be taken for those of
// the store's own disk. The file isn't named, so that the same reason has the same words at each try.
func unwritable(err error) error {
	why := strings.TrimSuffix(innermost(err).Error(), ".")
	text := ""
	switch {
	case errors.Is(err, engine.ErrFull):
		text = "the target is full (%s). Make room there: what it holds can be restored meanwhile"
	case errors.Is(err, syscall.EROFS):
		text = "the target takes no writes (%s). Look at its disk (dmesg), and mount it for writing: what it holds can be restored meanwhile"
	case errors.Is(err, fs.ErrPermission):
		text = "the target takes no writes (%s). Let the user who runs the server write there"
	case errors.Is(err, syscall.EIO), errors.Is(err, durable.ErrSync), errors.Is(err, engine.ErrFailed):
		text = "the target's disk fails (%s). Look at it (dmesg), or add another target"
	default:
		return err
	}
	return &worded{fmt.Sprintf(text, why), []error{ErrUnwritable}}
}

// innermost is what an error was made of in the end: what the operating system or a server said.
func innermost(err error) error {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if e.Unwrap() == nil {
				return err
			}
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			if len(all) == 0 {
				return err
			}
			err = all[len(all)-1]
		default:
			return err
		}
	}
}
