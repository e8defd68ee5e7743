package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	"stele/internal/segment"
	"stele/tree"
)

// StoreOptions say what to verify and how.
type StoreOptions struct {
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

// StoreReport is what was verified.
type StoreReport struct {
	Size     uint64    // entries verified: hashed, and covered by a signed root
	Root     tree.Hash // of that size
	Segments int
	Packs    int   // packs verified; without Deep only that they are there, with their sealed size
	Bodies   int64 // bodies hashed again to their entry's digest (Deep)
	Bytes    int64 // bytes read
	Problems []Problem
	Healed   []Problem // files that were damaged and are whole now
	Took     time.Duration
}

// OK reports whether nothing is wrong.
func (r *StoreReport) OK() bool { return len(r.Problems) == 0 }

// maxProblems bounds the problems kept in a report. All are counted by Problem.
const maxProblems = 1000

// job is a verification under way.
type job struct {
	StoreOptions
	report StoreReport
	mu     sync.Mutex
	total  int64
	done   atomic.Int64
	seals  map[string]entry.Pack
	bodies chan located
	noted  uint64 // entries whose bodies went to the workers
	healed map[string]bool
}

// located is a body and who names it.
type located struct {
	where string
	body  entry.Body
}

// Store verifies a store from its files up: frames, leaves, commitments, tree, signatures; with Deep also packs and bodies. The error says that verification could not be done; what is wrong with the store is in the report.
func Store(ctx context.Context, opt StoreOptions) (StoreReport, error) {
	start := time.Now()
	j := &job{StoreOptions: opt, seals: map[string]entry.Pack{}, healed: map[string]bool{}, bodies: make(chan located, 1024)}
	err := j.measure(ctx)
	if err == nil {
		err = j.run(ctx)
	}
	j.report.Bytes, j.report.Took = j.done.Load(), time.Since(start)
	return j.report, err
}

func (j *job) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() { j.verifyBodies(ctx) })
	}
	err := j.ledger(ctx)
	close(j.bodies)
	workers.Wait()
	if err == nil {
		err = j.packs(ctx)
	}
	return errors.Join(err, context.Cause(ctx))
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

