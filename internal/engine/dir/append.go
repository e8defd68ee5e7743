package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"stele/internal/durable"
	"stele/internal/engine"
)

// Append implements engine.Appender.
func (d *Dir) Append(ctx context.Context, name string, opt engine.AppendOptions) (engine.Growing, error) {
	if err := d.writable(ctx, name); err != nil {
		return nil, err
	}
	private := privateName(name)
	d.setLive(private, true)
	f, err := durable.Grow(d.fs, d.private(private), durable.GrowOptions{
		PreallocateBytes: opt.PreallocateBytes,
		Direct:           opt.Stream,
	})
	if err != nil {
		d.setLive(private, false)
		return nil, d.note("couldn't start "+name, err)
	}
	return &growing{d: d, f: f, name: name, private: private}, nil
}

// Tails implements engine.Appender. It sweeps what a crash left of a Create or of a finished Publish, so it is for the
// one process that holds the store.
func (d *Dir) Tails(ctx context.Context) ([]engine.Tail, error) {
	if err := d.sweepTemps(ctx); err != nil {
		return nil, err
	}
	privates, err := d.fs.List(d.fs.PathJoin(d.root, openFolder))
	if d.readOnly && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't list tails: %w", err)
	}
	slices.Sort(privates)
	var tails []engine.Tail
	for _, private := range privates {
		name, ok := sealedName(private)
		if !ok || d.isLive(private) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		info, err := d.fs.Stat(d.private(private))
		if errors.Is(err, fs.ErrNotExist) {
			continue // published since it was listed: its sealed name came first
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't look at tail %s: %w", private, err)
		}
		t := engine.Tail{Name: name, Private: private, SizeBytes: info.Size()}
		t.Open = func() (engine.File, error) { return d.open(private, d.private(private)) }
		if !d.readOnly {
			t.Release = func() error { return durable.ReleaseTail(d.fs, d.private(private)) }
		}
		published, err := d.published(ctx, t)
		if errors.Is(err, engine.ErrNotExist) {
			continue // a moment later than above
		}
		if err != nil {
			return nil, fmt.Errorf("couldn't compare tail %s: %w", private, err)
		}
		if !published {
			tails = append(tails, t)
		} else if !d.readOnly {
			if err := d.RemoveTail(ctx, t); err != nil && !errors.Is(err, engine.ErrNotExist) {
				return nil, err
			}
		}
	}
	return tails, nil
}

// RemoveTail implements engine.Appender.
func (d *Dir) RemoveTail(ctx context.Context, t engine.Tail) error {
	if err := d.writable(ctx, t.Name); err != nil {
		return err
	}
	if _, ok := sealedName(t.Private); !ok || d.isLive(t.Private) {
		return fmt.Errorf("couldn't remove tail %q: %w", t.Private, engine.ErrName)
	}
	if _, err := d.fs.Stat(d.private(t.Private)); err != nil {
		return fmt.Errorf("couldn't remove tail %s: %w", t.Private, translate(err))
	}
	return d.note("couldn't remove tail "+t.Private, durable.Remove(d.fs, d.private(t.Private)))
}

// published says whether t is the second name that a crash inside Publish left of a sealed file.
func (d *Dir) published(ctx context.Context, t engine.Tail) (bool, error) {
	sealed, err := d.fs.Stat(d.path(t.Name))
	if err != nil || sealed.Size() != t.SizeBytes {
		return false, nil
	}
	a, err := t.Open()
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := d.Open(ctx, t.Name)
	if err != nil {
		return false, err
	}
	defer b.Close()
	return equal(a, b)
}

func equal(a, b engine.File) (bool, error) {
	var bufs [2][1 << 16]byte
	for off := int64(0); off < a.Size(); off += int64(len(bufs[0])) {
		n := min(a.Size()-off, int64(len(bufs[0])))
		for i, f := range []engine.File{a, b} {
			if _, err := f.ReadAt(bufs[i][:n], off); err != nil && err != io.EOF {
				return false, err
			}
		}
		if !bytes.Equal(bufs[0][:n], bufs[1][:n]) {
			return false, nil
		}
	}
	return true, nil
}

func (d *Dir) sweepTemps(ctx context.Context) error {
	if d.readOnly {
		return nil
	}
	temps, err := d.fs.List(d.fs.PathJoin(d.root, tmpFolder))
	if err != nil {
		return fmt.Errorf("couldn't list temporary files: %w", err)
	}
	for _, temp := range temps {
		if strings.HasPrefix(temp, d.instance) {
			continue // ours, being written
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.fs.Remove(d.fs.PathJoin(d.root, tmpFolder, temp)); err != nil {
			return fmt.Errorf("couldn't remove temporary file %s: %w", temp, err)
		}
	}
	return nil
}

func (d *Dir) private(private string) string { return d.fs.PathJoin(d.root, openFolder, private) }

func (d *Dir) setLive(private string, live bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if live {
		d.live[private] = true
	} else {
		delete(d.live, private)
	}
}

func (d *Dir) isLive(private string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.live[private]
}

func privateName(name string) string {
	return strings.ReplaceAll(name, "/", "_") + "." + durable.Random()
}

// sealedName undoes privateName; false for a name that it didn't make.
func sealedName(private string) (string, bool) {
	i := strings.LastIndexByte(private, '.')
	if i < 0 || len(private)-i != 17 {
		return "", false
	}
	name := strings.Replace(private[:i], "_", "/", 1)
	return name, engine.CheckName(name) == nil
}

// errSealed is why a published file takes no more.
var errSealed = errors.New("already published")

// growing is a file under its private name.
type growing struct {
	d             *Dir
	f             *durable.File
	name, private string
}

func (g *growing) Align() int { return g.f.Align() }

func (g *growing) ReadAt(p []byte, off int64) (int, error) { return g.f.ReadAt(p, off) }

// ReadStream implements engine.Streamer.
func (g *growing) ReadStream(room []byte, off int64, n int) ([]byte, error) {
	return g.f.ReadStream(room, off, n)
}

func (g *growing) Write(p []byte) (int, error) {
	if err := g.d.refuse(g.name); err != nil {
		return 0, err
	}
	n, err := g.f.Write(p)
	return n, g.d.note("couldn't append to "+g.name, err)
}

func (g *growing) Sync() error {
	if err := g.d.refuse(g.name); err != nil {
		return err
	}
	return g.d.note("couldn't sync "+g.name, g.f.Sync())
}

func (g *growing) Publish() error {
	if err := g.d.refuse(g.name); err != nil {
		return err
	}
	if err := g.f.Finish(); err != nil {
		return g.d.note("couldn't publish "+g.name, err)
	}
	// A crash before the link leaves a tail of exactly what was written, one after it the sealed file.
	err := durable.Publish(g.d.fs, g.d.private(g.private), g.d.path(g.name))
	if err != nil {
		g.f.Fail(err)
		return g.d.note("couldn't publish "+g.name, err)
	}
	g.f.Fail(errSealed)
	return nil
}

func (g *growing) Close() error {
	defer g.d.setLive(g.private, false)
	if err := g.f.Close(); err != nil {
		return fmt.Errorf("couldn't close %s: %w", g.name, err)
	}
	return nil
}
