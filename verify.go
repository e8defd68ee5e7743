package stele

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/fsck"
	"stele/internal/heal"
	"stele/internal/index"
)

// VerifyOptions say how far a verification of the store goes.
type VerifyOptions struct {
	By       Actor
	Deep     bool                    // read and hash every byte
	Heal     bool                    // replace what is damaged by proven copies
	Progress func(done, total int64) // bytes; may be nil
	Problem  func(p fsck.Problem)    // told as it is found; may be nil
}

// Verify verifies the store from its files up and, unless it is open for reading only, writes the outcome to the ledger. What is wrong is in the report.
func (s *Store) Verify(ctx context.Context, opt VerifyOptions) (fsck.Report, error) {
	if err := s.core.Enter(); err != nil {
		return fsck.Report{}, err
	}
	defer s.core.Leave()
	ctx, cancel := s.core.UntilClosed(ctx)
	defer cancel()
	if opt.Deep && s.core.State.TakesWrites() {
		if err := s.core.Body.Flush(ctx); err != nil { // growing packs are sealed, so that they are read too
			return fsck.Report{}, core.Translate(err)
		}
	}
	found := outcome{deep: opt.Deep, damaged: map[string]string{}}
	what := fsck.Options{Engine: s.core.Engine, Keys: s.core.Keys, Body: s.core.Body, Ledger: s.core.Ledger(), Size: s.Size(), Deep: opt.Deep, Progress: opt.Progress,
		Problem: func(p fsck.Problem) {
			found.add(p)
			if opt.Problem != nil {
				opt.Problem(p)
			}
		}}
	if opt.Heal {
		what.Heal = s.healFor(byVerify)
		ctx = heal.AtOnce(ctx)
	}
	r, err := fsck.Check(ctx, what)
	if err != nil {
		return r, s.core.ClosedOr(core.Translate(err))
	}
	s.noteOutcome(&found, r.Healed)
	if err := s.noteRefusals(ctx, &r, opt); err != nil {
		return r, s.core.ClosedOr(core.Translate(err))
	}
	if !s.core.State.TakesWrites() {
		return r, nil
	}
	facts := map[string]string{"deep": strconv.FormatBool(opt.Deep), "size": strconv.FormatUint(r.Size, 10), "root": r.Root.String(),
		"bytes": strconv.FormatInt(r.Bytes, 10), "packs": strconv.Itoa(r.Packs), "bodies": strconv.FormatInt(r.Bodies, 10), "problems": strconv.Itoa(len(r.Problems))}
	if opt.Heal {
		facts["healed"] = strconv.Itoa(len(r.Healed))
	}
	_, err = s.commit(ctx, opt.By, func(index.Reader, ledgerSlot) (ledgerDraft, error) {
		return ledgerDraft{Type: entry.VerifyRun, Private: entry.Private{Data: facts}}, nil
	})
	return r, errors.Join(err, s.appendFindings(ctx))
}

// storedBytes adds up segments and packs, and of those that grow what is durable in them.
func (s *Store) storedBytes(ctx context.Context, out *Stats) error {
	for prefix, n := range map[string]*int{engine.Segments: &out.Segments, engine.Packs: &out.Packs} {
		if err := s.core.Engine.List(ctx, prefix, func(i engine.Info) error { *n++; out.StoredBytes += i.SizeBytes; return nil }); err != nil {
			return fmt.Errorf("couldn't list %s: %w", prefix, err)
		}
	}
	_, _, segments := s.core.Ledger().Growing()
	for _, g := range segments {
		out.StoredBytes += g.DurableBytes
	}
	_, _, packs := s.core.Body.Packs(1 << 62)
	for _, g := range packs {
		out.StoredBytes += g.EndBytes
	}
	return nil
}
