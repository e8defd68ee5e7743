package follow

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

// Sealers gives the sealer of a file.
type Sealers func(keyID uint32, file frame.FileID) (*frame.Sealer, error)

// Places is where the chunks of packs are recorded once they are durable.
type Places interface {
	// Add records where durable chunks are; a later place replaces an earlier one.
	Add(pack pack.Name16, chunks []pack.Chunk) error
	// KnowPack records that all chunks of a sealed pack were added.
	KnowPack(pack pack.Name16) error
	// In says in which pack a chunk is; false if it is in none.
	In(id entry.ID) (pack.Name16, bool, error)
}

// Packs takes the bytes of packs as they come. One goroutine uses it. After an error of Feed that is no ErrUnproven, and after one of Sync or Seal, it must be made anew.
type Packs struct {
	files   *Files
	store   [16]byte
	sealers Sealers
	places  Places
	coming  map[string]*coming
}

// ErrUnproven: what came for a pack is not what its owner's key sealed.
var ErrUnproven = errors.New("the primary's packs are not what its key sealed")

// coming is a pack that grows here.
type coming struct {
	name    string
	short   pack.Name16
	g       engine.Growing
	sealer  *frame.Sealer
	buf     []byte // came and is not written: a frame that is not whole yet
	good    int    // of buf, whole and proven
	written int64
	synced  int64
	number  uint32       // of the next frame
	fresh   []pack.Chunk // written, not durable
	ids     []entry.ID   // of all chunks
	sum     hash.Hash
	footer  bool // its footer came: what is still to come is the trailer
	whole   bool
}

const packRoom = 64 << 20 // reserved for a pack, so that an fsync need not grow the file

// NewPacks begins to take packs.
func NewPacks(files *Files, store [16]byte, sealers Sealers, places Places) *Packs {
	return &Packs{files: files, store: store, sealers: sealers, places: places, coming: map[string]*coming{}}
}

// Coming lists the packs that grow here.
func (p *Packs) Coming() []string {
	names := make([]string, 0, len(p.coming))
	for name := range p.coming {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Have is from which byte on more of a pack is wanted.
func (p *Packs) Have(name string) int64 {
	if c := p.coming[name]; c != nil {
		return c.written + int64(len(c.buf))
	}
	return 0
}

// Whole says whether a pack has come to its end and can be sealed.
func (p *Packs) Whole(name string) bool { return p.coming[name] != nil && p.coming[name].whole }

// Feed takes the next bytes of a pack. Each chunk is opened under its key before it is written; nothing is durable before Sync. ErrUnproven: they are not a pack's.
func (p *Packs) Feed(ctx context.Context, name string, b []byte) error {
	c := p.coming[name]
	if c == nil {
		short, ok := pack.ParseName(name)
		if !ok {
			return fmt.Errorf("%w: %q is no pack's name", ErrUnproven, name)
		}
		c = &coming{name: name, short: short, sum: sha256.New()}
		p.coming[name] = c
	}
	c.buf = append(c.buf, b...)
	n, err := p.scan(c)
	c.good = n
	if err != nil {
		err = fmt.Errorf("pack %s at byte %d: %w", name, c.written+int64(n), err)
		return errors.Join(err, p.cut(ctx, c)) // what came before it is good, and may be asked for again from there
	}
	return p.write(ctx, c, n)
}

// cut writes what is proven of what came, and forgets the rest.
func (p *Packs) cut(ctx context.Context, c *coming) error {
	err := p.write(ctx, c, c.good)
	c.buf = nil
	if c.written == 0 {
		delete(p.coming, c.name)
	}
	return err
}

// scan checks the whole frames in c.buf and returns where they end.
func (p *Packs) scan(c *coming) (n int, err error) {
	if c.sealer == nil {
		if len(c.buf) < frame.HeaderSize {
			return 0, nil
		}
		if err := p.header(c); err != nil {
			return 0, err
		}
		n = frame.HeaderSize
	}
	for !c.footer {
		fr, size, err := frame.Parse(c.buf[n:])
		if errors.Is(err, frame.ErrTorn) || errors.Is(err, frame.ErrEnd) && len(c.buf)-n < frame.FrameHeaderSize {
			return n, nil
		}
		if err == nil {
			err = c.frame(fr, c.buf[n:n+size], c.written+int64(n))
		}
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrUnproven, err)
		}
		n += size
	}
	if rest := len(c.buf) - n; c.whole || rest > pack.TrailerSize {
		return n, fmt.Errorf("%w: there is more behind its end", ErrUnproven)
	} else if rest == pack.TrailerSize {
		c.whole = true
		n += rest
	}
	return n, nil
}

