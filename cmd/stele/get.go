package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stele"
	"stele/internal/rpc/client"
)

type getCmd struct {
	Object    string `arg:"" name:"bucket/key" help:"The object; with -r a bucket or a folder in it."`
	Dest      string `arg:"" optional:"" help:"File or folder to write (the object's last name, here); - is standard output. With -r the folder to fill."`
	Recursive bool   `short:"r" help:"Get everything below, with modification times, permissions and symlinks."`
	At        string `placeholder:"WHEN" help:"${at}"`
	VersionID string `placeholder:"ID" help:"A version."`
	Range     string `placeholder:"A-B" help:"Bytes, as in HTTP: 0-99, 100-, -100."`
	Jobs      int    `short:"j" default:"16" help:"Objects got at once with -r (${default})."`
}

func (c *getCmd) Run(ctx context.Context, a *app) error {
	if c.Recursive && (c.Dest == "" || c.Dest == "-" || c.VersionID != "" || c.Range != "") {
		return usage{errors.New("get -r wants a folder, and neither --version-id nor --range: stele get -r BUCKET[/PREFIX] DIR")}
	}
	if c.Jobs < 1 || c.Jobs > 1024 {
		return usage{errors.New("--jobs is between 1 and 1024")}
	}
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if c.Recursive {
		return c.tree(ctx, a, s)
	}
	p, err := place(ctx, s, c.Object, c.At, c.VersionID)
	if err != nil {
		return err
	}
	if c.Dest == "-" {
		_, err := copyOut(ctx, s, a.stdout, p, c.Range)
		return err
	}
	return c.file(ctx, a, s, p)
}

// file gets one object into a file.
func (c *getCmd) file(ctx context.Context, a *app, s client.Store, p stele.Place) error {
	v, err := s.Head(ctx, p)
	if err != nil {
		return err
	}
	dir, name, err := destination(c.Dest, p.Key)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return noFolder(err)
	}
	defer root.Close()
	off, n, err := byteRange(c.Range, v.Size)
	if err != nil {
		return err
	}
	w := &restore{store: s, root: root, p: a.progress("got", "")}
	err = w.write(ctx, name, &v, off, n)
	w.p.end()
	if err != nil {
		return fmt.Errorf("couldn't get %s: %w", shown(c.Object), err)
	}
	at := filepath.Join(dir, name)
	if a.cli.JSON {
		d := docOf(&v)
		return a.document(struct {
			objectDoc
			File string `json:"file"`
		}{d, at})
	}
	a.say("got %s, %s", shown(at), size(n))
	return nil
}

// destination is the folder and the name in it to which an object goes.
func destination(dest, key string) (dir, name string, err error) {
	info, serr := os.Stat(dest)
	if dest != "" && !strings.HasSuffix(dest, string(filepath.Separator)) && (serr != nil || !info.IsDir()) {
		return filepath.Dir(dest), filepath.Base(dest), nil
	}
	name = path.Base(key)
	if strings.HasSuffix(key, "/") || !filepath.IsLocal(name) || strings.ContainsAny(name, "\x00/"+string(filepath.Separator)) || name == "." {
		return "", "", usage{fmt.Errorf("%s is no name for a file: say where it should go", shown(key))}
	}
	if dest == "" {
		dest = "."
	}
	return dest, name, nil
}

// tree gets everything below a prefix.
func (c *getCmd) tree(ctx context.Context, a *app, s client.Store) error {
	bucket, prefix := split(c.Object)
	name, at, err := view(ctx, s, bucket, c.At)
	if err != nil {
		return err
	}
	if _, err := s.Bucket(ctx, name, at); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dest, 0o777); err != nil {
		return fmt.Errorf("couldn't make the folder: %w", err)
	}
	root, err := os.OpenRoot(c.Dest)
	if err != nil {
		return noFolder(err)
	}
	defer root.Close()
	j := &getJob{app: a, restore: restore{store: s, root: root, p: a.progress("got", "file")}}
	err = j.all(ctx, c.Jobs, stele.ListRequest{Bucket: name, Prefix: folder(prefix), At: at})
	j.p.end()
	if err == nil && j.seen == 0 && prefix != "" {
		return fmt.Errorf("%w: nothing lies in %s/%s", stele.ErrNoKey, name, shown(folder(prefix)))
	}
	if err != nil {
		return soFar{err, filesAre(j.files.Load()) + " there, each whole"}
	}
	return j.summary(c.Dest)
}

