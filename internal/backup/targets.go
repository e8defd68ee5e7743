package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/replicate"
)

// TargetSpec says where copies of the store go, and how. It is kept in the ledger, sealed like everything that can identify.
type TargetSpec struct {
	Name      string        `json:"name,omitempty"` // left out in the entry, which has it beside
	URL       string        `json:"url"`            // dir:///PATH or s3://BUCKET/PREFIX…
	Every     time.Duration `json:"every,omitempty"`
	RateBytes int64         `json:"rate,omitempty"`      // bytes per second; 0: no limit
	LockDays  int           `json:"lock_days,omitempty"` // for how long files are locked, where the target can
	Offsite   bool          `json:"offsite,omitempty"`   // as declared
	AccessKey string        `json:"access_key,omitempty"`
	SecretKey string        `json:"secret_key,omitempty"` // in the entry it is beside, sealed; entries from before that have it here
	Added     time.Time     `json:"added,omitzero"`       // by the store, also where the settings are changed later
	Removing  time.Time     `json:"removing,omitzero"`    // it goes then, unless somebody cancels that
	ReadOnly  bool          `json:"-"`                    // it is opened to be read: nothing is made or written there
	Make      bool          `json:"-"`                    // it is being added: a folder that is not there is made. Else it must be there: its disk may not be mounted
}

// OpenedTarget is a target that Options.OpenTarget has opened. An Engine that is an io.Closer is closed after use.
type OpenedTarget struct {
	Engine engine.Engine
	NoCopy string   // why it is no copy in the sense of 3-2-1-1-0; empty: it is one
	Disks  []string // what it lies on: targets that share one are lost together
	Server bool     // it is no folder of this machine: another medium
}

// TargetStatus is how a target stands.
type TargetStatus struct {
	TargetSpec           // without its secret key
	Size       uint64    // entries that can be restored from it; where it is not Connected, as many as were last known
	Behind     uint64    // entries that can't yet
	Restorable time.Time // time of the newest that can; zero: none, or not known yet
	Shipped    time.Time // when the last shipment ended, in this process
	Bytes      int64     // shipped in this process
	Connected  bool
	NoCopy     string   // why it is no copy in the sense of 3-2-1-1-0; empty: it is one
	Disks      []string // what it lies on: targets that share one are lost together
	Server     bool
	LockFor    time.Duration // for how long the target locks what it gets; 0: it doesn't
	Error      string        // empty: all is well
	ErrorSince time.Time
	Refused    bool      // no retry helps: somebody must look
	Lacking    []string  // packs that are damaged here and so could not be shipped
	LastDrill  time.Time // of the newest that passed; zero: none has
	Drill      FailedDrill
	Foreign    []string  // files on it that bear a segment's name and are not of this store: left alone
	Lost       []string  // files that the target lost and that are not shipped again yet
	Listed     time.Time // when it was last listed and compared with what was shipped, in this process
	LastLoss   time.Time // when it last was found to have lost files, or was given up; zero: never. A drill before it proves nothing
	Asked      bool      // nobody ships in this process: the target itself was asked just now
	Ships      bool      // this process ships to it, or tries to
	Newer      uint64    // entries that it holds and the backup that is served here doesn't
	Beyond     uint64    // entries of a former epoch that the target holds and the store goes on without: they are evidence
}

// FailedDrill says that the newest drill of a target did not pass.
type FailedDrill struct {
	Since   time.Time // of the first failure since a drill passed; zero: the newest has passed, or there was none
	Last    time.Time // of the newest
	Problem string    // the first thing that it found
}

// keepPeriod is how long what weakens the store's protection has to wait (DESIGN section 7).
const keepPeriod = 30 * 24 * time.Hour

// targetName is what a target may be called: it is part of the names of environment variables and of log lines.
var targetName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// ErrNoTarget: there is no target of that name.
var ErrNoTarget = errors.New("no such target")

// AddTarget adds a target, or changes the settings of one whose URL stays. It is opened and compared with the store first; shipping begins at once. A target that waits for its removal is kept by that.
// A target that is known to have held entries, and holds none, is refused (replicate.ErrEmptied); AddTargetAnew takes it.
func (s *Backups) AddTarget(ctx context.Context, by core.Who, spec TargetSpec) (core.Committed, error) {
	return s.addTarget(ctx, by, spec, false)
}

