package care

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/fsck"
	"stele/internal/index"
	"stele/internal/ledger"
)

// Who met damage.
const (
	ByRead     = "a read"
	ByScrub    = "the scrub"
	ByVerify   = "a verification"
	ByStart    = "the start"
	ByShipping = "shipping"
)

// wholeStore is the name under which a verification keeps what is wrong and lies in no file that can be named.
const wholeStore = "ledger"

// Damage is a file that is known to be damaged and was not healed.
type Damage struct {
	File  string // or "ledger": what is wrong lies in no single file
	What  string // is wrong
	By    string // who met it first
	Since time.Time
}

// Failing is a file that was healed more than once lately: its medium fails.
type Failing struct {
	File  string
	Times int
	Last  time.Time
}

// failingAfter is how many heals of one file, each within index.HealsFor of the one before, say that the disk fails.
const failingAfter = 2

// finding is what somebody found out about a file, on its way into the ledger.
type finding struct {
	What  string    `json:"what,omitempty"` // empty: the file is as it was written
	By    string    `json:"by,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

type findings struct {
	mu    sync.Mutex
	queue map[string]finding // by file
	file  bool               // the queue, or a part of it, came from the file of findings, which goes once its entries are durable
}

// NoteDamage takes note of a damaged file. It may be called from anywhere and doesn't wait for the ledger.
func (s *Care) NoteDamage(file, by string, why error) {
	if core.BrokeOff(why) || core.NotAsked(why) {
		return // nobody has looked at the file: nothing is known of it
	}
	q := &s.findings
	q.mu.Lock()
	was, queued := q.queue[file]
	if queued = queued && was.What != ""; !queued {
		q.put(file, finding{What: core.Reason(why.Error()), By: by, Since: s.core.Now().UTC()})
	}
	q.mu.Unlock()
	if queued {
		return
	}
	if known, _ := s.knownDamage(file); !known { // else it is said already
		s.core.Log.Error("a damaged file could not be healed", "file", file, "met by", by, "err", why)
	}
	s.core.WakeHousekeeping()
}

// NoteSound takes note of a file that is as it was written. It costs nothing while none is known to be damaged.
func (s *Care) NoteSound(file string) {
	q := &s.findings
	q.mu.Lock()
	_, queued := q.queue[file]
	known, err := s.knownDamage(file)
	if queued || known || err != nil {
		q.put(file, finding{})
	}
	q.mu.Unlock()
	if known {
		s.core.Log.Info("a damaged file is whole again", "file", file)
		s.core.WakeHousekeeping()
	}
}

// put queues a finding. mu is held.
func (q *findings) put(file string, f finding) {
	if q.queue == nil {
		q.queue = map[string]finding{}
	}
	q.queue[file] = f
}

// knownDamage says whether the ledger has a file as damaged.
func (s *Care) knownDamage(file string) (bool, error) {
	if s.core.Index == nil {
		return false, nil
	}
	_, ok, err := s.core.Index.Reader().Config(index.NamedBy(entry.VerifyDamage, file))
	return ok, err
}

// AppendFindings writes the entries of what was found out. The file of findings goes after its entries: a crash between the two has the next start queue them again, which makes no entry of what the ledger says
// already. Findings that no file holds a crash loses; whoever reads the damaged bytes next finds them again.
func (s *Care) AppendFindings(ctx context.Context) error {
	q := &s.findings
	for {
		q.mu.Lock()
		names := slices.Sorted(maps.Keys(q.queue))
		if len(names) == 0 {
			left := q.file
			q.file = false
			q.mu.Unlock()
			if left {
				return s.removeFindings()
			}
			return nil
		}
		name := names[0]
		f := q.queue[name]
		q.mu.Unlock()
		_, err := s.core.Record(ctx, core.Who{Key: core.ActorStele}, func(r index.Reader, _ ledger.Slot) (ledger.Draft, error) { return f.draft(r, name) })
		if err != nil && !errors.Is(err, core.ErrNoChange) {
			return err
		}
		q.mu.Lock()
		if q.queue[name] == f { // else somebody found out something else meanwhile
			delete(q.queue, name)
		}
		q.mu.Unlock()
	}
}

// draft is the entry of a finding; core.ErrNoChange if the ledger says the same already.
func (f finding) draft(r index.Reader, file string) (ledger.Draft, error) {
	_, known, err := r.Config(index.NamedBy(entry.VerifyDamage, file))
	if err != nil || known == (f.What != "") {
		return ledger.Draft{}, cmp.Or(err, core.ErrNoChange)
	}
	p := entry.Private{Name: file}
	if f.What != "" {
		p.Value, p.Reason, p.Data = "damaged", f.What, map[string]string{"by": f.By}
	}
	return ledger.Draft{Type: entry.VerifyDamage, Private: p}, nil
}

// Damaged returns the files that are known to be damaged and were not healed, in order of name, also those whose entries are still to be written.
func (s *Care) Damaged() (out []Damage, err error) {
	all := map[string]index.Damage{}
	s.findings.mu.Lock() // over both: what leaves the queue in between would be in neither, or still in the index
	if s.core.Index != nil {
		all, err = s.core.Index.Damaged()
	}
	for file, f := range s.findings.queue {
		if was, known := all[file]; f.What == "" {
			delete(all, file)
		} else if !known {
			all[file] = index.Damage{Since: f.Since, What: f.What, By: f.By}
		} else {
			all[file] = was
		}
	}
	s.findings.mu.Unlock()
	for _, file := range slices.Sorted(maps.Keys(all)) {
		d := all[file]
		out = append(out, Damage{file, d.What, d.By, d.Since})
	}
	return out, core.Translate(err)
}

// bad is Damaged as a map. An index that can't be read is reported by whoever asks it for anything else.
func (s *Care) bad() map[string]string {
	out := map[string]string{}
	all, err := s.Damaged()
	if err != nil {
		out["index"] = err.Error()
	}
	for _, d := range all {
		out[d.File] = d.What
	}
	return out
}

// FailingFiles returns the files that were healed more than once lately.
func (s *Care) FailingFiles() (out []Failing, err error) {
	all, err := s.core.Index.Healed()
	for _, file := range slices.Sorted(maps.Keys(all)) {
		if h := all[file]; h.Times >= failingAfter && s.core.Now().Sub(h.Last) < index.HealsFor {
			out = append(out, Failing{file, h.Times, h.Last})
		}
	}
	return out, core.Translate(err)
}

// failing is FailingFiles for a status, which says by Damaged where the index can't be read.
func (s *Care) failing() []Failing {
	out, err := s.FailingFiles()
	if err != nil {
		s.core.Log.Error("couldn't read how often files were healed", "err", err)
	}
	return out
}

// outcome is what a verification found.
type outcome struct {
	deep    bool
	damaged map[string]string
	segment string // the first that is damaged
	other   string // the first problem that names no file
	others  int
}

// add takes a problem in. Called one at a time.
func (o *outcome) add(p fsck.Problem) {
	if strings.HasPrefix(p.Where, engine.Segments) {
		if o.segment == "" { // the tree is followed through the segments in order: what is said of those behind a damaged one is a consequence
			o.segment, o.damaged[p.Where] = p.Where, p.What
		}
		return
	}
	if strings.HasPrefix(p.Where, engine.Packs) {
		if o.damaged[p.Where] == "" {
			o.damaged[p.Where] = p.What
		}
		return
	}
	if o.others++; o.other == "" {
		o.other = p.Where + ": " + p.What
	}
}

// noteDamaged takes note of what a verification found to be damaged, and reports whether that was anything.
func (s *Care) noteDamaged(o *outcome) bool {
	for file, what := range o.damaged {
		s.NoteDamage(file, ByVerify, errors.New(what))
	}
	if len(o.damaged) == 0 && o.others > 0 {
		s.NoteDamage(wholeStore, ByVerify, fmt.Errorf("%d problems, the first: %s", o.others, o.other))
	}
	return len(o.damaged)+o.others > 0
}

// noteOutcome takes note of what a verification found: what is damaged, what was healed, and, where nothing was wrong, that what it read is as it was written.
func (s *Care) noteOutcome(o *outcome, healed []fsck.Problem) {
	damaged := s.noteDamaged(o)
	for _, h := range healed {
		if o.damaged[h.Where] == "" {
			s.NoteSound(h.Where)
		}
	}
	if damaged {
		return
	}
	known, err := s.Damaged()
	if err != nil {
		s.core.Log.Error("couldn't read what is known to be damaged", "err", err)
	}
	for _, d := range known {
		if o.deep || strings.HasPrefix(d.File, engine.Segments) {
			s.NoteSound(d.File)
		}
	}
}
