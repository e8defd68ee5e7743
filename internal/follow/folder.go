package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/epoch"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// Prepare makes an empty folder a standby's: its identity, whose recipient the primary is to admit. A folder that is one already keeps it.
func Prepare(c *core.Store) (recipient string, err error) {
	if c.HasIdentity() {
		_, pinned, err := epoch.PinIn(c)
		if err != nil {
			return "", err
		}
		if !pinned && c.HasFormat() {
			return "", fmt.Errorf("%s holds a store of its own: a standby needs an empty or missing folder", c.Dir())
		}
	} else if empty, err := core.IsEmpty(c.FS, c.Dir()); err != nil {
		return "", err
	} else if !empty {
		return "", fmt.Errorf("%s is not empty: a standby needs an empty or missing folder", c.Dir())
	}
	if err := c.MakeFolder(); err != nil {
		return "", err
	}
	id, err := c.MachineIdentity()
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), nil
}

// CopyKeyring stores a keyring file of the primary's; what is there already is left. core.ErrBadName: the name is no keyring's.
func CopyKeyring(ctx context.Context, c *core.Store, name string, content []byte) error {
	d, err := dir.Open(c.FS, c.Dir(), dir.Options{})
	if err != nil {
		return err
	}
	if f, _ := engine.SplitName(name); f != engine.Keyrings {
		return core.BadValue("%q is not the name of a keyring", name)
	}
	if err := d.Create(ctx, name, int64(len(content)), bytes.NewReader(content)); !errors.Is(err, engine.ErrExist) {
		return err
	}
	return nil
}

// OpensKeyring returns nil if the folder has the keyring of a verifier key's epoch, and opens it: core.ErrWrongKey if not.
func OpensKeyring(ctx context.Context, c *core.Store, vkey string) error {
	d, err := dir.Open(c.FS, c.Dir(), dir.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	id, err := c.Identity()
	if err == nil {
		_, err = keyring.LoadSigner(ctx, d, vkey, id)
	}
	return core.Translate(err)
}

// OnlyTails reports whether all that a standby's folder holds of the epoch that it has turned to is a tail. Which epoch a folder is in is told by its sealed segments, so the tail is to be sealed before
// the folder is promoted (SealTail).
func OnlyTails(ctx context.Context, c *core.Store, pin epoch.Pin) (bool, error) {
	d, err := dir.Open(c.FS, c.Dir(), dir.Options{ReadOnly: true})
	if err != nil {
		return false, err
	}
	known, err := pinnedRing(pin)
	if err != nil {
		return false, err
	}
	newest, err := ledger.NewestEpoch(ctx, d, known)
	return err == nil && newest < pin.Epoch() && (newest > 0 || len(pin.Reigns) > 0), err
}
