package stele

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"stele/entry"
	"stele/internal/core"
)

// show writes down all that a store shows in a view, in the words of reference.render. Every body is read, every page is small.
func show(s *Store, at View) (string, error) {
	var w strings.Builder
	list, err := s.Buckets(ctx, at)
	if err != nil {
		return "", err
	}
	for _, row := range list {
		b, err := s.Bucket(ctx, row.Name, at)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&w, "bucket %s inc %d %q lock %v %+v\n", b.Name, b.Inc, b.Versioning, b.ObjectLock, b.Default)
		for _, k := range slices.Sorted(maps.Keys(b.Settings)) {
			fmt.Fprintf(&w, "  setting %s %x\n", k, sha256.Sum256([]byte(b.Settings[k])))
		}
		if err := showVersions(&w, s, b.Name, at); err != nil {
			return "", fmt.Errorf("bucket %s: %w", b.Name, err)
		}
		if at.Now() {
			fmt.Fprintf(&w, "  %d objects, %d bytes\n", b.Objects, b.Bytes)
			if err := showUploads(&w, s, b.Name); err != nil {
				return "", fmt.Errorf("uploads of %s: %w", b.Name, err)
			}
		}
	}
	return w.String(), nil
}

func showVersions(w io.Writer, s *Store, bucket string, at View) error {
	var current []Version
	q := ListRequest{Bucket: bucket, Max: 3, At: at}
	for {
		page, err := s.ListVersions(ctx, q)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if v.Latest && !v.Marker {
				current = append(current, v)
			}
			if err := showVersion(w, s, v, at); err != nil {
				return fmt.Errorf("%s version %s: %w", v.Key, v.ID, err)
			}
		}
		if q.After, q.AfterID = page.Next, page.NextID; !page.Truncated {
			break
		}
	}
	q = ListRequest{Bucket: bucket, Max: 4, At: at}
	for {
		page, err := s.List(ctx, q)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if len(current) == 0 || v.Key != current[0].Key || v.ID != current[0].ID || v.ETag != current[0].ETag || v.Size != current[0].Size {
				return fmt.Errorf("List shows %s %s, ListVersions %+v", v.Key, v.ID, current)
			}
			current = current[1:]
		}
		if q.After = page.Next; !page.Truncated {
			break
		}
	}
	if len(current) > 0 {
		return fmt.Errorf("List leaves out %s %s", current[0].Key, current[0].ID)
	}
	return nil
}

func showVersion(w io.Writer, s *Store, v Version, at View) error {
	h, err := s.Head(ctx, Place{Bucket: v.Bucket, Key: v.Key, VersionID: v.ID, At: at})
	if v.Marker {
		if !errors.Is(err, ErrMarker) {
			return fmt.Errorf("head of a marker: %w", err)
		}
		renderVersion(w, v.Key, v.ID, v.Latest, true, v.Null, "", v.Time, 0, [32]byte{}, entry.Lock{}, nil, nil)
		return nil
	}
	if err != nil {
		return err
	}
	if h.Entry != v.Entry || h.Size != v.Size || h.ETag != v.ETag || !h.Time.Equal(v.Time) || h.Null != v.Null {
		return fmt.Errorf("head says %+v, the listing %+v", h, v)
	}
	if v.Latest {
		c, err := s.Head(ctx, Place{Bucket: v.Bucket, Key: v.Key, At: at})
		if err != nil || c.ID != v.ID {
			return fmt.Errorf("the current version is %s (%w)", c.ID, err)
		}
	}
	body, err := readBody(s, h)
	if err != nil {
		return err
	}
	renderVersion(w, v.Key, v.ID, v.Latest, false, v.Null, v.ETag, v.Time, len(body), sha256.Sum256(body), h.Lock, h.Tags, h.Meta)
	return nil
}

