package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"stele/internal/core"
	"stele/internal/durable"
)

// knownTarget is what was last known of a target.
type knownTarget struct {
	URL        string    `json:"url"`
	Size       uint64    `json:"size"` // entries that could be restored from it
	Restorable time.Time `json:"restorable,omitzero"`
	ErrorSince time.Time `json:"error_since,omitzero"` // it is not reached since then; zero: it was
}

// targetsKnown is the content of the file.
type targetsKnown struct {
	V       int                    `json:"v"`
	Targets map[string]knownTarget `json:"targets"`
}

// recollection is what the file says, as it was read or last written.
type recollection struct {
	mu   sync.Mutex
	read bool
	last targetsKnown
}

// readKnown reads the file once. mu is held.
func (s *Backups) readKnown() {
	k := &s.Shippers.known
	if k.read {
		return
	}
	k.read = true
	b, err := core.ReadFile(s.core.FS, s.core.Path(core.FileTargets))
	if core.IsNotExist(err) {
		return
	}
	if err == nil {
		err = json.Unmarshal(b, &k.last)
	}
	if err == nil && k.last.V != 1 {
		err = fmt.Errorf("%w: version %d", core.ErrVersion, k.last.V)
	}
	if err != nil {
		k.last = targetsKnown{}
		s.core.Log.Warn("what was last known of the targets can't be read; it is known again when they are reached", "file", s.core.Path(core.FileTargets), "reason", err)
	}
}

// lastKnown is what was last known of a target by an earlier process, or by this one.
func (s *Backups) lastKnown(spec TargetSpec) knownTarget {
	k := &s.Shippers.known
	k.mu.Lock()
	defer k.mu.Unlock()
	s.readKnown()
	if t := k.last.Targets[spec.Name]; t.URL == spec.URL {
		return t
	}
	return knownTarget{}
}

// KeepKnown writes the file where it says something else by now. Nothing rests on the file but words: a crash leaves what was known a minute before.
func (s *Backups) KeepKnown(context.Context) error { return s.keep(true) }

// KeepReached is KeepKnown only where a target was lost sight of, or was reached again, since: that is not put off to the next minute.
func (s *Backups) KeepReached(context.Context) error { return s.keep(false) }

func (s *Backups) keep(all bool) error {
	k := &s.Shippers.known
	k.mu.Lock()
	defer k.mu.Unlock()
	s.readKnown()
	now := targetsKnown{V: 1, Targets: map[string]knownTarget{}}
	for _, r := range s.shippings() {
		was := k.last.Targets[r.spec.Name]
		if was.URL != r.spec.URL {
			was = knownTarget{URL: r.spec.URL}
		}
		t, st := was, r.shipper.Status()
		if !st.Listed.IsZero() {
			t.Size, t.Restorable = st.Size, st.Restorable.UTC()
		}
		switch {
		case st.Err == nil && st.Connected:
			t.ErrorSince = time.Time{}
		case st.Err != nil && t.ErrorSince.IsZero():
			t.ErrorSince = st.ErrSince.UTC()
		}
		if !all && t.ErrorSince.Equal(was.ErrorSince) && was.Size > 0 {
			t = was
		}
		now.Targets[r.spec.Name] = t
	}
	if maps.EqualFunc(now.Targets, k.last.Targets, func(a, b knownTarget) bool {
		return a.URL == b.URL && a.Size == b.Size && a.Restorable.Equal(b.Restorable) && a.ErrorSince.Equal(b.ErrorSince)
	}) {
		return nil
	}
	b, err := json.Marshal(now)
	if err == nil {
		err = durable.Replace(s.core.FS, s.core.Path(core.FileTargets), append(b, '\n'), durable.PrivateFile)
	}
	if err != nil {
		return fmt.Errorf("couldn't write %s, by which the next start knows what targets hold: %w", s.core.Path(core.FileTargets), err)
	}
	k.last = now
	return nil
}
