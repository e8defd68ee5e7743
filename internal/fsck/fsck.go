// Package fsck verifies a whole store from its files: frames, entries, tree, signatures, packs and bodies. It trusts the keyring and nothing else; it never asks the index, so that
// what it says does not rest on a cache. It reports what is wrong. It writes nothing itself: Options.Heal, if set, replaces what is damaged.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/tree"
)

// Options say what to verify and how.
type Options struct {
	Engine engine.Engine
	Keys   *keyring.Keyring
	Body   *body.Store    // reads and verifies packs; its places may come from an index, whose word is not trusted: what it leads to is authenticated and hashed again
	Ledger *ledger.Ledger // the running ledger, for the entries that no sealed segment holds yet; nil: the files are all there is
	Size   uint64         // the ledger size that must be there; what lies beyond it is not looked at
	Deep   bool           // read every pack whole, and hash every body again
	// Heal, if set, replaces a damaged or missing file (a pack or a sealed segment) by a proven copy; nil says that the file is whole now. What was healed is no problem.
	Heal func(ctx context.Context, file string, why error) error
	// Progress is told of bytes verified and of bytes in all, from several goroutines. May be nil.
	Progress func(done, total int64)
	// Problem is told of each thing that is wrong as it is found, one at a time. May be nil.
	Problem func(Problem)
}

// Problem is something that is not as it was written.
type Problem struct {
	Where string // file, or bucket/key and entry
	What  string
}

// Report is what was verified.
type Report struct {
	Size     uint64    // entries verified: hashed, and covered by a signed root
	Root     tree.Hash // of that size
	Segments int
	Packs    int   // packs verified; without Deep only that they are there, with their sealed size
	Bodies   int64 // bodies hashed again to their entry's digest (Deep)
	Bytes    int64 // bytes read
	Problems []Problem
	Healed   []Problem  // files that were damaged and are whole now
	Evidence []Evidence // what segments of earlier epochs hold beyond where a later one went another way: not of the store, and no problem
	Took     time.Duration
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// maxProblems bounds the problems kept in a report. All are counted by Problem.
const maxProblems = 1000

// job is a verification under way.
type job struct {
	Options
	report Report
	unread error // the first thing that could not be read for what this machine is short of
	mu     sync.Mutex
	total  int64
	done   atomic.Int64
	seals  map[string]entry.Pack
	sums   map[string]entry.Hash // of the packs that were read whole
	read   map[string]bool       // packs that were read, whole or not
	proven proven
	bodies chan located
	noted  uint64 // entries whose bodies were proven, or went to the workers
	healed map[string]bool
	again  []located // bodies that may be whole once the packs are

	chunkBodies int64 // bodies that proven has; the ledger's goroutine counts them
}

// located is a body and who names it.
type located struct {
	where string
	body  entry.Body
}

// Check verifies a store from its files up: frames, leaves, commitments, tree, signatures; with Deep also packs and bodies. The error says that verification could not be done; what is wrong with the store is in the report,
// also in that of a verification that ended early. An error that is engine.Short: some files could not be read, and nothing is said of them.
func Check(ctx context.Context, opt Options) (Report, error) {
	start := time.Now()
	j := &job{Options: opt, seals: map[string]entry.Pack{}, sums: map[string]entry.Hash{}, read: map[string]bool{}, healed: map[string]bool{}, bodies: make(chan located, 1024)}
	err := j.measure(ctx)
	if err == nil {
		err = j.run(ctx)
	}
	j.report.Bodies += j.chunkBodies
	j.report.Bytes, j.report.Took = j.done.Load(), time.Since(start)
	return j.report, err
}

func (j *job) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := j.verify(ctx); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(ctx.Err(), j.unread)
}

func (j *job) verify(ctx context.Context) error {
	j.healSegments(ctx) // first: they hold what packs are healed to
	if j.Deep {
		if err := j.readPacks(ctx); err != nil {
			return err
		}
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() { j.verifyBodies(ctx) })
	}
	err := j.ledger(ctx)
	close(j.bodies)
	workers.Wait()
	if err == nil {
		err = j.comparePacks(ctx)
	}
	for _, l := range j.again {
		if err := j.body(ctx, l.body); err == nil {
			j.report.Bodies++
		} else if ctx.Err() == nil {
			j.problem(l.where, "%v", err)
		}
	}
	return err
}

