package stele

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// Limits of multipart uploads, as at AWS.
const (
	MaxParts    = entry.MaxParts
	MinPartSize = 5 << 20 // bytes, of each part but the last
)

// CreateUpload opens a multipart upload with what the object will have: Headers, Meta, Tags, Lock, Checksum (algorithm and kind).
func (s *Store) CreateUpload(ctx context.Context, by Actor, u Upload) (Upload, error) {
	if err := s.core.Enter(); err != nil {
		return Upload{}, err
	}
	defer s.core.Leave()
	if err := s.early(PutRequest{By: by, Bucket: u.Bucket, Key: u.Key, Headers: u.Headers, Meta: u.Meta, Tags: u.Tags, Lock: u.Lock}); err != nil {
		return Upload{}, err
	}
	u.ID, u.By = core.RandomHex(16), by.Key
	c, err := s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, err := bucketFor(r, u.Bucket)
		if err != nil {
			return ledger.Draft{}, err
		}
		if _, err := lockFor(b, u.Lock, at.Time, false); err != nil {
			return ledger.Draft{}, err
		}
		if l, err := askedLock(b, u.Lock); err == nil && u.Lock != nil {
			u.Lock = &l // as the entry keeps it
		}
		return ledger.Draft{Type: entry.UploadCreate, Private: entry.Private{Bucket: u.Bucket, Inc: b.Inc, Key: u.Key, Upload: u.ID,
			Headers: u.Headers, Meta: u.Meta, Tags: u.Tags, Lock: u.Lock, Checksum: u.Checksum}}, nil
	})
	u.Entry, u.Started = c.Entry, c.Time
	return u, err
}

// PartRequest writes one part of an open upload.
type PartRequest struct {
	By                  Actor
	Bucket, Key, Upload string
	Number              int
	Body                io.Reader
	Size                int64 // declared length; -1: not known
	Tee                 []io.Writer
	Finish              func(arrived entry.Body) (*entry.Checksum, error) // as in PutRequest
}

// PutPart writes a part; it replaces one of the same number. A part is a body like any other, so that completing an upload moves no bytes.
func (s *Store) PutPart(ctx context.Context, q PartRequest) (Part, error) {
	if err := s.core.Enter(); err != nil {
		return Part{}, err
	}
	defer s.core.Leave()
	if q.Number < 1 || q.Number > MaxParts {
		return Part{}, fmt.Errorf("%w: part number %d, allowed are 1 to %d", ErrInvalidPart, q.Number, MaxParts)
	}
	_, u, err := openUpload(s.core.Index.Reader(), q.Bucket, q.Key, q.Upload)
	if err == nil {
		err = ownUpload(q.By, u) // before the body is read
	}
	if err != nil {
		return Part{}, err
	}
	w, sum, err := s.writeBody(ctx, q.Body, q.Size, q.Tee, q.Finish)
	if err != nil {
		return Part{}, err
	}
	defer w.Release()
	c, err := s.commit(ctx, q.By, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, u, err := openUpload(r, q.Bucket, q.Key, q.Upload)
		if err == nil {
			err = ownUpload(q.By, u)
		}
		if err != nil {
			return ledger.Draft{}, err
		}
		return ledger.Draft{Type: entry.UploadPart, Private: entry.Private{Bucket: q.Bucket, Inc: b.Inc, Key: q.Key, Upload: q.Upload, Part: q.Number, Body: &w.Body, Checksum: sum}}, nil
	})
	if err != nil {
		return Part{}, err
	}
	return Part{Number: q.Number, ETag: fmt.Sprintf("%x", w.Body.MD5), Size: w.Body.Size, Time: c.Time, Checksum: sum, Body: w.Body}, nil
}

// ownUpload refuses to role append what another key began: a part in place of another, the end of an upload without its last parts and its abort take away
// what somebody else has written.
func ownUpload(by Actor, u index.Upload) error {
	if by.NoOverwrite && u.By != by.Key {
		return fmt.Errorf("%w: the upload of %s was begun by another access key", ErrOverwriteDenied, u.Key)
	}
	return nil
}

