package care

import (
	"context"
	"errors"
	"strconv"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/fsck"
	"stele/internal/heal"
	"stele/internal/index"
	"stele/internal/ledger"
)

// VerifyOptions say how far a verification of the store goes.
type VerifyOptions struct {
	By       core.Who
	Deep     bool                    // read and hash every byte
	Heal     bool                    // replace what is damaged by proven copies
	Progress func(done, total int64) // bytes; may be nil
	Problem  func(p fsck.Problem)    // told as it is found; may be nil
}

// Verify verifies the store from its files up and, unless it is open for reading only, writes the outcome to the ledger. What is wrong is in the report.
func (s *Care) Verify(ctx context.Context, opt VerifyOptions) (fsck.Report, error) {
	if err := s.core.Enter(); err != nil {
		return fsck.Report{}, err
	}
	defer s.core.Leave()
	ctx, cancel := s.core.UntilClosed(ctx)
	defer cancel()
	if opt.Deep && s.core.TakesWrites() {
		if err := s.core.Body.Flush(ctx); err != nil { // growing packs are sealed, so that they are read too
			return fsck.Report{}, core.Translate(err)
		}
	}
	found := outcome{deep: opt.Deep, damaged: map[string]string{}}
	what := fsck.Options{Engine: s.core.Engine, Keys: s.core.Keys, Body: s.core.Body, Ledger: s.core.Ledger(), Size: s.core.Size(), Deep: opt.Deep, Progress: opt.Progress,
		Problem: func(p fsck.Problem) {
			found.add(p)
			if opt.Problem != nil {
				opt.Problem(p)
			}
		}}
	if opt.Heal {
		what.Heal = s.HealFor(ByVerify)
		ctx = heal.AtOnce(ctx)
	}
	r, err := fsck.Check(ctx, what)
	if engine.Short(err) { // what was found until then is proven
		s.noteDamaged(&found)
		return r, errors.Join(core.Translate(err), s.AppendFindings(ctx))
	}
	if err != nil {
		return r, s.core.ClosedOr(core.Translate(err))
	}
	s.noteOutcome(&found, r.Healed)
	if err := s.noteRefusals(ctx, &r, opt); err != nil {
		return r, s.core.ClosedOr(core.Translate(err))
	}
	if !s.core.TakesWrites() {
		return r, nil
	}
	facts := map[string]string{"deep": strconv.FormatBool(opt.Deep), "size": strconv.FormatUint(r.Size, 10), "root": r.Root.String(),
		"bytes": strconv.FormatInt(r.Bytes, 10), "packs": strconv.Itoa(r.Packs), "bodies": strconv.FormatInt(r.Bodies, 10), "problems": strconv.Itoa(len(r.Problems))}
	if opt.Heal {
		facts["healed"] = strconv.Itoa(len(r.Healed))
	}
	_, err = s.core.Record(ctx, opt.By, func(index.Reader, ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.VerifyRun, Private: entry.Private{Data: facts}}, nil
	})
	return r, errors.Join(err, s.AppendFindings(ctx))
}

// TheFolder is where a verification finds what is wrong with none of the files: the store would not be opened for writing.
const TheFolder = "the folder"

// noteRefusals tells a verification why the store would not be opened. That is no damage of a file, and is asked anew at each opening: it is not kept.
func (s *Care) noteRefusals(ctx context.Context, r *fsck.Report, opt VerifyOptions) error {
	all, err := s.Opt.Refusals(ctx)
	for _, why := range all {
		p := fsck.Problem{Where: TheFolder, What: "a server would not open it as it is: " + why.Error()}
		r.Problems = append(r.Problems, p)
		if opt.Problem != nil {
			opt.Problem(p)
		}
	}
	return err
}
