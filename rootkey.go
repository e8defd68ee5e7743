package stele

import (
	"context"
	"fmt"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/hydrate"
)

// RootOf reads the root access key that is kept in a folder. ErrNoAccessKey: none is kept there; it is made at the first start that is given none.
func RootOf(folder string, opt Options) (entry.AccessKey, error) {
	opt.ReadOnly = true
	c := folderOf(folder, opt)
	if err := c.LoadRoot(); err != nil {
		return entry.AccessKey{}, err
	}
	if c.Root().ID == "" {
		return entry.AccessKey{}, fmt.Errorf("%w: there is no %s. The root key is configured where the server is started (STELE_ROOT_ACCESS_KEY), or --data names another folder", ErrNoAccessKey, c.Path(core.FileRootKey))
	}
	return c.Root(), nil
}

// IsPrimary reports whether a folder is a primary's already, as far as can be told without opening it: it holds the server's identity, and is neither a standby's nor a copy that nobody has promoted.
func IsPrimary(ctx context.Context, folder string, opt Options) (bool, error) {
	opt.ReadOnly = true
	c := folderOf(folder, opt)
	_, standby, err := PinOf(folder, opt)
	if err != nil || standby {
		return false, err
	}
	if waits, _, err := hydrate.New(c, hydrate.Options{}).CheckFrom(ctx); err != nil || waits {
		return false, err
	}
	switch _, err := c.FS.Stat(c.Path(core.FileIdentity)); {
	case core.IsNotExist(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("couldn't look at %s: %w", c.Path(core.FileIdentity), err)
	}
	switch _, err := c.FS.Stat(c.Path(core.FileSuperseded)); {
	case core.IsNotExist(err):
		return true, nil
	default:
		return false, err
	}
}
