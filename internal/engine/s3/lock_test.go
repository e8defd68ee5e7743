package s3_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"stele"
	"stele/internal/engine"
	"stele/internal/engine/s3"
)

// testLock: what is created is locked against everybody; a renewal lengthens and never shortens; Remove says that it is for later.
func testLock(t *testing.T, s *server, k kind) {
	bucket := s.bucket(t, k)
	opt := s.options(bucket)
	opt.LockFor = time.Hour
	e, f := probed(t, opt)
	if !f.ObjectLock || !f.Versioned || !f.CanRemove {
		t.Fatalf("facts of a bucket with Object Lock: %+v", f)
	}
	if d, err := e.LockFor(t.Context()); err != nil || d != time.Hour {
		t.Errorf("LockFor = %v, %v", d, err)
	}
	before := time.Now().Truncate(time.Second)
	if err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("mine")); err != nil {
		t.Fatal(err)
	}
	after := time.Now().Add(time.Second)
	until := func() time.Time {
		t.Helper()
		u, err := e.LockedUntil(t.Context(), "packs/p")
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := until(); u.Before(before.Add(time.Hour)) || u.After(after.Add(time.Hour)) {
		t.Errorf("locked until %v, want an hour from %v", u, before)
	}
	longer := before.Add(2*time.Hour + 1) // S3 stores seconds
	for _, at := range []time.Time{longer, before.Add(time.Minute), {}} {
		if err := e.Renew(t.Context(), "packs/p", at); err != nil {
			t.Errorf("Renew(%v) = %v", at, err)
		}
		if u := until(); !u.Equal(before.Add(2*time.Hour + time.Second)) {
			t.Errorf("after Renew(%v): locked until %v, want %v", at, u, before.Add(2*time.Hour+time.Second))
		}
	}
	// The server's own administrator can't remove it, nor can we; a junk version doesn't help either.
	(&thief{t, s, bucket}).junk("packs/p", "junk")
	for o := range s.admin.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if err := s.admin.RemoveObject(t.Context(), bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID, GovernanceBypass: true}); o.Size == 4 && !o.IsLatest && err == nil {
			t.Error("the administrator removed a locked version")
		}
	}
	if err := e.Remove(t.Context(), "packs/p"); !errors.Is(err, engine.ErrLocked) || errors.Is(err, engine.ErrDenied) {
		t.Errorf("Remove of what is locked = %v, want ErrLocked", err)
	}
	s.wantFile(t, bucket, "packs/p", []byte("mine"))
	if _, err := e.LockedUntil(t.Context(), "packs/q"); !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("LockedUntil of nothing = %v", err)
	}
	if err := e.Renew(t.Context(), "packs/q", longer); !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("Renew of nothing = %v", err)
	}
	// What was not locked can be.
	loose := unprobed(t, s.options(bucket))
	if err := loose.Create(t.Context(), "packs/loose", 4, strings.NewReader("free")); err != nil {
		t.Fatal(err)
	}
	if u, err := loose.LockedUntil(t.Context(), "packs/loose"); err != nil || !u.IsZero() {
		t.Errorf("a file that isn't locked: %v, %v", u, err)
	}
	if err := loose.Renew(t.Context(), "packs/loose", longer); err != nil {
		t.Error(err)
	}
	if err := loose.Remove(t.Context(), "packs/loose"); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("Remove of what was locked later = %v, want ErrLocked", err)
	}
}

// TestNoLock: a bucket without Object Lock says so, and is no worse for it.
func TestNoLock(t *testing.T) {
	s := steleServer(t)
	for _, k := range []kind{plain, versioned} {
		opt := s.options(s.bucket(t, k))
		opt.LockFor = time.Hour
		e, f := probed(t, opt)
		if f.ObjectLock || f.Versioned != (k == versioned) {
			t.Errorf("%s: %+v", k, f)
		}
		if err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("mine")); err != nil {
			t.Fatal(err)
		}
		if d, err := e.LockFor(t.Context()); err != nil || d != 0 {
			t.Errorf("LockFor = %v, %v, want 0", d, err)
		}
		if err := e.Renew(t.Context(), "packs/p", time.Now().Add(time.Hour)); !errors.Is(err, engine.ErrNoLocks) {
			t.Errorf("Renew = %v, want ErrNoLocks", err)
		}
		if _, err := e.LockedUntil(t.Context(), "packs/p"); !errors.Is(err, engine.ErrNoLocks) {
			t.Errorf("LockedUntil = %v, want ErrNoLocks", err)
		}
		if err := e.Remove(t.Context(), "packs/p"); err != nil {
			t.Error(err)
		}
	}
}

// TestRenewAsAppend: with the bucket policy that docs/BACKUP.md has, a key of role append renews the locks of what it ships, and shortens none.
func TestRenewAsAppend(t *testing.T) {
	s := steleServer(t)
	opt := s.options(s.bucket(t, locking))
	key, err := s.store.Keys().Create(t.Context(), stele.Local(), stele.RoleAppend, []string{opt.Bucket}, 0)
	if err != nil {
		t.Fatal(err)
	}
	opt.Write = s3.Credentials{AccessKey: key.ID, SecretKey: key.Secret}
	opt.LockFor = time.Hour
	e, _ := probed(t, opt)
	if err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("mine")); err != nil {
		t.Fatal(err)
	}
	longer := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	if err := e.Renew(t.Context(), "packs/p", longer); !errors.Is(err, engine.ErrDenied) || !strings.Contains(err.Error(), "allow s3:PutObjectRetention") {
		t.Errorf("without the policy: %v", err)
	}
	policy := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "%s"}, "Action": "s3:PutObjectRetention", "Resource": "arn:aws:s3:::%s/*"}]}`, key.ID, opt.Bucket)
	if err := s.admin.SetBucketPolicy(t.Context(), opt.Bucket, policy); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{longer, longer.Add(-time.Hour)} {
		if err := e.Renew(t.Context(), "packs/p", at); err != nil {
			t.Errorf("Renew(%v) = %v", at, err)
		}
	}
	if until, err := e.LockedUntil(t.Context(), "packs/p"); err != nil || !until.Equal(longer) {
		t.Errorf("locked until %v, %v; want %v", until, err, longer)
	}
}
