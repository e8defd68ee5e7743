package stele

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// ValidBucketName refuses names that S3 does not allow (AWS: "General purpose bucket naming rules") and names that Stele uses for views.
func ValidBucketName(name string) error {
	bad := func(why string) error { return core.BadValue("the bucket name %q %s", name, why) }
	if len(name) < 3 || len(name) > 63 {
		return bad("must have 3 to 63 characters")
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return bad("may hold only lower-case letters, digits, dots and hyphens")
		}
	}
	alnum := func(c byte) bool { return c != '-' && c != '.' }
	switch {
	case !alnum(name[0]) || !alnum(name[len(name)-1]):
		return bad("must begin and end with a letter or digit")
	case strings.Contains(name, ".."):
		return bad("must not hold two dots in a row")
	case strings.Contains(name, "--at-"):
		return bad("must not hold --at-, which names a view of the past")
	case strings.HasPrefix(name, "xn--") || strings.HasSuffix(name, "-s3alias") || strings.HasSuffix(name, "--ol-s3"):
		return bad("has a prefix or suffix that S3 reserves")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return bad("must not look like an IP address")
	}
	return nil
}

// CreateBucket begins an incarnation of a bucket name. ErrBucketExists if one is alive.
func (s *Store) CreateBucket(ctx context.Context, by Actor, name string, objectLock bool) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	if err := ValidBucketName(name); err != nil {
		return Committed{}, err
	}
	return s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		if _, ok, err := r.Bucket(name); err != nil || ok {
			return ledger.Draft{}, orErr(err, fmt.Errorf("%w: %s", ErrBucketExists, name))
		}
		p := entry.Private{Bucket: name}
		if objectLock {
			p.Value = "object-lock"
		}
		return ledger.Draft{Type: entry.BucketCreate, Private: p}, nil
	})
}

func orErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// DeleteBucket ends an incarnation. ErrBucketNotEmpty while S3 shows a version or a marker in it. Views of the past keep showing it.
func (s *Store) DeleteBucket(ctx context.Context, by Actor, name string) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	return s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, err := bucketFor(r, name)
		if err != nil {
			return ledger.Draft{}, err
		}
		if empty, err := r.Empty(b.Inc); err != nil || !empty {
			return ledger.Draft{}, orErr(err, fmt.Errorf("%w: %s", ErrBucketNotEmpty, name))
		}
		return ledger.Draft{Type: entry.BucketDelete, Private: entry.Private{Bucket: name, Inc: b.Inc}}, nil
	})
}

// configure writes one setting of a bucket.
func (s *Store) configure(ctx context.Context, by Actor, bucket, name, value string, check func(*index.Bucket) error) (Committed, error) {
	p := entry.Private{Bucket: bucket, Name: name, Value: value}
	if len(value) > maxInlineSetting {
		w, err := s.core.WriteDocument(ctx, []byte(value))
		if err != nil {
			return Committed{}, err
		}
		defer w.Release()
		p.Value, p.Doc = "", &w.Body
	}
	return s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, err := bucketFor(r, bucket)
		if err == nil && check != nil {
			err = check(b)
		}
		if err != nil {
			return ledger.Draft{}, err
		}
		p.Inc = b.Inc
		return ledger.Draft{Type: entry.BucketConfig, Private: p}, nil
	})
}

// maxInlineSetting is the most bytes of a setting that stand in the entry itself; a longer one is a document.
const maxInlineSetting = 4 << 10

const (
	settingVersioning = "versioning"
	settingObjectLock = "object-lock"
)

// SetVersioning switches versioning on or suspends it. ErrBadState: a bucket with object lock cannot suspend it.
func (s *Store) SetVersioning(ctx context.Context, by Actor, bucket string, to Versioning) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	if to != Enabled && to != Suspended {
		return Committed{}, core.BadState("versioning is Enabled or Suspended")
	}
	return s.configure(ctx, by, bucket, settingVersioning, string(to), func(b *index.Bucket) error {
		if b.ObjectLock && to != Enabled {
			return core.BadState("versioning stays enabled where object lock is")
		}
		return nil
	})
}

// SetObjectLock switches object lock on, which needs versioning, and sets the default retention; it cannot be switched off. ErrBadState without versioning, and for a longer default than
// Options.MaxRetentionDays allow (a year counts 365 days), unless it is the present one, which goes on counting.
func (s *Store) SetObjectLock(ctx context.Context, by Actor, bucket string, def Retention) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	if err := def.valid(); err != nil {
		return Committed{}, err
	}
	doc, err := json.Marshal(def)
	if err != nil {
		return Committed{}, err
	}
	return s.configure(ctx, by, bucket, settingObjectLock, string(doc), func(b *index.Bucket) error {
		if b.Versioning != string(Enabled) {
			return core.BadState("object lock needs versioning to be enabled")
		}
		if max := s.opt.MaxRetentionDays; max > 0 && def.Days+365*def.Years > max && b.Settings[settingObjectLock].Value != string(doc) {
			return core.BadState("the default retention is longer than the longest retention of this store, %d days (max-retention-days)", max)
		}
		return nil
	})
}

// Limits of a default retention, as at AWS.
const (
	maxRetentionDays  = 36500
	maxRetentionYears = 100
)

