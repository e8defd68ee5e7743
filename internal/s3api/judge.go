package s3api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"stele"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// subject is what a question to a policy is about: what the request line names, one key of DeleteObjects, or the source of a copy.
type subject struct {
	b       *stele.Bucket // whose policy answers
	name    string
	at      stele.View // as of when it is read
	key     string
	version string // as it is named; "": the current one
	etag    string // on which one key of DeleteObjects depends
}

// subject is what the request line names, with key in its place.
func (c *call) subject(key string) *subject {
	return &subject{b: &c.b, name: c.name, at: c.at, key: key, version: c.q.VersionID}
}

// learned is what a request says in a place that is read only after role and scope were judged: its body, the upload that it belongs to, the source of a copy.
// Until then a statement that asks for it is open (Ask.Open). Then the request is judged again.
type learned struct {
	tags      []tagging.Tag
	retention Retention
	hold      string
	header    http.Header // what the upload was begun with
}

// learn judges the request again, by everything that it says.
func (c *call) learn(l learned) error {
	c.learned = &l
	return c.requires(c.subject(c.q.Key), c.q.Action())
}

// learnUpload judges a request that is part of an upload by what the upload was begun with.
func (c *call) learnUpload(u *stele.Upload) error {
	l := learned{tags: tagList(u.Tags), header: http.Header{}}
	for name, v := range u.Headers {
		l.header[http.CanonicalHeaderKey(name)] = []string{v}
	}
	if u.Lock != nil {
		l.retention = Retention{u.Lock.Mode, u.Lock.Until}
		if u.Lock.Hold {
			l.hold = onOff(true)
		}
	}
	return c.learn(l)
}

// ofUpload are the keys that a part and the completion of an upload have from its beginning. Headers of their own do not count for them.
var ofUpload = wire.Words(`s3:x-amz-acl s3:x-amz-server-side-encryption s3:x-amz-storage-class s3:x-amz-website-redirect-location s3:object-lock-legal-hold`)

var retentionKeys = wire.Words("s3:object-lock-mode s3:object-lock-retain-until-date s3:object-lock-remaining-retention-days")

// isOpen tells whether it is not known yet what the request says for a key.
func (c *call) isOpen(key string) bool {
	if c.learned != nil {
		return false
	}
	tag := strings.HasPrefix(key, policy.RequestTag) || key == "s3:requestobjecttagkeys"
	switch c.q.Op {
	case OpPutObjectTagging:
		return tag
	case OpPutObjectRetention:
		return retentionKeys[key]
	case OpPutObjectLegalHold:
		return key == "s3:object-lock-legal-hold"
	case OpCopyObject:
		return tag && c.copiesTags()
	case OpUploadPart, OpUploadPartCopy, OpCompleteMultipartUpload:
		return tag || ofUpload[key] || retentionKeys[key]
	}
	return false
}

// copiesTags tells whether a copy has its source's tags; the header x-amz-tagging then says nothing.
func (c *call) copiesTags() bool {
	return wire.First(c.r.Header, "X-Amz-Tagging-Directive") != "REPLACE"
}

// context is what the conditions of p are tested against.
func (c *call) context(s *subject, action string, p *policy.Policy) (policy.Context, error) {
	peer := Peer{Addr: c.r.RemoteAddr, Secure: c.r.TLS != nil, Now: c.now()}
	if c.r.TLS != nil {
		peer.TLS = c.r.TLS.Version
	}
	ctx := newContext(c.r, c.auth, peer)
	addListing(ctx, &c.q)
	addHeaders(ctx, c.r.Header)
	c.addWritten(ctx)
	ctx.Set("s3:versionid", s.version)
	if c.q.Op == OpDeleteObjects { // each key has a condition of its own, and the header has none
		delete(ctx, "s3:if-match")
		addETag(ctx, "s3:if-match", s.etag)
	}
	err := c.addExisting(ctx, s, action, p)
	ctx.Only(action)
	return ctx, err
}

