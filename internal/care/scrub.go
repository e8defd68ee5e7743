package care

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/index"
	"stele/internal/ledger"
)

const (
	scrubName     = "scrub"
	scrubLeast    = 1 << 20  // bytes per second, so that a small store is done soon
	scrubMost     = 64 << 20 // and so that a large one is left alone
	scrubProgress = 24 * time.Hour
	framesEvery   = 4         // rounds
	scrubRetry    = time.Hour // after what ended it
)

// ScrubStatus says how far the rolling scrub is.
type ScrubStatus struct {
	Days           int               // within how many days every byte is read again; 0: off
	Oldest         time.Time         // no byte has not been verified, or written, since then; zero: not known yet
	Round          time.Time         // when the last round was finished; zero: none was
	Rounds         int               // finished
	Position       string            // the file that was read last in this round; empty: none yet
	Done, Total    int64             // bytes of this round
	BytesPerSecond int64             // at most
	Bad            map[string]string // files that are known to be damaged and could not be healed, whoever met that, and why
	Failing        []Failing         // files that were healed more than once lately: the disk fails
}

// Due is when the next round begins; zero while one is under way, or if there is to be none.
func (st *ScrubStatus) Due() time.Time {
	if st.Days == 0 || st.Position != "" {
		return time.Time{}
	}
	return st.Oldest.Add(time.Duration(st.Days) * 12 * time.Hour)
}

// Overdue reports whether some byte was not read again for longer than it should be.
func (st *ScrubStatus) Overdue(now time.Time) bool {
	return st.Days > 0 && now.Sub(st.Oldest) > time.Duration(st.Days)*24*time.Hour
}

// scrub is the rolling scrub of a store.
type scrub struct {
	mu     sync.Mutex
	status ScrubStatus
	begun  time.Time // this round; zero: not begun
	noted  time.Time // the newest entry about it
}

// ScrubStatus returns it.
func (s *Care) ScrubStatus() ScrubStatus {
	s.scrub.mu.Lock()
	defer s.scrub.mu.Unlock()
	st := s.scrub.status
	st.Bad, st.Failing = s.bad(), s.failing()
	return st
}

// Scrubbed says how far the rolling scrub is, also of a store in which none runs: as its newest entry has it, with the days of the server that wrote that.
func (s *Care) Scrubbed(ctx context.Context) (ScrubStatus, error) {
	if err := s.core.Enter(); err != nil {
		return ScrubStatus{}, err
	}
	defer s.core.Leave()
	if st := s.ScrubStatus(); st.Days > 0 {
		return st, nil
	}
	last, err := s.lastScrub(ctx)
	if s.core.TakesWrites() {
		last.status.Days = s.Opt.ScrubDays
	}
	return last.status, core.Translate(err)
}

// RunScrub scrubs round after round until ctx ends.
func (s *Care) RunScrub(ctx context.Context) {
	if s.Opt.Full != nil { // what is not here yet is proven when it is brought
		select {
		case <-s.Opt.Full:
		case <-ctx.Done():
			return
		}
	}
	period := time.Duration(s.Opt.ScrubDays) * 24 * time.Hour
	for {
		err := s.scrubOn(ctx, period)
		if ctx.Err() != nil || errors.Is(err, core.ErrFailed) {
			return
		}
		s.core.OutcomeOf(core.WorkScrub, "", err)
		if s.core.Sleep(ctx, scrubRetry) != nil {
			return
		}
	}
}

// scrubOn scrubs round after round until something goes wrong.
func (s *Care) scrubOn(ctx context.Context, period time.Duration) error {
	err := s.resumeScrub(ctx)
	for err == nil {
		if wait := s.untilRound(period); wait > 0 {
			s.core.OutcomeOf(core.WorkScrub, "", nil)
			err = s.core.Sleep(ctx, min(wait, time.Hour)) // the wall clock may be set meanwhile
			continue
		}
		if err = s.scrubRound(ctx, period); err == nil {
			s.core.OutcomeOf(core.WorkScrub, "", nil)
		}
	}
	return err
}

