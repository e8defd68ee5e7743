package s3api

import (
	"encoding/base64"
	"errors"

	"stele"
	"stele/internal/s3api/s3err"
)

// listing reads the arguments that all listings share and asks the store.
func (c *call) listing(a ListArgs, after string, versions bool) (stele.Page, error) {
	q := stele.ListRequest{Bucket: c.name, Prefix: a.Prefix, Delimiter: a.Delimiter, After: after, Max: a.MaxKeys, At: c.at}
	if versions {
		q.AfterID = a.SecondMarker
		return c.store.ListVersions(c.ctx, q)
	}
	return c.store.List(c.ctx, q)
}

// listObjects is ListObjects, version 1.
func (c *call) listObjects() error {
	a, err := ParseListArgs(&c.q)
	if err != nil {
		return err
	}
	page, err := c.listing(a, a.Marker, false)
	if err != nil {
		return err
	}
	res := ListObjectsResult{Name: c.q.Bucket, Prefix: a.Prefix, Marker: a.Marker, Delimiter: a.Delimiter, MaxKeys: a.MaxKeys, IsTruncated: page.Truncated, URLEncoding: a.URLEncoding,
		Contents: c.items(&page, a.FetchOwner), CommonPrefixes: page.Prefixes}
	if page.Truncated { // AWS leaves it out without a delimiter; clients may then go on from the last key, or from this
		res.NextMarker = page.Next
	}
	return c.replyDocument(res.AppendXML)
}

// listObjectsV2 is ListObjectsV2. Its token is the last key or prefix of the page before.
func (c *call) listObjectsV2() error {
	a, err := ParseListArgs(&c.q)
	if err != nil {
		return err
	}
	after := a.Marker
	if a.HasToken {
		raw, err := base64.RawURLEncoding.DecodeString(a.Token)
		if err != nil {
			return s3err.InvalidArgument("continuation-token", a.Token, "The continuation token provided is incorrect")
		}
		after = string(raw)
	}
	page, err := c.listing(a, after, false)
	if err != nil {
		return err
	}
	res := ListObjectsV2Result{Name: c.q.Bucket, Prefix: a.Prefix, StartAfter: a.Marker, Delimiter: a.Delimiter, ContinuationToken: a.Token, HasContinuationToken: a.HasToken, MaxKeys: a.MaxKeys,
		IsTruncated: page.Truncated, URLEncoding: a.URLEncoding, Contents: c.items(&page, a.FetchOwner), CommonPrefixes: page.Prefixes}
	if page.Truncated {
		res.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(page.Next))
	}
	return c.replyDocument(res.AppendXML)
}

// listObjectVersions is ListObjectVersions.
func (c *call) listObjectVersions() error {
	a, err := ParseListArgs(&c.q)
	if err != nil {
		return err
	}
	page, err := c.listing(a, a.Marker, true)
	if errors.Is(err, stele.ErrBadName) { // the bucket's name has been read already
		return s3err.InvalidArgument("version-id-marker", a.SecondMarker, "Invalid version id specified")
	}
	if err != nil {
		return err
	}
	owner := ownerOf(&c.b)
	res := ListVersionsResult{Name: c.q.Bucket, Prefix: a.Prefix, Delimiter: a.Delimiter, KeyMarker: a.Marker, VersionIDMarker: a.SecondMarker, MaxKeys: a.MaxKeys, IsTruncated: page.Truncated,
		URLEncoding: a.URLEncoding, CommonPrefixes: page.Prefixes, Versions: make([]VersionItem, len(page.Versions))}
	if page.Truncated {
		res.NextKeyMarker, res.NextVersionIDMarker = page.Next, page.NextID
	}
	for i := range page.Versions {
		v := &page.Versions[i]
		it := &res.Versions[i]
		it.VersionID, it.IsLatest, it.DeleteMarker = v.ID, v.Latest, v.Marker
		setItem(&it.ObjectItem, v)
		it.Owner = &owner
	}
	return c.replyDocument(res.AppendXML)
}

// items are a page's objects as S3 lists them.
func (c *call) items(page *stele.Page, withOwner bool) []ObjectItem {
	owner := ownerOf(&c.b)
	out := make([]ObjectItem, len(page.Versions))
	for i := range out {
		setItem(&out[i], &page.Versions[i])
		if withOwner {
			out[i].Owner = &owner
		}
	}
	return out
}

func setItem(o *ObjectItem, v *stele.Version) {
	o.Key, o.LastModified, o.ETag, o.Size, o.StorageClass = v.Key, v.Time, v.ETag, v.Size, v.Headers[classHeader]
	if v.Checksum != nil {
		if alg, err := ParseAlgorithm(v.Checksum.Algorithm); err == nil {
			o.Algorithm, o.ChecksumType = alg, v.Checksum.Kind
		}
	}
}
