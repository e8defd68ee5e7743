package stele

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
)

// Head returns the version that a place names. Where the latest version is a delete marker the error is ErrNoKey and the Version says which marker; where
// a version id names a marker it is ErrMarker. Body.SHA256 is not filled: Describe fills it.
func (s *Store) Head(ctx context.Context, at Place) (Version, error) {
	if err := s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer s.core.Leave()
	b, err := s.bucketRow(at.Bucket, at.At)
	if err != nil {
		return Version{}, err
	}
	if !at.At.Now() {
		return s.headPast(b, at)
	}
	r := s.core.Index.Reader()
	cur, ok, err := s.find(r, b, at)
	if err != nil {
		return Version{}, err
	}
	if !ok {
		return Version{}, missing(at)
	}
	v := Version{Bucket: at.Bucket, Key: at.Key, ID: s.versionID(cur.Entry, cur.Null), Entry: cur.Entry, Inc: b.Inc, Time: cur.Time, Marker: cur.Marker, Null: cur.Null}
	if v.Latest = at.VersionID == ""; !v.Latest {
		latest, _, err := r.Latest(b.Inc, at.Key)
		if err != nil {
			return Version{}, err
		}
		v.Latest = latest.Entry == cur.Entry
	}
	if cur.Marker {
		return v, markerErr(at)
	}
	rec, ok, err := r.Record(b.Inc, at.Key, cur.Entry)
	if err != nil {
		return Version{}, err
	}
	if !ok {
		return Version{}, fmt.Errorf("%w: the index has no record of %s/%s: delete the index folder, it will be rebuilt", ErrCorrupt, at.Bucket, at.Key)
	}
	v.fill(&rec)
	if cur.Attrs {
		a, err := r.Attrs(b.Inc, at.Key, cur.Entry)
		if err != nil {
			return Version{}, err
		}
		v.Lock, v.Tags, v.HoldOff = a.Lock, a.Tags, a.Released
	}
	return v, nil
}

// find returns the row of the version that a place names now.
func (s *Store) find(r index.Reader, b *index.Bucket, at Place) (index.Current, bool, error) {
	switch at.VersionID {
	case "":
		return r.Latest(b.Inc, at.Key)
	case "null":
		return r.Null(b.Inc, at.Key)
	}
	e, ok := parseVersionID(at.VersionID)
	if !ok {
		return index.Current{}, false, nil
	}
	cur, ok, err := r.Shown(b.Inc, at.Key, e)
	if ok && s.versionID(cur.Entry, cur.Null) != at.VersionID {
		ok = false
	}
	return cur, ok, err
}

func (s *Store) headPast(b *index.Bucket, at Place) (Version, error) {
	var match func(*index.Record) bool
	if at.VersionID != "" {
		match = func(r *index.Record) bool { return s.versionID(r.Entry, r.Null) == at.VersionID }
	}
	rec, latest, ok, err := s.core.Index.At(b.Inc, at.Key, at.At.Size, match)
	if err != nil {
		return Version{}, err
	}
	if !ok {
		return Version{}, missing(at)
	}
	v := Version{Bucket: at.Bucket, Key: at.Key, ID: s.versionID(rec.Entry, rec.Null), Entry: rec.Entry, Inc: b.Inc, Latest: latest}
	v.fill(&rec)
	if rec.Marker {
		return v, markerErr(at)
	}
	a, err := s.core.Index.Reader().AttrsAt(b.Inc, at.Key, rec.Entry, at.At.Size)
	if err != nil {
		return Version{}, err
	}
	v.Lock, v.Tags, v.HoldOff = a.Lock, a.Tags, a.Released
	return v, nil
}

func missing(at Place) error {
	if at.VersionID != "" {
		return fmt.Errorf("%w: %s/%s version %s", ErrNoVersion, at.Bucket, at.Key, at.VersionID)
	}
	return fmt.Errorf("%w: %s/%s", ErrNoKey, at.Bucket, at.Key)
}

func markerErr(at Place) error {
	if at.VersionID != "" {
		return fmt.Errorf("%w: %s/%s version %s", ErrMarker, at.Bucket, at.Key, at.VersionID)
	}
	return fmt.Errorf("%w: %s/%s", ErrNoKey, at.Bucket, at.Key)
}

func (v *Version) fill(r *index.Record) {
	v.Time, v.Marker, v.Null, v.Size, v.ETag = r.Time, r.Marker, r.Null, r.Size, r.ETag
	v.Headers, v.Meta, v.Tags, v.Lock, v.Checksum, v.Body, v.Parts = r.Headers, r.Meta, r.Tags, r.Lock, r.Checksum, r.Body, r.Parts
}

// Describe fills the digests of a version's body from its entry.
func (s *Store) Describe(ctx context.Context, v *Version) error {
	if err := s.core.Enter(); err != nil {
		return err
	}
	defer s.core.Leave()
	e, _, _, err := s.core.Ledger().Entry(ctx, v.Entry)
	if err != nil {
		return core.Translate(err)
	}
	if e.Private.Body != nil {
		v.Body = *e.Private.Body
	}
	return nil
}

