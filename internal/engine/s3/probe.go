package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"stele/internal/durable"
	"stele/internal/engine"
)

// probeName is what Probe writes. No file may be called so (it starts with a dot), and no listing shows it. Without the right to remove, one stays.
const probeName = engine.Meta + ".probe"

var probeBody = []byte("written by stele to see whether this bucket creates once\n")

// Facts are what Probe has found.
type Facts struct {
	Versioned  bool // delete markers and newer junk are looked past
	ObjectLock bool // the bucket can lock; what is created is locked if Options.LockFor says so
	CanCreate  bool
	CanList    bool
	CanRead    bool
	CanRemove  bool
	// Missing are the rights that were refused, each with what is lost without it: "s3:…: …".
	Missing []string
	// Skew is the server's clock minus ours, to about a second; 0 if the server sent no date.
	Skew time.Duration
}

// Probe asks what the bucket is and what these credentials may do there. It fails if nothing can be created (with Options.ReadOnly: nothing be
// listed), and with ErrOverwrites if the server does not create once. Rights that are missing otherwise are facts.
func (s *S3) Probe(ctx context.Context) (Facts, error) {
	f, err := s.probe(ctx)
	f.Skew = time.Duration(s.wire.skew.Load())
	if err != nil {
		return f, fmt.Errorf("couldn't use %s as a target: %w", s, err)
	}
	return f, nil
}

func (s *S3) probe(ctx context.Context) (f Facts, err error) {
	b, err := s.learn(ctx)
	if err != nil {
		return f, err
	}
	f.Versioned, f.ObjectLock, f.Missing = b.versioned, b.locks, append(f.Missing, b.hidden...)
	if err := s.probeList(ctx, &f); err != nil {
		return f, err
	}
	if s.opt.ReadOnly {
		return f, nil
	}
	made, err := s.probeCreate(ctx)
	if err != nil {
		return f, err
	}
	f.CanCreate = true
	if err := s.probeRead(ctx, &f); err != nil {
		return f, err
	}
	return f, s.probeRemove(ctx, &f, b, made)
}

func (s *S3) probeList(ctx context.Context, f *Facts) error {
	stop := errors.New("one is enough")
	err := s.List(ctx, engine.Meta, func(engine.Info) error { return stop })
	switch {
	case err == nil || err == stop:
		f.CanList = true
	case errors.Is(err, engine.ErrDenied) && !s.opt.ReadOnly:
		f.Missing = append(f.Missing, "s3:ListBucket (versioned: s3:ListBucketVersions): the copy can't be compared, merged, restored or drilled with these credentials")
	default:
		return err
	}
	return nil
}

// probeCreate makes the probe, if it isn't there, and sees that it can't be made again. It returns the version that it made; "" if it made none or the
// bucket has no versions.
func (s *S3) probeCreate(ctx context.Context) (made string, err error) {
	made, once, err := s.createsOnce(ctx, probeName)
	if err != nil || once {
		return made, err
	}
	// Another's probe may have removed ours between the two: once more, under a name that nobody else has.
	own := probeName + "-" + durable.Random()
	version, once, err := s.createsOnce(ctx, own)
	if err != nil {
		return "", err
	}
	_ = s.removeVersion(ctx, own, version) // without the right it stays: a few bytes
	if once {
		return made, nil
	}
	return "", fmt.Errorf("%w: two PUTs of one name with If-None-Match: * both succeeded, so that a copy could be replaced unseen. "+
		"Ceph 16 does so on versioned buckets: use an unversioned one, or a newer server", ErrOverwrites)
}

// createsOnce makes name twice. once: a PUT was refused because the name is there, as the second one must be. That one asks for a lock as well, if
// files are to be locked: who may not lock is told so before he is told that the name is taken. version is the newest one made.
func (s *S3) createsOnce(ctx context.Context, name string) (version string, once bool, err error) {
	for _, lock := range []bool{false, true} {
		v, taken, err := s.putProbe(ctx, name, lock)
		if err != nil {
			return version, false, err
		}
		if once = once || taken; !taken {
			version = v
		}
	}
	return version, once, nil
}

// putProbe sends one conditional PUT. taken: it was refused because the name is there.
func (s *S3) putProbe(ctx context.Context, name string, lock bool) (version string, taken bool, err error) {
	b, err := s.learn(ctx)
	if err != nil {
		return "", false, err
	}
	sum := sha256.Sum256(probeBody)
	u := &upload{name: name, nonce: durable.Random(), locks: lock && b.locks, src: &source{size: int64(len(probeBody)), sha256: sum}}
	opt := s.putOptions(u)
	if opt.Mode != "" {
		opt.RetainUntilDate = s.now().Add(time.Minute) // should it be made after all, it can soon be removed
	}
	err = s.retry(ctx, func() error {
		info, err := s.write.PutObject(ctx, s.opt.Bucket, s.key(name), bytes.NewReader(probeBody), u.src.size, "", hex.EncodeToString(sum[:]), opt)
		version = info.VersionID
		return err
	})
	if code(err) == "PreconditionFailed" {
		return "", true, nil
	}
	return version, false, s.explainPut(err)
}

func (s *S3) probeRead(ctx context.Context, f *Facts) error {
	err := s.retry(ctx, func() error {
		body, _, _, err := s.read.GetObject(ctx, s.opt.Bucket, s.key(probeName), minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(io.Discard, io.LimitReader(body, 1<<10))
		return err
	})
	switch {
	case denied(err):
		f.Missing = append(f.Missing, "s3:GetObject (versioned: s3:GetObjectVersion): the copy can't be verified, restored or drilled with these credentials")
	case code(err) == "NoSuchKey": // removed by another's probe, or put under a marker: it may be read
		f.CanRead = true
	case err != nil:
		return s.explain(err, "s3:GetObject")
	default:
		f.CanRead = true
	}
	return nil
}

// probeRemove removes the probe, in every version that it sees. A lock that keeps it (a default retention of the bucket) is no missing right.
func (s *S3) probeRemove(ctx context.Context, f *Facts, b *bucket, made string) error {
	all := []version{{id: made}}
	if b.versioned {
		seen, err := s.versions(ctx, s.key(probeName))
		if err != nil && !errors.Is(err, engine.ErrDenied) {
			return err
		}
		if err == nil {
			all = seen
		} else if made == "" {
			all = nil // a plain delete would only hide it
		}
	}
	for _, v := range all {
		err := s.removeVersion(ctx, probeName, v.id)
		switch {
		case err == nil:
			f.CanRemove = true
		case errors.Is(err, engine.ErrLocked):
			f.CanRemove = true
			return nil
		case errors.Is(err, engine.ErrDenied):
			f.CanRemove = false
			f.Missing = append(f.Missing, "s3:DeleteObject (versioned: s3:DeleteObjectVersion): what newer files supersede stays on the target")
			return nil
		default:
			return err
		}
	}
	return nil
}
