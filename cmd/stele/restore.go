package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"stele"
	"stele/internal/rpc/client"
)

// restore writes objects into a folder and never outside it, whatever their keys are: os.Root refuses names and links that lead out.
type restore struct {
	store client.Store
	root  *os.Root
	p     *progress
	sync  bool // each file is durable before it gets its name
}

// maxTarget is the longest symlink target, in bytes.
const maxTarget = 4096

// safeName refuses keys that are no relative path, or that two ways of writing would bring together.
func safeName(rel string) error {
	trimmed := strings.TrimSuffix(rel, "/")
	switch {
	case trimmed == "":
		return errors.New("it names no file")
	case strings.ContainsRune(rel, 0):
		return errors.New("a file name can't hold NUL")
	case strings.HasPrefix(rel, "/"):
		return errors.New("it is an absolute path")
	case runtime.GOOS == "windows" && strings.ContainsAny(rel, `\:`):
		return errors.New(`a file name can't hold a backslash or a colon`)
	}
	for part := range strings.SplitSeq(trimmed, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("its part %q is no file name", part)
		}
	}
	if !filepath.IsLocal(filepath.FromSlash(trimmed)) {
		return errors.New("it leads out of the folder")
	}
	return nil
}

// write writes bytes of a version under name: to a temporary file first, so that a file with its final name is whole.
func (r *restore) write(ctx context.Context, name string, v *stele.Version, off, n int64) (err error) {
	if err := r.parent(name); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(name), ".stele-"+randomName()+".tmp")
	first := fs.FileMode(0o666)
	if _, _, ok := modeOf(v.Meta); ok {
		first = 0o600 // until it is whole: nobody reads a private file while it comes
	}
	f, err := r.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, first)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			r.root.Remove(tmp)
		}
	}()
	body, err := r.store.OpenBody(ctx, *v, off, n)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.Copy(&countedWriter{f, r.p}, body)
	if err != nil {
		return err
	}
	if got != n {
		return fmt.Errorf("%w: %d bytes of %d", stele.ErrIncomplete, got, n)
	}
	if _, perm, ok := modeOf(v.Meta); ok {
		if err := f.Chmod(perm); err != nil {
			return err
		}
	}
	if at, ok := mtimeOf(v.Meta); ok {
		if err := r.root.Chtimes(tmp, at, at); err != nil {
			return err
		}
	}
	if r.sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return r.root.Rename(tmp, name)
}

func (r *restore) parent(name string) error {
	dir := filepath.Dir(name)
	if dir == "." {
		return nil
	}
	return r.root.MkdirAll(dir, 0o777)
}

// symlink makes a link with the target that the object holds, in place of a file or link of that name.
func (r *restore) symlink(ctx context.Context, name string, v *stele.Version) error {
	body, err := r.store.OpenBody(ctx, *v, 0, v.Size)
	if err != nil {
		return err
	}
	defer body.Close()
	target, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if err := r.parent(name); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(name), ".stele-"+randomName()+".tmp")
	if err := r.root.Symlink(string(target), tmp); err != nil {
		return err
	}
	if err := r.root.Rename(tmp, name); err != nil {
		r.root.Remove(tmp)
		return err
	}
	return nil
}

// makeFolder makes a folder that was empty when it was put.
func (r *restore) makeFolder(name string, v *stele.Version) error {
	if err := r.root.MkdirAll(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, perm, ok := modeOf(v.Meta); ok {
		if err := r.root.Chmod(name, perm); err != nil {
			return err
		}
	}
	if at, ok := mtimeOf(v.Meta); ok {
		return r.root.Chtimes(name, at, at)
	}
	return nil
}

type countedWriter struct {
	w io.Writer
	p *progress
}

func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.p.bytes.Add(int64(n))
	return n, err
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func randomName() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