// openUpload returns the bucket and the upload, or ErrNoUpload.
func openUpload(r index.Reader, bucket, key, id string) (*index.Bucket, index.Upload, error) {
	b, err := bucketFor(r, bucket)
	if err != nil {
		return nil, index.Upload{}, err
	}
	u, ok, err := r.Upload(b.Inc, key, id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s of %s/%s", ErrNoUpload, id, bucket, key)
	}
	return b, u, err
}

// UploadInfo returns an open upload; ErrNoUpload.
func (s *Store) UploadInfo(ctx context.Context, bucket, key, id string) (Upload, error) {
	if err := s.core.Enter(); err != nil {
		return Upload{}, err
	}
	defer s.core.Leave()
	_, u, err := openUpload(s.core.Index.Reader(), bucket, key, id)
	return uploadOf(bucket, u), err
}

func uploadOf(bucket string, u index.Upload) Upload {
	return Upload{Bucket: bucket, Key: u.Key, ID: u.ID, Entry: u.Entry, Started: u.Started, By: u.By, Headers: u.Headers, Meta: u.Meta, Tags: u.Tags, Lock: u.Lock, Checksum: u.Checksum}
}

func partOf(p index.Part) Part {
	return Part{Number: p.Number, ETag: p.ETag, Size: p.Body.Size, Time: p.Time, Checksum: p.Checksum, Body: p.Body}
}

// CompleteRequest makes an object of the named parts.
type CompleteRequest struct {
	By                  Actor
	Bucket, Key, Upload string
	Parts               []Part // Number and ETag as the client names them; Checksum, where given, must be that of the part
	If                  Conditions
	Size                *int64 // x-amz-mp-object-size: what the whole must be; nil: not declared
	// Finish is called before the commit with the parts as they were uploaded. It refuses by an error and returns the object's checksum, or nil. May be nil.
	Finish func(u Upload, parts []Part) (*entry.Checksum, error)
}

// errChanged: a part changed between reading the list of parts and the commit; the caller reads again.
var errChanged = errors.New("the upload changed meanwhile")

// Complete commits the object. It moves no bytes: the object's body is a list of the parts' bodies. Completed already, with the same parts: the version that it became then, whatever the conditions say now, so
// that a client which did not hear the answer may ask again. ErrNoUpload, ErrInvalidPart, ErrPartOrder, ErrPartTooSmall, ErrBusy, and as for Put.
func (s *Store) Complete(ctx context.Context, q CompleteRequest) (Version, error) {
	if err := s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer s.core.Leave()
	for try := 1; ; try++ {
		v, err := s.completeOnce(ctx, q)
		if errors.Is(err, ErrNoUpload) {
			if v, found, ferr := s.completed(ctx, q); found || ferr != nil {
				return v, ferr
			}
		}
		if !errors.Is(err, errChanged) {
			return v, err
		}
		if try == completeTries {
			return Version{}, fmt.Errorf("%w: parts of upload %s arrive all the while", ErrBusy, q.Upload)
		}
	}
}

// completeTries bounds the tries of a Complete whose upload changes under its hands: each costs an fsync.
const completeTries = 20

// completedWithin is how many of the newest versions of a key are asked whether an upload became them.
const completedWithin = 16