func (p *Packs) header(c *coming) error {
	h, err := frame.ParseHeader(c.buf, frame.MagicPack)
	if err == nil && (h.StoreID != p.store || pack.Short(h.FileID) != c.short) {
		err = fmt.Errorf("header of another file: %w", frame.ErrCorrupt)
	}
	if errors.Is(err, frame.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	if err != nil {
		return err
	}
	c.sealer, err = p.sealers(h.KeyID, h.FileID)
	return err
}

// frame checks one frame, which lies at off in the file.
func (c *coming) frame(fr frame.Frame, raw []byte, off int64) error {
	if fr.Number != c.number {
		return fmt.Errorf("frame %d where %d should be: %w", fr.Number, c.number, frame.ErrCorrupt)
	}
	switch fr.Kind {
	case frame.KindPad:
	case frame.KindFooter:
		c.footer = true
	case frame.KindChunk:
		if len(raw) < pack.Overhead {
			return fmt.Errorf("a chunk of %d bytes: %w", len(raw), frame.ErrCorrupt)
		}
		id := entry.ID(fr.Body[:len(entry.ID{})])
		if _, _, err := pack.OpenChunk(c.sealer, slices.Clone(raw), &id); err != nil {
			return err
		}
		c.fresh = append(c.fresh, pack.Chunk{ID: id, Offset: off, Length: uint32(len(raw))})
		c.ids = append(c.ids, id)
	default:
		return fmt.Errorf("frame of kind %d in a pack: %w", fr.Kind, frame.ErrCorrupt)
	}
	c.number++
	return nil
}

func (p *Packs) write(ctx context.Context, c *coming, n int) error {
	if n == 0 {
		return nil
	}
	if c.g == nil {
		g, err := p.files.Append(ctx, c.name, engine.AppendOptions{PreallocateBytes: packRoom})
		if err != nil {
			return fmt.Errorf("couldn't begin %s: %w", c.name, err)
		}
		c.g = g
	}
	if _, err := c.g.Write(c.buf[:n]); err != nil {
		return fmt.Errorf("couldn't write %s: %w", c.name, err)
	}
	c.sum.Write(c.buf[:n])
	c.written, c.good = c.written+int64(n), 0
	c.buf = slices.Delete(c.buf, 0, n)
	return nil
}

// Sync makes durable what came, and then records where its chunks are.
func (p *Packs) Sync() error {
	for _, c := range p.coming {
		if c.synced == c.written {
			continue
		}
		if bug.On(bug.SkipFollowedSync) {
			c.g = unsynced{c.g}
		}
		if err := c.g.Sync(); err != nil {
			return fmt.Errorf("couldn't sync %s: %w", c.name, err)
		}
		if err := p.settle(c); err != nil {
			return err
		}
	}
	return nil
}

// unsynced is bug.SkipFollowedSync.
type unsynced struct{ engine.Growing }

func (unsynced) Sync() error { return nil }

func (p *Packs) settle(c *coming) error {
	c.synced = c.written
	if len(c.fresh) == 0 {
		return nil
	}
	err := p.places.Add(c.short, c.fresh)
	c.fresh = nil
	return err
}

// Seal makes a sealed pack of one that is Whole and returns what a pack.seal entry should say of it.
func (p *Packs) Seal(name string) (entry.Pack, error) {
	c := p.coming[name]
	if c == nil || !c.whole {
		return entry.Pack{}, fmt.Errorf("couldn't seal %s: it hasn't come to its end", name)
	}
	if err := c.g.Publish(); err != nil && !errors.Is(err, engine.ErrExist) { // there already: a crash left both
		return entry.Pack{}, fmt.Errorf("couldn't publish %s: %w", name, err)
	}
	err := p.settle(c)
	if err == nil {
		err = p.places.KnowPack(c.short)
	}
	if err != nil {
		return entry.Pack{}, err
	}
	delete(p.coming, name)
	return entry.Pack{Name: name, Size: c.written, SHA256: entry.Hash(c.sum.Sum(nil))}, c.g.Close()
}

// Gone is told that the primary has a pack no longer: it crashed, and copied the pack's chunks into others. The pack is let go of once each of its chunks is in another
// one; until then it stays.
func (p *Packs) Gone(ctx context.Context, name string) error {
	c := p.coming[name]
	for _, id := range c.ids {
		if in, ok, err := p.places.In(id); err != nil || !ok || in == c.short {
			return err
		}
	}
	delete(p.coming, name)
	if c.g == nil {
		return nil
	}
	if err := c.g.Close(); err != nil {
		return err
	}
	tails, err := p.files.Tails(ctx)
	if err != nil {
		return err
	}
	for _, t := range tails {
		if t.Name == name {
			if err := p.files.RemoveTail(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// Resume takes up the packs that an earlier process left growing: what is whole of them is copied into fresh files, and then the old ones go. Sealed names that are
// taken need no copy.
func (p *Packs) Resume(ctx context.Context) error {
	tails, err := p.files.Tails(ctx)
	if err != nil {
		return fmt.Errorf("couldn't look for tails: %w", err)
	}
	for _, t := range tails {
		if _, ok := pack.ParseName(t.Name); !ok {
			continue
		}
		if err := p.resume(ctx, t); err != nil {
			return fmt.Errorf("couldn't resume %s: %w", t.Private, err)
		}
	}
	if err := p.Sync(); err != nil {
		return err
	}
	for _, t := range tails {
		if _, ok := pack.ParseName(t.Name); ok {
			if err := p.files.RemoveTail(ctx, t); err != nil {
				return fmt.Errorf("couldn't remove tail %s: %w", t.Private, err)
			}
		}
	}
	return nil
}

// pieceBytes is how much of a tail is copied at once.
const pieceBytes = 4 << 20

// resume takes up one tail. A crash while tails were taken up leaves the old one and a copy of some length, in whatever order: both are the same pack, and the second goes on where
// the first one ends.
func (p *Packs) resume(ctx context.Context, t engine.Tail) error {
	if f, err := p.files.Appender.Open(ctx, t.Name); err == nil {
		return f.Close() // sealed already
	} else if !errors.Is(err, engine.ErrNotExist) {
		return err
	}
	f, err := t.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, pieceBytes)
	for off := p.Have(t.Name); off < f.Size(); off += pieceBytes {
		b := buf[:min(pieceBytes, f.Size()-off)]
		if n, err := f.ReadAt(b, off); n < len(b) {
			return err
		}
		if err := p.Feed(ctx, t.Name, b); errors.Is(err, ErrUnproven) {
			break // reserved room, or what was torn
		} else if err != nil {
			return err
		}
	}
	if c := p.coming[t.Name]; c != nil {
		return p.cut(ctx, c)
	}
	return nil
}

// Close closes the files. What was not sealed stays as a tail.
func (p *Packs) Close() error {
	var errs []error
	for _, c := range p.coming {
		if c.g != nil {
			errs = append(errs, c.g.Close())
		}
	}
	return errors.Join(errs...)
}
