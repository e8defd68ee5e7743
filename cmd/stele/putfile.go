package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"stele"
)

// sourceFault is an error of a file that should be put, not of the store.
type sourceFault struct{ error }

func (s sourceFault) Unwrap() error { return s.error }

// errMoving says that a file changed while it was read.
var errMoving = errors.New("it changed while it was read")

// tries is how often a file that changes while it is read is read before it is left out: a mixture of two states is nobody's file.
const tries = 3

// putSource puts a file, a symlink or an empty folder and returns how many bytes it has.
func (j *putJob) putSource(ctx context.Context, s source) (stele.Version, int64, error) {
	info, err := os.Lstat(s.path)
	if err != nil {
		return stele.Version{}, 0, sourceFault{sourceError(err)}
	}
	q := stele.PutRequest{By: local, Bucket: j.bucket, Key: s.key, Meta: metaOf(info)}
	switch {
	case info.IsDir():
		v, err := j.store.Put(ctx, q)
		return v, 0, err
	case info.Mode()&fs.ModeSymlink != 0 && !s.follow:
		target, err := os.Readlink(s.path)
		if err != nil {
			return stele.Version{}, 0, sourceFault{sourceError(err)}
		}
		q.Body, q.Size = strings.NewReader(target), int64(len(target))
		v, err := j.store.Put(ctx, q)
		return v, q.Size, err
	}
	q.Headers = headersOf(s.key)
	for try := 1; ; try++ {
		v, n, err := j.putFile(ctx, s, q)
		if !errors.Is(err, errMoving) {
			return v, n, err
		}
		if try == tries {
			return v, 0, sourceFault{fmt.Errorf("left out %s: %w, %d times", shown(s.path), errMoving, tries)}
		}
	}
}

// putFile puts a file as it is now. Its body is refused before the commit if the file is another one at the end than it was at the beginning.
func (j *putJob) putFile(ctx context.Context, s source, q stele.PutRequest) (stele.Version, int64, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return stele.Version{}, 0, sourceFault{sourceError(err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return stele.Version{}, 0, sourceFault{sourceError(err)}
	}
	if !info.Mode().IsRegular() {
		return stele.Version{}, 0, sourceFault{fmt.Errorf("left out %s: it is no file any more", shown(s.path))}
	}
	body := &steady{f: f, was: info, left: info.Size(), p: j.p}
	q.Meta, q.Size, q.Body = metaOf(info), info.Size(), body
	v, err := j.store.Put(ctx, q)
	if err != nil && body.err != nil && body.err != io.EOF {
		j.p.bytes.Add(body.left - info.Size()) // what was counted is not in
		return v, 0, body.err
	}
	return v, info.Size(), err
}

// steady reads a file of a known length and, at its end, makes sure that it is still the same.
type steady struct {
	f    *os.File
	was  fs.FileInfo
	left int64
	p    *progress
	err  error
}

func (s *steady) Read(b []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	if int64(len(b)) > s.left {
		b = b[:s.left]
	}
	if len(b) > 0 {
		n, err = s.f.Read(b)
		s.left -= int64(n)
		s.p.bytes.Add(int64(n))
	}
	switch {
	case err == io.EOF && s.left > 0:
		s.err = errMoving
	case err != nil && err != io.EOF:
		s.err = sourceFault{sourceError(err)}
	case s.left == 0:
		s.err = s.same()
	}
	return n, s.err
}

// same is io.EOF if the file is as it was when it was opened, and has no more bytes than it said: those in /proc say 0.
func (s *steady) same() error {
	var more [1]byte
	if n, _ := s.f.Read(more[:]); n > 0 {
		return errMoving
	}
	now, err := s.f.Stat()
	if err != nil {
		return sourceFault{sourceError(err)}
	}
	if now.Size() != s.was.Size() || !now.ModTime().Equal(s.was.ModTime()) {
		return errMoving
	}
	return io.EOF
}
