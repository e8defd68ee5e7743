package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"stele/internal/engine"
)

// Remove implements engine.Engine. On a versioned bucket it deletes every version and marker of the name, the file itself last, so that no junk
// takes its place when it is interrupted. engine.ErrLocked: Object Lock keeps a version; try again later. engine.ErrDenied: these credentials
// may not delete, which a target need not allow.
func (s *S3) Remove(ctx context.Context, name string) error {
	if err := s.writable(ctx, name); err != nil {
		return err
	}
	if !engine.Removable(name) {
		return fmt.Errorf("couldn't remove %s: %w: it stays for ever", name, engine.ErrName)
	}
	if err := s.remove(ctx, name); err != nil {
		return fmt.Errorf("couldn't remove %s: %w", name, err)
	}
	return nil
}

func (s *S3) remove(ctx context.Context, name string) error {
	b, err := s.learn(ctx)
	if err != nil {
		return err
	}
	if !b.versioned {
		// S3 deletes what isn't there without a word.
		if _, err := s.stat(ctx, name, ""); err != nil && !errors.Is(err, engine.ErrDenied) {
			return err
		}
		return s.removeVersion(ctx, name, "")
	}
	all, err := s.versions(ctx, s.key(name))
	if err != nil {
		return err
	}
	oldest := -1
	for i, v := range all {
		if !v.marker {
			oldest = i
		}
	}
	if oldest < 0 {
		return engine.ErrNotExist
	}
	for i, v := range all {
		if i != oldest {
			if err := s.removeVersion(ctx, name, v.id); err != nil {
				return err
			}
		}
	}
	return s.removeVersion(ctx, name, all[oldest].id)
}

// removeVersion deletes one version; on an unversioned bucket, with an empty id, the object.
func (s *S3) removeVersion(ctx context.Context, name, id string) error {
	err := s.retry(ctx, func() error {
		return s.write.RemoveObject(ctx, s.opt.Bucket, s.key(name), minio.RemoveObjectOptions{VersionID: id})
	})
	if err == nil || code(err) == "NoSuchVersion" || code(err) == "NoSuchKey" {
		return nil // deleted just now by another, or by us with the reply lost
	}
	// Servers say in several ways that a lock keeps it, most of them like a missing right. Its retention tells.
	if id != "" && ctx.Err() == nil && !transient(err) {
		if _, until, look := s.retention(ctx, name, id); look == nil && until.After(s.now()) {
			return fmt.Errorf("%w until %s (%w)", engine.ErrLocked, until.UTC().Format("2006-01-02 15:04:05 MST"), err)
		}
	}
	return s.explain(err, "s3:DeleteObject (and s3:DeleteObjectVersion)")
}