func readBody(s *Store, v Version) ([]byte, error) {
	r, err := s.OpenBody(ctx, v, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func showUploads(w io.Writer, s *Store, bucket string) error {
	q := ListRequest{Bucket: bucket, Max: 2}
	for {
		page, err := s.Multipart().List(ctx, q)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			fmt.Fprintf(w, "  upload %s of %s meta %v\n", u.ID, u.Key, u.Meta)
			parts, _, _, err := s.Multipart().Parts(ctx, bucket, u.Key, u.ID, 0, 1000)
			if err != nil {
				return err
			}
			for _, p := range parts {
				fmt.Fprintf(w, "    part %d %s\n", p.Number, p.ETag)
				r, err := s.core.Body.Read(ctx, p.Body, 0, p.Body.Size)
				if err != nil {
					return err
				}
				sum := md5.New()
				_, err = io.Copy(sum, r)
				if err = errors.Join(err, r.Close()); err != nil || hex.EncodeToString(sum.Sum(nil)) != p.ETag {
					return fmt.Errorf("part %d reads otherwise (%w)", p.Number, err)
				}
			}
		}
		if q.After, q.AfterID = page.Next, page.NextID; !page.Truncated {
			return nil
		}
	}
}

// compareHistory compares every key's history with the reference.
func compareHistory(s *Store, m *reference) error {
	for k, want := range m.changes {
		bucket, key, _ := strings.Cut(k, "/")
		got, err := allChanges(s, bucket, key)
		if err != nil {
			return fmt.Errorf("history of %s: %w", k, err)
		}
		if len(got) != len(want) {
			return fmt.Errorf("history of %s has %d changes, not %d", k, len(got), len(want))
		}
		for i, c := range got {
			if w := want[len(want)-1-i]; c.Entry != w.entry || c.Type != w.typ || c.Version != w.version {
				return fmt.Errorf("history of %s: change %d is %+v, want %+v", k, i, c, w)
			}
		}
	}
	return nil
}

// run makes the call on a store. entries is the ledger position of what it changed, if it did.
func (c *change) run(s *Store) (at Committed, made string, err error) {
	by := Actor{Key: cmp.Or(c.by, "local"), Request: c.request, Bypass: c.bypass, EndHold: c.bypass, NoOverwrite: c.append}
	place := Place{Bucket: c.bucket, Key: c.key, VersionID: c.version}
	var v Version
	switch c.do {
	case "createBucket":
		at, err = s.CreateBucket(ctx, by, c.bucket, c.on)
	case "deleteBucket":
		at, err = s.DeleteBucket(ctx, by, c.bucket)
	case "versioning":
		at, err = s.SetVersioning(ctx, by, c.bucket, c.state)
	case "objectLock":
		at, err = s.SetObjectLock(ctx, by, c.bucket, c.def)
	case "setting":
		at, err = s.SetSetting(ctx, by, c.bucket, c.setting, c.doc)
	case "put":
		v, err = s.Put(ctx, PutRequest{By: by, Bucket: c.bucket, Key: c.key, Body: bytes.NewReader(c.content.bytes()), Size: int64(c.content.size),
			Tags: c.tags, Meta: c.meta, Lock: c.lock, If: c.cond})
		at, made = Committed{Entry: v.Entry, Time: v.Time}, v.ID
	case "copy":
		var src Version
		if src, err = s.Head(ctx, Place{Bucket: c.bucket, Key: c.srcKey, VersionID: c.version}); err != nil {
			if errors.Is(err, ErrMarker) || errors.Is(err, ErrNoVersion) {
				err = ErrNoKey
			}
			return at, "", err
		}
		v, err = s.Copy(ctx, CopyRequest{PutRequest: PutRequest{By: by, Bucket: c.bucket, Key: c.key, Tags: c.tags, Meta: c.meta, Lock: c.lock, If: c.cond}, Source: src})
		at, made = Committed{Entry: v.Entry, Time: v.Time}, v.ID
	case "hide":
		var r HideResult
		r, err = s.Hide(ctx, HideRequest{By: by, Bucket: c.bucket, Key: c.key, VersionID: c.version, If: c.cond})
		if at, made = r.Committed, r.VersionID; err == nil && r.Time.IsZero() {
			err = core.ErrNoChange
		}
	case "tags":
		_, err = s.SetTags(ctx, by, place, c.tags)
	case "retention":
		_, err = s.SetRetention(ctx, by, place, c.mode, c.until)
	case "hold":
		_, err = s.SetHold(ctx, by, place, c.on)
	case "create":
		var u Upload
		u, err = s.Multipart().Create(ctx, by, Upload{Bucket: c.bucket, Key: c.key, Meta: c.meta})
		at, made = Committed{Entry: u.Entry, Time: u.Started}, u.ID
	case "part":
		_, err = s.Multipart().PutPart(ctx, PartRequest{By: by, Bucket: c.bucket, Key: c.key, Upload: c.upload, Number: c.number,
			Body: bytes.NewReader(c.content.bytes()), Size: int64(c.content.size)})
	case "complete":
		v, err = c.complete(s, by)
		at, made = Committed{Entry: v.Entry, Time: v.Time}, v.ID
	case "abort":
		at, err = s.Multipart().Abort(ctx, by, c.bucket, c.key, c.upload)
	case "createKey":
		var k entry.AccessKey
		k, err = s.Keys().Create(ctx, by, RoleReadWrite, nil, 0)
		made = k.ID
	case "revokeKey":
		at, err = s.Keys().Revoke(ctx, by, c.name)
	case "pin":
		_, err = s.Pin(ctx, by, c.name, View{})
	default:
		panic("no such change: " + c.do)
	}
	return at, made, err
}

func (c *change) complete(s *Store, by Actor) (Version, error) {
	have, _, _, err := s.Multipart().Parts(ctx, c.bucket, c.key, c.upload, 0, 1000)
	if err != nil {
		return Version{}, err
	}
	var parts []Part
	for _, n := range c.parts {
		p := Part{Number: n, ETag: "none"}
		if i := slices.IndexFunc(have, func(p Part) bool { return p.Number == n }); i >= 0 {
			p.ETag = have[i].ETag
		}
		parts = append(parts, p)
	}
	return s.Multipart().Complete(ctx, CompleteRequest{By: by, Bucket: c.bucket, Key: c.key, Upload: c.upload, Parts: parts, If: c.cond})
}
