package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"stele/internal/engine"
)

// version is one version of an object; the id is empty on an unversioned bucket.
type version struct {
	id     string
	size   int64
	marker bool // a delete marker
}

// Open implements engine.Engine. It costs one request: a listing of the name's versions on a versioned bucket, else a HEAD. The file may be read
// after ctx has ended.
func (s *S3) Open(ctx context.Context, name string) (engine.File, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	v, err := s.look(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("couldn't open %s: %w", name, err)
	}
	f := &file{s: s, name: name, version: v}
	f.ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return f, nil
}

// look finds the version that is the file: the oldest one that isn't a delete marker.
func (s *S3) look(ctx context.Context, name string) (version, error) {
	b, err := s.learn(ctx)
	if err != nil {
		return version{}, err
	}
	if !b.versioned {
		o, err := s.stat(ctx, name, "")
		return version{size: o.Size}, err
	}
	all, err := s.versions(ctx, s.key(name))
	if err != nil {
		return version{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].marker {
			return all[i], nil
		}
	}
	return version{}, engine.ErrNotExist
}

// versions lists the versions and delete markers of one key, the newest first.
func (s *S3) versions(ctx context.Context, key string) (all []version, err error) {
	err = s.retry(ctx, func() error {
		all = nil
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.read.ListObjectsIter(ctx, s.opt.Bucket, minio.ListObjectsOptions{Prefix: key, Recursive: true, WithVersions: true}) {
			if o.Err != nil {
				return o.Err
			}
			// Markers may come after all versions of a page, so a longer name is passed over and doesn't end the list.
			if o.Key == key {
				all = append(all, version{o.VersionID, o.Size, o.IsDeleteMarker})
			}
		}
		return ctx.Err() // the client's listing ends in silence when its context does
	})
	return all, s.explain(err, "s3:ListBucketVersions")
}

// file is one version of an object.
type file struct {
	s       *S3
	name    string
	version version
	ctx     context.Context
	cancel  context.CancelFunc
}

func (f *file) Size() int64 { return f.version.size }

// Close ends what ReadAt may be waiting for.
func (f *file) Close() error {
	f.cancel()
	return nil
}

// ReadAt implements io.ReaderAt with one request for the range.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, fmt.Errorf("couldn't read %s: negative offset", f.name)
	case len(p) == 0:
		return 0, nil
	case off >= f.version.size:
		return 0, io.EOF
	}
	want := min(int64(len(p)), f.version.size-off)
	var n int
	err := f.s.retry(f.ctx, func() (err error) {
		n, err = f.readRange(p[:want], off)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("couldn't read %s: %w", f.name, f.s.explain(err, "s3:GetObject (and s3:GetObjectVersion)"))
	}
	if want < int64(len(p)) {
		return n, io.EOF
	}
	return n, nil
}

var errRange = errors.New("the server gave another range than it was asked for")

func (f *file) readRange(p []byte, off int64) (int, error) {
	end := off + int64(len(p)) - 1
	opt := minio.GetObjectOptions{VersionID: f.version.id}
	if err := opt.SetRange(off, end); err != nil {
		return 0, err
	}
	body, _, header, err := f.s.read.GetObject(f.ctx, f.s.opt.Bucket, f.s.key(f.name), opt)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	if !rightRange(header, off, end, f.version.size) {
		return 0, errRange
	}
	n, err := io.ReadFull(body, p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// rightRange checks the reply's Content-Range; without one, the reply is the whole object, which is right if that was asked for.
func rightRange(h http.Header, off, end, size int64) bool {
	r := h.Get("Content-Range")
	if r == "" {
		return off == 0 && end == size-1 && h.Get("Content-Length") == fmt.Sprint(size)
	}
	return strings.HasPrefix(r, fmt.Sprintf("bytes %d-%d/", off, end))
}
