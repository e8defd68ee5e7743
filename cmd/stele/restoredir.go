package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"stele"
	"stele/internal/rpc/client"
)

// dirJob writes a part of the past as files. What a file holds already is left alone.
type dirJob struct {
	restore
	part    *partJob
	bucket  string
	at      stele.View
	mu      sync.Mutex // guards what follows, and the report
	folders map[string]bool
	last    []linked // symlinks, and folders that were put empty, wait until every file is written
}

// dirJobs is how many files are written at once.
const dirJobs = 16

// files writes the part into a folder.
func (j *partJob) files(ctx context.Context, s client.Store, at stele.View) error {
	j.report = stele.PartReport{Bucket: j.bucket, At: at.Size}
	if _, err := s.Bucket(ctx, j.bucket, at); err != nil {
		return err
	}
	d := &dirJob{part: j, bucket: j.bucket, at: at, folders: map[string]bool{}}
	d.store, d.sync, d.p = s, true, j.app.progress("restored", "file")
	defer d.p.end()
	var err error
	if !j.cmd.DryRun {
		err = os.MkdirAll(j.cmd.ToDir, 0o777)
	}
	if err == nil {
		d.root, err = os.OpenRoot(j.cmd.ToDir)
	}
	switch {
	case err == nil:
		defer d.root.Close()
	case !j.cmd.DryRun || !errors.Is(err, fs.ErrNotExist):
		return noFolder(err)
	}
	if err := d.all(ctx, j.key); err != nil {
		return err
	}
	return d.finish(ctx)
}

