package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stele"
	"stele/internal/config"
	"stele/internal/engine"
	"stele/internal/replicate"
	"stele/internal/target"
)

type targetCmd struct {
	Add    targetAddCmd    `cmd:"" help:"Add a target, or change its settings. Shipping begins at once."`
	List   targetListCmd   `cmd:"" help:"List the targets and how they stand."`
	Rm     targetRmCmd     `cmd:"" help:"End the shipping to a target, after a wait; with --recovery-key at once. What lies there stays."`
	Cancel targetCancelCmd `cmd:"" help:"Keep a target that waits for its removal."`
	Sync   targetSyncCmd   `cmd:"" help:"Ship all that is committed to every target, and wait until it can be restored from there."`
}

// targetsOf opens targets for the store in folder.
func targetsOf(folder string) func(context.Context, stele.TargetSpec) (stele.OpenedTarget, error) {
	return func(ctx context.Context, spec stele.TargetSpec) (stele.OpenedTarget, error) {
		e, f, err := target.Open(ctx, spec.URL, target.Options{Name: spec.Name, AccessKey: spec.AccessKey, SecretKey: spec.SecretKey,
			LockFor: time.Duration(spec.LockDays) * 24 * time.Hour, Store: folder, Offsite: spec.Offsite, ReadOnly: spec.ReadOnly, Make: spec.Make})
		if err == nil && spec.LockDays > 0 && !spec.ReadOnly {
			e, err = shortTails(ctx, e, folder, spec)
		}
		return stele.OpenedTarget{Engine: e, NoCopy: f.NoCopy, Disks: f.Disks, Server: f.Server}, err
	}
}

// shortTails has tails locked for a day only, where the target can lock.
func shortTails(ctx context.Context, e engine.Engine, folder string, spec stele.TargetSpec) (engine.Engine, error) {
	locking, ok := e.(interface {
		engine.Engine
		engine.Locker
	})
	if !ok {
		return e, nil
	}
	tails, _, err := target.Open(ctx, spec.URL, target.Options{Name: spec.Name, AccessKey: spec.AccessKey, SecretKey: spec.SecretKey, LockFor: replicate.TailLock, Store: folder})
	return replicate.ShortTails(locking, tails), err
}

type targetAddCmd struct {
	Name          string        `arg:"" help:"What it is called."`
	URL           string        `arg:"" name:"url" help:"Where it lies: ${targets}."`
	Every         time.Duration `placeholder:"TIME" help:"Ship on a schedule, such as 5m (as it comes)."`
	Rate          string        `placeholder:"RATE" help:"Bytes a second at most, such as 10MB (no limit)."`
	LockDays      int           `placeholder:"N" help:"Lock files for so many days, where the target can."`
	Offsite       bool          `help:"It stands at another site: declared, and shown as declared."`
	TargetKey     string        `placeholder:"ID" help:"Access key of the target; kept sealed in the ledger. Else the server's environment has it (STELE_TARGET_…)."`
	TargetKeyFile string        `placeholder:"FILE" help:"File that holds its secret key."`
	Anew          bool          `help:"Begin anew at a target that has lost all that it held; takes --recovery-key, on this machine. First make sure that it is the right place: its disk may not be mounted."`
}

func (c *targetAddCmd) Run(ctx context.Context, a *app) error {
	spec := stele.TargetSpec{Name: c.Name, URL: c.URL, Every: c.Every, LockDays: c.LockDays, Offsite: c.Offsite, AccessKey: c.TargetKey}
	if !strings.Contains(c.URL, "://") && !filepath.IsAbs(c.URL) {
		return usage{fmt.Errorf("%s is no place: write %s", shown(c.URL), target.Forms())} // relative to whose folder, this one's or the server's?
	}
	var err error
	if spec.RateBytes, err = config.Rate(c.Rate); err != nil {
		return usage{err}
	}
	if spec.SecretKey, err = secretOf("", c.TargetKeyFile); err != nil {
		return err
	}
	if (spec.AccessKey == "") != (spec.SecretKey == "") {
		return usage{fmt.Errorf("--target-key and --target-key-file go together")}
	}
	kit, err := a.kitText()
	if err != nil {
		return err
	}
	if c.Anew && kit == nil {
		return usage{fmt.Errorf("--anew takes --recovery-key FILE: whoever emptied a target must not be able to say that this is well")}
	}
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	var done stele.Committed
	if c.Anew {
		done, err = s.AddTargetAnew(ctx, local, spec, kit)
	} else {
		done, err = s.AddTarget(ctx, local, spec)
	}
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "target": c.Name, "url": c.URL, "entry": done.Entry})
	}
	a.say("target %s added (entry %d)", c.Name, done.Entry)
	a.note("a server ships all the time; `stele target sync` waits until all is there, `stele status` says how it stands")
	return nil
}

