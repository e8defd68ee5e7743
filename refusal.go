package stele

import (
	"context"
	"errors"

	"stele/internal/core"
	"stele/internal/fsck"
	"stele/internal/ledger"
)

// TheFolder is where a verification finds what is wrong with none of the files: the store would not be opened for writing.
const TheFolder = "the folder"

// Refusals says why a server would not open the folder for writing, or not as it is, though all files in it may be as they were written: another primary has taken over, or targets, followers, the published
// checkpoint or the index have seen more of the ledger, or another one, than is here. It asks what the opening asks, and changes nothing; who has the store open for writing has asked already,
// and is told what has happened since. None: it would be opened.
func (s *Store) Refusals(ctx context.Context) ([]error, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	return s.refusals(ctx)
}

func (s *Store) refusals(ctx context.Context) (all []error, err error) {
	if s.core.Unpromoted || s.core.State == core.Serving || s.core.State == core.Following {
		return nil, nil // a copy: others may be ahead of it, and nothing is written in it before it is promoted
	}
	fence := s.core.RefuseSuperseded()
	if s.core.State == core.Primary {
		if fence == nil {
			fence = core.Translate(s.core.Ledger().Err())
		}
		return nonNil(fence), nil
	}
	if fence == nil {
		fence = s.followersSay(ctx)(ctx)
	}
	all = nonNil(fence)
	for _, by := range append(s.seenByTargets(ctx), s.core.SeenByIndex()...) {
		if err := s.core.Ledger().Compare(ctx, by); err != nil {
			all = append(all, core.Translate(s.explained(err)))
		}
	}
	if err := s.core.Ledger().ComparePublished(ctx); err != nil {
		all = append(all, core.Translate(s.explained(err)))
	}
	return all, ctx.Err()
}

// noteRefusals tells a verification why the store would not be opened. That is no damage of a file, and is asked anew at each opening: it is not kept.
func (s *Store) noteRefusals(ctx context.Context, r *fsck.Report, opt VerifyOptions) error {
	all, err := s.refusals(ctx)
	for _, why := range all {
		p := fsck.Problem{Where: TheFolder, What: "a server would not open it as it is: " + why.Error()}
		r.Problems = append(r.Problems, p)
		if opt.Problem != nil {
			opt.Problem(p)
		}
	}
	return err
}

// explained adds to what the ledger says of what it lacks what to do about it.
func (s *Store) explained(err error) error {
	var behind *ledger.BehindError
	if errors.As(err, &behind) {
		return core.BehindError(behind)
	}
	return err
}

func nonNil(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}
