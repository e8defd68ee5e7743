package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"

	"stele/entry"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/hydrate"
	"stele/internal/index"
	"stele/internal/ledger"
	"stele/internal/replicate"
	"stele/verify"
)

// drillOptions say what to try.
type drillOptions struct {
	By       core.Who
	Target   engine.Engine
	Name     string // of the target
	Place    string // where it lies, without secrets
	Identity string // a recovery key; empty: the server's identity
	Full     bool   // read every byte of the copy, and hash it again
	Sample   int    // object versions to read, if there are so many; 0: 100
	// Progress is told of bytes read and of bytes in all, in a full drill. May be nil.
	Progress func(done, total int64)
	// Rand chooses the moment and the sample; nil: at random.
	Rand *rand.Rand

	fresh bool // nothing was ever shipped there
}

// drillSample is how many object versions a drill reads if nobody says otherwise.
const drillSample = 100

// drill proves that a target can be restored: it serves from the target in a scratch folder, as after a fire, at a past moment chosen at random; compares the copy's tree with the ledger; reads
// a sample of object versions (or everything) and hashes them to their entries' digests; measures what would be lost and how long it takes; and writes the signed certificate as an entry.
// A copy that fails is no error: the certificate says so.
func (s *Backups) drill(ctx context.Context, opt drillOptions) (c verify.Certificate, signed []byte, err error) {
	if err := s.core.Enter(); err != nil {
		return c, nil, err
	}
	defer s.core.Leave()
	ctx, cancel := s.core.UntilClosed(ctx)
	defer cancel()
	if !s.core.TakesWrites() {
		return c, nil, core.ErrReadOnly
	}
	d := &drill{s: s, opt: opt, start: s.core.Now(), c: verify.Certificate{V: 1, Store: s.core.ID(), Target: opt.Name, Place: opt.Place, Full: opt.Full, OpenedBy: verify.OpenedByRecovery, Problems: []string{}}}
	if err := d.prepare(); err != nil {
		return c, nil, err
	}
	if err := d.run(ctx); err != nil && !(engine.Short(err) && len(d.c.Problems) > 0) { // what was found until this machine ran short is proven
		return d.c, nil, s.core.ClosedOr(core.Translate(err))
	}
	signed, err = d.record(ctx)
	return d.c, signed, err
}

// drill is a drill under way.
type drill struct {
	s     *Backups
	opt   drillOptions
	start time.Time
	c     verify.Certificate
}

func (d *drill) prepare() error {
	if d.opt.Sample <= 0 {
		d.opt.Sample = drillSample
	}
	if d.opt.Rand == nil {
		d.opt.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if d.opt.Identity != "" {
		return nil
	}
	d.c.OpenedBy = verify.OpenedByIdentity
	b, err := core.ReadFile(d.s.core.FS, d.s.core.Path(core.FileIdentity))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: this server has no identity file: give the recovery key with --recovery-key", core.ErrWrongKey)
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", d.s.core.Path(core.FileIdentity), err)
	}
	d.opt.Identity = string(bytes.TrimSpace(b))
	return nil
}

// errNotYet: nothing was ever shipped to a target. That it can't be restored from is no failure of the copy, and no alarm: there is no copy.
var errNotYet = errors.New("not yet")

// neverHeld says whether a target has never held anything, as far as this store and its ledger know.
func (s *Backups) neverHeld(ctx context.Context, name string) (bool, error) {
	known, err := s.heldBy(ctx, name)
	if err != nil || known > 0 {
		return false, err
	}
	for _, r := range s.shippings() {
		r.mu.Lock()
		holds := r.holds
		r.mu.Unlock()
		if r.spec.Name == name && holds > 0 {
			return false, nil
		}
	}
	return true, nil
}

