package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// keep is how many snapshots stay on a target: a reader of the last one is not cut off by the next.
const keep = 2

// Source is the files of an index, which nobody changes while they are read.
type Source interface {
	Names() []string                       // of all files, each once
	Open(name string) (engine.File, error) // whoever opens a file closes it
}

// Taken is a snapshot on its way to targets.
type Taken struct {
	Document
	store  [16]byte
	keys   Keys
	source Source
}

// Take reads every file of source once and makes the document of the snapshot. Rows of known, by name, are taken over: they must be of the same index, whose files never change
// under their names, and under the same key. Nothing is written yet.
func Take(ctx context.Context, source Source, size uint64, format string, store [16]byte, keys Keys, known map[string]File) (*Taken, error) {
	t := &Taken{Document: Document{V: Version, Size: size, Format: format, Key: keys.Current(), Files: []File{}}, store: store, keys: keys, source: source}
	for _, name := range slices.Sorted(slices.Values(source.Names())) {
		row, ok := known[name]
		if !ok {
			var err error
			if row, err = t.row(ctx, name); err != nil {
				return nil, fmt.Errorf("couldn't take a snapshot of %s: %w", name, err)
			}
		}
		t.Files = append(t.Files, row)
	}
	return t, nil
}

// row reads a file and seals it into nothing, to know what it will be called and hash to.
func (t *Taken) row(ctx context.Context, name string) (File, error) {
	f, err := t.source.Open(name)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return File{}, err
	}
	row := File{Name: name, SizeBytes: f.Size(), SHA256: fmt.Sprintf("%x", sum.Sum(nil))}
	if row.SizeBytes == 0 {
		return row, nil
	}
	p, err := t.seal(ctx, f, &row, io.Discard)
	if err != nil {
		return File{}, err
	}
	row.Pack, row.PackSHA256, row.PackBytes = p.Name, hex.EncodeToString(p.SHA256[:]), p.Size
	if !row.whole() {
		return File{}, fmt.Errorf("a file of %d bytes is too large", row.SizeBytes)
	}
	return row, nil
}

// seal writes a file's pack to w. It looks once more whether the file is what the row says, before the last chunk goes out: no key and nonce meet two contents.
func (t *Taken) seal(ctx context.Context, f engine.File, row *File, w io.Writer) (entry.Pack, error) {
	dedup := t.keys.DedupKey(t.Key)
	id := row.fileID(dedup)
	sealer, err := t.keys.Sealer(t.Key, id)
	if err != nil {
		return entry.Pack{}, err
	}
	p := pack.NewWriter(&outflow{w: w}, frame.Header{KeyID: t.Key, FileID: id, StoreID: t.store}, sealer)
	b, sum := make([]byte, ChunkBytes), sha256.New()
	for off := int64(0); off < row.SizeBytes; off += ChunkBytes {
		if err := ctx.Err(); err != nil {
			return entry.Pack{}, err
		}
		chunk := b[:min(ChunkBytes, row.SizeBytes-off)]
		if n, err := f.ReadAt(chunk, off); n < len(chunk) {
			return entry.Pack{}, fmt.Errorf("%d bytes at %d: %w", n, off, cmp.Or(err, io.ErrUnexpectedEOF))
		}
		sum.Write(chunk)
		if off+ChunkBytes >= row.SizeBytes && fmt.Sprintf("%x", sum.Sum(nil)) != row.SHA256 {
			return entry.Pack{}, fmt.Errorf("%s has changed while it was read: %w", row.Name, frame.ErrCorrupt)
		}
		name := chunkID(dedup, chunk)
		at, err := p.Append(&name, 0, chunk, 1<<62)
		if err != nil {
			return entry.Pack{}, err
		}
		if at.Offset != row.at(off/ChunkBytes) {
			panic("snapshot: a chunk is not where arithmetic puts it")
		}
	}
	_, info, err := p.Seal()
	info.Name = packName(id)
	return info, err
}

// outflow is a growing file that only passes on: a pack is written to it front to back.
type outflow struct {
	engine.Growing
	w io.Writer
}

func (o *outflow) Write(p []byte) (int, error) { return o.w.Write(p) }
func (o *outflow) Align() int                  { return 1 }
func (o *outflow) Publish() error              { return nil }

