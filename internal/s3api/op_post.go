package s3api

import (
	"context"
	"net/http"
	"net/url"

	"stele"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/tagging"
)

// postObject is a browser's form upload: the form itself carries the signature, and the policy that it signs says what the fields may be.
func (c *call) postObject() error {
	c.r.Body = c.patient(c.r.Body)
	form, err := auth.ReadPostForm(c.r)
	if err != nil {
		return err
	}
	if c.auth.Kind != auth.Anonymous {
		return s3err.InvalidArgument("Authorization", "", "A form is signed by its own fields, not by a header or the query.")
	}
	if c.auth, err = c.verifier.VerifyPost(context.WithValue(c.ctx, callKey{}, c), form, c.q.Bucket); err != nil {
		return err
	}
	c.setActor()
	if err := c.enter(); err != nil { // as its key
		return err
	}
	if err := c.asPut(form); err != nil { // before the bucket is looked for: what is wrong with the form is no sign of whether it is there
		return err
	}
	allowed := func() error { return c.require(&c.b, c.name, c.at, "s3:PutObject", form.Key) }
	if err := c.openBucket(); err != nil {
		return c.unlessDenied(err, allowed)
	}
	c.q.Key = form.Key
	if err := allowed(); err != nil {
		return err
	}
	if err := c.checkOneTag(); err != nil {
		return err
	}
	if err := c.setCORS(); err != nil {
		return err
	}
	if err := checkSOSAPI(form.Key); err != nil {
		return err
	}
	v, err := c.putForm(form)
	if err != nil {
		return err
	}
	return c.replyPost(form, &v)
}

// asPut has the form's fields count as the headers of a PUT, for the policies too: the headers that carried the form say nothing of the object.
func (c *call) asPut(form *auth.PostForm) (err error) {
	if _, twice := form.Fields["x-amz-acl"]; twice && form.Fields["acl"] != "" {
		return s3err.InvalidArgument("acl", form.Fields["acl"], "A form has either the field acl or the field x-amz-acl.")
	}
	if c.formTags, err = formTags(form); err != nil {
		return err
	}
	asPut := *c.r
	if asPut.Header, err = form.Header(); err != nil {
		return err
	}
	for _, name := range [...]string{"Referer", "User-Agent", "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"} { // of who asks, not of the object
		if v := c.r.Header[name]; v != nil {
			asPut.Header[name] = v
		}
	}
	c.r = &asPut
	return nil
}

// formTags are those of the field "tagging", an XML document.
func formTags(form *auth.PostForm) ([]tagging.Tag, error) {
	if v := form.Fields["tagging"]; v != "" {
		return tagging.Decode([]byte(v), false)
	}
	return nil, nil
}

// putForm writes the form's file.
func (c *call) putForm(form *auth.PostForm) (v stele.Version, err error) {
	attr, err := c.requestAttributes()
	if err != nil {
		return v, err
	}
	form.Bound(0, maxPutBytes)
	in := &incoming{r: form.File, size: -1}
	if in.want, err = ParseDeclared(c.r.Header, c.auth); err != nil {
		return v, err
	}
	in.sum = orAlgorithm(in.want.Algorithm, CRC64NVME)
	in.compute()
	if err := c.takePlace(c.bodies); err != nil {
		return v, err
	}
	return c.store.Put(c.ctx, stele.PutRequest{By: c.by, Bucket: c.name, Key: form.Key, Body: in.r, Size: -1, Headers: attr.headers, Meta: attr.meta, Tags: attr.tags,
		Lock: attr.lock, Tee: in.tee, Finish: in.finish})
}

// replyPost answers as the form wishes: by a redirect, or with 200, 201 and a document, or 204.
func (c *call) replyPost(form *auth.PostForm, v *stele.Version) error {
	h := c.w.Header()
	h["ETag"] = quoted(v.ETag)
	h["Location"] = []string{c.location()}
	c.setNewVersion(h, v)
	setSum(h, v.Checksum)
	if err := c.setCommitted(h, v.Entry); err != nil {
		return err
	}
	to := form.Fields["success_action_redirect"]
	if to == "" {
		to = form.Fields["redirect"]
	}
	if u, err := url.Parse(to); to != "" && err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		q := u.Query()
		q.Set("bucket", c.q.Bucket)
		q.Set("key", form.Key)
		q.Set("etag", `"`+v.ETag+`"`)
		u.RawQuery = q.Encode()
		h["Location"] = []string{u.String()}
		return c.reply(http.StatusSeeOther)
	}
	switch form.Fields["success_action_status"] {
	case "200":
		return c.reply(http.StatusOK)
	case "201":
		return c.replyXML(http.StatusCreated, AppendPostResponse(nil, c.location(), c.q.Bucket, form.Key, v.ETag))
	}
	return c.reply(http.StatusNoContent)
}