// run opens the copy, and does everything that the certificate tells of. The scratch folder is removed at the end; what a crash leaves of it, the next start sweeps.
func (d *drill) run(ctx context.Context) (err error) {
	scratch := d.s.core.Path(core.DrillPrefix + durable.Random())
	defer func() { err = errors.Join(err, d.s.core.FS.RemoveAll(scratch)) }()
	copied, err := d.s.Opt.OpenCopy(ctx, scratch, hydrate.From{Target: d.opt.Target, Name: d.opt.Name, NoFill: true}, d.opt.Identity)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, core.ErrWrongKey) && d.c.OpenedBy == verify.OpenedByRecovery {
			return err // nothing was tried: the caller's key is not this store's
		}
		if d.opt.fresh && errors.Is(err, replicate.ErrNone) {
			return core.OfKind(fmt.Errorf("nothing was shipped to target %s yet. `stele target sync` ships all that is committed and waits for it; then drill", d.opt.Name), errNotYet, core.ErrBadState)
		}
		if engine.Short(err) {
			return notTried(err)
		}
		d.problem("the copy can't be opened: %v", err)
		return nil
	}
	defer func() { err = errors.Join(err, copied.Core.Close()) }()
	if err := d.compare(ctx, copied); err != nil || len(d.c.Problems) > 0 {
		return err
	}
	if err := d.sample(ctx, copied); err != nil {
		return err
	}
	if err := d.list(ctx, copied); err != nil || !d.opt.Full {
		return err
	}
	return d.full(ctx, copied)
}

func (d *drill) problem(format string, args ...any) {
	d.c.Problems = append(d.c.Problems, fmt.Sprintf(format, args...))
}

// compare looks whether the copy's ledger is the store's, and chooses the moment.
func (d *drill) compare(ctx context.Context, copied *Copied) error {
	head, root := copied.Core.Ledger().Head()
	d.c.Head, d.c.Checkpoint = head, string(copied.Core.Ledger().Checkpoint())
	if head == 0 || head > d.s.core.Size() {
		d.problem("the copy holds %d entries, the store %d: it is of another history", head, d.s.core.Size())
		return nil
	}
	mine, err := d.s.core.Ledger().Root(ctx, head)
	if err != nil {
		return err
	}
	if mine != root {
		d.problem("the copy's root at %d entries is not the store's: history was rewritten here or there", head)
		return nil
	}
	newest, err := d.entry(ctx, copied.Core, head-1)
	if err != nil {
		return err
	}
	d.c.HeadTime = newest.Time
	if head < d.s.core.Size() {
		missing, err := d.entry(ctx, d.s.core, head)
		if err != nil {
			return err
		}
		d.c.RPOSeconds = max(0, d.s.core.Now().Sub(missing.Time).Seconds())
	}
	d.c.Size = 1 + d.opt.Rand.Uint64N(head)
	at, err := d.entry(ctx, copied.Core, d.c.Size-1)
	if err != nil {
		return err
	}
	then, err := copied.Core.Ledger().Root(ctx, d.c.Size)
	d.c.Moment, d.c.Root = at.Time, hex.EncodeToString(then[:])
	return err
}

func (d *drill) entry(ctx context.Context, of *core.Store, at uint64) (entry.Entry, error) {
	e, _, _, err := of.Ledger().Entry(ctx, at)
	return e, err
}

// errFound ends a look through entries.
var errFound = errors.New("found")

// sample reads object versions of the whole copy, whatever the moment, chosen by random entries; each once.
func (d *drill) sample(ctx context.Context, copied *Copied) error {
	chosen := map[uint64]bool{}
	for range d.opt.Sample {
		var found *entry.Entry
		from := d.opt.Rand.Uint64N(d.c.Head)
		look := func(from, to uint64) error {
			err := copied.Core.Ledger().Entries(ctx, from, to, func(e *entry.Entry) error {
				if e.Type != entry.ObjectPut || e.Private.Body == nil || chosen[e.Index] { // another change, a lawful erasure, or one that was read
					return nil
				}
				kept := *e
				found = &kept
				return errFound
			})
			if errors.Is(err, errFound) {
				err = nil
			}
			return err
		}
		if err := look(from, d.c.Head); err != nil {
			return d.bad(ctx, err)
		}
		if found == nil {
			if err := look(0, from); err != nil {
				return d.bad(ctx, err)
			}
		}
		if found == nil {
			return nil // there are no more
		}
		chosen[found.Index] = true
		if err := d.read(ctx, copied, found); err != nil {
			return err
		}
	}
	return nil
}

// notTried is the end of a drill for which this machine was short of something: of open files, of memory, or of room for the scratch folder. That must not stand in a signed certificate as if it
// said something of the copy.
func notTried(err error) error {
	return fmt.Errorf("the drill could not be made on this machine, which says nothing of the copy: %w", err)
}