// Ship brings to a target the packs that it lacks and returns how many bytes that were. Nothing there says yet that they are a snapshot.
func (t *Taken) Ship(ctx context.Context, target engine.Engine) (shippedBytes int64, err error) {
	there, err := sizes(ctx, target)
	if err != nil {
		return 0, err
	}
	for i := range t.Files {
		row := &t.Files[i]
		size, ok := there[row.Pack]
		if row.Pack == "" || ok && size == row.PackBytes {
			continue
		}
		if ok { // of another length: not ours, or cut
			if err := target.Remove(ctx, row.Pack); err != nil {
				return shippedBytes, fmt.Errorf("couldn't replace %s, which has %d bytes in place of %d: %w", row.Pack, size, row.PackBytes, err)
			}
		}
		if err := t.ship(ctx, target, row); err != nil && !errors.Is(err, engine.ErrExist) {
			return shippedBytes, fmt.Errorf("couldn't ship %s of the index: %w", row.Name, err)
		}
		shippedBytes += row.PackBytes
	}
	return shippedBytes, nil
}

func (t *Taken) ship(ctx context.Context, target engine.Engine, row *File) error {
	f, err := t.source.Open(row.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, w := io.Pipe()
	sealed := make(chan struct{})
	go func() {
		defer close(sealed)
		p, err := t.seal(ctx, f, row, w)
		if err == nil && hex.EncodeToString(p.SHA256[:]) != row.PackSHA256 {
			err = fmt.Errorf("%s was sealed otherwise the second time: %w", row.Name, frame.ErrCorrupt)
		}
		w.CloseWithError(err) // nil: EOF
	}()
	err = target.Create(ctx, row.Pack, row.PackBytes, r)
	r.CloseWithError(errors.New("the target took no more"))
	<-sealed
	return err
}

// sizes lists what a target holds of snapshots.
func sizes(ctx context.Context, target engine.Engine) (map[string]int64, error) {
	there := map[string]int64{}
	err := target.List(ctx, engine.Snapshots, func(i engine.Info) error {
		there[i.Name] = i.SizeBytes
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't list the snapshots: %w", err)
	}
	return there, nil
}

// Bytes returns the document as the backup.index entry must name it.
func (t *Taken) Bytes() ([]byte, error) { return t.encode() }

// Publish writes the list on a target to which Ship has brought all, once the entry with index at is durable. From then on the snapshot counts.
func (t *Taken) Publish(ctx context.Context, target engine.Engine, at uint64) error {
	doc, err := t.encode()
	if err != nil {
		return err
	}
	id := frame.NewFileID()
	sealer, err := t.keys.Sealer(t.Key, id)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	p := pack.NewWriter(&outflow{w: &out}, frame.Header{KeyID: t.Key, FileID: id, StoreID: t.store}, sealer)
	dedup := t.keys.DedupKey(t.Key)
	for chunk := range slices.Chunk(doc, ChunkBytes) {
		name := chunkID(dedup, chunk)
		if _, err := p.Append(&name, 0, chunk, 1<<62); err != nil {
			return err
		}
	}
	if _, _, err := p.Seal(); err != nil {
		return err
	}
	name := listName(t.Size, at)
	if err := target.Create(ctx, name, int64(out.Len()), &out); err != nil {
		return fmt.Errorf("couldn't write the list of the snapshot %s: %w", name, err)
	}
	return nil
}

// Prune removes from a target what is superseded: all but the newest two snapshots that open. It needs the right to remove, and that it lacks it is no harm: the caller decides whether to tell.
func Prune(ctx context.Context, target engine.Engine, store [16]byte, keys Keys) (removed int, err error) {
	there, err := sizes(ctx, target)
	if err != nil {
		return 0, err
	}
	needed := map[string]bool{}
	kept := 0
	for _, name := range newestFirst(there) {
		if kept == keep {
			break
		}
		doc, _, err := readList(ctx, target, name, there[name], store, keys)
		if err != nil {
			continue // not ours, damaged or unreadable now: it makes no room for an older one that is good
		}
		kept++
		needed[name] = true
		for i := range doc.Files {
			needed[doc.Files[i].Pack] = true
		}
	}
	if kept == 0 {
		return 0, nil
	}
	// Lists go before the packs that they name.
	for _, suffix := range []string{listSuffix, packSuffix} {
		for name := range there {
			if needed[name] || !strings.HasSuffix(name, suffix) {
				continue
			}
			if err := target.Remove(ctx, name); err != nil && !errors.Is(err, engine.ErrNotExist) {
				return removed, fmt.Errorf("couldn't remove %s, which is superseded: %w", name, err)
			}
			removed++
		}
	}
	return removed, nil
}

// newestFirst returns the names of the lists, the largest ledger size first.
func newestFirst(there map[string]int64) (names []string) {
	for name := range there {
		if _, _, ok := parseListName(name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names
}
