package s3api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"stele"
	"stele/internal/lifecycle"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// Settings of buckets are kept as documents: as this package writes them, the policy as it was sent.

// settled answers a change of a setting.
func (c *call) settled(done stele.Committed, err error, status int) error {
	if err != nil {
		return err
	}
	if err := c.setCommitted(c.w.Header(), done.Entry); err != nil {
		return err
	}
	return c.reply(status)
}

func (c *call) keep(name stele.Setting, doc []byte, status int) error {
	done, err := c.store.SetSetting(c.ctx, c.by, c.name, name, string(doc))
	return c.settled(done, err, status)
}

// drop removes a setting; one that is not there is removed without an entry.
func (c *call) drop(name stele.Setting) error {
	if c.b.Settings[name] == "" {
		return c.reply(http.StatusNoContent)
	}
	return c.keep(name, nil, http.StatusNoContent)
}

// show sends a setting that is kept as XML.
func (c *call) show(name stele.Setting, missing *s3err.Error) error {
	doc := c.b.Settings[name]
	if doc == "" {
		return missing.With("BucketName", c.q.Bucket)
	}
	return c.replyXML(http.StatusOK, []byte(doc))
}

func (c *call) getBucketVersioning() error {
	return c.replyDocument(func(b []byte) []byte { return AppendVersioning(b, string(c.b.Versioning)) })
}

func (c *call) putBucketVersioning() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	to, err := DecodeVersioning(doc)
	if err != nil {
		return err
	}
	if c.b.ObjectLock && stele.Versioning(to) != stele.Enabled {
		return s3err.ErrVersioningLocked
	}
	done, err := c.store.SetVersioning(c.ctx, c.by, c.name, stele.Versioning(to))
	return c.settled(done, err, http.StatusOK)
}

func (c *call) getBucketTagging() error { return c.show(stele.SettingTagging, s3err.ErrNoSuchTagSet) }

func (c *call) putBucketTagging() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	tags, err := tagging.Decode(doc, true)
	if err != nil {
		return err
	}
	return c.keep(stele.SettingTagging, tagging.Append(nil, tags), http.StatusOK) // AWS's page shows 204 and 200; minio-js takes 200 only, and all others take either
}

func (c *call) deleteBucketTagging() error { return c.drop(stele.SettingTagging) }

func (c *call) getBucketPolicy() error {
	doc := c.b.Settings[stele.SettingPolicy]
	if doc == "" {
		return s3err.ErrNoSuchBucketPolicy.With("BucketName", c.q.Bucket)
	}
	h := c.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(doc))}
	c.begin(http.StatusOK)
	n, _ := c.w.Write([]byte(doc)) // an error: the client is gone
	c.sent += int64(n)
	return nil
}

func (c *call) putBucketPolicy() error {
	doc, err := c.readDocument(policy.MaxBytes, false)
	if err != nil {
		return err
	}
	p, err := policy.Parse(doc, policy.Rules{Bucket: c.name, Known: c.knownKey})
	if err != nil {
		return err
	}
	if text := c.b.Settings[stele.SettingPublic]; text != "" && p.Public() {
		if block, err := DecodePublicAccessBlock([]byte(text)); err != nil || block.BlockPublicPolicy {
			return s3err.ErrAccessDenied.Msg("The policy lets everyone in, and the bucket's public access block forbids such policies.")
		}
	}
	return c.keep(stele.SettingPolicy, doc, http.StatusNoContent)
}

// knownKey tells whether a policy may name an access key.
func (c *call) knownKey(id string) bool {
	_, err := c.store.Keys().Get(c.ctx, id)
	return err == nil
}

func (c *call) deleteBucketPolicy() error { return c.drop(stele.SettingPolicy) }

func (c *call) getBucketPolicyStatus() error {
	doc := c.b.Settings[stele.SettingPolicy]
	if doc == "" {
		return s3err.ErrNoSuchBucketPolicy.With("BucketName", c.q.Bucket)
	}
	p, err := policy.Parse([]byte(doc), policy.Rules{Bucket: c.name, Stored: true})
	if err != nil {
		return err
	}
	return c.replyDocument(func(b []byte) []byte { return AppendPolicyStatus(b, p.Public()) })
}

func (c *call) getBucketLifecycle() error {
	doc := c.b.Settings[stele.SettingLifecycle]
	if doc == "" {
		return s3err.ErrNoSuchLifecycle.With("BucketName", c.q.Bucket)
	}
	l, err := c.rules.get(doc, lifecycle.Parse)
	if err != nil {
		return err
	}
	c.setSmallest(l)
	return c.replyDocument(l.AppendXML)
}

func (c *call) setSmallest(l *lifecycle.Configuration) {
	smallest := l.Smallest
	if smallest == "" { // kept before this was asked for
		smallest = lifecycle.DefaultSmallest
	}
	c.w.Header()["X-Amz-Transition-Default-Minimum-Object-Size"] = []string{smallest}
}

func (c *call) putBucketLifecycle() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	l, err := lifecycle.Parse(doc)
	if err != nil {
		return err
	}
	if l.Smallest != "" { // an element of ours
		return s3err.ErrMalformedXML
	}
	if l.Smallest, err = lifecycle.ParseSmallest(wire.First(c.r.Header, "X-Amz-Transition-Default-Minimum-Object-Size")); err != nil {
		return err
	}
	c.setSmallest(l)
	return c.keep(stele.SettingLifecycle, l.AppendKept(nil), http.StatusOK)
}

