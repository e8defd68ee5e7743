package s3api

import (
	"net/http"
	"strconv"

	"stele"
	"stele/entry"
	"stele/internal/s3api/s3err"
)

// putObject: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
func (c *call) putObject() error {
	attr, err := c.requestAttributes()
	if err != nil {
		return err
	}
	cond, err := writeConditions(c.r.Header)
	if err != nil {
		return err
	}
	in, err := c.openBody(CRC64NVME)
	if err != nil {
		return err
	}
	defer in.close()
	if attr.lock != nil && in.want.MD5 == nil && in.want.Algorithm == NoChecksum {
		return s3err.ErrInvalidRequest.Msg("Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
	}
	v, err := c.store.Put(c.ctx, stele.PutRequest{By: c.by, Bucket: c.name, Key: c.q.Key, Body: in.r, Size: in.size, Headers: attr.headers, Meta: attr.meta, Tags: attr.tags, Lock: attr.lock,
		If: cond, Tee: in.tee, Finish: in.finish})
	if err != nil {
		return err
	}
	return c.replyPut(&v)
}

// replyPut answers a write that made a version.
func (c *call) replyPut(v *stele.Version) error {
	h := c.w.Header()
	h["ETag"] = quoted(v.ETag)
	c.setNewVersion(h, v)
	setSum(h, v.Checksum)
	c.setExpiration(h, v)
	h["X-Amz-Server-Side-Encryption"] = isAES256
	h["X-Amz-Object-Size"] = []string{strconv.FormatInt(v.Size, 10)}
	if err := c.setCommitted(h, v.Entry); err != nil {
		return err
	}
	return c.reply(http.StatusOK)
}

// setSum writes a kept checksum into the reply.
func setSum(h http.Header, sum *entry.Checksum) {
	if sum == nil {
		return
	}
	alg, err := ParseAlgorithm(sum.Algorithm)
	if err != nil {
		return
	}
	setChecksum(h, alg, sum.Value, sum.Kind)
}