// AddTargetAnew is AddTarget for a target that has lost all that it held: a person agrees that it begins anew there. It takes the recovery kit's text, on the machine itself: whoever emptied
// a target must not be able to say that this is well.
func (s *Backups) AddTargetAnew(ctx context.Context, by core.Who, spec TargetSpec, kit []byte) (core.Committed, error) {
	if err := s.core.Enter(); err != nil {
		return core.Committed{}, err
	}
	defer s.core.Leave()
	if err := s.holdsKit(by, kit); err != nil {
		return core.Committed{}, err
	}
	return s.addTarget(ctx, by, spec, true)
}

func (s *Backups) addTarget(ctx context.Context, by core.Who, spec TargetSpec, anew bool) (core.Committed, error) {
	if err := s.core.Enter(); err != nil {
		return core.Committed{}, err
	}
	defer s.core.Leave()
	was, known, err := s.TargetIn(s.core.Index.Reader(), spec.Name)
	if err != nil {
		return core.Committed{}, err
	}
	if known && was.URL != spec.URL {
		return core.Committed{}, elsewhere(spec.Name)
	}
	if err := fromAfar(by, spec, known); err != nil {
		return core.Committed{}, err
	}
	held := uint64(0)
	if known && !anew {
		if held, err = s.heldBy(ctx, spec.Name); err != nil {
			return core.Committed{}, err
		}
	}
	spec.Make = !known || anew
	if err := s.checkTarget(ctx, spec, held); err != nil {
		return core.Committed{}, err
	}
	// What was held is given up before the settings change. After a crash between the two the target is as before and known to hold nothing: adding it once more goes on from there.
	if err := s.forgetHeld(ctx, by, spec.Name, known, anew); err != nil {
		return core.Committed{}, err
	}
	spec.Removing = time.Time{}
	c, err := s.core.Record(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		was, ok, err := s.TargetIn(r, spec.Name)
		if err == nil && ok && was.URL != spec.URL {
			err = elsewhere(spec.Name)
		}
		if err != nil {
			return ledger.Draft{}, err
		}
		if spec.Added = at.Time; ok {
			spec.Added = was.Added
		}
		return s.targetDraft(spec)
	})
	if err != nil {
		return core.Committed{}, err
	}
	return c, s.SyncTargets()
}

// fromAfar refuses what somebody who is not on the machine itself may not name as a target: a folder, which would have the server write anywhere on its disks, and a place that would get the
// keys of the server's own environment. The settings of a target that is there may be changed from anywhere.
func fromAfar(by core.Who, spec TargetSpec, known bool) error {
	switch {
	case by.Local || known:
		return nil
	case !strings.HasPrefix(spec.URL, "s3://"):
		kind, _, _ := strings.Cut(spec.URL, ":")
		return core.BadState("a target of the kind %s: is added on the server's own machine, by `stele target add` there", kind)
	case spec.AccessKey == "" || spec.SecretKey == "":
		return core.BadState("give --target-key and --target-key-file: the server's own keys are not used for a place that is named from afar. Or add it on the server's machine")
	}
	return nil
}

func elsewhere(name string) error {
	return core.BadState("there is a target %s at another place. Take another name, or remove that one first: stele target rm %s", name, name)
}

// forgetHeld has nothing known of what a target held, where that is agreed: it begins anew, or the name was that of a target which was removed.
func (s *Backups) forgetHeld(ctx context.Context, by core.Who, name string, known, anew bool) error {
	if known && !anew {
		return nil
	}
	held, err := s.heldBy(ctx, name)
	if err != nil {
		return err
	}
	if anew {
		s.stopTarget(name)
		return s.giveUp(ctx, by, name, "begun anew")
	}
	if held > 0 {
		return s.giveUp(ctx, by, name, "an earlier target of that name was removed")
	}
	return nil
}

// holdsKit says whether somebody on the machine itself has given the text of the store's recovery kit.
func (s *Backups) holdsKit(by core.Who, kit []byte) error {
	if !by.Local {
		return core.BadState("the recovery kit counts on the machine itself only, through the folder or its socket")
	}
	k, err := keyring.ParseKit(kit)
	if err == nil {
		err = k.Confirm(s.core.Keys)
	}
	return core.Translate(err)
}