// measure adds up what will be read.
func (j *job) measure(ctx context.Context) error {
	prefixes := []string{engine.Segments}
	if j.Deep {
		prefixes = append(prefixes, engine.Packs)
	}
	for _, p := range prefixes {
		if err := j.Engine.List(ctx, p, func(i engine.Info) error { j.total += i.SizeBytes; return nil }); err != nil {
			return fmt.Errorf("couldn't list %s: %w", p, err)
		}
	}
	return nil
}

func (j *job) advance(n int64) {
	done := j.done.Add(n)
	if j.Progress != nil {
		j.Progress(done, max(done, j.total))
	}
}

// problem notes what is wrong with the store. What could not be read for what this machine is short of is not: the verification goes on with the rest, and ends with an error.
func (j *job) problem(where, format string, args ...any) {
	if j.passedOver(where, args) {
		return
	}
	p := Problem{where, fmt.Sprintf(format, args...)}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.report.Problems) < maxProblems {
		j.report.Problems = append(j.report.Problems, p)
	}
	if j.Problem != nil {
		j.Problem(p)
	}
}

// passedOver reports whether one of args is an error for what this machine is short of, and remembers the first of them.
func (j *job) passedOver(where string, args []any) bool {
	for _, arg := range args {
		err, ok := arg.(error)
		if !ok || !short(err) {
			continue
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.unread == nil {
			j.unread = fmt.Errorf("not all was read, because this machine is short of something: %s: %w", where, err)
		}
		return true
	}
	return false
}

// short is engine.Short of a reader's error. One that tells of damage too, and of a heal that failed, is of the damage.
func short(err error) bool { return engine.Short(err) && !errors.Is(err, frame.ErrCorrupt) }

// mend has a damaged file healed and reports whether it is whole now.
func (j *job) mend(ctx context.Context, file string, why error) bool {
	if j.Heal == nil || ctx.Err() != nil || short(why) || j.Heal(ctx, file, why) != nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.healed[file] { // several may have met the damage
		j.healed[file] = true
		j.report.Healed = append(j.report.Healed, Problem{file, why.Error()})
	}
	return true
}

// healSegments has the sealed segments healed that need it, before any of them is verified: what stays damaged is found then.
func (j *job) healSegments(ctx context.Context) {
	if j.Heal == nil || j.Ledger == nil {
		return
	}
	for _, name := range j.Ledger.Sealed() {
		if _, err := j.Ledger.Scrub(ctx, name, func(int64) error { return ctx.Err() }); err != nil {
			j.mend(ctx, name, err)
		}
	}
}

// note keeps what the packs are compared with, and sends the bodies that reading the packs has not proven to the workers.
func (j *job) note(ctx context.Context, leaf entry.Leaf, p *entry.Private) error {
	if pack, expected := p.ExpectedPack(leaf.Type); expected {
		j.seals[pack.Name] = pack
	}
	if !j.Deep || leaf.Index < j.noted {
		return nil
	}
	j.noted = leaf.Index + 1
	for _, b := range []*entry.Body{p.Body, p.Doc} {
		if b == nil || b.Kind == entry.BodyEmpty {
			continue
		}
		if b.Kind == entry.BodyChunk && j.proven.has(b) {
			j.chunkBodies++
			continue
		}
		where := fmt.Sprintf("entry %d (%s %s/%s)", leaf.Index, leaf.Type, p.Bucket, p.Key)
		select {
		case j.bodies <- located{where, *b}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (j *job) verifyBodies(ctx context.Context) {
	for l := range j.bodies {
		if ctx.Err() != nil {
			continue
		}
		err := j.body(ctx, l.body)
		switch {
		case err == nil:
			j.mu.Lock()
			j.report.Bodies++
			j.mu.Unlock()
		case j.Heal != nil && errors.Is(err, body.ErrErased): // perhaps its pack is missing, which is known once the entries are
			j.mu.Lock()
			j.again = append(j.again, l)
			j.mu.Unlock()
		case ctx.Err() == nil:
			j.problem(l.where, "%v", err)
		}
	}
}

// body hashes a body again, after the heal of each pack that stands in the way.
func (j *job) body(ctx context.Context, b entry.Body) error {
	tried := map[string]bool{}
	for {
		err := j.Body.Verify(ctx, b)
		var damaged *body.DamagedError
		if !errors.As(err, &damaged) || tried[damaged.Pack] || !j.mend(ctx, damaged.Pack, err) {
			return err
		}
		tried[damaged.Pack] = true
	}
}