func (j *job) problem(where, format string, args ...any) {
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

// mend has a damaged file healed and reports whether it is whole now.
func (j *job) mend(ctx context.Context, file string, why error) bool {
	if j.Heal == nil || ctx.Err() != nil || j.Heal(ctx, file, why) != nil {
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

// ledger reads every segment in order, and at the end the one that is growing, and builds the tree anew.
func (j *job) ledger(ctx context.Context) error {
	vkey, err := j.Keys.VKey()
	if err != nil {
		return err
	}
	verifier, err := tree.NewVerifier(vkey)
	if err != nil {
		return err
	}
	var names []engine.Info
	if err := j.Engine.List(ctx, engine.Segments, func(i engine.Info) error { names = append(names, i); return nil }); err != nil {
		return fmt.Errorf("couldn't list the segments: %w", err)
	}
	chain := &chain{verifier: verifier}
	for _, info := range names {
		if chain.edge.Size() >= j.Size {
			break
		}
		f, err := j.Engine.Open(ctx, info.Name)
		if err != nil {
			return fmt.Errorf("couldn't open %s: %w", info.Name, err)
		}
		err = j.segment(ctx, chain, info.Name, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	if err := j.growing(ctx, chain); err != nil {
		return err
	}
	j.report.Size, j.report.Root = chain.edge.Size(), chain.edge.Root()
	if j.report.Size < j.Size {
		j.problem("ledger", "%d entries can be verified, %d should be there", j.report.Size, j.Size)
	}
	return nil
}

// growing verifies the entries of the segment that a running store writes: leaves by the bundles, which must make the root that is signed, and private
// parts by the ledger's reading, which checks each against its leaf.
func (j *job) growing(ctx context.Context, c *chain) error {
	if j.Ledger == nil || c.edge.Size() >= j.Size {
		return nil
	}
	head, err := c.verifier.Open(j.Ledger.Checkpoint())
	if err != nil {
		j.problem("checkpoint", "%v", err)
		return nil
	}
	from := c.edge.Size()
	for at := from; at < head.Size; {
		group := at / tile
		width := min(tile, head.Size-group*tile)
		bundle, err := j.Ledger.LeafBundle(ctx, int64(group), int(width))
		if err != nil {
			j.problem("ledger", "leaves from entry %d: %v", at, err)
			return nil
		}
		leaves, err := tree.ParseBundle(bundle)
		if err != nil || uint64(len(leaves)) != width {
			return fmt.Errorf("couldn't parse entry bundle %d: %w", group, err)
		}
		for _, leaf := range leaves[at-group*tile:] {
			c.edge.Append(entry.LeafHash(leaf))
		}
		at = group*tile + width
	}
	if c.edge.Root() != head.Root {
		j.problem("ledger", "entries %d to %d do not make the signed root", from, head.Size-1)
		return nil
	}
	return j.Ledger.Entries(ctx, from, head.Size, func(e *entry.Entry) error {
		return j.note(ctx, entry.Leaf{Index: e.Index, Time: e.Time, Type: e.Type}, &e.Private)
	})
}

// tile is the number of entries in a bundle (C2SP tlog-tiles).
const tile = 256

// chain is the tree built so far.
type chain struct {
	edge     tree.Frontier
	verifier *tree.Verifier
	last     time.Time
}

// segment verifies one file: its frames (by the scanner), each leaf, each private part against its leaf, and each commit's root and signature.
func (j *job) segment(ctx context.Context, c *chain, name string, f engine.File) error {
	sc := segment.NewScanner(f, f.Size(), c.edge.Size(), j.Keys.Sealer)
	j.report.Segments++
	at := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := sc.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if errors.Is(err, frame.ErrVersion) || errors.Is(err, keyring.ErrWrongKey) {
				return err
			}
			j.problem(name, "%v", err)
			return nil
		}
		if err := j.batch(ctx, c, &b); err != nil {
			j.problem(name, "entries %d to %d: %v", b.Commit.First, b.Commit.Size-1, err)
			return nil // the tree cannot be followed beyond this
		}
		j.advance(sc.SizeBytes() - at)
		at = sc.SizeBytes()
	}
	j.advance(f.Size() - at)
	if why, saw, err := sc.Broken(); err != nil {
		return err
	} else if saw > c.edge.Size() || sc.Footer() == nil {
		j.problem(name, "damaged behind entry %d: %v", c.edge.Size(), why)
	}
	if sc.Footer() != nil {
		j.footer(c, name, sc.Footer())
	}
	return nil
}

// footer compares what the footer claims with the tree that was built: readers and a clean start rely on it.
func (j *job) footer(c *chain, name string, f *segment.Footer) {
	if f.Commit.Size != c.edge.Size() || f.Commit.Root != [32]byte(c.edge.Root()) {
		j.problem(name, "the footer's tree head is not that of its entries")
	}
}

func (j *job) batch(ctx context.Context, c *chain, b *segment.Batch) error {
	if b.Commit.First != c.edge.Size() {
		return fmt.Errorf("begins at entry %d, should be %d: %w", b.Commit.First, c.edge.Size(), frame.ErrCorrupt)
	}
	for i := range b.Pairs {
		items, err := b.Pairs[i].Items()
		if err != nil {
			return err
		}
		for k := range items {
			if err := j.entry(ctx, c, &items[k]); err != nil {
				return err
			}
		}
	}
	if c.edge.Size() != b.Commit.Size || c.edge.Root() != tree.Hash(b.Commit.Root) {
		return fmt.Errorf("the entries do not make the committed root: %w", frame.ErrCorrupt)
	}
	if b.Commit.KeyHash != c.verifier.KeyHash() {
		return fmt.Errorf("signed by another key: %w", frame.ErrCorrupt)
	}
	if err := c.verifier.Verify(b.Commit.Size, tree.Hash(b.Commit.Root), tree.Signature(b.Commit.Signature)); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	return nil
}

func (j *job) entry(ctx context.Context, c *chain, it *segment.Item) error {
	leaf, err := entry.ParseLeaf(it.Leaf)
	if err != nil {
		return fmt.Errorf("entry %d: %w", c.edge.Size(), err)
	}
	if leaf.Index != c.edge.Size() || leaf.Time.Before(c.last) {
		return fmt.Errorf("entry %d: index or time out of order: %w", c.edge.Size(), frame.ErrCorrupt)
	}
	c.last = leaf.Time
	c.edge.Append(entry.LeafHash(it.Leaf))
	if it.Erased {
		return nil
	}
	if entry.Commitment(it.Salt, it.Private) != leaf.C {
		return fmt.Errorf("entry %d: the private part is not the one its leaf commits to: %w", leaf.Index, frame.ErrCorrupt)
	}
	p, err := entry.ParsePrivate(it.Private)
	if err != nil {
		return fmt.Errorf("entry %d: %w", leaf.Index, err)
	}
	return j.note(ctx, leaf, &p)
}

// note keeps what the packs are compared with, and sends bodies to the workers.
func (j *job) note(ctx context.Context, leaf entry.Leaf, p *entry.Private) error {
	if p.Pack != nil {
		j.seals[p.Pack.Name] = *p.Pack
	}
	if !j.Deep || leaf.Index < j.noted {
		return nil
	}
	j.noted = leaf.Index + 1
	for _, b := range []*entry.Body{p.Body, p.Doc} {
		if b == nil || b.Kind == entry.BodyEmpty {
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

// packs verifies each pack that an entry sealed, and each that no entry names yet.
func (j *job) packs(ctx context.Context) error {
	there := map[string]int64{}
	if err := j.Engine.List(ctx, engine.Packs, func(i engine.Info) error { there[i.Name] = i.SizeBytes; return nil }); err != nil {
		return fmt.Errorf("couldn't list the packs: %w", err)
	}
	for name, p := range j.seals {
		size, ok := there[name]
		var why error
		switch {
		case !ok:
			why = errors.New("the pack is gone")
		case size != p.Size:
			why = fmt.Errorf("%d bytes, sealed with %d", size, p.Size)
		default:
			continue
		}
		if j.mend(ctx, name, why) {
			there[name] = p.Size
		} else {
			j.problem(name, "%v", why)
		}
	}
	j.report.Packs = len(there)
	if !j.Deep {
		return nil
	}
	work := make(chan string)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for name := range work {
				j.pack(ctx, name, there[name])
			}
		})
	}
	for name := range there {
		work <- name
	}
	close(work)
	workers.Wait()
	return ctx.Err()
}

// pack reads a pack whole: every frame, every chunk's name, the footer, and the SHA-256 that its pack.seal entry holds.
func (j *job) pack(ctx context.Context, name string, size int64) {
	if ctx.Err() != nil {
		return
	}
	err := j.packWhole(ctx, name)
	j.advance(size)
	if err != nil && j.mend(ctx, name, err) {
		err = j.packWhole(ctx, name)
	}
	if err != nil && ctx.Err() == nil {
		j.problem(name, "%v", err)
	}
}

func (j *job) packWhole(ctx context.Context, name string) error {
	r, err := j.Body.VerifyPack(ctx, name)
	if err != nil {
		return err
	}
	if p, ok := j.seals[name]; ok && p.SHA256 != r.Pack.SHA256 {
		return fmt.Errorf("SHA-256 %s, sealed as %s", r.Pack.SHA256, p.SHA256)
	}
	return nil
}