// checkTarget refuses what is no target, before it is one.
func (s *Backups) checkTarget(ctx context.Context, spec TargetSpec, held uint64) error {
	switch {
	case !targetName.MatchString(spec.Name):
		return core.BadValue("%q is no name for a target: up to 63 letters, digits, dots, dashes and underscores", spec.Name)
	case spec.Every < 0 || spec.RateBytes < 0 || spec.LockDays < 0:
		return core.BadValue("a schedule, a rate and a number of days can't be below 0")
	case s.Opt.OpenTarget == nil:
		return core.BadState("this store was opened without a way to targets")
	case !s.core.TakesWrites():
		return core.ErrReadOnly
	}
	opened, err := s.Opt.OpenTarget(ctx, spec)
	if err != nil {
		return fmt.Errorf("couldn't open target %s: %w", spec.Name, err)
	}
	defer closeEngine(opened.Engine)
	if err := replicate.Check(ctx, s.origin(), opened.Engine, held); err != nil {
		return fmt.Errorf("target %s: %w", spec.Name, err)
	}
	return nil
}

// closeEngine closes an engine that holds something open.
func closeEngine(e engine.Engine) {
	if c, ok := e.(io.Closer); ok {
		c.Close()
	}
}

// targetDraft is the entry that makes a target's settings these. The secret key is sealed anew.
func (s *Backups) targetDraft(spec TargetSpec) (ledger.Draft, error) {
	name := spec.Name
	sealed, err := s.core.Seal(spec.SecretKey, entry.BackupTarget, name)
	if err != nil {
		return ledger.Draft{}, err
	}
	spec.SecretKey = ""
	return ledger.Draft{Type: entry.BackupTarget, Private: entry.Private{Name: name, Value: SettingsOf(spec), Secret: sealed}}, nil
}

// SettingsOf is a target's settings as its entry has them, beside its name.
func SettingsOf(spec TargetSpec) string {
	spec.Name = ""
	value, err := json.Marshal(spec)
	if err != nil {
		panic("backup: a target's settings are JSON: " + err.Error())
	}
	return string(value)
}

// TargetIn reads a target's settings, with its secret key, as a reader of the index has them; false if there is none of that name.
func (s *Backups) TargetIn(r index.Reader, name string) (spec TargetSpec, ok bool, err error) {
	row, ok, err := r.Config(index.NamedBy(entry.BackupTarget, name))
	if err != nil || !ok {
		return spec, false, err
	}
	spec, err = s.openTarget(name, row)
	return spec, err == nil, err
}

// openTarget reads a target's settings, with its secret key.
func (s *Backups) openTarget(name string, row index.Setting) (TargetSpec, error) {
	spec, err := ParseTarget(name, row.Value)
	if err != nil {
		return spec, err
	}
	if row.Sealed != "" {
		spec.SecretKey, err = s.core.Unseal(row.Sealed, entry.BackupTarget, name)
	}
	return spec, err
}

// ParseTarget reads the settings of a target as its entry has them, beside its name. core.ErrCorrupt: they are no JSON.
func ParseTarget(name, value string) (spec TargetSpec, err error) {
	if err := json.Unmarshal([]byte(value), &spec); err != nil {
		return spec, fmt.Errorf("the settings of target %s: %w: %v", name, core.ErrCorrupt, err)
	}
	spec.Name = name
	return spec, nil
}

// Specs reads the targets of the index, in order of name.
func (s *Backups) Specs() (specs []TargetSpec, err error) {
	named, err := s.core.Index.Named(entry.BackupTarget)
	if err != nil {
		return nil, core.Translate(err)
	}
	for _, n := range named {
		spec, err := s.openTarget(n.Name, n.Setting)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// noTarget says that there is no target of that name, and which there are.
func (s *Backups) noTarget(name string) error {
	specs, err := s.Specs()
	switch {
	case err != nil:
		return err
	case len(specs) == 0 && name == "":
		return fmt.Errorf("%w: nothing is backed up yet. `stele target add NAME URL` begins it", ErrNoTarget)
	case len(specs) == 0:
		return fmt.Errorf("%w: %s; nothing is backed up yet. `stele target add NAME URL` begins it", ErrNoTarget, name)
	case len(specs) == 1:
		return fmt.Errorf("%w: %s. The only target is %s", ErrNoTarget, name, specs[0].Name)
	}
	return fmt.Errorf("%w: %s. The targets are %s", ErrNoTarget, name, named(specs, "and"))
}

// whichTarget asks for the name of one of several targets.
func whichTarget(specs []TargetSpec, verb string) error {
	return core.OfKind(fmt.Errorf("which target? %s. `stele %s %s`", named(specs, "or"), verb, specs[0].Name), core.ErrWhich, core.ErrBadName)
}

// named lists the names of targets.
func named(specs []TargetSpec, last string) string {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " " + last + " " + names[n]
	}
	return names[0]
}

// RemoveTarget ends the shipping to a target; what lies there stays. It takes the recovery kit's text, given on the machine itself; or, with kit empty, a keep period of waiting, which Targets shows and
// anyone may cancel (DESIGN section 7). It returns when the target goes; zero: now. ErrNoTarget, core.ErrWrongKey.
func (s *Backups) RemoveTarget(ctx context.Context, by core.Who, name string, kit []byte) (time.Time, error) {
	if err := s.core.Enter(); err != nil {
		return time.Time{}, err
	}
	defer s.core.Leave()
	now := len(kit) > 0
	if now {
		if err := s.holdsKit(by, kit); err != nil {
			return time.Time{}, err
		}
	}
	var when time.Time
	_, err := s.core.Record(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		spec, ok, err := s.TargetIn(r, name)
		switch {
		case err != nil || !ok:
			return ledger.Draft{}, cmp.Or(err, s.noTarget(name))
		case now:
			return ledger.Draft{Type: entry.BackupTarget, Private: entry.Private{Name: name}}, nil
		case !spec.Removing.IsZero():
			when = spec.Removing
			return ledger.Draft{}, core.ErrNoChange
		}
		when = at.Time.Add(keepPeriod).Truncate(time.Second)
		spec.Removing = when
		return s.targetDraft(spec)
	})
	if err != nil && !errors.Is(err, core.ErrNoChange) {
		return time.Time{}, err
	}
	return when, s.SyncTargets()
}

