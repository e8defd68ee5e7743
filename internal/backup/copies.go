package backup

import (
	"context"
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
	found := make(chan ledger.Seen, len(specs)+1)
	for _, spec := range specs {
		go func() { found <- s.seenBy(ctx, spec) }()
	}
	asked := len(specs)
	if served { // also where the ledger knows it by another name, or not at all
		asked++
		go func() { found <- s.headOf(ctx, "the backup "+backup.Name, backup.Target, nil) }()
	}
	var seen []ledger.Seen
	for range asked {
		select {
		case f := <-found:
			if f.Size > 0 {
				seen = append(seen, f)
			}
		case <-ctx.Done():
			s.core.Log.Warn("not all targets say in time what they have seen; they are asked when they are first reached")
			return seen
		}
	}
	return seen
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
	found := make([]chan engine.Engine, len(specs)) // each gets one; nil: it gives no copy
	for i, spec := range specs {
		found[i] = make(chan engine.Engine, 1)
		go func() {
			e, err := s.openCopy(ctx, spec)
			if err != nil {
				s.core.Log.Warn("a target can't be asked for a copy", "target", spec.Name, "err", err)
			}
			found[i] <- e
		}()
	}
	for i, spec := range specs { // the order counts: the first is asked first
		if e := s.awaitCopy(ctx, spec.Name, found[i]); e != nil {
			copies = append(copies, engine.Copy{Name: spec.Name, Engine: e})
		}
	}
	return copies
}

// awaitCopy waits for a target that is being opened, until ctx ends: a call that hangs in the operating system can't be ended. nil: it gives no copy.
func (s *Backups) awaitCopy(ctx context.Context, name string, found <-chan engine.Engine) engine.Engine {
	select {
	case e := <-found:
		return e
	case <-ctx.Done():
	}
	select {
	case e := <-found: // it has answered, while another one was waited for
		return e
	default:
		s.core.Log.Warn("a target can't be asked for a copy", "target", name, "err", replicate.ErrSilent)
		return nil
	}
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
	if !s.care.GotSegments() || !s.core.State.TakesWrites() {
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
