package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"stele/internal/body"
	"stele/internal/durable"
	"stele/internal/ledger"
)

// The kinds of work. What is worked on tells several of one kind apart.
const (
	workEntries   = "housekeeping" // entries that accrue beside requests
	workPublished = "the published checkpoint"
	WorkSnapshot  = "snapshots of the index"
	WorkScrub     = "the scrub"
	workIndex     = "the index"
	WorkLifecycle = "lifecycle rules" // of a bucket
	WorkDrills    = "drills"
	WorkTLS       = "the certificate"
)

// FailingWork is work beside requests that failed the last time it was tried.
type FailingWork struct {
	Work  string    `json:"work"`         // its kind
	Of    string    `json:"of,omitempty"` // what it works on, if that tells several apart: a bucket, a task
	Error string    `json:"error"`        // of the last time
	Since time.Time `json:"since"`        // the first time since it succeeded
	Last  time.Time `json:"last"`         // the last time
	Times int       `json:"times"`
}

// WitnessStatus is how a witness stands.
type WitnessStatus struct {
	Name     string    `json:"name"`
	Asked    time.Time `json:"asked"`             // when it was first asked
	Cosigned time.Time `json:"cosigned,omitzero"` // when it last cosigned a checkpoint of this store; zero: never
	Error    string    `json:"error,omitempty"`   // why it did not, the last time it was asked; empty: it did
}

// Last is when it last cosigned, or when it was first asked if it never did.
func (w *WitnessStatus) Last() time.Time {
	if w.Cosigned.IsZero() {
		return w.Asked
	}
	return w.Cosigned
}

const (
	// keepFailing is how often the file is written where nothing but a time or a count changed, and how often the log is told of the same failure again.
	keepFailing = time.Hour
)

// failures are what is known of work that fails, and of the witnesses.
type failures struct {
	mu        sync.Mutex
	work      map[workKey]FailingWork
	told      map[workKey]time.Time // when the log was
	witnesses map[string]WitnessStatus
	kept      time.Time // when the file was written
}

type workKey struct{ work, of string }

// failingFile is the file.
type failingFile struct {
	V         int             `json:"v"` // 1
	Failing   []FailingWork   `json:"failing"`
	Witnesses []WitnessStatus `json:"witnesses"`
}

// Outcomes takes note of how work of a kind went: failed holds what did not succeed and why, by what was worked on. Everything else of that kind is well, or is not there any more.
func (s *Store) Outcomes(work string, failed map[string]error) {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	keep := false
	for key := range f.work {
		if _, fails := failed[key.of]; key.work == work && !fails {
			keep = s.succeeded(key) || keep
		}
	}
	for of, err := range failed {
		keep = s.fails(workKey{work, of}, err) || keep
	}
	s.keepFailing(keep)
}

// Outcome takes note of how work went of which there is one of its kind.
func (s *Store) Outcome(work string, err error) { s.OutcomeOf(work, "", err) }

// OutcomeOf takes note of how one piece of work went.
func (s *Store) OutcomeOf(work, of string, err error) {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	key := workKey{work, of}
	if err == nil {
		s.keepFailing(s.succeeded(key))
	} else {
		s.keepFailing(s.fails(key, err))
	}
}

// succeeded reports whether that is news. failures.mu is held.
func (s *Store) succeeded(key workKey) bool {
	was, failed := s.failures.work[key]
	if failed {
		delete(s.failures.work, key)
		delete(s.failures.told, key)
		s.Log.Info("what failed is well again", "work", key.work, "of", key.of, "failed_since", was.Since, "times", was.Times)
	}
	return failed
}

// fails reports whether that is news. A failure that ended with the store's own end, or with what status says anyway (writes are refused), is none. failures.mu is held.
func (s *Store) fails(key workKey, err error) bool {
	for _, end := range []error{context.Canceled, ErrClosed, body.ErrClosed, ledger.ErrClosed, ErrFailed, ErrSuperseded} {
		if errors.Is(err, end) {
			return false
		}
	}
	f := &s.failures
	now, why := s.Now().UTC(), Reason(err.Error())
	was, known := f.work[key]
	if f.work == nil {
		f.work = map[workKey]FailingWork{}
	}
	if f.told == nil {
		f.told = map[workKey]time.Time{}
	}
	next := FailingWork{Work: key.work, Of: key.of, Error: why, Since: was.Since, Last: now, Times: was.Times + 1}
	if !known {
		next.Since = now
	}
	f.work[key] = next
	if !known || !durable.Alike(was.Error, why) || now.Sub(f.told[key]) >= keepFailing { // else the log has it
		f.told[key] = now
		s.Log.Error("work beside requests failed; it is tried again", "work", key.work, "of", key.of, "failing_since", next.Since, "times", next.Times, "err", err)
	}
	return !known
}

