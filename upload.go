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

// Multipart writes large objects in parts (AWS, "Uploading and copying objects using multipart upload"): Create opens an upload, PutPart writes its parts in any order and from any number of goroutines, and
// Complete makes one object of them, without moving a byte. Until then no reader sees anything of it. A part is as durable as an object once PutPart has returned, and an upload stays open, over restarts too,
// until it is completed or aborted. Each call that changes something is an entry in the ledger.
//
// A Multipart is one pointer: ask the store for it wherever it is needed.
type Multipart struct{ s *Store }

// Multipart returns the uploads of the store.
func (s *Store) Multipart() Multipart { return Multipart{s} }

// Create opens an upload of u.Bucket and u.Key with what the object will have: Headers, Meta, Tags, Lock, Checksum (algorithm and kind). The result is u with ID, By, Entry and Started (AWS, CreateMultipartUpload).
// ErrNoBucket; ErrBadName: of the key; ErrTooLarge: headers, metadata and tags that no entry holds; ErrBadState: a lock that the bucket does not take.
func (m Multipart) Create(ctx context.Context, by Actor, u Upload) (Upload, error) {
	if err := m.s.core.Enter(); err != nil {
		return Upload{}, err
	}
	defer m.s.core.Leave()
	if err := m.s.early(PutRequest{By: by, Bucket: u.Bucket, Key: u.Key, Headers: u.Headers, Meta: u.Meta, Tags: u.Tags, Lock: u.Lock}); err != nil {
		return Upload{}, err
	}
	u.ID, u.By = core.RandomHex(16), by.Key
	c, err := m.s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
		b, err := bucketFor(r, u.Bucket)
		if err != nil {
			return ledger.Draft{}, err
		}
		if _, err := m.s.lockFor(b, u.Lock, at.Time, false); err != nil {
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

// PutPart writes a part and returns when it is durable; it replaces one of the same number. A part is a body like any other, so that completing an upload moves no bytes (AWS, UploadPart).
// ErrNoUpload; ErrInvalidPart: a number that is not 1 to MaxParts; ErrOverwriteDenied: a key of role append, and the upload is another key's; and as for Put where the body is not what was declared.
func (m Multipart) PutPart(ctx context.Context, q PartRequest) (Part, error) {
	if err := m.s.core.Enter(); err != nil {
		return Part{}, err
	}
	defer m.s.core.Leave()
	if q.Number < 1 || q.Number > MaxParts {
		return Part{}, fmt.Errorf("%w: part number %d, allowed are 1 to %d", ErrInvalidPart, q.Number, MaxParts)
	}
	_, u, err := openUpload(m.s.core.Index.Reader(), q.Bucket, q.Key, q.Upload)
	if err == nil {
		err = ownUpload(q.By, u) // before the body is read
	}
	if err != nil {
		return Part{}, err
	}
	w, sum, err := m.s.writeBody(ctx, q.Body, q.Size, q.Tee, q.Finish)
	if err != nil {
		return Part{}, err
	}
	defer w.Release()
	c, err := m.s.commit(ctx, q.By, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
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

// Get returns an open upload; ErrNoUpload.
func (m Multipart) Get(ctx context.Context, bucket, key, id string) (Upload, error) {
	if err := m.s.core.Enter(); err != nil {
		return Upload{}, err
	}
	defer m.s.core.Leave()
	_, u, err := openUpload(m.s.core.Index.Reader(), bucket, key, id)
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
func (m Multipart) Complete(ctx context.Context, q CompleteRequest) (Version, error) {
	if err := m.s.core.Enter(); err != nil {
		return Version{}, err
	}
	defer m.s.core.Leave()
	for try := 1; ; try++ {
		v, err := m.completeOnce(ctx, q)
		if errors.Is(err, ErrNoUpload) {
			if v, found, ferr := m.completed(ctx, q); found || ferr != nil {
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
func (m Multipart) completed(ctx context.Context, q CompleteRequest) (v Version, found bool, err error) {
	b, err := m.s.bucketRow(q.Bucket, View{})
	if err != nil {
		return v, false, err
	}
	etag, ok := etagOfParts(q.Parts)
	if !ok {
		return v, false, nil
	}
	var near []index.Record
	n := 0
	err = m.s.core.Index.History(b.Inc, q.Key, func(r index.Record) error {
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
		e, _, _, err := m.s.core.Ledger().Entry(ctx, near[i].Entry)
		if err != nil {
			return v, false, core.Translate(err)
		}
		if e.Private.Upload == q.Upload {
			v = Version{Bucket: q.Bucket, Key: q.Key, ID: m.s.versionID(e.Index, near[i].Null), Entry: e.Index, Inc: b.Inc}
			v.fill(&near[i])
			cur, ok, err := m.s.core.Index.Reader().Current(b.Inc, q.Key)
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

func (m Multipart) completeOnce(ctx context.Context, q CompleteRequest) (Version, error) {
	r := m.s.core.Index.Reader()
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
	chosen, err := m.choose(q)
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
	w, err := m.s.core.WriteDocument(ctx, entry.AppendParts(nil, doc))
	if err != nil {
		return Version{}, err
	}
	defer w.Release()
	p := entry.Private{Bucket: q.Bucket, Key: q.Key, Upload: q.Upload, Part: len(doc), ETag: etag, Checksum: sum, Headers: objectHeaders(u.Headers), Meta: u.Meta, Tags: u.Tags,
		Body: &entry.Body{Kind: entry.BodyParts, Ref: w.Body.Ref, SHA256: w.Body.SHA256, Size: doc.Size()}}
	return m.s.putEntry(ctx, q.By, p, u.Lock, q.If, func(r index.Reader, b *index.Bucket) error {
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
func (m Multipart) choose(q CompleteRequest) ([]Part, error) {
	have := map[int]Part{}
	if err := m.s.core.Index.Parts(q.Upload, 0, func(p index.Part) error { have[p.Number] = partOf(p); return nil }); err != nil {
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

// Abort ends an upload; its parts are hidden (AWS, AbortMultipartUpload). ErrNoUpload; ErrOverwriteDenied as for PutPart.
func (m Multipart) Abort(ctx context.Context, by Actor, bucket, key, id string) (Committed, error) {
	if err := m.s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer m.s.core.Leave()
	return m.s.commit(ctx, by, func(r index.Reader, at ledger.Slot) (ledger.Draft, error) {
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

// List returns a page of a bucket's open uploads, by key, then id (AWS, ListMultipartUploads). After and AfterID are the markers; Max 0 lists none; At is not used: uploads are of now. ErrNoBucket.
func (m Multipart) List(ctx context.Context, q ListRequest) (page UploadPage, err error) {
	if err := m.s.core.Enter(); err != nil {
		return UploadPage{}, err
	}
	defer m.s.core.Leave()
	b, err := m.s.bucketRow(q.Bucket, View{})
	if err != nil || q.Max <= 0 {
		return page, err
	}
	after, afterID := q.After, q.AfterID
	n, last := 0, ""
	for again := true; again && err == nil; {
		again = false
		err = m.s.core.Index.Uploads(b.Inc, q.Prefix, after, afterID, func(u index.Upload) error {
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

// Parts returns the parts of an open upload with numbers above after, at most limit, the upload, and whether there are more (AWS, ListParts). ErrNoUpload.
func (m Multipart) Parts(ctx context.Context, bucket, key, id string, after, limit int) (parts []Part, u Upload, more bool, err error) {
	if err := m.s.core.Enter(); err != nil {
		return nil, Upload{}, false, err
	}
	defer m.s.core.Leave()
	if u, err = m.Get(ctx, bucket, key, id); err != nil {
		return nil, u, false, err
	}
	if after >= MaxParts || limit <= 0 {
		return nil, u, false, nil
	}
	err = m.s.core.Index.Parts(id, max(after, 0), func(p index.Part) error {
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

// PartsOf returns the parts of which an object was completed, in order; nil for one that was put whole. v is as Head returned it.
func (m Multipart) PartsOf(ctx context.Context, v Version) (entry.Parts, error) {
	if err := m.s.core.Enter(); err != nil {
		return nil, err
	}
	defer m.s.core.Leave()
	if v.Body.Kind != entry.BodyParts {
		return nil, nil
	}
	parts, err := m.s.core.Body.PartsOf(ctx, v.Body)
	return parts, core.Translate(err)
}

// PartRange returns where a part lies in the object that was completed of it, in bytes as OpenBody takes them, and how many parts there are (AWS, GetObject with partNumber). An object that was put whole has
// one. ErrInvalidPart: no such part.
func (m Multipart) PartRange(ctx context.Context, v Version, part int) (off, n int64, parts int, err error) {
	if err := m.s.core.Enter(); err != nil {
		return 0, 0, 0, err
	}
	defer m.s.core.Leave()
	list, err := m.PartsOf(ctx, v)
	if err != nil {
		return 0, 0, 0, err
	}
	if list == nil {
		if part != 1 {
			return 0, 0, 1, fmt.Errorf("%w: part %d of an object with one part", ErrInvalidPart, part)
		}
		return 0, v.Size, 1, nil
	}
	if part < 1 || part > len(list) {
		return 0, 0, len(list), fmt.Errorf("%w: part %d of an object with %d parts", ErrInvalidPart, part, len(list))
	}
	for _, p := range list[:part-1] {
		off += p.Body.Size
	}
	return off, list[part-1].Body.Size, len(list), nil
}
