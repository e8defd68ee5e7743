package s3api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"stele"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// listBuckets shows the buckets that the key's scope or their policies let it see.
func (c *call) listBuckets() error {
	limit, prefix, token, err := listBucketsArgs(&c.q)
	if err != nil {
		return err
	}
	all, err := c.store.Buckets(c.ctx, stele.View{})
	if err != nil {
		return err
	}
	res := ListBucketsResult{Owner: Owner{ID: c.key.ID, DisplayName: c.key.ID}, Prefix: prefix}
	for i := range all {
		b := &all[i]
		if !strings.HasPrefix(b.Name, prefix) || b.Name <= token && token != "" || !InScope(c.key.Scope, b.Name) {
			continue
		}
		if len(res.Buckets) == limit {
			res.ContinuationToken = res.Buckets[limit-1].Name
			break
		}
		item := BucketItem{Name: b.Name, Created: b.Created}
		if len(c.q.Query) > 0 {
			item.Region = c.opt.Region
		}
		res.Buckets = append(res.Buckets, item)
	}
	return c.replyDocument(res.AppendXML)
}

// listBucketsArgs reads max-buckets, prefix and continuation-token.
func listBucketsArgs(q *Request) (limit int, prefix, token string, err error) {
	limit = 10000
	if v, ok := q.Query.Lookup("max-buckets"); ok {
		if limit, err = strconv.Atoi(v); err != nil || limit < 1 || limit > 10000 {
			return 0, "", "", s3err.InvalidArgument("max-buckets", v, "Argument max-buckets must be an integer between 1 and 10000.")
		}
	}
	return limit, q.Query.Get("prefix"), q.Query.Get("continuation-token"), nil
}

// createBucket begins a bucket.
func (c *call) createBucket() error {
	h := c.r.Header
	if !ValidBucketName(c.name) {
		return s3err.ErrInvalidBucketName.With("BucketName", c.name)
	}
	ownership := wire.First(h, "X-Amz-Object-Ownership")
	if err := checkBucketACL(h, ownership); err != nil {
		return err
	}
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	conf, err := DecodeCreateBucket(doc)
	if err != nil {
		return err
	}
	// As at AWS, the region us-east-1 is not named.
	if l := conf.LocationConstraint; l != "" && (l != c.opt.Region || l == "us-east-1") {
		return s3err.ErrInvalidLocation.With("LocationConstraint", l)
	}
	lock := false
	switch v := wire.First(h, "X-Amz-Bucket-Object-Lock-Enabled"); {
	case strings.EqualFold(v, "true"):
		lock = true
	case v != "" && !strings.EqualFold(v, "false"):
		return s3err.InvalidArgument("x-amz-bucket-object-lock-enabled", v, "Invalid value")
	}
	done, err := c.store.CreateBucket(c.ctx, c.by, c.name, lock)
	if errors.Is(err, stele.ErrBucketExists) {
		return c.bucketTaken()
	}
	if err != nil {
		return err
	}
	if err := c.firstSettings(ownership, conf.Tags); err != nil {
		return err
	}
	c.w.Header()["Location"] = []string{"/" + c.name}
	c.w.Header()["X-Amz-Bucket-Arn"] = []string{policy.ARNPrefix + c.name}
	if err := c.setCommitted(c.w.Header(), done.Entry); err != nil {
		return err
	}
	return c.reply(http.StatusOK)
}

// firstSettings sets what CreateBucket may say of the bucket besides its name.
func (c *call) firstSettings(ownership string, tags []tagging.Tag) error {
	if ownership != "" {
		if _, err := c.store.SetSetting(c.ctx, c.by, c.name, stele.SettingOwnership, string(AppendOwnership(nil, ownership))); err != nil {
			return err
		}
	}
	if len(tags) > 0 {
		if _, err := c.store.SetSetting(c.ctx, c.by, c.name, stele.SettingTagging, string(tagging.Append(nil, tags))); err != nil {
			return err
		}
	}
	return nil
}

// bucketTaken tells the owner apart from others.
func (c *call) bucketTaken() error {
	b, err := c.store.Bucket(c.ctx, c.name, stele.View{})
	if err == nil && (b.Owner == c.key.ID || Role(c.key.Role) == Admin) {
		return s3err.ErrBucketAlreadyOwnedByYou.With("BucketName", c.name)
	}
	return s3err.ErrBucketAlreadyExists.With("BucketName", c.name)
}

// checkBucketACL refuses ownership and ACL headers that CreateBucket cannot follow.
func checkBucketACL(h http.Header, ownership string) error {
	if ownership != "" && ownership != BucketOwnerEnforced && ownership != "BucketOwnerPreferred" && ownership != "ObjectWriter" {
		return s3err.InvalidArgument("x-amz-object-ownership", ownership, "Invalid x-amz-object-ownership header: %s", ownership)
	}
	granted := hasGrants(h)
	acl := wire.First(h, "X-Amz-Acl")
	switch {
	case granted && acl != "":
		return s3err.ErrCannedACLAndGrants
	case granted, acl == "public-read", acl == "public-read-write", acl == "authenticated-read":
		return s3err.ErrACLWithOwnership
	}
	return checkCannedACL(acl)
}

// hasGrants tells whether headers grant anything.
func hasGrants(h http.Header) bool {
	return slices.ContainsFunc([]string{"X-Amz-Grant-Full-Control", "X-Amz-Grant-Read", "X-Amz-Grant-Read-Acp", "X-Amz-Grant-Write", "X-Amz-Grant-Write-Acp"},
		func(n string) bool { return wire.First(h, n) != "" })
}

func (c *call) headBucket() error {
	h := c.w.Header()
	h["X-Amz-Bucket-Region"] = []string{c.opt.Region}
	h["X-Amz-Access-Point-Alias"] = []string{"false"}
	return c.reply(http.StatusOK)
}

func (c *call) deleteBucket() error {
	done, err := c.store.DeleteBucket(c.ctx, c.by, c.name)
	if err != nil {
		return err
	}
	if err := c.setCommitted(c.w.Header(), done.Entry); err != nil {
		return err
	}
	return c.reply(http.StatusNoContent)
}

func (c *call) getBucketLocation() error {
	return c.replyDocument(func(b []byte) []byte { return AppendLocation(b, c.opt.Region) })
}
