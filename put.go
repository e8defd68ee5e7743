package stele

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// ValidKey refuses keys that S3 does not allow: 1 to 1,024 bytes of UTF-8. Anything else is kept as it is; a key is never a path.
func ValidKey(key string) error {
	switch {
	case key == "":
		return core.BadValue("an object key must not be empty")
	case len(key) > entry.MaxKey:
		return core.BadValue("the object key has %d bytes, at most %d are allowed", len(key), entry.MaxKey)
	case !utf8.ValidString(key):
		return core.BadValue("the object key %q is not UTF-8", key)
	}
	return nil
}

// source passes a body through, and ends it when the store is closed or the disk is full: when it began there was room, but others write too, and not every body says how long it is.
type source struct {
	r    io.Reader
	s    *Store
	read int64 // bytes since the disk was asked
}

// askEvery is how many bytes of a body may come before the disk is asked again.
const askEvery = 4 << 20

func (b *source) Read(p []byte) (int, error) {
	if b.s.core.Closing() {
		return 0, ErrClosed
	}
	if b.read >= askEvery {
		b.read = 0
		if err := b.s.core.RoomFor(0); err != nil {
			return 0, err
		}
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	return n, err
}

// exact holds a body to its declared length: an early end is ErrIncomplete and never a shorter object.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		var one [1]byte
		n, err := e.r.Read(one[:])
		if n > 0 {
			return 0, ErrTooLong
		}
		if err == nil {
			return 0, nil
		}
		return 0, err
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	switch {
	case e.left == 0 || err == nil:
	case err == io.EOF:
		err = ErrIncomplete
	case errors.Is(err, io.ErrUnexpectedEOF): // the connection was cut
		err = fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	return n, err
}

// writeBody brings a body to the packs and makes it durable. The caller releases what it gets.
func (s *Store) writeBody(ctx context.Context, r io.Reader, size int64, tee []io.Writer, finish func(entry.Body) (*entry.Checksum, error)) (*body.Written, *entry.Checksum, error) {
	if err := s.core.TakesBytes(size); err != nil {
		return nil, nil, err
	}
	if r == nil {
		r = strings.NewReader("")
	}
	r = &source{r: r, s: s}
	if size >= 0 {
		r = &exact{r, size}
	}
	w, err := s.core.Body.Write(ctx, r, body.WriteOptions{SizeHint: size, MD5: true, Tee: tee})
	if err != nil {
		return nil, nil, s.core.Met(err)
	}
	var sum *entry.Checksum
	if finish != nil {
		sum, err = finish(w.Body)
	}
	if err == nil {
		err = s.core.Met(w.Sync(ctx))
	}
	if err != nil {
		w.Release()
		return nil, nil, err
	}
	return w, sum, nil
}

// Put writes one object and returns when it is durable. If the conditions or the bucket's rules refuse it nothing is visible, and the refusal is a fact of the ledger's order.
func (s *Store) Put(ctx context.Context, q PutRequest) (Version, error) {
	if err := s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer s.core.Leave()
	if err := s.early(q); err != nil {
		return Version{}, err
	}
	w, sum, err := s.writeBody(ctx, q.Body, q.Size, q.Tee, q.Finish)
	if err != nil {
		return Version{}, err
	}
	defer w.Release()
	p := entry.Private{Bucket: q.Bucket, Key: q.Key, Body: &w.Body, Checksum: sum, Headers: q.Headers, Meta: q.Meta, Tags: q.Tags}
	return s.putEntry(ctx, q.By, p, q.Lock, q.If, nil)
}

// early refuses before a body is read what would surely be refused: no bucket, a lock where there can't be one, metadata that no entry holds. Conditions are left to the
// commit, because what is seen here may have changed by then.
func (s *Store) early(q PutRequest) error {
	if err := ValidKey(q.Key); err != nil {
		return err
	}
	b, err := s.bucketRow(q.Bucket, View{})
	if err != nil {
		return err
	}
	if _, err := askedLock(b, q.Lock); err != nil {
		return err
	}
	return fits(q)
}

// putEntry commits a new version. check, if not nil, is asked first, at the commit.
func (s *Store) putEntry(ctx context.Context, by Actor, p entry.Private, lock *entry.Lock, cond Conditions, check func(r index.Reader, b *index.Bucket) error) (Version, error) {
	var null bool
	c, err := s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, err := bucketFor(r, p.Bucket)
		if err != nil {
			return ledger.Draft{}, err
		}
		if check != nil {
			if err := check(r, b); err != nil {
				return ledger.Draft{}, err
			}
		}
		if err := overwritable(r, b, p.Key, by, cond); err != nil {
			return ledger.Draft{}, err
		}
		if p.Lock, err = s.lockFor(b, lock, at.Time, p.Upload != ""); err != nil {
			return ledger.Draft{}, err
		}
		p.Inc, p.Null = b.Inc, b.Versioning != string(Enabled)
		null = p.Null
		return ledger.Draft{Type: entry.ObjectPut, Private: p}, nil
	})
	if err != nil {
		return Version{}, err
	}
	v := Version{Bucket: p.Bucket, Key: p.Key, ID: s.versionID(c.Entry, null), Entry: c.Entry, Inc: p.Inc, Time: c.Time, Latest: true, Null: null,
		Size: p.Body.Size, ETag: p.ETag, Headers: p.Headers, Meta: p.Meta, Tags: p.Tags, Checksum: p.Checksum, Body: *p.Body, Parts: p.Part}
	if v.ETag == "" {
		v.ETag = hex.EncodeToString(p.Body.MD5[:])
	}
	if p.Lock != nil {
		v.Lock = *p.Lock
	}
	return v, nil
}