// all walks over the key itself and over what is below it.
func (d *dirJob) all(ctx context.Context, key string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type found struct{ key, rel string }
	keys := make(chan found, 4*dirJobs)
	var work sync.WaitGroup
	for range dirJobs {
		work.Go(func() {
			for f := range keys {
				if ctx.Err() != nil {
					continue
				}
				if err := d.one(ctx, f.key, f.rel); err != nil {
					cancel(err)
				}
			}
		})
	}
	send := func(key, rel string) error {
		select {
		case keys <- found{key, rel}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := func() error {
		if key != "" && !strings.HasSuffix(key, "/") {
			if err := send(key, path.Base(key)); err != nil {
				return err
			}
		}
		below := folder(key)
		return each(ctx, stele.ListRequest{Bucket: d.bucket, Prefix: below, At: d.at}, d.store.List, func(p stele.Page) error {
			for i := range p.Versions {
				if err := send(p.Versions[i].Key, strings.TrimPrefix(p.Versions[i].Key, below)); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	if err != nil {
		cancel(err)
	}
	close(keys)
	work.Wait()
	return context.Cause(ctx)
}

// one writes the object of a key. Its error ends the whole; what concerns this object alone is reported.
func (d *dirJob) one(ctx context.Context, key, rel string) error {
	v, err := d.store.Head(ctx, stele.Place{Bucket: d.bucket, Key: key, At: d.at})
	if errors.Is(err, stele.ErrNoKey) {
		return nil // only the key that was named can be missing
	}
	if err != nil {
		return err
	}
	if rel == "" {
		return nil // the folder itself
	}
	if err := safeName(rel); err != nil {
		return d.done(ctx, &v, false, err)
	}
	kind, _, _ := modeOf(v.Meta)
	name := filepath.FromSlash(strings.TrimSuffix(rel, "/"))
	switch {
	case strings.HasSuffix(rel, "/") && v.Size > 0:
		return d.done(ctx, &v, false, errors.New("it ends in a slash and has bytes: no file can hold them. `stele cat` reads it"))
	case strings.HasSuffix(rel, "/"), kind == typeSymlink && v.Size <= maxTarget:
		d.mu.Lock()
		d.last = append(d.last, linked{name, v})
		d.mu.Unlock()
		return nil
	}
	kept, err := d.place(ctx, name, &v, d.sameFile)
	if err == nil && !kept && !d.part.cmd.DryRun {
		err = d.made(name, d.write(ctx, name, &v, 0, v.Size))
	}
	return d.done(ctx, &v, kept, err)
}

// made notes in which folders there is a new name, to be made durable.
func (d *dirJob) made(name string, err error) error {
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for dir := filepath.Dir(name); !d.folders[dir]; dir = filepath.Dir(dir) {
		d.folders[dir] = true
	}
	return nil
}

// errDiffers: something else is there.
var errDiffers = errors.New("something else has that name; --overwrite replaces it")

// place finds out what has a name: kept if that is what the object holds, an error if it is something else that must not be replaced.
func (d *dirJob) place(ctx context.Context, name string, v *stele.Version, same func(context.Context, string, fs.FileInfo, *stele.Version) (bool, error)) (kept bool, err error) {
	if d.root == nil {
		return false, nil
	}
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		kept, err = same(ctx, name, info, v)
	}
	if err == nil && !kept && !d.part.cmd.Overwrite {
		err = errDiffers
	}
	return kept, err
}

// sameFile compares a file with an object, byte by byte.
func (d *dirJob) sameFile(ctx context.Context, name string, info fs.FileInfo, v *stele.Version) (bool, error) {
	if !info.Mode().IsRegular() || info.Size() != v.Size {
		return false, nil
	}
	f, err := d.root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	body, err := d.store.OpenBody(ctx, *v, 0, v.Size)
	if err != nil {
		return false, err
	}
	defer body.Close()
	return sameBytes(f, body, v.Size)
}

// sameBytes compares two readers of n bytes each.
func sameBytes(a, b io.Reader, n int64) (bool, error) {
	const piece = 64 << 10
	x, y := make([]byte, piece), make([]byte, piece)
	for ; n > 0; n -= piece {
		m := min(n, piece)
		if _, err := io.ReadFull(a, x[:m]); err == io.EOF || err == io.ErrUnexpectedEOF {
			return false, nil // cut meanwhile
		} else if err != nil {
			return false, err
		}
		if _, err := io.ReadFull(b, y[:m]); err != nil {
			return false, err
		}
		if !bytes.Equal(x[:m], y[:m]) {
			return false, nil
		}
	}
	return true, nil
}

// sameLink compares a symlink, or a folder, with the object of one.
func (d *dirJob) sameLink(ctx context.Context, name string, info fs.FileInfo, v *stele.Version) (bool, error) {
	if strings.HasSuffix(v.Key, "/") {
		return info.IsDir(), nil
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return false, nil
	}
	target, err := d.root.Readlink(name)
	if err != nil || int64(len(target)) != v.Size {
		return false, err
	}
	body, err := d.store.OpenBody(ctx, *v, 0, v.Size)
	if err != nil {
		return false, err
	}
	defer body.Close()
	return sameBytes(strings.NewReader(target), body, v.Size)
}

// finish makes symlinks and folders, and makes all names durable.
func (d *dirJob) finish(ctx context.Context) error {
	for i := range d.last {
		l := &d.last[i]
		kept, err := d.place(ctx, l.name, &l.v, d.sameLink)
		switch {
		case err != nil || kept || d.part.cmd.DryRun:
		case strings.HasSuffix(l.v.Key, "/"):
			err = d.made(l.name, d.makeFolder(l.name, &l.v))
		default:
			err = d.made(l.name, d.symlink(ctx, l.name, &l.v))
		}
		if err := d.done(ctx, &l.v, kept, err); err != nil {
			return err
		}
	}
	if d.part.cmd.DryRun {
		return nil
	}
	for name := range d.folders {
		if err := d.syncFolder(name); err != nil {
			return fmt.Errorf("couldn't make the names in %s durable: %w", shown(filepath.Join(d.part.cmd.ToDir, name)), err)
		}
	}
	return nil
}

func (d *dirJob) syncFolder(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// done counts an object, or reports what is wrong with it.
func (d *dirJob) done(ctx context.Context, v *stele.Version, kept bool, err error) error {
	c := stele.PartChange{Key: v.Key, Action: stele.PartRestored, Size: v.Size, From: v.ID}
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && isFull(err):
		return err
	case err != nil:
		c.Action = stele.PartRefused
		c.Why, _ = d.part.app.words(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &d.part.report
	switch {
	case kept:
		add(&r.Kept, v.Size)
		return nil
	case err != nil:
		add(&r.Refused, v.Size)
	default:
		add(&r.Restored, v.Size)
		d.p.things.Add(1)
	}
	return d.part.tell(c)
}

func add(t *stele.Tally, bytes int64) { t.Keys, t.Bytes = t.Keys+1, t.Bytes+bytes }
