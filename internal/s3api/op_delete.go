package s3api

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"stele"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/s3err"
)

// deleteObject hides an object, a version or a marker, or makes a marker.
func (c *call) deleteObject() error {
	o, err := ParseDeleteCondition(c.r.Header)
	if err != nil {
		return err
	}
	o.Key, o.VersionID = c.q.Key, c.q.VersionID
	res, err := c.hide(&o)
	if err != nil {
		return err
	}
	h := c.w.Header()
	if res.Marker && c.versioned() {
		h["X-Amz-Delete-Marker"] = isTrue
	}
	if id := res.VersionID; id != "" && c.versioned() {
		h["X-Amz-Version-Id"] = []string{id}
	} else if c.q.VersionID != "" && c.versioned() {
		h["X-Amz-Version-Id"] = []string{c.q.VersionID}
	}
	if res.Entry != 0 {
		if err := c.setCommitted(h, res.Entry); err != nil {
			return err
		}
	}
	return c.reply(http.StatusNoContent)
}

func (c *call) hide(o *ObjectToDelete) (stele.HideResult, error) {
	q := stele.HideRequest{By: c.actor(c.subjectOf(o)), Bucket: c.name, Key: o.Key, VersionID: o.VersionID, If: stele.Conditions{Match: o.ETag}}
	if !o.LastModifiedTime.IsZero() {
		q.If.ModifiedTime = &o.LastModifiedTime
	}
	if o.Size >= 0 {
		q.If.Size = &o.Size
	}
	if c.by.NoOverwrite && o.VersionID == "" && c.says(c.subjectOf(o), "s3:DeleteObject") != policy.Allows {
		return c.hideOwnLock(q)
	}
	return c.store.Hide(c.ctx, q)
}

// hideOwnLock hides a restic lock file in the name of role append, as restic's own append-only server does: if it is one, by its name and bytes, and if this key
// wrote it. It hides that version and no other (docs/adr/010-append-and-restic.md).
func (c *call) hideOwnLock(q stele.HideRequest) (stele.HideResult, error) {
	v, err := c.store.Head(c.ctx, stele.Place{Bucket: q.Bucket, Key: q.Key})
	if errors.Is(err, stele.ErrNoKey) {
		return stele.HideResult{}, nil // gone already: S3 says so to everybody
	}
	if err != nil {
		return stele.HideResult{}, err
	}
	e, err := c.store.Ledger().Entry(c.ctx, v.Entry)
	if err != nil {
		return stele.HideResult{}, err
	}
	if b := e.Private.Body; b == nil || e.Private.Actor != c.key.ID || !strings.HasSuffix(q.Key, b.SHA256.String()) {
		return stele.HideResult{}, errAppendDeletes
	}
	q.If.Entry = v.Entry
	return c.store.Hide(c.ctx, q)
}

// subjectOf is what a policy is asked about for one key.
func (c *call) subjectOf(o *ObjectToDelete) *subject {
	s := c.subject(o.Key)
	s.version, s.etag = o.VersionID, o.ETag
	return s
}

// deleteWorkers is how many keys of one DeleteObjects are under way at once: they share the ledger's batches.
const deleteWorkers = 128

// deleteObjects hides up to 1,000 keys. Each is judged and answered for itself.
func (c *call) deleteObjects() error {
	doc, err := c.readDocument(MaxDeleteBytes, true)
	if err != nil {
		return err
	}
	req, err := DecodeDelete(doc)
	if err != nil {
		return err
	}
	if err := c.mayDeleteAny(req.Objects); err != nil {
		return err
	}
	out := make([]DeletedObject, len(req.Objects))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(deleteWorkers, len(out)) {
		wg.Go(func() {
			for i := range next {
				out[i] = c.deleteOne(&req.Objects[i])
			}
		})
	}
	for i := range out {
		next <- i
	}
	close(next)
	wg.Wait()
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.replyDocument(func(b []byte) []byte { return AppendDeleteResult(b, out, req.Quiet) })
}

// deleteAction is what a policy must allow for one key of many.
func deleteAction(o *ObjectToDelete) string {
	if o.VersionID != "" {
		return "s3:DeleteObjectVersion"
	}
	return "s3:DeleteObject"
}

// mayDeleteSome refuses, before a byte of the document is read, whoever can delete no key of the bucket, whatever the document names: neither role and scope nor any statement of the policy lets him.
func (c *call) mayDeleteSome() error {
	actions := []string{"s3:DeleteObject", "s3:DeleteObjectVersion"}
	role := Role(c.key.Role)
	if c.key.ID != "" && InScope(c.key.Scope, c.name) && (role.may(actions[0]) || role == Append) { // append: restic's lock files
		return nil
	}
	p, err := c.policyOf(&c.b, c.name)
	if err != nil || !p.MayAllow(c.key.ID, actions) {
		return s3err.ErrAccessDenied
	}
	return nil
}

// mayDeleteAny refuses an anonymous request as a whole if it may delete none of its keys.
func (c *call) mayDeleteAny(objects []ObjectToDelete) error {
	if c.auth.Kind != auth.Anonymous {
		return nil
	}
	for i := range objects {
		if c.may(c.subjectOf(&objects[i]), deleteAction(&objects[i])) {
			return nil
		}
	}
	return s3err.ErrAccessDenied
}

// deleteOne hides one key of many.
func (c *call) deleteOne(o *ObjectToDelete) DeletedObject {
	d := DeletedObject{Key: o.Key, VersionID: o.VersionID}
	if !c.may(c.subjectOf(o), deleteAction(o)) {
		d.Err = c.denied(deleteAction(o))
		c.store.DeniedAt(c.by, s3err.ErrAccessDenied.Code, c.q.Op.String(), c.name)
		return d
	}
	if err := checkVersionID(o.VersionID); err != nil {
		d.Err = c.s3Error(err)
		return d
	}
	res, err := c.hide(o)
	if err != nil {
		e := c.s3Error(err)
		if e.Is(s3err.ErrNoSuchKey) {
			e = s3err.NoSuchKey(o.Key)
		}
		d.Err = e
		return d
	}
	if res.Marker && c.versioned() {
		d.DeleteMarker, d.DeleteMarkerVersionID = true, res.VersionID
	}
	return d
}