// keepFailing writes the file where there is news, or where it is old. failures.mu is held. That it can't be written must not hold anything up: what it says is in memory.
func (s *Store) keepFailing(news bool) {
	now, nothing := s.Now(), len(s.failures.work) == 0 && len(s.failures.witnesses) == 0
	if !s.TakesWrites() || !s.begun.Load() || !news && (nothing || now.Sub(s.failures.kept) < keepFailing) {
		return
	}
	s.failures.kept = now
	b, err := json.Marshal(failingFile{1, sortedWork(s.failures.work), sortedWitnesses(s.failures.witnesses)})
	if err == nil {
		err = durable.Replace(s.FS, s.Path(fileFailing), append(b, '\n'), durable.PrivateFile)
	}
	if err != nil {
		s.Log.Warn("couldn't keep what fails; it is shown while this process runs", "file", s.Path(fileFailing), "err", err)
	}
}

// takeFailing reads what an earlier process kept. What it names fails until it is seen to succeed.
func (s *Store) takeFailing() error {
	b, err := ReadFile(s.FS, s.Path(fileFailing))
	if IsNotExist(err) {
		return nil
	}
	var kept failingFile
	if err == nil {
		err = json.Unmarshal(b, &kept)
	}
	if err == nil && kept.V != 1 {
		err = fmt.Errorf("%w: it has version %d", ErrVersion, kept.V)
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s, which says what failed before the start: %w", s.Path(fileFailing), err)
	}
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	s.failures.work, s.failures.witnesses = map[workKey]FailingWork{}, map[string]WitnessStatus{}
	for _, w := range kept.Failing {
		s.failures.work[workKey{w.Work, w.Of}] = w
	}
	for _, w := range kept.Witnesses {
		s.failures.witnesses[w.Name] = w
	}
	return nil
}

// FailingWork returns what fails beside requests, in order of what it is.
func (s *Store) FailingWork() []FailingWork {
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	return sortedWork(s.failures.work)
}

// Witnesses returns how the witnesses stand, in order of name; where no server runs, those of the last one.
func (s *Store) Witnesses() []WitnessStatus {
	s.failures.mu.Lock()
	defer s.failures.mu.Unlock()
	return sortedWitnesses(s.failures.witnesses)
}

func sortedWork(all map[workKey]FailingWork) []FailingWork {
	return slices.SortedFunc(maps.Values(all), func(a, b FailingWork) int { return cmp.Or(cmp.Compare(a.Work, b.Work), cmp.Compare(a.Of, b.Of)) })
}

func sortedWitnesses(all map[string]WitnessStatus) []WitnessStatus {
	return slices.SortedFunc(maps.Values(all), func(a, b WitnessStatus) int { return cmp.Compare(a.Name, b.Name) })
}

// KnowWitnesses begins to keep account of the witnesses that are asked, and forgets those that are not any more.
func (s *Store) KnowWitnesses(names []string) {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.witnesses
	f.witnesses = map[string]WitnessStatus{}
	for _, name := range names {
		st, known := was[name]
		if !known {
			st = WitnessStatus{Name: name, Asked: s.Now().UTC()}
		}
		f.witnesses[name] = st
	}
	if len(was) > 0 || len(f.witnesses) > 0 {
		s.keepFailing(true)
	}
}

// NoteWitness takes note of what a witness said.
func (s *Store) NoteWitness(name string, err error) {
	f := &s.failures
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.witnesses[name]
	news := false
	switch {
	case err == nil:
		news = st.Error != "" || st.Cosigned.IsZero()
		st.Cosigned, st.Error = s.Now().UTC(), ""
	case BrokeOff(err) && s.Closing():
		return
	default:
		why := Reason(err.Error())
		news = st.Error != why
		st.Error = why
	}
	f.witnesses[name] = st
	s.keepFailing(news)
}

// Chore is a piece of housekeeping.
type Chore struct {
	What string
	Do   func(context.Context) error
}

// round does chores, each whatever becomes of the others, takes note of how they went, and returns those that failed.
func (s *Store) round(ctx context.Context, chores []Chore) (failed []Chore) {
	for _, c := range chores {
		err := c.Do(ctx)
		if ctx.Err() == nil {
			s.OutcomeOf(workEntries, c.What, err)
		}
		if err != nil {
			failed = append(failed, c)
		}
	}
	return failed
}
