package stele

import (
	"context"
	"errors"

	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/fsck"
	"stele/internal/ledger"
)

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
	if s.core.IsCopy() {
		return nil, nil // a copy: others may be ahead of it, and nothing is written in it before it is promoted
	}
	fence := s.core.RefuseSuperseded()
	if s.core.State() == core.Primary {
		if fence == nil {
			fence = core.Translate(s.core.Ledger().Err())
		}
		return nonNil(fence), nil
	}
	if fence == nil {
		fence = s.epochs.FollowersSay(ctx)(ctx)
	}
	all = nonNil(fence)
	for _, by := range append(s.backup.SeenByTargets(ctx), s.core.SeenByIndex()...) {
		if err := s.core.Ledger().Compare(ctx, by); err != nil {
			all = append(all, core.Translate(s.explained(err)))
		}
	}
	if err := s.core.Ledger().ComparePublished(ctx); err != nil {
		all = append(all, core.Translate(s.explained(err)))
	}
	return all, ctx.Err()
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

// VerifyReport is what a verification read, found and healed.
type VerifyReport = fsck.Report

// VerifyProblem is one thing that a verification found wrong: where, and what.
type VerifyProblem = fsck.Problem

// VerifyOptions say how far a verification of the store goes.
type VerifyOptions struct {
	By       Actor
	Deep     bool                    // read and hash every byte
	Heal     bool                    // replace what is damaged by proven copies
	Progress func(done, total int64) // bytes; may be nil
	Problem  func(p VerifyProblem)   // told as it is found; may be nil
}

// Verify verifies the store from its files up and, unless it is open for reading only, writes the outcome to the ledger. What is wrong is in the report.
func (s *Store) Verify(ctx context.Context, opt VerifyOptions) (VerifyReport, error) {
	return s.care.Verify(ctx, care.VerifyOptions{By: opt.By.Who(), Deep: opt.Deep, Heal: opt.Heal, Progress: opt.Progress, Problem: opt.Problem})
}