type targetListCmd struct{}

// targetDoc is a target as JSON.
type targetDoc struct {
	V          int      `json:"v"`
	Name       string   `json:"name"`
	URL        string   `json:"url"`
	Every      string   `json:"every,omitempty"`
	Rate       int64    `json:"rate,omitempty"`
	LockDays   int      `json:"lock_days,omitempty"`
	Offsite    bool     `json:"offsite"`
	NoCopy     string   `json:"no_copy,omitempty"` // why it does not count
	Size       uint64   `json:"size"`
	Behind     uint64   `json:"behind"`
	Restorable string   `json:"restorable,omitempty"`
	Connected  bool     `json:"connected"`
	Error      string   `json:"error,omitempty"`
	ErrorSince string   `json:"error_since,omitempty"`
	Refused    bool     `json:"refused,omitempty"`
	Lacking    []string `json:"lacking,omitempty"`
	Lost       []string `json:"lost,omitempty"`
	Foreign    []string `json:"foreign,omitempty"` // files on it that bear a segment's name and are not of this store
	Listed     string   `json:"listed,omitempty"`
	LastLoss   string   `json:"last_loss,omitempty"`
	Newer      uint64   `json:"newer,omitempty"`  // entries that it holds and the backup that is served doesn't
	Beyond     uint64   `json:"beyond,omitempty"` // entries of a former epoch that the store goes on without
	Removing   string   `json:"removing,omitempty"`
	LastDrill  string   `json:"last_drill,omitempty"` // that passed
	// DrillFailed is since when the target does not pass its drill; left out where the newest passed.
	DrillFailed  string `json:"drill_failed_since,omitempty"`
	DrillProblem string `json:"drill_problem,omitempty"`
}

func momentOr(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return moment(t)
}

func targetDocOf(t *stele.TargetStatus) targetDoc {
	d := targetDoc{V: 1, Name: t.Name, URL: t.URL, Rate: t.RateBytes, LockDays: t.LockDays, Offsite: t.Offsite, NoCopy: t.NoCopy, Size: t.Size, Behind: t.Behind,
		Restorable: momentOr(t.Restorable), Connected: t.Connected, Error: t.Error, ErrorSince: momentOr(t.ErrorSince), Refused: t.Refused, Lacking: t.Lacking, Lost: t.Lost, Foreign: t.Foreign,
		Listed: momentOr(t.Listed), LastLoss: momentOr(t.LastLoss), Newer: t.Newer, Beyond: t.Beyond,
		Removing: momentOr(t.Removing), LastDrill: momentOr(t.LastDrill), DrillFailed: momentOr(t.Drill.Since), DrillProblem: t.Drill.Problem}
	if t.Every > 0 {
		d.Every = t.Every.String()
	}
	return d
}

func (c *targetListCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := s.Targets(ctx)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		for i := range all {
			if err := a.document(targetDocOf(&all[i])); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		a.note("no targets; `stele target add NAME URL` adds one")
		return nil
	}
	t := a.table("NAME", "URL", "SHIPS", "ENTRIES", "BEHIND", "RESTORABLE TO", "STATE")
	for i := range all {
		t.row(all[i].Name, shown(all[i].URL), ships(&all[i]), strconv.FormatUint(all[i].Size, 10), strconv.FormatUint(all[i].Behind, 10), moment(all[i].Restorable), targetState(&all[i]))
	}
	return t.end()
}

