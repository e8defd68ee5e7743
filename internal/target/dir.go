package target

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/dir"
)

// dirKind is a folder on this machine, perhaps of another one's disk.
var dirKind = kind{scheme: "dir", form: "dir:///PATH", open: openDir}

func openDir(_ context.Context, u *url.URL, opt Options) (engine.Engine, Facts, error) {
	if u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" {
		return nil, Facts{}, errors.New("a folder as a target is dir:///PATH, from the root, with three slashes") // the URL may hold a password
	}
	return openFolder(u.Path, opt)
}

func openFolder(path string, opt Options) (engine.Engine, Facts, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("couldn't tell where the folder %s lies: %w", path, err)
	}
	e, err := dir.Open(vfs.Default, path, dir.Options{ReadOnly: opt.ReadOnly, Existing: !opt.Make})
	if errors.Is(err, engine.ErrNotExist) {
		return nil, Facts{}, noFolder{path}
	}
	if err != nil {
		return nil, Facts{}, fmt.Errorf("couldn't open the folder %s: %w", path, err)
	}
	m := thisMachine()
	on := m.mediumOf(path, 0)
	f := Facts{Place: path, Disks: on.disks}
	if opt.Store != "" {
		f.NoCopy = noCopy(m.mediumOf(opt.Store, 0), on, opt.Offsite)
	}
	return e, f, nil
}

// noFolder is an engine.ErrGone that says which folder.
type noFolder struct{ path string }

func (n noFolder) Error() string {
	return "the folder " + n.path + " is not there. Check the path, and whether its disk is mounted; nothing is made in its stead"
}

func (noFolder) Unwrap() error { return engine.ErrGone }