// lifecycle is the bucket's; nil: none.
func (c *call) lifecycle() *lifecycle.Configuration {
	text := c.b.Settings[stele.SettingLifecycle]
	if text == "" || !c.at.Now() {
		return nil
	}
	l, err := c.rules.get(text, lifecycle.Parse)
	if err != nil {
		c.log.Error("stored lifecycle rules cannot be read", "bucket", c.name, "err", err)
		return nil
	}
	return l
}

// setExpiration says when the lifecycle rules will hide a current version.
func (c *call) setExpiration(h http.Header, v *stele.Version) {
	l := c.lifecycle()
	if l == nil || !v.Latest {
		return
	}
	if at, rule, ok := l.Expiration(v.Key, v.Size, tagList(v.Tags), v.Time); ok {
		h["X-Amz-Expiration"] = []string{expirationHeader(at, rule)}
	}
}

// expirationHeader is the value of x-amz-expiration.
func expirationHeader(at time.Time, rule string) string {
	return `expiry-date="` + at.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") + `", rule-id="` + string(wire.AppendEscaped(nil, rule, false)) + `"`
}

// setAbort says when the lifecycle rules will abort an upload.
func (c *call) setAbort(h http.Header, u *stele.Upload) {
	l := c.lifecycle()
	if l == nil {
		return
	}
	if _, at, rule := l.AbortUpload(u.Key, u.Started, c.now()); !at.IsZero() {
		h["X-Amz-Abort-Date"] = []string{httpTime(at)}
		h["X-Amz-Abort-Rule-Id"] = []string{rule}
	}
}

func (c *call) deleteBucketLifecycle() error { return c.drop(stele.SettingLifecycle) }

// Encryption cannot be switched off: every chunk is encrypted.

func (c *call) getBucketEncryption() error { return c.replyDocument(AppendEncryption) }

func (c *call) putBucketEncryption() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	if err := DecodeEncryption(doc); err != nil {
		return err
	}
	return c.reply(http.StatusOK)
}

func (c *call) deleteBucketEncryption() error { return c.reply(http.StatusNoContent) }

// noOwnership stands for ownership controls that were deleted; a bucket that never had any is BucketOwnerEnforced, as at AWS.
const noOwnership = "none"

func (c *call) getOwnershipControls() error {
	switch c.b.Settings[stele.SettingOwnership] {
	case "":
		return c.replyDocument(func(b []byte) []byte { return AppendOwnership(b, BucketOwnerEnforced) })
	case noOwnership:
		return s3err.ErrNoSuchOwnershipControls.With("BucketName", c.q.Bucket)
	}
	return c.show(stele.SettingOwnership, s3err.ErrNoSuchOwnershipControls)
}

func (c *call) putOwnershipControls() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	o, err := DecodeOwnership(doc)
	if err != nil {
		return err
	}
	return c.keep(stele.SettingOwnership, AppendOwnership(nil, o), http.StatusOK)
}

func (c *call) deleteOwnershipControls() error {
	return c.keep(stele.SettingOwnership, []byte(noOwnership), http.StatusNoContent)
}

func (c *call) getPublicAccessBlock() error {
	return c.show(stele.SettingPublic, s3err.ErrNoSuchPublicAccessBlock)
}

func (c *call) putPublicAccessBlock() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	p, err := DecodePublicAccessBlock(doc)
	if err != nil {
		return err
	}
	return c.keep(stele.SettingPublic, p.AppendXML(nil), http.StatusOK)
}

func (c *call) deletePublicAccessBlock() error { return c.drop(stele.SettingPublic) }

func (c *call) getBucketRequestPayment() error { return c.replyDocument(AppendRequestPayment) }

// getACL is GetBucketAcl and GetObjectAcl: the owner has full control, nobody else is in the list.
func (c *call) getACL() error {
	if c.q.Key != "" {
		v, err := c.head()
		if err != nil {
			return err
		}
		c.setVersion(c.w.Header(), &v)
	}
	return c.replyDocument(func(b []byte) []byte { return AppendACL(b, ownerOf(&c.b)) })
}

// putACL is PutBucketAcl and PutObjectAcl: it accepts what changes nothing.
func (c *call) putACL() error {
	if c.q.Key != "" {
		if _, err := c.head(); err != nil {
			return err
		}
	}
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	canned, granted := wire.First(c.r.Header, "X-Amz-Acl") != "", hasGrants(c.r.Header)
	if o := c.b.Settings[stele.SettingOwnership]; granted && (o == "" || strings.Contains(o, BucketOwnerEnforced)) {
		return s3err.ErrACLNotSupported
	}
	switch {
	case canned && granted:
		return s3err.ErrCannedACLAndGrants
	case len(doc) > 0 && (canned || granted):
		return s3err.ErrUnexpectedContent
	case len(doc) == 0 && !canned && !granted:
		return s3err.ErrMissingSecurityHeader
	}
	if err := checkSpecials(c.r.Header); err != nil {
		return err
	}
	if len(doc) > 0 {
		if err := DecodeACL(doc, c.b.Owner); err != nil {
			return err
		}
	}
	return c.reply(http.StatusOK)
}
