package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/pack"
	"stele/internal/rpc"
	"stele/internal/segment"
)

type dumpCmd struct {
	Epochs   dumpEpochsCmd   `cmd:"" help:"The epochs of the ledger, and what their segments hold beyond where a later one went another way."`
	Segments dumpSegmentsCmd `cmd:"" help:"The segments of the data folder, those that are growing too."`
	Packs    dumpPacksCmd    `cmd:"" help:"The packs of the data folder."`
	Entries  dumpEntriesCmd  `cmd:"" help:"The entries in the segments: leaves, and private parts where the key is there."`
	Raw      dumpRawCmd      `cmd:"" help:"The frames of one segment or pack, one by one."`
}

// stored is a file of the store, sealed or growing.
type stored struct {
	name    string // sealed name
	at      string // path, for people
	growing bool
	size    int64
	open    func() (engine.File, error)
}

// storedFiles lists the sealed files with a prefix, and behind them those that grow.
func (a *app) storedFiles(ctx context.Context, prefix string) ([]stored, *dir.Dir, error) {
	eng, err := a.engine()
	if err != nil {
		return nil, nil, err
	}
	var out []stored
	err = eng.List(ctx, prefix, func(i engine.Info) error {
		out = append(out, stored{name: i.Name, at: filepath.Join(a.data(), filepath.FromSlash(i.Name)), size: i.SizeBytes,
			open: func() (engine.File, error) { return eng.Open(ctx, i.Name) }})
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't list %s: %w", prefix, err)
	}
	tails, err := eng.Tails(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't list what is growing: %w", err)
	}
	for _, t := range tails {
		if strings.HasPrefix(t.Name, prefix) {
			out = append(out, stored{name: t.Name, at: filepath.Join(a.data(), "open", t.Private), growing: true, size: t.SizeBytes, open: t.Open})
		}
	}
	return out, eng, nil
}

// engine opens the data folder's files to read them, without a lock: sealed files don't change, and what grows is read as far as it is whole.
func (a *app) engine() (*dir.Dir, error) {
	if _, err := os.Stat(filepath.Join(a.data(), "segments")); err != nil {
		return nil, fmt.Errorf("%w: %s has no segments", stele.ErrNotStore, a.data())
	}
	eng, err := dir.Open(vfs.Default, a.data(), dir.Options{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("couldn't open %s: %w", a.data(), err)
	}
	return eng, nil
}

// ring opens the keyring with the folder's identity or the recovery kit.
func (a *app) ring(ctx context.Context, eng engine.Engine) (*keyring.Keyring, error) {
	opt, err := a.options()
	if err != nil {
		return nil, err
	}
	text := opt.Identity
	if text == "" {
		b, err := os.ReadFile(filepath.Join(a.data(), "identity"))
		if err != nil {
			return nil, fmt.Errorf("%w: couldn't read the identity: %v", stele.ErrWrongKey, err)
		}
		text = trim(b)
	}
	id, err := age.ParseX25519Identity(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", stele.ErrWrongKey, err)
	}
	ring, err := keyring.Load(ctx, eng, id)
	if errors.Is(err, keyring.ErrWrongKey) {
		err = fmt.Errorf("%w: %w", stele.ErrWrongKey, err)
	}
	return ring, err
}

type dumpSegmentsCmd struct{}

type segmentDoc struct {
	V       int    `json:"v"`
	File    string `json:"file"`
	Epoch   uint32 `json:"epoch"`
	First   uint64 `json:"first"`
	Entries uint64 `json:"entries"`
	Bytes   int64  `json:"bytes"`
	Sealed  bool   `json:"sealed"`
	Size    uint64 `json:"ledger_size"`
	Root    string `json:"root,omitempty"`
	Left    uint64 `json:"evidence_from,omitempty"` // entry from which on a later epoch went another way
	Problem string `json:"problem,omitempty"`
}

func (dumpSegmentsCmd) Run(ctx context.Context, a *app) error {
	files, _, err := a.storedFiles(ctx, engine.Segments)
	if err != nil {
		return err
	}
	limits, err := limitsOf(files)
	if err != nil {
		return err
	}
	t := a.table("FILE", "EPOCH", "FIRST", "ENTRIES", "SIZE", "STATE", "ROOT")
	bad := 0
	for _, f := range files {
		d := describeSegment(ctx, f)
		if limit := limits[f.name]; limit < d.Size {
			d.Left = max(limit, d.First)
		}
		if d.Problem != "" {
			bad++
		}
		if a.cli.JSON {
			if err := a.document(d); err != nil {
				return err
			}
			continue
		}
		state := map[bool]string{true: "sealed", false: "growing"}[d.Sealed]
		if d.Left > 0 {
			state += fmt.Sprintf(", evidence from entry %d on", d.Left)
		}
		if d.Problem != "" {
			state = d.Problem
		}
		t.row(d.File, fmt.Sprint(d.Epoch), fmt.Sprint(d.First), fmt.Sprint(d.Entries), size(d.Bytes), state, orDash(d.Root))
	}
	if !a.cli.JSON {
		if err := t.end(); err != nil {
			return err
		}
	}
	return damaged(bad, "segment")
}

func damaged(n int, noun string) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s can't be read whole", stele.ErrCorrupt, count(n, noun))
}

func describeSegment(ctx context.Context, f stored) segmentDoc {
	d := segmentDoc{V: 1, File: f.at, Bytes: f.size, Sealed: !f.growing}
	var ok bool
	if d.Epoch, d.First, ok = segment.ParseName(f.name); !ok {
		d.Problem = "the name is not that of a segment"
		return d
	}
	d.Size = d.First
	err := eachBatch(ctx, f, d.First, nil, func(b *segment.Batch) error {
		d.Size, d.Root = b.Commit.Size, hex.EncodeToString(b.Commit.Root[:])
		return nil
	})
	d.Entries = d.Size - d.First
	if err != nil {
		d.Problem = err.Error()
	}
	return d
}

// eachBatch scans a segment. Its error says what is damaged; the torn end of a growing segment is none.
func eachBatch(ctx context.Context, f stored, first uint64, keys segment.Keys, fn func(*segment.Batch) error) error {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer file.Close()
	sc := segment.NewScanner(file, file.Size(), first, keys)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := sc.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := fn(&b); err != nil {
			return err
		}
	}
	why, saw, err := sc.Broken()
	switch {
	case err != nil:
		return err
	case saw > 0:
		return fmt.Errorf("%w: committed entries up to %d are missing: %v", stele.ErrCorrupt, saw, why)
	case !f.growing && sc.Footer() == nil:
		return fmt.Errorf("%w: no footer: %v", stele.ErrCorrupt, why)
	}
	return nil
}

