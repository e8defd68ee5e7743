package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"

	"stele/internal/engine"
)

// LockFor implements engine.Locker.
func (s *S3) LockFor(ctx context.Context) (time.Duration, error) {
	b, err := s.learn(ctx)
	if err != nil || !b.locks {
		return 0, err
	}
	return s.opt.LockFor, nil
}

// LockedUntil implements engine.Locker.
func (s *S3) LockedUntil(ctx context.Context, name string) (time.Time, error) {
	if err := check(ctx, name); err != nil {
		return time.Time{}, err
	}
	v, err := s.lockable(ctx, name)
	if err != nil {
		return time.Time{}, fmt.Errorf("couldn't see the lock of %s: %w", name, err)
	}
	until, err := s.lockedUntil(ctx, name, v.id)
	if err != nil {
		return time.Time{}, fmt.Errorf("couldn't see the lock of %s: %w", name, err)
	}
	return until, nil
}

// Renew implements engine.Locker.
func (s *S3) Renew(ctx context.Context, name string, until time.Time) error {
	if err := s.writable(ctx, name); err != nil {
		return err
	}
	if err := s.renew(ctx, name, until); err != nil {
		return fmt.Errorf("couldn't renew the lock of %s: %w", name, err)
	}
	return nil
}

func (s *S3) renew(ctx context.Context, name string, until time.Time) error {
	v, err := s.lockable(ctx, name)
	if err != nil {
		return err
	}
	// Whole seconds are what S3 stores; up, so that it is never earlier than asked for.
	until = until.Add(time.Second - time.Nanosecond).Truncate(time.Second)
	now, err := s.lockedUntil(ctx, name, v.id)
	if err == nil && !now.Before(until) {
		return nil
	}
	// Without the right to see it we go on: COMPLIANCE is not shortened by any server that calls it so.
	if err != nil && !denied(err) {
		return err
	}
	mode := minio.Compliance
	err = s.retry(ctx, func() error {
		return s.write.PutObjectRetention(ctx, s.opt.Bucket, s.key(name), minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until, VersionID: v.id})
	})
	return s.explain(err, "s3:PutObjectRetention")
}

// lockable finds the version that is the file, in a bucket that can lock.
func (s *S3) lockable(ctx context.Context, name string) (version, error) {
	b, err := s.learn(ctx)
	if err != nil {
		return version{}, err
	}
	if !b.locks {
		return version{}, engine.ErrNoLocks
	}
	return s.look(ctx, name)
}

// lockedUntil is until when a version is locked in mode COMPLIANCE; zero: it isn't. GOVERNANCE doesn't count: who holds the right ends it.
func (s *S3) lockedUntil(ctx context.Context, name, id string) (time.Time, error) {
	mode, until, err := s.retention(ctx, name, id)
	if mode != minio.Compliance {
		return time.Time{}, err
	}
	return until, err
}

// retention is what Object Lock says of a version; zeros: nothing.
func (s *S3) retention(ctx context.Context, name, id string) (mode minio.RetentionMode, until time.Time, err error) {
	err = s.retry(ctx, func() error {
		m, t, err := s.read.GetObjectRetention(ctx, s.opt.Bucket, s.key(name), id)
		if err == nil && m != nil && t != nil {
			mode, until = *m, *t
		}
		return err
	})
	if code(err) == "NoSuchObjectLockConfiguration" || code(err) == "ObjectLockConfigurationNotFoundError" {
		return "", time.Time{}, nil
	}
	if err != nil && code(err) == "" && !network(err) && ctx.Err() == nil {
		return s.headRetention(ctx, name, id) // versitygw 1.8 answers in an element that the client doesn't know
	}
	return mode, until, s.explain(err, "s3:GetObjectRetention")
}

// headRetention is retention from the headers of a HEAD.
func (s *S3) headRetention(ctx context.Context, name, id string) (minio.RetentionMode, time.Time, error) {
	o, err := s.stat(ctx, name, id)
	if err != nil {
		return "", time.Time{}, err
	}
	mode, at := o.Metadata.Get("X-Amz-Object-Lock-Mode"), o.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date")
	if mode == "" || at == "" {
		return "", time.Time{}, nil
	}
	until, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("%s: no time of a lock: %q", s, at)
	}
	return minio.RetentionMode(mode), until, nil
}
