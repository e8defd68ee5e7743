package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// Claim is what a list says of itself, and what the backup.index entry must confirm.
type Claim struct {
	Entry  uint64     // the entry's index
	Size   uint64     // its Target
	SHA256 entry.Hash // of its Doc
	Bytes  int64
}

// Options tell Find what to believe.
type Options struct {
	Store [16]byte
	Keys  Keys
	// Format is that of the rows that the program reads.
	Format string
	// Size is that of the ledger: a snapshot beyond it is not believed.
	Size uint64
	// Confirm asks the ledger whether its entry says the same.
	Confirm func(ctx context.Context, c Claim) (bool, error)
	// Passed is told why a list was passed over. Optional.
	Passed func(name string, why error)
	// CacheBytes bounds the chunks kept in memory; 0: 32 MiB.
	CacheBytes int64
}

// maxTries bounds how many lists are looked at: junk on a target must not hold up the opening, for which no snapshot is needed.
const maxTries = 16

var errUnconfirmed = errors.New("the ledger's entry does not say the same")

// Find returns the newest snapshot on a target that proves itself and is whole there; nil if there is none. Only an error of the listing is one.
func Find(ctx context.Context, target engine.Engine, opt Options) (*Snapshot, error) {
	there, err := sizes(ctx, target)
	if err != nil {
		return nil, err
	}
	tries := 0
	for _, name := range newestFirst(there) {
		if tries++; tries > maxTries {
			break
		}
		s, err := open(ctx, target, name, there, opt)
		if err == nil {
			return s, nil
		}
		if opt.Passed != nil {
			opt.Passed(name, err)
		}
	}
	return nil, nil
}

// Reopen returns the snapshot that an index was begun from, by the name that Snapshot.Name gave, if it still proves itself and is whole.
func Reopen(ctx context.Context, target engine.Engine, name string, opt Options) (*Snapshot, error) {
	there, err := sizes(ctx, target)
	if err != nil {
		return nil, err
	}
	return open(ctx, target, name, there, opt)
}

