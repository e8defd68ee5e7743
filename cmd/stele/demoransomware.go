package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"stele"
	"stele/entry"
	"stele/internal/node"
	"stele/verify"
)

type demoRansomwareCmd struct{}

func (c *demoRansomwareCmd) Run(ctx context.Context, a *app, all *demoCmd) error {
	return all.tell(a, "ransomware", func(d *story) error { return ransomware(ctx, d) })
}

const demoBucket = "records"

// ransomware is the story of a stolen admin key.
func ransomware(ctx context.Context, d *story) error {
	s, err := node.Create(ctx, d.path("store"), stele.Options{Kit: d.path("stele-recovery-kit.txt")})
	if err != nil {
		return err
	}
	d.atEnd(s.Close)
	address, stop, err := d.serve(s)
	if err != nil {
		return err
	}
	d.atEnd(stop)
	before, err := honest(ctx, d, s, address)
	if err != nil {
		return err
	}
	thief, err := s.Keys().Create(ctx, stele.Local(), stele.RoleAdmin, nil, 0)
	if err != nil {
		return err
	}
	d.step("an admin key, %s, is stolen", thief.ID)
	if err := steal(ctx, d, address, thief); err != nil {
		return err
	}
	if err := readBack(ctx, d, s, address, before); err != nil {
		return err
	}
	return name(ctx, d, s, thief.ID)
}

// honest fills a versioned bucket and returns the name of the moment after it, and leaves a receipt.
func honest(ctx context.Context, d *story, s *node.Node, address string) (view string, err error) {
	owner, err := s.Keys().Create(ctx, stele.Local(), stele.RoleAdmin, nil, 0)
	if err != nil {
		return "", err
	}
	c, err := d.client(address, owner)
	if err != nil {
		return "", err
	}
	if err := c.MakeBucket(ctx, demoBucket, makeBucket); err != nil {
		return "", err
	}
	if err := c.EnableVersioning(ctx, demoBucket); err != nil {
		return "", err
	}
	if err := d.fill(ctx, c, demoBucket); err != nil {
		return "", err
	}
	d.step("%d records are written to the versioned bucket %s over S3 at %s", demoFiles, demoBucket, address)
	receipt, _, err := s.Ledger().Prove(ctx, stele.Place{Bucket: demoBucket, Key: d.key(0)})
	if err != nil {
		return "", err
	}
	if _, err := verify.Receipt(receipt, s.Ledger().VKey(), bytes.NewReader(d.content(0))); err != nil {
		return "", err
	}
	d.proved("a receipt of %s, taken before, verifies against the file with the public key alone", d.key(0))
	return fmt.Sprintf("%s--at-e%d", demoBucket, s.Ledger().Size()), nil
}

// steal does the worst that S3 has: overwrite every key, delete every version, delete the bucket, with a plain client.
func steal(ctx context.Context, d *story, address string, k entry.AccessKey) error {
	c, err := d.client(address, k)
	if err != nil {
		return err
	}
	for n := range demoFiles {
		if err := upload(ctx, c, demoBucket, d.key(n), bytes.Repeat([]byte("pay! "), 100)); err != nil {
			return err
		}
	}
	d.step("the thief overwrites all of them with a ransom note")
	deleted := 0
	for o := range c.ListObjects(ctx, demoBucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			return o.Err
		}
		if err := c.RemoveObject(ctx, demoBucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID}); err != nil {
			return err
		}
		deleted++
	}
	left := 0
	for o := range c.ListObjects(ctx, demoBucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			return o.Err
		}
		left++
	}
	if left > 0 {
		return fmt.Errorf("%d versions are left after the theft: the story needs an empty bucket", left)
	}
	d.step("the thief deletes all %d versions: the bucket lists nothing any more", deleted)
	return nil
}

// readBack reads everything through the bucket of the moment before, with a plain client, and compares it.
func readBack(ctx context.Context, d *story, s *node.Node, address, view string) error {
	owner, err := s.Keys().Create(ctx, stele.Local(), stele.RoleReadOnly, nil, 0)
	if err != nil {
		return err
	}
	c, err := d.client(address, owner)
	if err != nil {
		return err
	}
	start, n := time.Now(), 0
	for o := range c.ListObjects(ctx, view, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		n++
	}
	if n != demoFiles {
		return fmt.Errorf("the bucket %s lists %d records, should be %d", view, n, demoFiles)
	}
	for n := range demoFiles {
		if err := same(ctx, c, view, d.key(n), d.content(n)); err != nil {
			return err
		}
	}
	d.step("plain S3 reads all %d records back from the bucket %s, in %s", n, view, time.Since(start).Round(time.Millisecond))
	d.proved("all %d records are read back from %s by a plain S3 client, each with the SHA-256 that it was written with", n, view)
	return nil
}

// name finds the thief in the ledger, and verifies that.
func name(ctx context.Context, d *story, s *node.Node, thief string) error {
	overwritten, hidden, err := 0, 0, error(nil)
	err = s.Ledger().Log(ctx, stele.LogQuery{Actor: thief, Types: []entry.Type{"object.*"}}, func(e *entry.Entry) error {
		if e.Type == entry.ObjectPut {
			overwritten++
		} else {
			hidden++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if overwritten != demoFiles || hidden != 2*demoFiles {
		return fmt.Errorf("the ledger has %d puts and %d deletes of the thief, should be %d and %d", overwritten, hidden, demoFiles, 2*demoFiles)
	}
	d.step("the ledger names the key: %d overwrites, %d deletes, each with time and address", overwritten, hidden)
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("the store does not verify: %+v", r.Problems)
	}
	d.proved("the ledger has every one of the thief's %d requests under its key, and all %d entries and %s verify", overwritten+hidden, r.Size, size(r.Bytes))
	return nil
}

func upload(ctx context.Context, c *minio.Client, bucket, key string, content []byte) error {
	_, err := c.PutObject(ctx, bucket, key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	return err
}

// same reads an object and compares its SHA-256 with that of what was written.
func same(ctx context.Context, c *minio.Client, bucket, key string, want []byte) error {
	o, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer o.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, o); err != nil {
		return fmt.Errorf("couldn't read %s/%s: %w", bucket, key, err)
	}
	if [32]byte(sum.Sum(nil)) != sha256.Sum256(want) {
		return fmt.Errorf("%s/%s is not what was written", bucket, key)
	}
	return nil
}