// OpenBody reads n bytes from off of a version's body; n below 0: to the end. What is read is authenticated; damage is an error
// from Read and never other bytes. The reader is also an io.WriterTo.
func (s *Store) OpenBody(ctx context.Context, v Version, off, n int64) (io.ReadCloser, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	if off < 0 || off > v.Size || n > v.Size-off {
		return nil, ErrBadRange
	}
	if n < 0 {
		n = v.Size - off
	}
	r, err := s.core.Body.Read(ctx, v.Body, off, n)
	if err != nil {
		return nil, core.Translate(err)
	}
	return s.core.Track(r, n), nil
}

func (s *Store) readAll(ctx context.Context, b entry.Body) ([]byte, error) {
	r, err := s.core.Body.Read(ctx, b, 0, b.Size)
	if err != nil {
		return nil, core.Translate(err)
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	return out, core.Translate(err)
}

// List returns a page of current objects.
func (s *Store) List(ctx context.Context, q ListRequest) (Page, error) {
	return s.list(ctx, q, false)
}

// ListVersions returns a page of the versions and markers that S3 shows, newest first within a key.
func (s *Store) ListVersions(ctx context.Context, q ListRequest) (Page, error) {
	return s.list(ctx, q, true)
}

func (s *Store) list(ctx context.Context, q ListRequest, versions bool) (page Page, err error) {
	if err := s.core.Enter(); err != nil {
		return Page{}, err
	}
	defer s.core.Leave()
	b, err := s.bucketRow(q.Bucket, q.At)
	if err != nil {
		return Page{}, err
	}
	scan := index.Scan{Inc: b.Inc, Prefix: q.Prefix, Delimiter: q.Delimiter, After: q.After, Max: q.Max, Size: q.At.Size, Versions: versions, Stop: s.core.GoOn(ctx)}
	if scan.AfterAt, err = s.afterVersion(b, q, versions); err != nil {
		return Page{}, err
	}
	page.Truncated, err = s.core.Index.List(scan, func(l index.Listed) error {
		if l.Prefix != "" {
			page.Prefixes = append(page.Prefixes, l.Prefix)
			page.Next, page.NextID = l.Prefix, ""
			return nil
		}
		page.Versions = append(growPage(page.Versions, q.Max), Version{})
		v := &page.Versions[len(page.Versions)-1] // filled in place: it is large
		v.Bucket, v.Key, v.ID, v.Entry, v.Inc, v.Time = q.Bucket, l.Key, s.versionID(l.Entry, l.Null), l.Entry, b.Inc, l.Time
		v.Marker, v.Latest, v.Null, v.Size, v.ETag = l.Marker, l.Latest, l.Null, l.Size, l.ETag
		if l.Checksum != "" {
			v.Checksum = &entry.Checksum{Algorithm: l.Checksum, Kind: l.Kind}
		}
		if l.Class != "" {
			v.Headers = map[string]string{index.HeaderClass: l.Class}
		}
		if page.Next, page.NextID = l.Key, v.ID; b.Versioning != "" {
			page.NextID = s.versionID(l.Entry, false) // the place, also of a null version: that one may be gone when the next page is asked for
		}
		return nil
	})
	if !page.Truncated {
		page.Next, page.NextID = "", ""
	}
	return page, err
}

// growPage makes room for one more. A page that has got past its first rows is likely to be full: its room is then made at once, for a page of S3's size.
func growPage(page []Version, most int) []Version {
	const few, usual = 32, 1000
	if len(page) == cap(page) && len(page) >= few && len(page) < usual {
		return slices.Grow(page, min(most, usual)-len(page))
	}
	return page
}

// afterVersion returns the entry behind a version id marker. The id "null" is looked up; where no version has it any more, all of the key is listed rather than nothing.
func (s *Store) afterVersion(b *index.Bucket, q ListRequest, versions bool) (uint64, error) {
	if !versions || q.AfterID == "" {
		return 0, nil
	}
	if q.AfterID != "null" {
		at, ok := parseVersionID(q.AfterID)
		if !ok {
			return 0, core.BadValue("there is no version id marker %q", q.AfterID)
		}
		return at, nil
	}
	if b.Versioning == "" {
		return 0, nil // no key has another version
	}
	var at uint64
	var ok bool
	var err error
	if q.At.Now() {
		var cur index.Current
		cur, ok, err = s.core.Index.Reader().Null(b.Inc, q.After)
		at = cur.Entry
	} else {
		var rec index.Record
		rec, _, ok, err = s.core.Index.At(b.Inc, q.After, q.At.Size, func(r *index.Record) bool { return r.Null })
		at = rec.Entry
	}
	if err == nil && !ok {
		at = math.MaxUint64
	}
	return at, err
}