func (d *drill) read(ctx context.Context, copied *Copied, e *entry.Entry) error {
	err := copied.Core.Body.Verify(ctx, *e.Private.Body)
	if errors.Is(core.Translate(err), core.ErrErased) { // nothing is erased in this version
		err = errors.New("a pack that holds bytes of it is missing there")
	}
	if err != nil {
		return d.bad(ctx, fmt.Errorf("%s/%s of entry %d: %w", e.Private.Bucket, e.Private.Key, e.Index, err))
	}
	if d.c.Versions == 0 {
		d.c.RTOSeconds = d.s.core.Now().Sub(d.start).Seconds()
	}
	d.c.Versions++
	d.c.Bytes += e.Private.Body.Size
	return nil
}

// bad notes what is wrong with the copy. The end of ctx ends the drill, and so does what this machine lacks.
func (d *drill) bad(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if engine.Short(err) {
		return notTried(err)
	}
	d.problem("%v", err)
	return nil
}

// list lists the first keys of each bucket as of the moment, there and here: they must be the same.
func (d *drill) list(ctx context.Context, copied *Copied) error {
	keys, differs, err := copied.Lists(ctx, d.c.Size)
	if err != nil {
		return err
	}
	d.c.Listed += keys
	d.c.Problems = append(d.c.Problems, differs...)
	return ctx.Err()
}

func (d *drill) full(ctx context.Context, copied *Copied) error {
	r, err := copied.Care.Verify(ctx, care.VerifyOptions{Deep: true, Progress: d.opt.Progress})
	for _, p := range r.Problems {
		d.problem("%s: %s", p.Where, p.What)
	}
	if err != nil {
		return d.bad(ctx, err)
	}
	return nil // the certificate's versions and bytes stay those of the sample: what was read now are files
}

// record signs the certificate and writes the entry. A crash before the entry leaves no trace of the drill: it is due again at the next start.
func (d *drill) record(ctx context.Context) ([]byte, error) {
	d.c.OK = len(d.c.Problems) == 0
	d.c.Started, d.c.Seconds = d.start.UTC(), d.s.core.Now().Sub(d.start).Seconds()
	signer, err := note.NewSigner(d.s.core.Keys.Signer)
	if err != nil {
		return nil, fmt.Errorf("couldn't sign the certificate: %w", err)
	}
	signed, err := d.c.Sign(signer)
	if err != nil {
		return nil, err
	}
	w, err := d.s.core.WriteDocument(ctx, signed)
	if err != nil {
		return nil, err
	}
	defer w.Release()
	facts := map[string]string{"ok": strconv.FormatBool(d.c.OK), "size": strconv.FormatUint(d.c.Size, 10), "full": strconv.FormatBool(d.c.Full), "opened_by": d.c.OpenedBy,
		"rpo": fmt.Sprintf("%.3fs", d.c.RPOSeconds), "rto": fmt.Sprintf("%.3fs", d.c.RTOSeconds), "versions": strconv.FormatInt(d.c.Versions, 10)}
	found := ""
	if !d.c.OK {
		found = core.Reason(d.c.Problems[0])
	}
	_, err = d.s.core.Record(ctx, d.opt.By, func(index.Reader, ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.DrillRun, Private: entry.Private{Name: d.opt.Name, Data: facts, Doc: &w.Body, Reason: found}}, nil
	})
	return signed, err
}

// DrillRequest asks for a drill of a target by its name.
type DrillRequest struct {
	Target   string // empty: the only one there is
	Recovery string // a recovery key: opens the copy in place of the server's identity. It counts on the machine itself only
	Full     bool
	Sample   int
}

// Drilled is a certificate and the signed note that holds it.
type Drilled struct {
	Certificate verify.Certificate
	Signed      []byte
}

