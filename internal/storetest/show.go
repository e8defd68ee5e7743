package storetest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"stele"
	"stele/entry"
)

// AllChanges is the whole history of a key.
func AllChanges(s *stele.Store, bucket, key string) ([]stele.Change, error) {
	all, _, err := s.History(ctx, stele.HistoryRequest{Bucket: bucket, Key: key})
	return all, err
}

// Show writes down all that a store shows in a view, in the words of Reference.Render. Every body is read, every page is small.
func Show(s *stele.Store, at stele.View) (string, error) {
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

func showVersions(w io.Writer, s *stele.Store, bucket string, at stele.View) error {
	var current []stele.Version
	q := stele.ListRequest{Bucket: bucket, Max: 3, At: at}
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
	q = stele.ListRequest{Bucket: bucket, Max: 4, At: at}
	for {
		page, err := s.List(ctx, q)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if len(current) == 0 || v.Key != current[0].Key || v.ID != current[0].ID || v.ETag != current[0].ETag || v.Size != current[0].Size {
				return fmt.Errorf("the objects list %s %s, the versions %+v", v.Key, v.ID, current)
			}
			current = current[1:]
		}
		if q.After = page.Next; !page.Truncated {
			break
		}
	}
	if len(current) > 0 {
		return fmt.Errorf("the objects leave out %s %s", current[0].Key, current[0].ID)
	}
	return nil
}

func showVersion(w io.Writer, s *stele.Store, v stele.Version, at stele.View) error {
	h, err := s.Head(ctx, stele.Place{Bucket: v.Bucket, Key: v.Key, VersionID: v.ID, At: at})
	if v.Marker {
		if !errors.Is(err, stele.ErrMarker) {
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
		c, err := s.Head(ctx, stele.Place{Bucket: v.Bucket, Key: v.Key, At: at})
		if err != nil || c.ID != v.ID {
			return fmt.Errorf("the current version is %s (%w)", c.ID, err)
		}
	}
	body, err := ReadBody(s, h)
	if err != nil {
		return err
	}
	renderVersion(w, v.Key, v.ID, v.Latest, false, v.Null, v.ETag, v.Time, len(body), sha256.Sum256(body), h.Lock, h.Tags, h.Meta)
	return nil
}

// ReadBody reads a version from its first byte to its last.
func ReadBody(s *stele.Store, v stele.Version) ([]byte, error) {
	r, err := s.OpenBody(ctx, v, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func showUploads(w io.Writer, s *stele.Store, bucket string) error {
	q := stele.ListRequest{Bucket: bucket, Max: 2}
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
				r, err := s.Rooms().Core.Body.Read(ctx, p.Body, 0, p.Body.Size)
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
func compareHistory(s *stele.Store, m *Reference) error {
	for k, want := range m.changes {
		bucket, key, _ := strings.Cut(k, "/")
		got, err := AllChanges(s, bucket, key)
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
