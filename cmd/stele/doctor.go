package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/rpc/client"
)

type doctorCmd struct{}

// checkup is what the doctor found.
type checkup struct {
	app    *app
	faults int
	cause  error // the first fault that is an error: it decides the exit code
	failed error // of printing
}

type finding struct {
	V     int    `json:"v"`
	Check string `json:"check"`
	State string `json:"state"` // ok, warning or fault
	Found string `json:"found"`
	Next  string `json:"next,omitempty"`
}

func (c *checkup) tell(check, state, next, format string, args ...any) {
	f := finding{1, check, state, fmt.Sprintf(format, args...), next}
	if state == "fault" {
		c.faults++
	}
	if c.app.cli.JSON {
		c.failed = errors.Join(c.failed, c.app.document(f))
		return
	}
	_, err := fmt.Fprintf(c.app.stdout, "%-7s  %-11s  %s\n", f.State, f.Check, f.Found)
	if err == nil && next != "" {
		_, err = fmt.Fprintf(c.app.stdout, "%-7s  %-11s  next: %s\n", "", "", next)
	}
	c.failed = errors.Join(c.failed, err)
}

func (c *checkup) ok(check, format string, args ...any) { c.tell(check, "ok", "", format, args...) }

// fault reports an error in the words that a verb would use for it.
func (c *checkup) fault(check string, err error) {
	message, hint := c.app.words(err)
	c.tell(check, "fault", hint, "%s", message)
	if c.cause == nil {
		c.cause = err
	}
}

func (doctorCmd) Run(ctx context.Context, a *app) error {
	c := &checkup{app: a}
	if a.cli.Server == "" {
		if !c.folder() {
			return c.verdict()
		}
		c.disk()
		c.fsync()
	}
	c.clock()
	if s := c.store(ctx); s != nil {
		defer s.Close()
		c.ledger(ctx, s)
		c.kit(s)
		c.keys(ctx, s)
	}
	return c.verdict()
}

func (c *checkup) verdict() error {
	switch {
	case c.failed != nil:
		return c.failed
	case c.faults == 0:
		c.app.say("no faults")
		return nil
	case c.cause != nil:
		return withHint(fmt.Errorf("%s found; the first: %w", count(c.faults, "fault"), c.cause), "the lines above say what to do")
	}
	return withHint(fmt.Errorf("%s found", count(c.faults, "fault")), "the lines above say what to do")
}

// folder checks that there is a store, and who may read its keys.
func (c *checkup) folder() bool {
	data := c.app.data()
	info, err := os.Stat(data)
	if err != nil || !info.IsDir() {
		c.fault("folder", withHint(fmt.Errorf("%w: %s is no folder", stele.ErrNotStore, data), "`stele init --data %s` makes a store there", data))
		return false
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		c.tell("folder", "warning", "chmod 700 "+data, "%s is open to other users: mode %04o", data, info.Mode().Perm())
	} else {
		c.ok("folder", "%s, mode %04o", data, info.Mode().Perm())
	}
	for _, f := range []struct {
		name string
		must bool
		lost string
	}{
		{"identity", true, "put the file back, or open the store with --recovery-key and its recovery kit"},
		{"root.key", false, "the next start makes a new root key, unless STELE_ROOT_ACCESS_KEY is set"},
	} {
		path := filepath.Join(data, f.name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && f.must:
			c.tell(f.name, "fault", f.lost, "%s is missing", path)
		case errors.Is(err, fs.ErrNotExist):
			c.tell(f.name, "warning", f.lost, "%s is missing", path)
		case err != nil:
			c.fault(f.name, err)
		case info.Mode().Perm()&0o077 != 0:
			c.tell(f.name, "fault", "chmod 600 "+path, "other users can read it: mode %04o", info.Mode().Perm())
		default:
			c.ok(f.name, "mode %04o", info.Mode().Perm())
		}
	}
	return true
}

// Free space below which the doctor warns, and faults.
const (
	lowSpace   = 10 << 30
	noSpace    = 1 << 30
	fullWarned = 85 // percent
)

func (c *checkup) disk() {
	data := c.app.data()
	name, trouble := fileSystem(data)
	if trouble != "" {
		c.tell("file system", "warning", trouble, "%s", name)
	} else {
		c.ok("file system", "%s", name)
	}
	total, free := diskSpace(data)
	if total <= 0 {
		return
	}
	used := 100 - int(free*100/total)
	text := fmt.Sprintf("%s free of %s, %d %% used", size(free), size(total), used)
	switch {
	case free < noSpace:
		c.tell("space", "fault", "free some space: writes end when the disk is full; reads go on", "%s", text)
	case free < lowSpace && used >= fullWarned:
		c.tell("space", "warning", "plan for more room", "%s", text)
	default:
		c.ok("space", "%s", text)
	}
}

// Speeds of an fsync between which nothing is said.
const (
	slowSync = 50 * time.Millisecond
	fastSync = 15 * time.Microsecond
)

