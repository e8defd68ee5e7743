package s3api

import (
	"errors"
	"io"
	"net/http"

	"stele"
	"stele/entry"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// source is what a copy reads: possibly from a view of the past, which is how S3 clients restore.
type source struct {
	CopySource
	v       stele.Version
	b       stele.Bucket
	subject subject
}

// setVersion writes x-amz-copy-source-version-id.
func (s *source) setVersion(h http.Header) {
	if s.b.Versioning != stele.Unversioned {
		h["X-Amz-Copy-Source-Version-Id"] = []string{s.v.ID}
	}
}

// copySource finds and guards the source of CopyObject and UploadPartCopy.
func (c *call) copySource() (*source, error) {
	named, err := ParseCopySource(wire.First(c.r.Header, "X-Amz-Copy-Source"))
	if err != nil {
		return nil, err
	}
	if err := checkVersionID(named.VersionID); err != nil {
		return nil, err
	}
	src := &source{CopySource: named}
	action := "s3:GetObject"
	if named.VersionID != "" {
		action = "s3:GetObjectVersion"
	}
	bucket, at, err := c.viewOf(named.Bucket)
	if err == nil {
		src.b, err = c.store.Bucket(c.ctx, bucket, at)
	}
	if errors.Is(err, stele.ErrNoBucket) || errors.As(err, new(*s3err.Error)) {
		if denied := c.require(&stele.Bucket{}, ofView(named.Bucket), stele.View{}, action, named.Key); denied != nil {
			return nil, denied // see unlessDenied
		}
	}
	if err != nil {
		return nil, sourceError(err, named)
	}
	if err := checkOwner(wire.First(c.r.Header, "X-Amz-Source-Expected-Bucket-Owner"), &src.b); err != nil {
		return nil, err
	}
	src.subject = subject{b: &src.b, name: bucket, at: at, key: named.Key, version: named.VersionID}
	if err := c.requires(&src.subject, action); err != nil {
		return nil, err
	}
	src.v, err = c.unlessUnlisted(&src.subject)(c.read(&src.b, stele.Place{Bucket: bucket, Key: named.Key, VersionID: named.VersionID, At: at}))
	if err != nil {
		return nil, sourceError(err, named)
	}
	return src, ParseSourceConditions(c.r.Header).CheckSource(src.v.ETag, src.v.Time)
}

// sourceError names the source, not the destination.
func sourceError(err error, s CopySource) error {
	switch {
	case errors.Is(err, stele.ErrNoBucket):
		return s3err.NoSuchBucket(s.Bucket)
	case errors.Is(err, stele.ErrNoVersion):
		return s3err.NoSuchVersion(s.Key, s.VersionID)
	case errors.Is(err, stele.ErrNoKey):
		return s3err.NoSuchKey(s.Key)
	case errors.Is(err, stele.ErrMarker):
		return s3err.ErrInvalidRequest.Msg("The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	return err
}

// copyObject commits a new version with the source's bytes; none are moved.
func (c *call) copyObject() error {
	if name := wire.First(c.r.Header, "X-Amz-Checksum-Algorithm"); name != "" {
		if _, err := ParseAlgorithm(name); err != nil {
			return err
		}
	}
	src, err := c.copySource()
	if err != nil {
		return err
	}
	if c.copiesTags() {
		if err := c.judgeCopiedTags(src); err != nil {
			return err
		}
	}
	attr, replaces, err := c.copyAttributes(src)
	if err != nil {
		return err
	}
	if src.Bucket == c.q.Bucket && src.Key == c.q.Key && src.VersionID == "" && !replaces && wire.First(c.r.Header, "X-Amz-Website-Redirect-Location") == "" &&
		wire.First(c.r.Header, "X-Amz-Server-Side-Encryption") == "" && wire.First(c.r.Header, "X-Amz-Storage-Class") == "" {
		return s3err.ErrCopyToSelf
	}
	cond, err := writeConditions(c.r.Header)
	if err != nil {
		return err
	}
	sum, err := c.copyChecksum(src)
	if err != nil {
		return err
	}
	v, err := c.store.Copy(c.ctx, stele.CopyRequest{Source: src.v, Checksum: sum,
		PutRequest: stele.PutRequest{By: c.by, Bucket: c.name, Key: c.q.Key, Headers: attr.headers, Meta: attr.meta, Tags: attr.tags, Lock: attr.lock, If: cond}})
	if err != nil {
		return err
	}
	h := c.w.Header()
	c.setNewVersion(h, &v)
	src.setVersion(h)
	c.setExpiration(h, &v)
	h["X-Amz-Server-Side-Encryption"] = isAES256
	if err := c.setCommitted(h, v.Entry); err != nil {
		return err
	}
	res := Copied{ETag: v.ETag, LastModified: v.Time}
	if v.Checksum != nil {
		res.Algorithm, res.Checksum, res.ChecksumType = algorithmOf(v.Checksum), v.Checksum.Value, v.Checksum.Kind
	}
	return c.replyDocument(func(b []byte) []byte { return res.AppendXML(b, false) })
}

// judgeCopiedTags judges the tags that a copy takes along from its source as if the request had named them.
func (c *call) judgeCopiedTags(src *source) error {
	if err := c.learn(learned{tags: tagList(src.v.Tags)}); err != nil || len(src.v.Tags) == 0 {
		return err
	}
	action := "s3:GetObjectTagging"
	if src.VersionID != "" {
		action = "s3:GetObjectVersionTagging"
	}
	if err := c.requires(&src.subject, action); err != nil {
		return err
	}
	return c.mayAlso("s3:PutObjectTagging")
}

// copyAttributes are those of the source, or of the request, as the directives say. The lock is never the source's.
func (c *call) copyAttributes(src *source) (a attributes, replaces bool, err error) {
	h := c.r.Header
	if err := checkSpecials(h); err != nil {
		return a, false, err
	}
	meta, err := directive(h, "X-Amz-Metadata-Directive", "x-amz-metadata-directive", "Unknown metadata directive.")
	if err != nil {
		return a, false, err
	}
	tagging, err := directive(h, "X-Amz-Tagging-Directive", "x-amz-tagging-directive", "Unknown tagging directive.")
	if err != nil {
		return a, false, err
	}
	if a.headers, err = requestHeaders(h); err == nil {
		a.meta, err = requestMeta(h)
	}
	if !meta {
		a.headers, a.meta = withoutRedirect(src.v.Headers, wire.First(h, "X-Amz-Website-Redirect-Location")), src.v.Meta
	}
	if err != nil {
		return a, false, err
	}
	a.headers = withClass(a.headers, wire.First(h, "X-Amz-Storage-Class")) // never the source's, as at AWS
	if tagging {
		a.tags, err = c.requestTags()
	} else {
		a.tags = src.v.Tags
	}
	if err != nil {
		return a, false, err
	}
	a.lock, err = c.requestLock()
	return a, meta || tagging, err
}

// directive reads COPY (or nothing) and REPLACE.
func directive(h http.Header, canonical, name, unknown string) (replace bool, err error) {
	switch v := wire.First(h, canonical); v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, s3err.InvalidArgument(name, v, "%s", unknown)
	}
}

// withoutRedirect copies headers except the redirect, which S3 never copies.
func withoutRedirect(from map[string]string, redirect string) map[string]string {
	const name = "x-amz-website-redirect-location"
	if _, ok := from[name]; !ok && redirect == "" {
		return from
	}
	out := make(map[string]string, len(from)+1)
	for k, v := range from {
		out[k] = v
	}
	delete(out, name)
	if redirect != "" {
		out[name] = redirect
	}
	return out
}

// copyChecksum computes the checksum that the client wants the copy to have, if the source has another; nil: the source's.
func (c *call) copyChecksum(src *source) (*entry.Checksum, error) {
	name := wire.First(c.r.Header, "X-Amz-Checksum-Algorithm")
	if name == "" {
		return nil, nil
	}
	alg, err := ParseAlgorithm(name)
	if err != nil {
		return nil, err
	}
	if have := src.v.Checksum; have != nil && have.Algorithm == alg.String() && have.Kind == FullObject {
		return nil, nil
	}
	if src.v.Size > bigBodyBytes {
		if err := c.takePlace(c.reads); err != nil {
			return nil, err
		}
	}
	body, err := c.store.OpenBody(c.ctx, src.v, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	hash := alg.New()
	if _, err := io.Copy(hash, body); err != nil {
		return nil, err
	}
	return &entry.Checksum{Algorithm: alg.String(), Kind: FullObject, Value: alg.Encode(hash.Sum(nil))}, nil
}
