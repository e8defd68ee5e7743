package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stele"
	"stele/internal/rpc/client"
)

type putCmd struct {
	Args      []string `arg:"" name:"src … bucket/prefix" help:"Files and folders, and last where they go. One file goes to BUCKET/KEY, or into BUCKET or BUCKET/FOLDER/. One folder's content goes under BUCKET/PREFIX; of several each keeps its name. - is standard input."`
	Recursive bool     `short:"r" help:"Put folders, with modification times, permissions and symlinks."`
	Create    bool     `help:"Make the bucket if it is missing."`
	Jobs      int      `short:"j" default:"64" help:"Files put at once (${default})."`
}

// source is something to be put.
type source struct {
	path   string
	key    string
	follow bool // a symlink named as a source means what it leads to; one found in a tree is kept as a link
}

// putJob is a put under way.
type putJob struct {
	app    *app
	store  client.Store
	bucket string
	p      *progress
	files  atomic.Int64
	bytes  atomic.Int64
	missed atomic.Int64 // reported and left out
	alone  bool         // one file: what is wrong with it is what is wrong
	mu     sync.Mutex   // guards stderr and stdout lines
}

func (c *putCmd) Run(ctx context.Context, a *app) error {
	if len(c.Args) < 2 {
		return usage{errors.New("put wants what and where: stele put SRC… BUCKET[/PREFIX]")}
	}
	if c.Jobs < 1 || c.Jobs > 1024 {
		return usage{errors.New("--jobs is between 1 and 1024")}
	}
	srcs, dest := c.Args[:len(c.Args)-1], c.Args[len(c.Args)-1]
	bucket, prefix := split(dest)
	if err := c.check(srcs, prefix); err != nil {
		return err
	}
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := c.bucket(ctx, s, bucket); err != nil {
		return err
	}
	j := &putJob{app: a, store: s, bucket: bucket, p: a.progress("put", "file")}
	if info, serr := os.Stat(srcs[0]); len(srcs) == 1 && serr == nil {
		j.alone = !info.IsDir()
	}
	if srcs[0] == "-" {
		err = j.stdin(ctx, prefix)
	} else {
		err = j.all(ctx, c.Jobs, srcs, prefix)
	}
	j.p.end()
	if err := errors.Join(err, s.Close()); err != nil {
		return j.stopped(err)
	}
	return j.summary()
}

// check refuses, before anything is opened, what can't be meant.
func (c *putCmd) check(srcs []string, prefix string) error {
	for _, src := range srcs {
		if src == "-" {
			if len(srcs) > 1 || prefix == "" || strings.HasSuffix(prefix, "/") {
				return usage{errors.New("standard input goes to one object: stele put - BUCKET/KEY")}
			}
			return nil
		}
		info, err := os.Stat(src)
		if err != nil {
			return sourceError(err)
		}
		if info.IsDir() && !c.Recursive {
			return usage{fmt.Errorf("%s is a folder: put it with -r", shown(src))}
		}
	}
	return nil
}

func (c *putCmd) bucket(ctx context.Context, s client.Store, name string) error {
	_, err := s.Bucket(ctx, name, stele.View{})
	if !errors.Is(err, stele.ErrNoBucket) {
		return err
	}
	if !c.Create {
		return withHint(err, "`stele bucket create %s` makes it, or add --create", shown(name))
	}
	if _, err = s.CreateBucket(ctx, local, name, false); err != nil {
		return fmt.Errorf("couldn't make the bucket: %w", err)
	}
	return nil
}

func (j *putJob) stdin(ctx context.Context, key string) error {
	v, err := j.store.Put(ctx, stele.PutRequest{By: local, Bucket: j.bucket, Key: key, Body: &countedReader{j.app.stdin, j.p}, Size: -1, Headers: headersOf(key)})
	if err != nil {
		return fmt.Errorf("couldn't put standard input as %s: %w", shown(key), err)
	}
	j.done(&v, v.Size)
	return nil
}

// all walks the sources and puts what it finds with so many workers.
func (j *putJob) all(ctx context.Context, workers int, srcs []string, prefix string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	found := make(chan source, 4*workers)
	var work sync.WaitGroup
	for range workers {
		work.Go(func() {
			for s := range found {
				if ctx.Err() != nil {
					continue
				}
				if err := j.one(ctx, s); err != nil {
					cancel(err)
				}
			}
		})
	}
	if !j.app.cli.Quiet {
		go j.measure(ctx, srcs)
	}
	for _, src := range srcs {
		if err := j.walk(ctx, src, rootKey(src, prefix, len(srcs)), found); err != nil {
			cancel(err)
			break
		}
	}
	close(found)
	work.Wait()
	return context.Cause(ctx)
}