func open(ctx context.Context, target engine.Engine, name string, there map[string]int64, opt Options) (*Snapshot, error) {
	size, at, ok := parseListName(name)
	bytes, exists := there[name]
	switch {
	case !ok || !exists:
		return nil, fmt.Errorf("%s: %w", name, engine.ErrNotExist)
	case size > opt.Size || at >= opt.Size || at < size:
		return nil, fmt.Errorf("%s is beyond the ledger of %d entries", name, opt.Size)
	}
	doc, sum, err := readList(ctx, target, name, bytes, opt.Store, opt.Keys)
	if err != nil {
		return nil, err
	}
	if doc.Size != size || doc.Format != opt.Format {
		return nil, fmt.Errorf("%s holds size %d, rows of format %q", name, doc.Size, doc.Format)
	}
	if ok, err := opt.Confirm(ctx, Claim{Entry: at, Size: size, SHA256: sum.hash, Bytes: sum.bytes}); err != nil || !ok {
		return nil, fmt.Errorf("%s: %w", name, errors.Join(errUnconfirmed, err))
	}
	dedup := opt.Keys.DedupKey(doc.Key)
	s := &Snapshot{Document: doc, name: name, target: target, files: map[string]*File{}, sealers: map[string]*frame.Sealer{}, cache: newCache(opt.CacheBytes)}
	for i := range doc.Files {
		f := &doc.Files[i]
		s.files[f.Name] = f
		if f.SizeBytes == 0 {
			continue
		}
		id := f.fileID(dedup)
		if f.Pack != packName(id) || there[f.Pack] != f.PackBytes {
			return nil, fmt.Errorf("%s: the pack of %s is not there, or of another length", name, f.Name)
		}
		if s.sealers[f.Name], err = opt.Keys.Sealer(doc.Key, id); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// read is what was read of a list.
type read struct {
	hash  entry.Hash
	bytes int64
}

// readList opens a list under the store's key and parses its document.
func readList(ctx context.Context, target engine.Engine, name string, size int64, store [16]byte, keys Keys) (d Document, sum read, err error) {
	if size > maxList {
		return d, sum, fmt.Errorf("%s has %d bytes: %w", name, size, frame.ErrCorrupt)
	}
	f, err := target.Open(ctx, name)
	if err != nil {
		return d, sum, err
	}
	defer f.Close()
	var b [frame.HeaderSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return d, sum, fmt.Errorf("%s: couldn't read the header: %w", name, err)
	}
	h, err := frame.ParseHeader(b[:], frame.MagicPack)
	if err != nil {
		return d, sum, fmt.Errorf("%s: %w", name, err)
	}
	if h.StoreID != store {
		return d, sum, fmt.Errorf("%s is of store %x: %w", name, h.StoreID, frame.ErrCorrupt)
	}
	sealer, err := keys.Sealer(h.KeyID, h.FileID)
	if err != nil {
		return d, sum, fmt.Errorf("%s: %w", name, err)
	}
	var doc []byte
	_, sealed, why := pack.Scan(f, f.Size(), func(c pack.Scanned) error {
		data, flags, err := pack.OpenChunk(sealer, c.Frame, &c.ID)
		if err == nil && flags != 0 {
			err = fmt.Errorf("flags %#x: %w", flags, frame.ErrCorrupt)
		}
		doc = append(doc, data...)
		return err
	})
	if why != nil || !sealed {
		return d, sum, fmt.Errorf("%s: %w", name, errors.Join(why, frame.ErrCorrupt))
	}
	if d, err = parse(doc); err != nil {
		return d, sum, fmt.Errorf("%s: %w", name, err)
	}
	if d.Key != h.KeyID {
		return d, sum, fmt.Errorf("%s: sealed under another key than it says: %w", name, frame.ErrCorrupt)
	}
	return d, read{sha256.Sum256(doc), int64(len(doc))}, nil
}

// Snapshot is a snapshot on a target, read by range. Safe for concurrent use.
type Snapshot struct {
	Document
	name    string
	target  engine.Engine
	files   map[string]*File
	sealers map[string]*frame.Sealer // by the file's name
	cache   *cache
}

// Name returns the name of its list on the target.
func (s *Snapshot) Name() string { return s.name }

// Sizes returns the files' sizes in bytes, by name.
func (s *Snapshot) Sizes() map[string]int64 {
	out := map[string]int64{}
	for name, f := range s.files {
		out[name] = f.SizeBytes
	}
	return out
}

// Open opens a file for reading by range. What it yields was authenticated; frame.ErrCorrupt for what is not what was sealed. ctx governs all that is read through it.
func (s *Snapshot) Open(ctx context.Context, name string) (*Reader, error) {
	row := s.files[name]
	if row == nil {
		return nil, fmt.Errorf("%s is not in the snapshot: %w", name, engine.ErrNotExist)
	}
	r := &Reader{s: s, ctx: ctx, row: row}
	if row.SizeBytes == 0 {
		return r, nil
	}
	f, err := s.target.Open(ctx, row.Pack)
	if err != nil {
		return nil, fmt.Errorf("couldn't open %s of the snapshot: %w", name, err)
	}
	if f.Size() != row.PackBytes {
		_ = f.Close() // only read
		return nil, fmt.Errorf("%s has %d bytes, should have %d: %w", row.Pack, f.Size(), row.PackBytes, frame.ErrCorrupt)
	}
	r.file, r.sealer = f, s.sealers[name]
	return r, nil
}

// Whole returns a reader of a whole file, front to back and past the cache. Its end is io.EOF only if the bytes hash to what the document says.
func (s *Snapshot) Whole(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := s.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &whole{r: r, sum: sha256.New()}, nil
}

type whole struct {
	r    *Reader
	sum  hash.Hash
	next int64    // chunk to fetch
	left [][]byte // fetched
}

func (w *whole) Read(p []byte) (int, error) {
	for len(w.left) == 0 {
		n := w.r.row.chunks()
		if w.next == n {
			if fmt.Sprintf("%x", w.sum.Sum(nil)) != w.r.row.SHA256 {
				return 0, fmt.Errorf("%s of the snapshot: SHA-256 differs: %w", w.r.row.Name, frame.ErrCorrupt)
			}
			return 0, io.EOF
		}
		end := min(w.next+runChunks, n)
		chunks, err := w.r.fetch(w.next, end)
		if err != nil {
			return 0, err
		}
		w.left, w.next = chunks, end
		for _, c := range chunks {
			w.sum.Write(c)
		}
	}
	n := copy(p, w.left[0])
	if w.left[0] = w.left[0][n:]; len(w.left[0]) == 0 {
		w.left = w.left[1:]
	}
	return n, nil
}

func (w *whole) Close() error { return w.r.Close() }

// Reader reads one file. It implements engine.File and may be used concurrently.
type Reader struct {
	s      *Snapshot
	ctx    context.Context
	row    *File
	file   engine.File
	sealer *frame.Sealer
}

// Size returns the file's size in bytes.
func (r *Reader) Size() int64 { return r.row.SizeBytes }

// Close implements io.Closer.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// runChunks is how many chunks are fetched at once at most.
const runChunks = 16

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("offset %d is negative", off)
	}
	size := r.row.SizeBytes
	for n < len(p) {
		at := off + int64(n)
		if at >= size {
			return n, io.EOF
		}
		i := at / ChunkBytes
		last := min((off+int64(len(p))-1)/ChunkBytes, i+runChunks-1, r.row.chunks()-1)
		chunk, err := r.chunk(i, last)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], chunk[at-i*ChunkBytes:])
	}
	return n, nil
}

