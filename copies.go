package stele

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/ledger"
	"stele/internal/replicate"
)

// Waits for targets.
const (
	seenWait = 3 * time.Second // for what a target has seen, at a start
	copyWait = 5 * time.Second // for a copy, where something is damaged
)

// openSource opens a target for reading.
func (s *Store) openSource(ctx context.Context, spec TargetSpec) (engine.Engine, error) {
	spec.ReadOnly = true
	opened, err := s.opt.OpenTarget(ctx, spec)
	return opened.Engine, err
}

// seenByTargets asks the targets how much they have seen of the ledger (DESIGN invariant 5). One that doesn't answer in time is reported, and is asked again when it is first shipped to.
func (s *Store) seenByTargets(ctx context.Context) []ledger.Seen {
	backup, served := s.over.Backup()
	if s.opt.OpenTarget == nil && !served {
		return nil
	}
	specs, err := s.specs()
	if err != nil {
		return nil // an index of another format: what it says of targets is folded again, and they are asked when they are first shipped to
	}
	ctx, cancel := context.WithTimeout(ctx, seenWait)
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

func (s *Store) seenBy(ctx context.Context, spec TargetSpec) ledger.Seen {
	if s.opt.OpenTarget == nil {
		return ledger.Seen{}
	}
	e, err := s.openSource(ctx, spec)
	if err == nil {
		defer closeEngine(e)
	}
	return s.headOf(ctx, "target "+spec.Name, e, err)
}

// headOf is what a target has seen of the ledger; opened is why it can't be asked, if it can't. None if it doesn't say.
func (s *Store) headOf(ctx context.Context, name string, target engine.Engine, opened error) ledger.Seen {
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
func (s *Store) Copies() (copies []Copy) {
	if s.opt.Copies != nil {
		copies = s.opt.Copies()
	}
	if source := s.over.Source(); source != nil {
		backup, _ := s.over.Backup()
		copies = append(copies, Copy{Name: backup.Name, Engine: source})
	}
	return append(copies, s.targetCopies()...)
}

// targetCopies are the targets that the index knows of, read as sources.
func (s *Store) targetCopies() (copies []Copy) {
	if s.opt.OpenTarget == nil || s.core.Index == nil {
		return nil
	}
	specs, err := s.specs()
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
			copies = append(copies, Copy{Name: spec.Name, Engine: e})
		}
	}
	return copies
}

// awaitCopy waits for a target that is being opened, until ctx ends: a call that hangs in the operating system can't be ended. nil: it gives no copy.
func (s *Store) awaitCopy(ctx context.Context, name string, found <-chan engine.Engine) engine.Engine {
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
func (s *Store) openCopy(ctx context.Context, spec TargetSpec) (engine.Engine, error) {
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

// fetchPacks gets the packs that belong to entries which the ledger has just got back from a target: the folder was rolled back. What can't be had now is missed when it is read.
func (s *Store) fetchPacks(ctx context.Context) {
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

// Copy is a copy of the store elsewhere, by which damage here is healed. What it yields is believed only as far as it proves itself.
type Copy = engine.Copy

// FolderCopy is a copy of a store's folder, as cp -r or rsync made it; name is what it is called in entries and in the log.
func FolderCopy(name, folder string) (Copy, error) {
	d, err := dir.Open(vfs.Default, folder, dir.Options{ReadOnly: true})
	if err != nil {
		return Copy{}, fmt.Errorf("couldn't open the copy %s: %w", name, err)
	}
	return Copy{Name: name, Engine: d}, nil
}
