package backup

import (
	"context"
	"slices"
	"time"

	"stele/internal/engine"
	"stele/internal/ledger"
	"stele/internal/replicate"
)

// Waits for targets.
const (
	SeenWait = 3 * time.Second // for what targets have seen, at a start and where their status is asked: all of them together
	copyWait = 5 * time.Second // for copies, where something is damaged: all of them together
)

// openSource opens a target for reading.
func (s *Backups) openSource(ctx context.Context, spec TargetSpec) (engine.Engine, error) {
	spec.ReadOnly = true
	opened, err := s.Opt.OpenTarget(ctx, spec)
	return opened.Engine, err
}

// SeenByTargets asks the targets how much they have seen of the ledger (DESIGN invariant 5). One that doesn't answer in time is reported, and is asked again when it is first shipped to.
func (s *Backups) SeenByTargets(ctx context.Context) []ledger.Seen {
	backup, served := s.over.Backup()
	if s.Opt.OpenTarget == nil && !served {
		return nil
	}
	specs, err := s.Specs()
	if err != nil {
		return nil // an index of another format: what it says of targets is folded again, and they are asked when they are first shipped to
	}
	ctx, cancel := context.WithTimeout(ctx, SeenWait)
	defer cancel()
	asked := len(specs)
	if served { // also where the ledger knows it by another name, or not at all
		asked++
	}
	answers, all := askAll(ctx, asked, func(i int) ledger.Seen {
		if i == len(specs) {
			return s.headOf(ctx, "the backup "+backup.Name, backup.Target, nil)
		}
		return s.seenBy(ctx, specs[i])
	})
	if !all {
		s.core.Log.Warn("not all targets say in time what they have seen; they are asked when they are first reached")
	}
	var seen []ledger.Seen
	for _, a := range answers {
		if a != nil && a.Size > 0 {
			seen = append(seen, *a)
		}
	}
	return seen
}

// askAll asks n at once, and returns their answers, in order, when all are there or ctx ends: a call that hangs in the operating system can't be ended, goes on behind, and may outlive the store. nil: who
// was asked has not answered; all: everybody has.
func askAll[T any](ctx context.Context, n int, ask func(i int) T) (answers []*T, all bool) {
	type answer struct {
		i int
		a T
	}
	came := make(chan answer, n) // with room for all: whoever is late waits for nobody
	for i := range n {
		go func() { came <- answer{i, ask(i)} }()
	}
	answers = make([]*T, n)
	for range n {
		select {
		case a := <-came:
			answers[a.i] = &a.a
		case <-ctx.Done():
			for {
				select {
				case a := <-came: // it has answered before ctx ended
					answers[a.i] = &a.a
				default:
					return answers, !slices.Contains(answers, nil)
				}
			}
		}
	}
	return answers, true
}

// seenBy opens a target and asks it.
func (s *Backups) seenBy(ctx context.Context, spec TargetSpec) ledger.Seen {
	if s.Opt.OpenTarget == nil {
		return ledger.Seen{}
	}
	e, err := s.openSource(ctx, spec)
	if err == nil {
		defer closeEngine(e)
	}
	return s.headOf(ctx, "target "+spec.Name, e, err)
}

// headOf is what a target has seen of the ledger; opened is why it can't be asked, if it can't. None if it doesn't say.
func (s *Backups) headOf(ctx context.Context, name string, target engine.Engine, opened error) ledger.Seen {
	seen, err := ledger.Seen{}, opened
	if err == nil {
		seen, err = replicate.Head(ctx, target, s.core.Keys)
	}
	if err != nil {
		s.core.Log.Warn("a target doesn't say what it has seen; it is asked again when it is first shipped to", "target", name, "reason", err)
		return ledger.Seen{}
	}
	seen.By = name
	return seen
}

// Copies gives the copies of the store elsewhere: those that Options.Copies knows, then the backup that is served, then the targets, read as sources. It is asked when something here is damaged.
func (s *Backups) Copies() (copies []engine.Copy) {
	if s.Opt.Copies != nil {
		copies = s.Opt.Copies()
	}
	if source := s.over.Source(); source != nil {
		backup, _ := s.over.Backup()
		copies = append(copies, engine.Copy{Name: backup.Name, Engine: source})
	}
	return append(copies, s.TargetCopies()...)
}

// TargetCopies are the targets that the index knows of, read as sources.
func (s *Backups) TargetCopies() (copies []engine.Copy) {
	if s.Opt.OpenTarget == nil || s.core.Index == nil {
		return nil
	}
	specs, err := s.Specs()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), copyWait)
	defer cancel()
	opened, _ := askAll(ctx, len(specs), func(i int) openedCopy {
		e, err := s.openCopy(ctx, specs[i])
		return openedCopy{e, err}
	})
	for i, o := range opened { // the order counts: the first is asked first
		if o == nil {
			o = &openedCopy{err: replicate.ErrSilent}
		}
		if o.err != nil {
			s.core.Log.Warn("a target can't be asked for a copy", "target", specs[i].Name, "err", o.err)
			continue
		}
		copies = append(copies, engine.Copy{Name: specs[i].Name, Engine: o.engine})
	}
	return copies
}

// openedCopy is a target that was opened as a source, or why it was not.
type openedCopy struct {
	engine engine.Engine
	err    error
}

// openCopy opens a target as a source; nil with an error.
func (s *Backups) openCopy(ctx context.Context, spec TargetSpec) (engine.Engine, error) {
	e, err := s.openSource(ctx, spec)
	if err != nil {
		return nil, err
	}
	src, err := replicate.OpenSource(ctx, e)
	if err != nil {
		return nil, err
	}
	return src, nil
}

// FetchPacks gets the packs that belong to entries which the ledger has just got back from a target: the folder was rolled back. What can't be had now is missed when it is read.
func (s *Backups) FetchPacks(ctx context.Context) {
	if !s.care.GotSegments() || !s.core.TakesWrites() {
		return
	}
	for _, c := range s.Copies() {
		src, ok := c.Engine.(*replicate.Source)
		if !ok {
			continue
		}
		n, err := replicate.FetchPacks(ctx, src, s.core.Engine, s.core.Keys)
		s.core.Log.Warn("fetched packs that the ledger's lost entries name", "from", c.Name, "packs", n, "err", err)
		if err == nil {
			return
		}
	}
}