// valid refuses what is neither none nor a mode and one period: ErrBadState.
func (r Retention) valid() error {
	switch {
	case r == (Retention{}):
		return nil
	case r.Mode != entry.Governance && r.Mode != entry.Compliance:
		return core.BadState("the retention mode %q is neither GOVERNANCE nor COMPLIANCE", r.Mode)
	case (r.Days > 0) == (r.Years > 0) || r.Days < 0 || r.Years < 0 || r.Days > maxRetentionDays || r.Years > maxRetentionYears:
		return core.BadState("a default retention has 1 to %d days or 1 to %d years", maxRetentionDays, maxRetentionYears)
	}
	return nil
}

// SetSetting keeps a document with a bucket, as it is; empty: removes it. ErrBadName: not one of the settings.
func (s *Store) SetSetting(ctx context.Context, by Actor, bucket string, name Setting, doc string) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	if !slices.Contains(settings, name) { // versioning and object lock have rules of their own
		return Committed{}, core.BadValue("a bucket has no setting %q", name)
	}
	return s.configure(ctx, by, bucket, string(name), doc, nil)
}

// Bucket returns the incarnation that a name has in a view; ErrNoBucket if none, ErrFuture for a view beyond the ledger.
func (s *Store) Bucket(ctx context.Context, name string, at View) (Bucket, error) {
	if err := s.core.Enter(); err != nil {
		return Bucket{}, err
	}
	defer s.core.Leave()
	b, err := s.bucketRow(name, at)
	if err != nil {
		return Bucket{}, err
	}
	return s.bucket(ctx, b)
}

// LastOf returns an incarnation of a bucket name as it is, or as it was when it was deleted; ErrNoBucket if there was none.
func (s *Store) LastOf(ctx context.Context, name string, inc uint64) (Bucket, error) {
	if err := s.core.Enter(); err != nil {
		return Bucket{}, err
	}
	defer s.core.Leave()
	lives, err := s.core.Index.Incarnations(name)
	if err != nil {
		return Bucket{}, err
	}
	for i := range lives {
		if lives[i].Inc == inc {
			return s.bucket(ctx, &lives[i])
		}
	}
	return Bucket{}, fmt.Errorf("%w: %s", ErrNoBucket, name)
}

func (s *Store) bucketRow(name string, at View) (*index.Bucket, error) {
	var b *index.Bucket
	var ok bool
	var err error
	if at.Now() {
		b, ok, err = s.core.Index.Reader().Bucket(name)
	} else if err = s.reached(at); err == nil {
		b, ok, err = s.core.Index.BucketAt(name, at.Size)
	}
	if err == nil && !ok && at.Now() {
		err = fmt.Errorf("%w: %s", ErrNoBucket, name)
	} else if err == nil && !ok {
		err = fmt.Errorf("%w: there was no bucket %s at ledger size %d. `stele ls --at @%d` lists the buckets of then", ErrNoBucket, name, at.Size, at.Size)
	}
	return b, err
}

// Buckets returns the buckets of a view, in order of name. Documents among their settings are not read.
func (s *Store) Buckets(ctx context.Context, at View) ([]Bucket, error) {
	if err := s.core.Enter(); err != nil {
		return nil, err
	}
	defer s.core.Leave()
	if err := s.reached(at); err != nil {
		return nil, err
	}
	rows, err := s.core.Index.Buckets(at.Size)
	if err != nil {
		return nil, err
	}
	out := make([]Bucket, 0, len(rows))
	for i := range rows {
		out = append(out, s.plainBucket(&rows[i]))
	}
	return out, nil
}

func (s *Store) plainBucket(b *index.Bucket) Bucket {
	t := s.core.Index.Totals(b.Inc)
	out := Bucket{Name: b.Name, Inc: b.Inc, Created: b.Created, Owner: b.Owner, Deleted: b.Deleted, Versioning: Versioning(b.Versioning), ObjectLock: b.ObjectLock,
		Objects: t.Objects, Bytes: t.Bytes, Settings: make(map[Setting]string, len(b.Settings))}
	for name, set := range b.Settings {
		switch name {
		case settingVersioning:
		case settingObjectLock:
			out.Default, _ = parseRetention(set.Value)
		default:
			out.Settings[Setting(name)] = set.Value
		}
	}
	return out
}

func parseRetention(text string) (r Retention, err error) {
	if text == "" {
		return r, nil
	}
	err = json.Unmarshal([]byte(text), &r)
	return r, err
}

func (s *Store) bucket(ctx context.Context, b *index.Bucket) (Bucket, error) {
	out := s.plainBucket(b)
	for name, set := range b.Settings {
		if set.Doc == nil {
			continue
		}
		text, err := s.document(ctx, *set.Doc)
		if err != nil {
			return Bucket{}, fmt.Errorf("couldn't read setting %s of bucket %s: %w", name, b.Name, err)
		}
		out.Settings[Setting(name)] = text
	}
	return out, nil
}

// maxCachedDocuments and maxCachedDocument (bytes) bound the documents kept in memory.
const (
	maxCachedDocuments = 256
	maxCachedDocument  = 64 << 10
)

// document reads a setting's document. It never changes, so it is kept.
func (s *Store) document(ctx context.Context, b entry.Body) (string, error) {
	s.mu.Lock()
	text, ok := s.docs[b.Ref]
	s.mu.Unlock()
	if ok {
		return text, nil
	}
	raw, err := s.readAll(ctx, b)
	if err != nil {
		return "", err
	}
	if len(raw) > maxCachedDocument {
		return string(raw), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.docs) >= maxCachedDocuments {
		clear(s.docs)
	}
	s.docs[b.Ref] = string(raw)
	return string(raw), nil
}
