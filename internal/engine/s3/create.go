package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/minio/minio-go/v7"

	"stele/internal/durable"
	"stele/internal/engine"
)

// Metadata of a file, frozen.
const (
	metaNonce  = "stele-nonce"  // of the Create that made it
	metaSHA256 = "stele-sha256" // of its bytes, in hex
)

// upload is one Create on its way.
type upload struct {
	name  string
	src   *source
	nonce string
	locks bool
}

// Create implements engine.Engine. A source that is an io.ReadSeeker is read twice in place; any other one is put aside first, above 1 MiB in a
// temporary file.
func (s *S3) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	if err := s.writable(ctx, name); err != nil {
		return err
	}
	if err := s.create(ctx, name, size, r); err != nil {
		return fmt.Errorf("couldn't create %s: %w", name, err)
	}
	return nil
}

func (s *S3) create(ctx context.Context, name string, size int64, r io.Reader) error {
	if size < 0 || size > maxPutBytes {
		return fmt.Errorf("%d bytes: a file on S3 holds up to 5 GiB", size)
	}
	b, err := s.learn(ctx)
	if err != nil {
		return err
	}
	src, err := readSource(ctx, r, size)
	if err != nil {
		return err
	}
	defer src.close()
	u := &upload{name: name, src: src, nonce: durable.Random(), locks: b.locks}
	version, err := s.send(ctx, u)
	if err != nil {
		return s.settle(ctx, u, err)
	}
	return s.first(ctx, u, b, version)
}

// send puts the bytes there, as often as it takes and is allowed, and returns the version's id.
func (s *S3) send(ctx context.Context, u *upload) (version string, err error) {
	err = s.retry(ctx, func() error {
		if err := u.src.rewind(); err != nil {
			return err
		}
		info, err := s.write.PutObject(ctx, s.opt.Bucket, s.key(u.name), u.src.body(ctx), u.src.size, "", hex.EncodeToString(u.src.sha256[:]), s.putOptions(u))
		version = info.VersionID
		if u.src.failed != nil {
			return fmt.Errorf("couldn't read the source again: %v", u.src.failed) // %v: the line is not to blame, so it isn't retried
		}
		return err
	})
	return version, err
}

func (s *S3) putOptions(u *upload) minio.PutObjectOptions {
	opt := minio.PutObjectOptions{
		DisableContentSha256: true, // no chunk signatures: the digest of the whole is signed
		UserMetadata: map[string]string{
			metaNonce: u.nonce, metaSHA256: hex.EncodeToString(u.src.sha256[:]),
			"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(u.src.sha256[:]), // kept by the server; Object Lock demands one
		},
	}
	opt.SetMatchETagExcept("*")
	if u.locks && s.opt.LockFor > 0 {
		opt.Mode, opt.RetainUntilDate = minio.Compliance, s.now().Add(s.opt.LockFor)
	}
	return opt
}

// settle decides what an upload that wasn't confirmed has come to. The name is taken, or the reply was lost: either way our own write may be what
// lies there, and only a look can tell.
func (s *S3) settle(ctx context.Context, u *upload, err error) error {
	if ctx.Err() != nil {
		return err // who gave up looks himself
	}
	taken := code(err) == "PreconditionFailed"
	if !taken && (!transient(err) || u.src.failed != nil) {
		return s.explainPut(err)
	}
	own, look := s.own(ctx, u)
	switch {
	case own:
		return nil
	case taken && (look == nil || errors.Is(look, engine.ErrDenied)):
		return engine.ErrExist // without the right to look: taken, by whomever
	case taken:
		return fmt.Errorf("the name is taken, perhaps by this very upload, and it can't be looked at: %w", look)
	}
	return s.explainPut(err)
}

// explainPut knows what a refusal of an upload may mean besides.
func (s *S3) explainPut(err error) error {
	if code(err) == "NotImplemented" {
		return fmt.Errorf("%w: %s: it doesn't know If-None-Match on PUT: use a newer server (%w)", ErrOverwrites, s, err)
	}
	return s.explain(err, "s3:PutObject (with Object Lock s3:PutObjectRetention as well)")
}

// own says whether what lies under the name is what this upload sent: its nonce, its length and its digest. An error that isn't ErrDenied means
// that it is not known.
func (s *S3) own(ctx context.Context, u *upload) (bool, error) {
	v, err := s.look(ctx, u.name)
	if errors.Is(err, engine.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o, err := s.stat(ctx, u.name, v.id)
	if err != nil {
		return false, err
	}
	sum := base64.StdEncoding.EncodeToString(u.src.sha256[:])
	return metadata(o, metaNonce) == u.nonce && o.Size == u.src.size &&
		metadata(o, metaSHA256) == hex.EncodeToString(u.src.sha256[:]) && (o.ChecksumSHA256 == "" || o.ChecksumSHA256 == sum), nil
}

// first makes sure that the version just made is the file: a server takes a name under a delete marker for a free one, and some forget the condition
// on versioned buckets. If an older version is there, ours is one more piece of junk, and goes.
func (s *S3) first(ctx context.Context, u *upload, b *bucket, version string) error {
	if !b.versioned {
		return nil
	}
	v, err := s.look(ctx, u.name)
	if errors.Is(err, engine.ErrDenied) {
		return nil // Probe has said so
	}
	if err != nil {
		return fmt.Errorf("it was stored, and can't be looked at: %w", err)
	}
	if v.id == version {
		return nil
	}
	if version != "" {
		_ = s.removeVersion(ctx, u.name, version) // may be locked, or we may lack the right: junk then, which nobody reads
		return engine.ErrExist
	}
	if own, err := s.own(ctx, u); err != nil || !own {
		return errors.Join(engine.ErrExist, err)
	}
	return nil
}

func (s *S3) stat(ctx context.Context, name, version string) (o minio.ObjectInfo, err error) {
	opt := minio.StatObjectOptions{VersionID: version, Checksum: true}
	err = s.retry(ctx, func() error {
		o, err = s.read.StatObject(ctx, s.opt.Bucket, s.key(name), opt)
		return err
	})
	var r minio.ErrorResponse
	if errors.As(err, &r) && r.StatusCode == http.StatusMethodNotAllowed {
		return o, engine.ErrNotExist // a delete marker
	}
	return o, s.explain(err, "s3:GetObject")
}