// DrillTarget drills one of the store's targets. ErrNoTarget: there is none of that name. core.ErrWhich: several, and no name. core.ErrWrongKey: the key given is not the store's.
func (s *Backups) DrillTarget(ctx context.Context, by core.Who, q DrillRequest) (Drilled, error) {
	if err := s.core.Enter(); err != nil {
		return Drilled{}, err
	}
	defer s.core.Leave()
	if q.Recovery != "" && !by.Local {
		return Drilled{}, core.BadState("the recovery key counts on the machine itself only, through the folder or its socket")
	}
	spec, err := s.oneTarget(q.Target)
	if err != nil {
		return Drilled{}, err
	}
	if s.Opt.OpenTarget == nil {
		return Drilled{}, core.BadState("this store was opened without a way to targets")
	}
	e, err := s.openSource(ctx, spec)
	if err != nil {
		return Drilled{}, fmt.Errorf("couldn't open target %s: %w", spec.Name, err)
	}
	defer closeEngine(e)
	fresh, err := s.neverHeld(ctx, spec.Name)
	if err != nil {
		return Drilled{}, err
	}
	c, signed, err := s.drill(ctx, drillOptions{By: by, Target: e, Name: spec.Name, Place: spec.URL, Identity: q.Recovery, Full: q.Full, Sample: q.Sample, fresh: fresh})
	if err == nil && !c.OK {
		s.relist(spec.Name) // a missing file is a frequent reason
	}
	return Drilled{c, signed}, err
}

func (s *Backups) oneTarget(name string) (TargetSpec, error) {
	specs, err := s.Specs()
	if err != nil {
		return TargetSpec{}, err
	}
	for _, spec := range specs {
		if spec.Name == name || name == "" && len(specs) == 1 {
			return spec, nil
		}
	}
	if name != "" || len(specs) == 0 {
		return TargetSpec{}, s.noTarget(name)
	}
	return TargetSpec{}, whichTarget(specs, "drill")
}

// After a drill that failed, and one that could not be tried, the next one comes soon: the target was listed anew, and may have got what it lacked. While it goes on failing, the wait is as long
// as it has failed so far.
const (
	drillRetry     = 30 * time.Minute
	drillRetryMost = 24 * time.Hour
)

// drillWait is how long to wait after the newest drill of a target.
func drillWait(failed FailedDrill, every time.Duration) time.Duration {
	if failed.Since.IsZero() {
		return every
	}
	return min(every, max(drillRetry, min(failed.Last.Sub(failed.Since), drillRetryMost)))
}

// drillIsDue says whether a target should be drilled now.
func (s *Backups) drillIsDue(ctx context.Context, target string, every time.Duration) (bool, error) {
	passed, failed, err := s.drills(ctx, target)
	loss, lerr := s.lastOf(ctx, entry.BackupLost, target)
	if err = errors.Join(err, lerr); passed.Before(loss) {
		passed = time.Time{} // it proves nothing of the files that are there now
	}
	last := passed
	if !failed.Since.IsZero() {
		last = failed.Last
	}
	s.Shippers.mu.Lock()
	tried, ok := s.Shippers.notDrilled[target]
	s.Shippers.mu.Unlock()
	if ok && s.core.Monotonic()-tried < drillRetry {
		return false, err
	}
	return s.core.Now().Sub(last) >= drillWait(failed, every), err
}

// noteDrill keeps when a drill of a target could not be tried.
func (s *Backups) noteDrill(target string, err error) {
	s.Shippers.mu.Lock()
	defer s.Shippers.mu.Unlock()
	delete(s.Shippers.notDrilled, target)
	if err == nil {
		return
	}
	if s.Shippers.notDrilled == nil {
		s.Shippers.notDrilled = map[string]time.Duration{}
	}
	s.Shippers.notDrilled[target] = s.core.Monotonic()
}

// DrillDue drills each target whose newest drill that passed is older than every, and each whose newest did not pass and is to be tried again, one after the other. What could not be tried is joined
// into the error; a failed drill is in its certificate.
func (s *Backups) DrillDue(ctx context.Context, every time.Duration) (done []verify.Certificate, err error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	specs, err := s.Specs()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, spec := range specs {
		due, lerr := s.drillIsDue(ctx, spec.Name, every)
		if lerr == nil && !due {
			continue
		}
		d, derr := s.DrillTarget(ctx, core.Who{Key: core.ActorStele}, DrillRequest{Target: spec.Name})
		if errors.Is(derr, errNotYet) {
			continue // its first copy is under way
		}
		s.noteDrill(spec.Name, derr)
		if errs = append(errs, lerr, derr); derr == nil {
			done = append(done, d.Certificate)
		}
	}
	return done, errors.Join(errs...)
}
