package stele

import (
	"context"
	"fmt"

	"stele/internal/core"
	"stele/internal/epoch"
	"stele/internal/follow"
)

// ErrStandby: the folder is a standby's, which takes no writes. It is ErrReadOnly too.
var ErrStandby = core.ErrStandby

// Standby is a store that follows another one. It reads as any store does and takes no writes.
type Standby struct {
	*Store               // nil without keys
	Follow *follow.Store // takes what the primary has written
}

// OpenStandby opens a standby's folder, which is pinned. With keys: ErrWrongKey if the newest keyring is not wrapped to it (yet).
func OpenStandby(ctx context.Context, folder string, opt Options) (*Standby, error) {
	pin, ok, err := PinOf(folder, opt)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s is no standby's folder", ErrNotStore, folder)
	}
	s := newStore(folder, opt)
	f, err := follow.Open(ctx, s.core, pin, func() { s.replica.Changed.Tell(0) })
	if err != nil {
		return nil, err
	}
	if pin.Keyless {
		s = nil
	}
	return &Standby{s, f}, nil
}

// Close ends following and reading, and gives the folder back. What grew here stays as tails.
func (b *Standby) Close() error { return b.Follow.Close() }

// Dir is the standby's folder.
func (b *Standby) Dir() string { return b.Follow.Dir() }

// NewStandby makes an empty folder a standby's: its identity, whose recipient the primary is to admit. A folder that is one already keeps it.
func NewStandby(folder string, opt Options) (recipient string, err error) {
	return follow.Prepare(folderOf(folder, opt))
}

// PinOf returns what a standby's folder holds fast; false: nothing yet.
func PinOf(folder string, opt Options) (pin StandbyPin, ok bool, err error) {
	return epoch.PinIn(folderOf(folder, opt))
}

// SetPin holds fast whom a standby follows. The store and its key never change once they are pinned.
func SetPin(folder string, opt Options, pin StandbyPin) error {
	return epoch.SetPin(folderOf(folder, opt), pin)
}

// CopyKeyring stores a keyring file of the primary's; what is there already is left.
func CopyKeyring(ctx context.Context, folder string, opt Options, name string, content []byte) error {
	return follow.CopyKeyring(ctx, folderOf(folder, opt), name, content)
}

// OpensKeyring returns nil if a folder has the keyring of a verifier key's epoch, and opens it: ErrWrongKey if not.
func OpensKeyring(ctx context.Context, folder string, opt Options, vkey string) error {
	return follow.OpensKeyring(ctx, folderOf(folder, opt), vkey)
}