// overwritable applies role append and the conditions to the current version.
func overwritable(r index.Reader, b *index.Bucket, key string, by Actor, cond Conditions) error {
	if !by.NoOverwrite && cond == (Conditions{}) {
		return nil
	}
	cur, ok, err := r.Current(b.Inc, key)
	if err != nil {
		return err
	}
	taken := ok
	if by.NoOverwrite && !ok && b.Versioning == string(Suspended) { // behind a marker there may be a null version, which the new one would hide
		null, found, err := r.Null(b.Inc, key)
		if err != nil {
			return err
		}
		taken = found && !null.Marker
	}
	if ok && by.NoOverwrite && strings.TrimSpace(cond.NoneMatch) == "*" {
		return ErrPrecondition // who asked not to overwrite is told what everybody is, not that he tried to
	}
	if by.NoOverwrite && taken {
		return fmt.Errorf("%w: %s/%s", ErrOverwriteDenied, b.Name, key)
	}
	return cond.check(cur, ok, key)
}

// check judges the conditions against the current version (RFC 9110 section 13.1; AWS: If-Match on a missing key is NoSuchKey). Size and ModifiedTime hold for what is not there (AWS, DeleteObject).
func (c Conditions) check(cur index.Current, ok bool, key string) error {
	switch {
	case c.Match != "" && !ok:
		return fmt.Errorf("%w: %s", ErrNoKey, key)
	case !ok:
		return nil
	case c.Match != "" && !MatchETag(c.Match, cur.ETag),
		c.NoneMatch != "" && MatchETag(c.NoneMatch, cur.ETag),
		c.ModifiedTime != nil && !cur.Time.Truncate(time.Second).Equal(c.ModifiedTime.Truncate(time.Second)),
		c.Size != nil && cur.Size != *c.Size:
		return ErrPrecondition
	}
	return nil
}

// MatchETag reports whether a list of ETags as in If-Match, or "*", holds etag.
func MatchETag(list, etag string) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if strings.Trim(part, `"`) == etag {
			return true
		}
	}
	return false
}

// lockFor returns the lock of a new version: what the request says, else the bucket's default retention from the ledger's clock on. What a multipart upload asked for was judged when it
// began: a date that has passed meanwhile is kept as it is and locks nothing, as else the upload could never be completed.
func (s *Store) lockFor(b *index.Bucket, asked *entry.Lock, now time.Time, begun bool) (*entry.Lock, error) {
	l, err := askedLock(b, asked)
	if err != nil || !b.ObjectLock {
		return nil, err
	}
	if l.Mode != "" && !begun && !l.Until.After(now) {
		return nil, core.BadState("the retain-until date %s is in the past", l.Until.Format(time.RFC3339))
	}
	if l.Mode != "" && !begun {
		if err := s.within(l.Until, now); err != nil {
			return nil, err
		}
	}
	if l.Mode == "" {
		def, err := parseRetention(b.Settings[settingObjectLock].Value)
		if err != nil {
			return nil, fmt.Errorf("couldn't read the default retention of bucket %s: %w", b.Name, err)
		}
		if def.Mode != "" {
			l.Mode, l.Until = def.Mode, now.AddDate(def.Years, 0, def.Days)
		}
	}
	if l == (entry.Lock{}) {
		return nil, nil
	}
	return &l, nil
}

// CopyRequest writes a new version that names the bytes of another: nothing is copied. Body, Size, Tee and Finish of the embedded request are not used.
type CopyRequest struct {
	PutRequest
	Source   Version
	Checksum *entry.Checksum // to keep with the new version; nil: the source's
}

// Copy commits a new version with the source's bytes.
func (s *Store) Copy(ctx context.Context, q CopyRequest) (Version, error) {
	if err := s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer s.core.Leave()
	if err := s.early(q.PutRequest); err != nil {
		return Version{}, err
	}
	src, _, _, err := s.core.Ledger().Entry(ctx, q.Source.Entry)
	if err != nil {
		return Version{}, core.Translate(err)
	}
	sp := &src.Private
	if src.Type != entry.ObjectPut || sp.Body == nil {
		return Version{}, errors.New("couldn't copy: the source's entry is not that of an object")
	}
	sum := sp.Checksum
	if q.Checksum != nil {
		sum = q.Checksum
	}
	p := entry.Private{Bucket: q.Bucket, Key: q.Key, Body: sp.Body, ETag: sp.ETag, Part: sp.Part, Checksum: sum, Headers: q.Headers, Meta: q.Meta, Tags: q.Tags}
	return s.putEntry(ctx, q.By, p, q.Lock, q.If, nil)
}