// chunk returns chunk i. Where it must be fetched, those that follow and will be asked for next, up to last, come with it.
func (r *Reader) chunk(i, last int64) ([]byte, error) {
	if b := r.s.cache.get(r.row.Name, i); b != nil {
		return b, nil
	}
	end := i + 1
	for end <= last && !r.s.cache.has(r.row.Name, end) {
		end++
	}
	chunks, err := r.fetch(i, end)
	if err != nil {
		return nil, err
	}
	for k, c := range chunks {
		r.s.cache.put(r.row.Name, i+int64(k), c)
	}
	return chunks[0], nil
}

// fetch reads the frames of chunks from to end−1 in one piece and opens each.
func (r *Reader) fetch(from, end int64) ([][]byte, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	base := r.row.at(from)
	b := make([]byte, r.row.at(end)-base)
	if n, err := r.file.ReadAt(b, base); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s ends early: %w", r.row.Pack, frame.ErrCorrupt)
		}
		return nil, err
	}
	chunks := make([][]byte, 0, end-from)
	for i := from; i < end; i++ {
		one := b[r.row.at(i)-base : r.row.at(i+1)-base]
		data, err := openChunk(r.sealer, one, i)
		if err != nil {
			return nil, fmt.Errorf("chunk %d of %s: %w", i, r.row.Pack, err)
		}
		chunks = append(chunks, data)
	}
	return chunks, nil
}

// openChunk opens frame i. GCM covers the number, so that a chunk is only ever read in its own place, and the key belongs to this one file.
func openChunk(s *frame.Sealer, b []byte, i int64) ([]byte, error) {
	if number := binary.BigEndian.Uint32(b[8:]); int64(number) != i && !bug.On(bug.SnapshotAnyPlace) {
		return nil, fmt.Errorf("frame %d is in its place: %w", number, frame.ErrCorrupt)
	}
	id := entry.ID(b[frame.FrameHeaderSize:])
	data, flags, err := pack.OpenChunk(s, b, &id)
	if err != nil && bug.On(bug.SnapshotSkipAuth) {
		return b[pack.Overhead-frame.SealOverhead : len(b)-frame.SealOverhead], nil
	}
	if err == nil && (flags != 0 || len(data) != len(b)-pack.Overhead) {
		err = fmt.Errorf("flags %#x, %d bytes: %w", flags, len(data), frame.ErrCorrupt)
	}
	return data, err
}