// getJob is a tree being got.
type getJob struct {
	restore
	app    *app
	seen   int
	files  atomic.Int64
	bytes  atomic.Int64
	missed atomic.Int64
	mu     sync.Mutex // guards last, folders and the lines on stderr
	last   []linked   // symlinks wait until every file is written, so that nothing is written through them
	dirs   []linked
}

type linked struct {
	name string
	v    stele.Version
}

func (j *getJob) all(ctx context.Context, workers int, q stele.ListRequest) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	found := make(chan stele.Version, 4*workers)
	var work sync.WaitGroup
	for range workers {
		work.Go(func() {
			for v := range found {
				if ctx.Err() != nil {
					continue
				}
				if err := j.one(ctx, v, q); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := each(ctx, q, j.store.List, func(p stele.Page) error {
		for _, v := range p.Versions {
			j.seen++
			select {
			case found <- v:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err != nil {
		cancel(err)
	}
	close(found)
	work.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return j.finish(ctx)
}

// one gets one object. Its error ends the whole; what concerns this object alone is reported.
func (j *getJob) one(ctx context.Context, listed stele.Version, q stele.ListRequest) error {
	rel := strings.TrimPrefix(listed.Key, q.Prefix)
	if err := safeName(rel); err != nil {
		if rel != "" {
			j.miss(listed.Key, err)
		}
		return nil
	}
	v, err := j.store.Head(ctx, stele.Place{Bucket: q.Bucket, Key: listed.Key, At: q.At})
	if errors.Is(err, stele.ErrNoKey) {
		return nil // hidden since it was listed
	}
	if err != nil {
		return err
	}
	kind, _, _ := modeOf(v.Meta)
	name := filepath.FromSlash(strings.TrimSuffix(rel, "/"))
	switch {
	case strings.HasSuffix(rel, "/"):
		if v.Size > 0 {
			j.miss(listed.Key, errors.New("it ends in a slash and has bytes: no file can hold them. `stele cat` reads it"))
			return nil
		}
		j.later(&j.dirs, name, v)
	case kind == typeSymlink && v.Size <= maxTarget:
		j.later(&j.last, name, v)
	default:
		return j.got(ctx, &v, j.write(ctx, name, &v, 0, v.Size))
	}
	return nil
}

func (j *getJob) later(to *[]linked, name string, v stele.Version) {
	j.mu.Lock()
	*to = append(*to, linked{name, v})
	j.mu.Unlock()
}

// got counts an object, or reports what is wrong with it.
func (j *getJob) got(ctx context.Context, v *stele.Version, err error) error {
	switch {
	case err == nil:
		j.files.Add(1)
		j.bytes.Add(v.Size)
		j.p.things.Add(1)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isFull(err):
		return err
	}
	j.miss(v.Key, err)
	return nil
}

// finish makes symlinks and folders, and sets the times of folders when nothing will change them any more.
func (j *getJob) finish(ctx context.Context) error {
	for _, l := range j.last {
		if err := j.got(ctx, &l.v, j.symlink(ctx, l.name, &l.v)); err != nil {
			return err
		}
	}
	for _, d := range j.dirs {
		if err := j.got(ctx, &d.v, j.makeFolder(d.name, &d.v)); err != nil {
			return err
		}
	}
	return nil
}

func (j *getJob) miss(key string, err error) {
	j.missed.Add(1)
	message, _ := j.app.words(err)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.app.warn("left out %s: %s", shown(key), message)
}

func (j *getJob) summary(dest string) error {
	took := time.Since(j.p.start)
	files, bytes, missed := j.files.Load(), j.bytes.Load(), j.missed.Load()
	if j.app.cli.JSON {
		if err := j.app.document(map[string]any{"v": 1, "files": files, "bytes": bytes, "left_out": missed, "folder": dest, "seconds": took.Seconds()}); err != nil {
			return err
		}
	}
	j.app.say("got %s, %s, into %s in %s", count(files, "file"), size(bytes), shown(dest), took.Round(time.Millisecond))
	if missed > 0 {
		return withHint(fmt.Errorf("%w: %s left out", errPartial, count(missed, "object")), "the lines above say why; `stele cat BUCKET/KEY` reads any key")
	}
	return nil
}

// noFolder words that the folder where files should go can't be opened.
func noFolder(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("the folder %s does not exist", shown(pe.Path)), "make it: mkdir -p %s", shellWord(pe.Path))
	}
	return fmt.Errorf("couldn't open the folder: %w", err)
}