type dumpEntriesCmd struct {
	From    uint64 `help:"From this entry on."`
	To      uint64 `help:"Up to this entry, not included (the end)."`
	Keyless bool   `help:"Leaves only: needs no key."`
}

func (c *dumpEntriesCmd) Run(ctx context.Context, a *app) error {
	files, eng, err := a.storedFiles(ctx, engine.Segments)
	if err != nil {
		return err
	}
	var keys segment.Keys
	if !c.Keyless {
		ring, err := a.ring(ctx, eng)
		if err != nil {
			return withHint(err, "--keyless shows what needs no key; --recovery-key FILE opens the rest")
		}
		keys = ring.Sealer
	}
	if c.To == 0 {
		c.To = math.MaxUint64
	}
	limits, err := limitsOf(files)
	if err != nil {
		return err
	}
	next := c.From
	for i, f := range files {
		_, first, ok := segment.ParseName(f.name)
		to := min(c.To, limits[f.name])
		if !ok || first >= to || c.before(files, i) {
			continue
		}
		if err := eachBatch(ctx, f, first, keys, func(b *segment.Batch) error { return c.batch(a, b, &next, to) }); err != nil {
			return fmt.Errorf("%s: %w", f.at, err)
		}
	}
	return nil
}

// before tells whether a segment ends before the first entry that is wanted: the next one begins no later.
func (c *dumpEntriesCmd) before(files []stored, i int) bool {
	if i+1 >= len(files) {
		return false
	}
	_, next, ok := segment.ParseName(files[i+1].name)
	return ok && next <= c.From
}