// addWritten adds what the request says of the object that it writes, wherever it says it, and the retention that the bucket gives where it says none.
func (c *call) addWritten(ctx policy.Context) {
	var l learned
	if c.learned != nil {
		l = *c.learned
	}
	creates := false
	switch c.q.Op {
	case OpPutObject, OpPostObject, OpCopyObject, OpCreateMultipartUpload:
		creates = true
		if c.q.Op != OpCopyObject || !c.copiesTags() {
			l.tags, _ = c.saidTags() // an error: the write will be refused
		}
		l.retention, l.hold = c.saidLock()
	case OpUploadPart, OpUploadPartCopy, OpCompleteMultipartUpload:
		creates = true
		for key := range ofUpload {
			delete(ctx, key)
		}
		addHeaders(ctx, l.header)
	}
	if creates {
		done := c.q.Op != OpCreateMultipartUpload && c.q.Op != OpUploadPart && c.q.Op != OpUploadPartCopy
		ctx["s3:objectcreationoperation"] = []string{strconv.FormatBool(done)}
		if d := c.b.Default; l.retention.Mode == "" && c.b.ObjectLock && d.Mode != "" {
			l.retention = Retention{d.Mode, c.now().AddDate(d.Years, 0, d.Days)}
		}
	}
	addTags(ctx, policy.RequestTag, l.tags)
	addRetention(ctx, l.retention, c.now())
	ctx.Set("s3:object-lock-legal-hold", l.hold)
	if c.q.Op == OpCopyObject || c.q.Op == OpUploadPartCopy {
		addCopySource(ctx, wire.First(c.r.Header, "X-Amz-Copy-Source"))
	}
}

// saidTags are those of the header x-amz-tagging, or of a form's field "tagging".
func (c *call) saidTags() ([]tagging.Tag, error) {
	if c.formTags != nil {
		return c.formTags, nil
	}
	return ParseTagging(wire.First(c.r.Header, "X-Amz-Tagging"))
}

// saidLock is what the lock headers ask for. What cannot be read is judged as it is written, before it is refused.
func (c *call) saidLock() (Retention, string) {
	l, err := ParseLockHeaders(c.r.Header, c.now())
	if err != nil {
		l.Mode = wire.First(c.r.Header, "X-Amz-Object-Lock-Mode")
	}
	return l.Retention, wire.First(c.r.Header, "X-Amz-Object-Lock-Legal-Hold")
}

// addExisting adds what only the store knows: the tags of the version that the request is about, as they are today; its id where the request names a view instead;
// and, for a delete that bypasses a retention, that retention. p says what is worth looking up.
func (c *call) addExisting(ctx policy.Context, s *subject, action string, p *policy.Policy) error {
	deletes := action == "s3:BypassGovernanceRetention" && (c.q.Op == OpDeleteObject || c.q.Op == OpDeleteObjects)
	wanted := func(key string) bool {
		return strings.HasPrefix(key, policy.ExistingTag) || !s.at.Now() && key == "s3:versionid" || deletes && (retentionKeys[key] || key == "s3:object-lock-legal-hold")
	}
	if s.key == "" || !p.Asks(wanted) {
		return nil
	}
	v, err := c.lookToJudge(stele.Place{Bucket: s.name, Key: s.key, VersionID: s.version, At: s.at})
	if errors.Is(err, stele.ErrNoBucket) || errors.Is(err, stele.ErrNoKey) || errors.Is(err, stele.ErrNoVersion) || errors.Is(err, stele.ErrMarker) {
		return nil // no object, no tags
	}
	if err == nil && !s.at.Now() {
		v.Tags, v.Lock, err = c.store.NewestAttributes(c.ctx, v)
	}
	if err != nil {
		return err
	}
	addTags(ctx, policy.ExistingTag, tagList(v.Tags))
	if !s.at.Now() {
		ctx["s3:versionid"] = []string{v.ID}
	}
	if deletes {
		addRetention(ctx, Retention{v.Lock.Mode, v.Lock.Until}, c.now())
		ctx["s3:object-lock-legal-hold"] = []string{onOff(v.Lock.Hold)}
	}
	return nil
}