// fsync times what every write waits for. Its file lies where the store sweeps what is left over.
func (c *checkup) fsync() {
	path := filepath.Join(c.app.data(), "tmp", "doctor-"+randomName())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			c.tell("fsync", "warning", "run as the user who owns "+c.app.data(), "not measured: %v", err)
			return
		}
		c.fault("fsync", fmt.Errorf("couldn't write: %w", err))
		return
	}
	defer os.Remove(path)
	defer f.Close()
	block := make([]byte, 4096)
	var took []time.Duration
	for i := range 15 {
		start := time.Now()
		_, err := f.WriteAt(block, int64(i)*int64(len(block)))
		if err = errors.Join(err, f.Sync()); err != nil {
			c.fault("fsync", fmt.Errorf("couldn't make a block durable: %w", err))
			return
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	text := fmt.Sprintf("median %s, worst of %d %s", median.Round(time.Microsecond), len(took), worst.Round(time.Microsecond))
	switch {
	case median > slowSync:
		c.tell("fsync", "warning", "a faster disk, or one with power-loss protection, makes every write faster", "%s", text)
	case median < fastSync:
		c.tell("fsync", "warning", "make sure that fsync reaches the disk: no eatmydata, no nobarrier, no write cache without a battery", "%s: faster than a disk", text)
	default:
		c.ok("fsync", "%s", text)
	}
}

func (c *checkup) clock() {
	now := time.Now()
	if now.Year() < 2026 {
		c.tell("clock", "fault", "set the clock; locks and keep periods count by it", "it is %s by this machine", moment(now))
		return
	}
	synced, known := clockSynchronized()
	switch {
	case known && !synced:
		c.tell("clock", "warning", "run an NTP client (chrony, systemd-timesyncd)", "%s; the kernel says that nobody keeps it right", moment(now))
	default:
		c.ok("clock", "%s", moment(now))
	}
}

// store opens the store as any reading verb does.
func (c *checkup) store(ctx context.Context) client.Store {
	start := time.Now()
	s, err := c.app.openRead(ctx)
	if err != nil {
		c.fault("store", err)
		return nil
	}
	how := "opened here"
	if c.app.recovered {
		how = "opened here, and recovered after a crash"
	}
	if server, ok := serverOf(s); ok {
		how = "held by a server"
		if err := server.Ready(ctx); err != nil {
			c.fault("server", fmt.Errorf("it is not ready: %w", err))
		}
	}
	c.ok("store", "%s, %s in %s", s.ID(), how, time.Since(start).Round(time.Millisecond))
	return s
}

// ledger compares the index with the ledger, and the ledger's time with the clock.
func (c *checkup) ledger(ctx context.Context, s client.Store) {
	st, err := s.Stats(ctx)
	if err != nil {
		c.fault("ledger", err)
		return
	}
	if len(st.Foreign) > 0 {
		c.tell("foreign", "warning", "find out who put them there, and move them away", "not of this store, and left alone: %s", shown(strings.Join(st.Foreign, ", ")))
	}
	var last *entry.Entry
	err = s.Ledger().Log(ctx, stele.LogQuery{From: max(st.Entries, 1) - 1}, func(e *entry.Entry) error { last = e; return nil })
	switch {
	case err != nil:
		c.fault("ledger", fmt.Errorf("couldn't read the newest entry: %w", err))
	case last == nil:
		c.tell("ledger", "fault", "`stele dump entries` shows what the segments hold", "the index is at size %d, the ledger has no entry %d", st.Entries, st.Entries-1)
	case time.Until(last.Time) > 10*time.Minute:
		c.tell("ledger", "warning", "set the clock: it was once ahead, or is behind now", "the newest entry is of %s, in the future", moment(last.Time))
	default:
		c.ok("ledger", "size %d, index at the same; newest entry of %s", st.Entries, moment(last.Time))
	}
	c.ok("contents", "%s in %s; %s stored, index %s", count(st.Objects, "object"), count(st.Buckets, "bucket"), size(st.StoredBytes), size(st.IndexBytes))
}

func (c *checkup) kit(s client.Store) {
	at, err := s.Keys().KitConfirmed()
	if err != nil {
		c.fault("kit", err)
		return
	}
	if at.IsZero() {
		c.tell("kit", "warning", "read the recovery kit back from where it is kept: stele kit confirm FILE", "never confirmed: without it this machine is the only way to the data")
		return
	}
	if beside, there := c.app.kitBeside(s.ID()); there && c.app.cli.Server == "" {
		c.tell("kit", "warning", "move it to two places where the store is not", "confirmed %s, but %s lies beside the store", moment(at), beside)
		return
	}
	c.ok("kit", "confirmed %s", moment(at))
}

func (c *checkup) keys(ctx context.Context, s client.Store) {
	keys, err := s.Keys().List(ctx)
	if err != nil {
		c.fault("keys", err)
		return
	}
	live, admins := 0, 0
	for _, k := range keys {
		if !k.Revoked {
			live++
			if k.Role == stele.RoleAdmin {
				admins++
			}
		}
	}
	c.ok("keys", "%s beside the root key, %d of role admin", count(live, "live key"), admins)
}