// completed finds the version that an upload has become.
func (s *Store) completed(ctx context.Context, q CompleteRequest) (v Version, found bool, err error) {
	b, err := s.bucketRow(q.Bucket, View{})
	if err != nil {
		return v, false, err
	}
	etag, ok := etagOfParts(q.Parts)
	if !ok {
		return v, false, nil
	}
	var near []index.Record
	n := 0
	err = s.core.Index.History(b.Inc, q.Key, func(r index.Record) error {
		if r.Parts > 0 && r.ETag == etag {
			near = append(near, r)
		}
		if n++; n == completedWithin {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return v, false, err
	}
	for i := range near {
		e, _, _, err := s.core.Ledger().Entry(ctx, near[i].Entry)
		if err != nil {
			return v, false, core.Translate(err)
		}
		if e.Private.Upload == q.Upload {
			v = Version{Bucket: q.Bucket, Key: q.Key, ID: s.versionID(e.Index, near[i].Null), Entry: e.Index, Inc: b.Inc}
			v.fill(&near[i])
			cur, ok, err := s.core.Index.Reader().Current(b.Inc, q.Key)
			v.Latest = ok && cur.Entry == v.Entry
			return v, true, err
		}
	}
	return v, false, nil
}

// etagOfParts returns the ETag of an object made of parts with these ETags.
func etagOfParts(parts []Part) (string, bool) {
	h := md5.New()
	for _, p := range parts {
		sum, err := hex.DecodeString(strings.Trim(p.ETag, `"`))
		if err != nil || len(sum) != md5.Size {
			return "", false
		}
		h.Write(sum)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(parts)), true
}

func (s *Store) completeOnce(ctx context.Context, q CompleteRequest) (Version, error) {
	r := s.core.Index.Reader()
	touched, err := r.Touched(q.Upload) // read before the parts: the commit compares
	if err != nil {
		return Version{}, err
	}
	_, u, err := openUpload(r, q.Bucket, q.Key, q.Upload)
	if err == nil {
		err = ownUpload(q.By, u)
	}
	if err != nil {
		return Version{}, err
	}
	chosen, err := s.choose(q)
	if err != nil {
		if now, terr := r.Touched(q.Upload); terr == nil && now != touched {
			err = errChanged // parts were sought that another call has completed, aborted or replaced
		}
		return Version{}, err
	}
	var sum *entry.Checksum
	if q.Finish != nil {
		if sum, err = q.Finish(uploadOf(q.Bucket, u), chosen); err != nil {
			return Version{}, err
		}
	}
	doc, etag := assemble(chosen)
	if q.Size != nil && *q.Size != doc.Size() {
		return Version{}, fmt.Errorf("%w: the parts have %d bytes, %d were declared", ErrInvalidPart, doc.Size(), *q.Size)
	}
	w, err := s.core.WriteDocument(ctx, entry.AppendParts(nil, doc))
	if err != nil {
		return Version{}, err
	}
	defer w.Release()
	p := entry.Private{Bucket: q.Bucket, Key: q.Key, Upload: q.Upload, Part: len(doc), ETag: etag, Checksum: sum, Headers: objectHeaders(u.Headers), Meta: u.Meta, Tags: u.Tags,
		Body: &entry.Body{Kind: entry.BodyParts, Ref: w.Body.Ref, SHA256: w.Body.SHA256, Size: doc.Size()}}
	return s.putEntry(ctx, q.By, p, u.Lock, q.If, func(r index.Reader, b *index.Bucket) error {
		u, ok, err := r.Upload(b.Inc, q.Key, q.Upload)
		if err != nil || !ok {
			return orErr(err, fmt.Errorf("%w: %s of %s/%s", ErrNoUpload, q.Upload, q.Bucket, q.Key))
		}
		if err := ownUpload(q.By, u); err != nil {
			return err
		}
		if now, err := r.Touched(q.Upload); err != nil || now != touched {
			return orErr(err, errChanged)
		}
		return nil
	})
}

// choose matches the parts that the client names against those that were uploaded.
func (s *Store) choose(q CompleteRequest) ([]Part, error) {
	have := map[int]Part{}
	if err := s.core.Index.Parts(q.Upload, 0, func(p index.Part) error { have[p.Number] = partOf(p); return nil }); err != nil {
		return nil, err
	}
	if len(q.Parts) == 0 {
		return nil, fmt.Errorf("%w: no parts are named", ErrInvalidPart)
	}
	chosen := make([]Part, 0, len(q.Parts))
	for i, want := range q.Parts {
		if i > 0 && want.Number <= q.Parts[i-1].Number {
			return nil, fmt.Errorf("%w: part %d follows part %d", ErrPartOrder, want.Number, q.Parts[i-1].Number)
		}
		p, ok := have[want.Number]
		if !ok || strings.Trim(want.ETag, `"`) != p.ETag {
			return nil, fmt.Errorf("%w: part %d", ErrInvalidPart, want.Number)
		}
		if want.Checksum != nil && (p.Checksum == nil || p.Checksum.Value != want.Checksum.Value) {
			return nil, fmt.Errorf("%w: the checksum of part %d", ErrInvalidPart, want.Number)
		}
		chosen = append(chosen, p)
	}
	for _, p := range chosen[:len(chosen)-1] {
		if p.Size < MinPartSize {
			return nil, fmt.Errorf("%w: part %d has %d bytes", ErrPartTooSmall, p.Number, p.Size)
		}
	}
	return chosen, nil
}

// assemble makes the parts document and the ETag: the MD5 of the parts' MD5s, and their number.
func assemble(parts []Part) (entry.Parts, string) {
	doc := make(entry.Parts, 0, len(parts))
	h := md5.New()
	for _, p := range parts {
		ep := entry.Part{Number: p.Number, Body: p.Body}
		if p.Checksum != nil {
			ep.Checksum = p.Checksum.Value
		}
		doc = append(doc, ep)
		h.Write(p.Body.MD5[:])
	}
	return doc, fmt.Sprintf("%x-%d", h.Sum(nil), len(parts))
}

// Abort ends an upload; its parts are hidden.
func (s *Store) Abort(ctx context.Context, by Actor, bucket, key, id string) (Committed, error) {
	if err := s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer s.core.Leave()
	return s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, u, err := openUpload(r, bucket, key, id)
		if err == nil {
			err = ownUpload(by, u)
		}
		if err != nil {
			return ledger.Draft{}, err
		}
		return ledger.Draft{Type: entry.UploadAbort, Private: entry.Private{Bucket: bucket, Inc: b.Inc, Key: key, Upload: id}}, nil
	})
}

