package stele

import (
	"context"
	"fmt"

	"stele/entry"
)

// RootOf reads the root access key that is kept in a folder. ErrNoAccessKey: none is kept there; it is made at the first start that is given none.
func RootOf(folder string, opt Options) (entry.AccessKey, error) {
	opt.ReadOnly = true
	s := newStore(folder, opt)
	if err := s.loadRoot(); err != nil {
		return entry.AccessKey{}, err
	}
	if s.root.ID == "" {
		return entry.AccessKey{}, fmt.Errorf("%w: there is no %s. The root key is configured where the server is started (STELE_ROOT_ACCESS_KEY), or --data names another folder", ErrNoAccessKey, s.path(fileRootKey))
	}
	return s.root, nil
}

// checkRootID refuses a root key's id that is how the ledger calls somebody else: the trail would not tell who did it. The ids of other keys are made here.
func checkRootID(id string) error {
	if id == actorStele || isActor(id, actorLocal) {
		return badValue("root access key %q: so the ledger calls the store itself (stele) and the command line (local, local:USER). Take another name", id)
	}
	return nil
}

// IsPrimary reports whether a folder is a primary's already, as far as can be told without opening it: it holds the server's identity, and is neither a standby's nor a copy that nobody has promoted.
func IsPrimary(ctx context.Context, folder string, opt Options) (bool, error) {
	opt.ReadOnly = true
	s := newStore(folder, opt)
	_, standby, err := PinOf(folder, opt)
	if err != nil || standby {
		return false, err
	}
	if _, err := s.checkFrom(ctx); err != nil || s.unpromoted {
		return false, err
	}
	switch _, err := s.fs.Stat(s.path(fileIdentity)); {
	case isNotExist(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("couldn't look at %s: %w", s.path(fileIdentity), err)
	}
	switch _, err := s.fs.Stat(s.path(fileSuperseded)); {
	case isNotExist(err):
		return true, nil
	default:
		return false, err
	}
}