// rootKey is the key of a source, or the prefix of a folder's content.
func rootKey(src, prefix string, of int) string {
	info, err := os.Stat(src)
	base := filepath.Base(filepath.Clean(src))
	switch {
	case err == nil && info.IsDir() && of == 1:
		return folder(prefix)
	case err == nil && info.IsDir():
		if base == "." || base == ".." || base == string(filepath.Separator) {
			return folder(prefix)
		}
		return folder(prefix) + base + "/"
	case of == 1 && prefix != "" && !strings.HasSuffix(prefix, "/"):
		return prefix
	}
	return folder(prefix) + base
}

// walk sends a source, and what is below it, to the workers. What can't be listed is reported, and the walk goes on.
func (j *putJob) walk(ctx context.Context, src, key string, found chan<- source) error {
	if info, err := os.Stat(src); err == nil && info.IsDir() {
		src += string(filepath.Separator) // a root that is a link to a folder is meant to be followed; links below it are kept as links
	}
	root := filepath.Clean(src)
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			j.miss(sourceError(err))
			return nil
		}
		rel, rerr := filepath.Rel(root, path)
		if rerr != nil {
			return rerr
		}
		s := source{path: path, key: key, follow: rel == "."}
		if rel != "." {
			s.key = key + filepath.ToSlash(rel)
		}
		switch {
		case d.IsDir():
			if rel == "." || !isEmptyFolder(path) {
				return nil
			}
			s.key += "/"
		case !d.Type().IsRegular() && d.Type()&fs.ModeSymlink == 0:
			j.app.note("left out %s: neither a file nor a folder nor a symlink", shown(path))
			return nil
		}
		select {
		case found <- s:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func isEmptyFolder(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // WalkDir will report it
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) == 0 && err != nil
}

// measure counts what there is to do, so that the progress line can tell how long it will take. It runs ahead of the workers.
func (j *putJob) measure(ctx context.Context, srcs []string) {
	var files, bytes int64
	for _, src := range srcs {
		if err := filepath.WalkDir(src+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil || d.IsDir() {
				return nil
			}
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				bytes += info.Size()
			}
			files++
			return nil
		}); err != nil {
			return
		}
	}
	j.p.ofThings.Store(files)
	j.p.ofBytes.Store(bytes)
}

// miss reports a source that was left out.
func (j *putJob) miss(err error) {
	j.missed.Add(1)
	message, _ := j.app.words(err)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.app.warn("%s", message)
}

// one puts one source. It returns an error only if there is no use in going on: whatever is wrong with the source is reported.
func (j *putJob) one(ctx context.Context, s source) error {
	v, n, err := j.putSource(ctx, s)
	switch {
	case err == nil:
		j.done(&v, n)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	var se sourceFault
	if j.alone {
		return err
	}
	if errors.As(err, &se) || errors.Is(err, stele.ErrBadName) || errors.Is(err, stele.ErrTooLarge) {
		j.miss(err)
		return nil
	}
	return fmt.Errorf("couldn't put %s: %w", shown(s.path), err)
}

func (j *putJob) done(v *stele.Version, bytes int64) {
	j.files.Add(1)
	j.bytes.Add(bytes)
	j.p.things.Add(1)
	if j.app.cli.JSON {
		j.mu.Lock()
		defer j.mu.Unlock()
		d := docOf(v)
		d.Bucket = j.bucket
		if v.Body.SHA256 != (stele.Version{}).Body.SHA256 {
			d.SHA256 = v.Body.SHA256.String()
		}
		j.app.document(d)
	}
}

// stopped says how far a put came that ended early.
func (j *putJob) stopped(err error) error {
	if n := j.files.Load(); n > 0 {
		return soFar{err, filesAre(n) + " in and durable"}
	}
	return err
}

func filesAre(n int64) string {
	if n == 1 {
		return "1 file is"
	}
	return thousands(uint64(n)) + " files are"
}

func (j *putJob) summary() error {
	took := time.Since(j.p.start)
	files, bytes, missed := j.files.Load(), j.bytes.Load(), j.missed.Load()
	rate := size(int64(float64(bytes) / max(took.Seconds(), 0.001)))
	if j.app.cli.JSON {
		if err := j.app.document(map[string]any{"v": 1, "files": files, "bytes": bytes, "left_out": missed, "bucket": j.bucket, "seconds": took.Seconds()}); err != nil {
			return err
		}
	}
	j.app.say("put %s, %s, into %s in %s (%s/s)", count(files, "file"), size(bytes), j.bucket, took.Round(time.Millisecond), rate)
	if missed > 0 {
		return withHint(fmt.Errorf("%w: %s left out", errPartial, count(missed, "file")), "the lines above say why; put those again")
	}
	return nil
}