// resumeScrub goes on where the newest entry says that an earlier life was.
func (s *Care) resumeScrub(ctx context.Context) error {
	c := &s.scrub
	last, err := s.lastScrub(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.begun, c.noted = last.status, last.begun, last.noted
	c.status.Days = s.Opt.ScrubDays
	return nil
}

// lastScrub is where the scrub was when it was last noted.
func (s *Care) lastScrub(ctx context.Context) (last scrubNote, err error) {
	first, _, _, err := s.core.Ledger().Entry(ctx, 0)
	if err != nil {
		return last, err
	}
	last.status = ScrubStatus{Oldest: first.Time, Bad: s.bad(), Failing: s.failing()}
	row, ok, err := s.core.Index.Reader().Config(index.LastOf(entry.VerifyScrub, scrubName))
	if err != nil || !ok {
		return last, err
	}
	at, err := strconv.ParseUint(row.Value, 10, 64)
	if err != nil {
		return last, err
	}
	e, _, _, err := s.core.Ledger().Entry(ctx, at)
	if err != nil {
		return last, err
	}
	d, st := e.Private.Data, &last.status
	last.noted = e.Time
	// A fact that does not parse is not known.
	st.Rounds, _ = strconv.Atoi(d["rounds"])
	st.Days, _ = strconv.Atoi(d["days"])
	if t, err := time.Parse(time.RFC3339, d["oldest"]); err == nil {
		st.Oldest = t
	}
	if t, err := time.Parse(time.RFC3339, d["round"]); err == nil {
		st.Round = t
	}
	if t, err := time.Parse(time.RFC3339, d["begun"]); err == nil {
		last.begun, st.Position = t, d["position"]
	}
	return last, nil
}

// scrubNote is what an entry says of the scrub.
type scrubNote struct {
	status       ScrubStatus
	begun, noted time.Time
}

// untilRound is how long to wait before the next round begins; 0 while one is under way.
func (s *Care) untilRound(period time.Duration) time.Duration {
	c := &s.scrub
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun.IsZero() {
		return 0
	}
	return max(0, c.status.Oldest.Add(period/2).Sub(s.core.Now()))
}

// scrubRound reads every sealed file from the position on.
func (s *Care) scrubRound(ctx context.Context, period time.Duration) error {
	c := &s.scrub
	files, total, err := s.scrubFiles(ctx)
	if err != nil {
		return err
	}
	rate := min(max(scrubLeast, int64(float64(total)/(period/2).Seconds())), scrubMost)
	c.mu.Lock()
	if c.begun.IsZero() {
		c.begun, c.status.Position = s.core.Now(), ""
	}
	c.status.Done, c.status.Total, c.status.BytesPerSecond = 0, total, rate
	position, frames := c.status.Position, c.status.Rounds%framesEvery == framesEvery-1
	c.mu.Unlock()
	for _, f := range files {
		if f.Name > position {
			if err := s.scrubFile(ctx, f.Name, frames, rate); err != nil {
				return err
			}
		}
		c.mu.Lock()
		c.status.Done += f.SizeBytes
		c.status.Position = max(position, f.Name)
		due := s.core.Now().Sub(c.noted) >= scrubProgress
		c.mu.Unlock()
		if due {
			if err := s.noteScrub(ctx); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	c.status.Rounds++
	c.status.Oldest, c.status.Round = c.begun, s.core.Now()
	c.begun, c.status.Position = time.Time{}, ""
	c.mu.Unlock()
	return s.noteScrub(ctx)
}

// scrubFiles are the sealed files that are there or should be, by name.
func (s *Care) scrubFiles(ctx context.Context) (files []engine.Info, total int64, err error) {
	there := map[string]int64{}
	for _, folder := range []string{engine.Packs, engine.Segments} {
		if err := s.core.Engine.List(ctx, folder, func(i engine.Info) error { there[i.Name] = i.SizeBytes; return nil }); err != nil {
			return nil, 0, err
		}
	}
	names, err := s.core.ExpectedPacks()
	if err != nil {
		return nil, 0, err
	}
	for name := range there {
		if folder, _ := engine.SplitName(name); folder == engine.Packs {
			names = append(names, name)
		}
	}
	names = append(names, s.core.Ledger().Sealed()...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		files = append(files, engine.Info{Name: name, SizeBytes: there[name]})
		total += there[name]
	}
	return files, total, nil
}

// scrubFile reads a file, and heals it if it is not what it was.
func (s *Care) scrubFile(ctx context.Context, name string, frames bool, rate int64) error {
	pace := func(n int64) error {
		d := time.Duration(float64(n) / float64(rate) * float64(time.Second))
		if s.core.Busy() { // somebody is at work
			d *= 2
		}
		return s.core.Sleep(ctx, d)
	}
	var why error
	if folder, _ := engine.SplitName(name); folder == engine.Segments {
		_, why = s.core.Ledger().Scrub(ctx, name, pace)
	} else {
		_, why = s.core.Body.Scrub(ctx, name, frames, pace)
	}
	if why != nil && ctx.Err() == nil {
		why = s.healFile(ctx, name, why)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if why == nil {
		s.NoteSound(name)
	} else {
		s.NoteDamage(name, ByScrub, why)
	}
	if err := s.AppendFindings(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return ctx.Err()
}

// noteScrub writes where the scrub is to the ledger. A crash has the next life read again what was read since the newest entry, a day's part at most.
func (s *Care) noteScrub(ctx context.Context) error {
	c := &s.scrub
	c.mu.Lock()
	st := c.status
	st.Bad = s.bad()
	data := map[string]string{"bytes": strconv.FormatInt(st.Done, 10), "bad": strconv.Itoa(len(st.Bad)), "rounds": strconv.Itoa(st.Rounds), "days": strconv.Itoa(st.Days)}
	for name, t := range map[string]time.Time{"oldest": st.Oldest, "round": st.Round, "begun": c.begun} {
		if !t.IsZero() {
			data[name] = t.UTC().Format(time.RFC3339)
		}
	}
	if st.Position != "" {
		data["position"] = st.Position
	}
	c.noted = s.core.Now()
	c.mu.Unlock()
	_, err := s.core.Record(ctx, core.Who{Key: core.ActorStele}, func(index.Reader, ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.VerifyScrub, Private: entry.Private{Name: scrubName, Data: data}}, nil
	})
	return err
}