// UploadPage is a page of open uploads.
type UploadPage struct {
	Uploads   []Upload
	Prefixes  []string
	Truncated bool
	Next      string
	NextID    string
}

// Uploads returns a page of open uploads, by key, then id. After and AfterID are the markers; Max 0 lists none.
func (s *Store) Uploads(ctx context.Context, q ListRequest) (page UploadPage, err error) {
	if err := s.core.Enter(); err != nil {
		return UploadPage{}, err
	}
	defer s.core.Leave()
	b, err := s.bucketRow(q.Bucket, View{})
	if err != nil || q.Max <= 0 {
		return page, err
	}
	after, afterID := q.After, q.AfterID
	n, last := 0, ""
	for again := true; again && err == nil; {
		again = false
		err = s.core.Index.Uploads(b.Inc, q.Prefix, after, afterID, func(u index.Upload) error {
			cp := commonPrefix(u.Key, q.Prefix, q.Delimiter)
			switch {
			case cp != "" && (cp == last || cp == q.After):
				after, afterID, again = cp+"\xff", "", true // past all keys below it, which are UTF-8
				return errStop
			case n == q.Max:
				page.Truncated = true
				return errStop
			}
			n++
			if cp != "" {
				last = cp
				page.Prefixes = append(page.Prefixes, cp)
				page.Next, page.NextID = cp, ""
				return nil
			}
			page.Uploads = append(page.Uploads, uploadOf(q.Bucket, u))
			page.Next, page.NextID = u.Key, u.ID
			return nil
		})
		if errors.Is(err, errStop) {
			err = ctx.Err()
		}
	}
	if !page.Truncated {
		page.Next, page.NextID = "", ""
	}
	return page, err
}

// errStop ends a walk early.
var errStop = errors.New("stop")

// Parts returns the parts of an open upload with numbers above after, at most limit, and whether there are more.
func (s *Store) Parts(ctx context.Context, bucket, key, id string, after, limit int) (parts []Part, u Upload, more bool, err error) {
	if err := s.core.Enter(); err != nil {
		return nil, Upload{}, false, err
	}
	defer s.core.Leave()
	if u, err = s.UploadInfo(ctx, bucket, key, id); err != nil {
		return nil, u, false, err
	}
	if after >= MaxParts || limit <= 0 {
		return nil, u, false, nil
	}
	err = s.core.Index.Parts(id, max(after, 0), func(p index.Part) error {
		if len(parts) == limit {
			more = true
			return errStop
		}
		parts = append(parts, partOf(p))
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return parts, u, more, err
}