func ships(t *stele.TargetStatus) string {
	if t.Every > 0 {
		return "every " + t.Every.String()
	}
	return "as it comes"
}

func targetState(t *stele.TargetStatus) string {
	switch {
	case t.Error != "" && !t.ErrorSince.IsZero(): // whether it is not reached, refused or full
		return "not shipped to since " + moment(t.ErrorSince) + ": " + shown(t.Error)
	case t.Error != "":
		return shown(t.Error)
	case !t.Removing.IsZero():
		return "goes on " + moment(t.Removing) + " unless cancelled"
	case len(t.Lost) > 0:
		return lostFiles(t)
	case t.Connected && t.Size == 0:
		return "holds nothing"
	case !t.Drill.Since.IsZero():
		return "FAILED its drill of " + moment(t.Drill.Last)
	case t.Newer > 0:
		return newer(t)
	case len(t.Lacking) > 0:
		return fmt.Sprintf("lacks %s that %s damaged here", count(int64(len(t.Lacking)), "file"), isAre(len(t.Lacking)))
	case t.Connected && t.NoCopy != "":
		return t.NoCopy
	case t.Connected:
		return "well"
	case t.Ships:
		return "not reached yet since the server started"
	}
	return "no server ships now"
}

// lostFiles says how many files a target lost.
func lostFiles(t *stele.TargetStatus) string {
	n := len(t.Lost)
	return fmt.Sprintf("lost %s, which %s being shipped again", count(int64(n), "file"), isAre(n))
}

// newer says that a target holds more than the backup that is served.
func newer(t *stele.TargetStatus) string {
	return fmt.Sprintf("holds %s more than the backup that is served here: serve from it instead", entries(t.Newer))
}

// holds says how much of the store a target holds; of one that is not reached, what was last known.
func holds(t *stele.TargetStatus) string {
	much := fmt.Sprintf("%s of %s, up to %s", thousands(t.Size), entries(t.Size+t.Behind), moment(t.Restorable))
	switch {
	case t.Connected:
		return much
	case t.Size == 0:
		return "not known what it holds"
	}
	return "last known to hold " + much
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

type targetRmCmd struct {
	Name string `arg:"" help:"Which target."`
}

func (c *targetRmCmd) Run(ctx context.Context, a *app) error {
	kit, err := a.kitText()
	if err != nil {
		return err
	}
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	when, err := s.RemoveTarget(ctx, local, c.Name, kit)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "target": c.Name, "removed": when.IsZero(), "removing": momentOr(when)})
	}
	if when.IsZero() {
		a.say("target %s removed; what lies there stays", c.Name)
		return nil
	}
	a.say("target %s goes on %s; until then it is shipped to, and `stele target cancel %s` keeps it", c.Name, moment(when), c.Name)
	a.note("with the recovery kit (--recovery-key FILE), on this machine, it goes at once")
	return nil
}

// kitText is the recovery kit that --recovery-key names; nil: none.
func (a *app) kitText() ([]byte, error) {
	if a.cli.RecoveryKey == "" {
		return nil, nil
	}
	kit, err := os.ReadFile(a.cli.RecoveryKey)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the recovery kit: %w", err)
	}
	return kit, nil
}

type targetCancelCmd struct {
	Name string `arg:"" help:"Which target."`
}

func (c *targetCancelCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.CancelRemoval(ctx, local, c.Name)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "target": c.Name, "entry": done.Entry})
	}
	a.say("target %s stays (entry %d)", c.Name, done.Entry)
	return nil
}

type targetSyncCmd struct{}

func (c *targetSyncCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.FlushTargets(ctx); err != nil {
		return err
	}
	all, err := s.Targets(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if a.cli.JSON {
			err = a.document(targetDocOf(&all[i]))
		} else {
			a.say("%s: %s can be restored, up to %s", all[i].Name, entries(all[i].Size), moment(all[i].Restorable))
		}
		if err != nil {
			return err
		}
	}
	return s.Close()
}