// CancelRemoval keeps a target that waits for its removal.
func (s *Backups) CancelRemoval(ctx context.Context, by core.Who, name string) (core.Committed, error) {
	if err := s.core.Enter(); err != nil {
		return core.Committed{}, err
	}
	defer s.core.Leave()
	return s.core.Record(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		spec, ok, err := s.TargetIn(r, name)
		if err != nil || !ok {
			return ledger.Draft{}, cmp.Or(err, s.noTarget(name))
		}
		if spec.Removing.IsZero() {
			return ledger.Draft{}, core.BadState("nobody has asked to remove target %s", name)
		}
		spec.Removing = time.Time{}
		return s.targetDraft(spec)
	})
}

// RemoveDue removes the targets whose wait is over.
func (s *Backups) RemoveDue(ctx context.Context) error {
	specs, err := s.Specs()
	if err != nil {
		return err
	}
	for _, spec := range specs {
		if spec.Removing.IsZero() {
			continue
		}
		_, err := s.core.Record(ctx, core.Who{Key: core.ActorStele}, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
			now, ok, err := s.TargetIn(r, spec.Name)
			if err != nil || !ok || now.Removing.IsZero() || now.Removing.After(at.Time) {
				return ledger.Draft{}, cmp.Or(err, core.ErrNoChange)
			}
			return ledger.Draft{Type: entry.BackupTarget, Private: entry.Private{Name: spec.Name, Reason: "the wait is over"}}, nil
		})
		if errors.Is(err, core.ErrNoChange) {
			continue
		}
		if err == nil {
			err = s.SyncTargets()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// drills says when the newest drill of a target passed (zero: none has), and whether one failed since.
func (s *Backups) drills(ctx context.Context, target string) (passed time.Time, failed FailedDrill, err error) {
	good, _, err := s.namedIn(ctx, index.LastGood(entry.DrillRun, target))
	if err != nil {
		return passed, failed, err
	}
	first, bad, err := s.namedIn(ctx, index.FirstBad(entry.DrillRun, target))
	if err != nil || !bad {
		return good.Time, failed, err
	}
	last, _, err := s.namedIn(ctx, index.LastOf(entry.DrillRun, target))
	return good.Time, FailedDrill{Since: first.Time, Last: last.Time, Problem: last.Private.Reason}, err
}

// namedIn is the entry whose index a setting holds; false if there is no such setting.
func (s *Backups) namedIn(ctx context.Context, setting string) (e entry.Entry, ok bool, err error) {
	row, ok, err := s.core.Index.Reader().Config(setting)
	if err != nil || !ok {
		return e, false, core.Translate(err)
	}
	at, err := strconv.ParseUint(row.Value, 10, 64)
	if err != nil {
		return e, false, fmt.Errorf("%w: the index's row %s: delete the index folder, it will be rebuilt", core.ErrCorrupt, setting)
	}
	e, _, _, err = s.core.Ledger().Entry(ctx, at)
	return e, err == nil, core.Translate(err)
}

// lastOf is the time of the newest entry of a type about a name; zero: there is none.
func (s *Backups) lastOf(ctx context.Context, t entry.Type, name string) (time.Time, error) {
	e, err := s.newestOf(ctx, t, name)
	return e.Time, err
}