// batch prints the entries of a batch from next up to to; a growing segment may hold again what an earlier file holds.
func (c *dumpEntriesCmd) batch(a *app, b *segment.Batch, next *uint64, to uint64) error {
	for i := range b.Pairs {
		p := &b.Pairs[i]
		if p.End() <= *next || p.First >= to {
			continue
		}
		var items []segment.Item
		var err error
		if c.Keyless {
			var leaves [][]byte
			leaves, err = p.Leaves()
			for _, l := range leaves {
				items = append(items, segment.Item{Leaf: l, Erased: true})
			}
		} else {
			items, err = p.Items()
		}
		if err != nil {
			return err
		}
		for k := range items {
			at := p.First + uint64(k)
			if at < *next || at >= to {
				continue
			}
			*next = at + 1
			if err := c.print(a, &items[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *dumpEntriesCmd) print(a *app, it *segment.Item) error {
	leaf, err := entry.ParseLeaf(it.Leaf)
	if err != nil {
		return err
	}
	l := struct {
		rpc.EntryLine
		C      string `json:"c"`
		Erased bool   `json:"erased,omitempty"`
	}{rpc.EntryLine{V: 1, Entry: leaf.Index, Time: string(entry.AppendTime(nil, leaf.Time)), Type: leaf.Type}, leaf.C.String(), it.Erased && !c.Keyless}
	e := entry.Entry{Index: leaf.Index, Time: leaf.Time, Type: leaf.Type}
	if !it.Erased {
		if e.Private, err = entry.ParsePrivate(it.Private); err != nil {
			return err
		}
		stele.WithoutSecret(&e)
		it.Private = entry.AppendPrivate(nil, &e.Private) // a dump is for reading, and may be handed on
		l.Salt, l.Private = hex.EncodeToString(it.Salt[:]), it.Private
	}
	if a.cli.JSON {
		return a.document(l)
	}
	if it.Erased {
		_, err = fmt.Fprintf(a.stdout, "%8d  %s  %-16s  c %s\n", leaf.Index, moment(leaf.Time), leaf.Type, leaf.C)
		return err
	}
	return printEntry(a, &e)
}

type dumpPacksCmd struct {
	Chunks bool `help:"List each chunk too."`
}

type packDoc struct {
	V       int    `json:"v"`
	File    string `json:"file"`
	Chunks  int    `json:"chunks"`
	Bytes   int64  `json:"bytes"`
	Sealed  bool   `json:"sealed"`
	Problem string `json:"problem,omitempty"`
}

func (c *dumpPacksCmd) Run(ctx context.Context, a *app) error {
	files, _, err := a.storedFiles(ctx, engine.Packs)
	if err != nil {
		return err
	}
	if !a.cli.JSON {
		fmt.Fprintf(a.stdout, "%8s  %10s  %-8s  %s\n", "CHUNKS", "SIZE", "STATE", "FILE")
	}
	bad := 0
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunks, problem := packChunks(f)
		d := packDoc{V: 1, File: f.at, Chunks: len(chunks), Bytes: f.size, Sealed: !f.growing}
		if problem != nil {
			bad++
			d.Problem = problem.Error()
		}
		if err := c.print(a, d, chunks); err != nil {
			return err
		}
	}
	return damaged(bad, "pack")
}

func (c *dumpPacksCmd) print(a *app, d packDoc, chunks []pack.Chunk) error {
	if a.cli.JSON {
		if err := a.document(d); err != nil {
			return err
		}
	} else {
		state := map[bool]string{true: "sealed", false: "growing"}[d.Sealed]
		if d.Problem != "" {
			state = d.Problem
		}
		fmt.Fprintf(a.stdout, "%8d  %10s  %-8s  %s\n", d.Chunks, size(d.Bytes), state, d.File)
	}
	if !c.Chunks {
		return nil
	}
	for _, k := range chunks {
		if a.cli.JSON {
			if err := a.document(map[string]any{"v": 1, "file": d.File, "chunk": hex.EncodeToString(k.ID[:]), "offset": k.Offset, "length": k.Length}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "          %10d  %8d  %x\n", k.Offset, k.Length, k.ID)
	}
	return nil
}

// packChunks reads the index of a sealed pack, or scans a growing one.
func packChunks(f stored) ([]pack.Chunk, error) {
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if !f.growing {
		return pack.ReadIndex(file, file.Size())
	}
	var chunks []pack.Chunk
	_, _, why := pack.Scan(file, file.Size(), func(s pack.Scanned) error {
		chunks = append(chunks, s.Chunk)
		return nil
	})
	if errors.Is(why, frame.ErrEnd) || errors.Is(why, frame.ErrTorn) {
		why = nil
	}
	return chunks, why
}
