package s3api

import (
	"net/http"
	"slices"
	"strings"
)

func (c *call) getObjectTagging() error {
	v, err := c.head()
	if err != nil {
		return err
	}
	tags := tagList(v.Tags)
	c.setVersion(c.w.Header(), &v)
	return c.replyDocument(func(b []byte) []byte { return AppendTagging(b, tags) })
}

// tagList is how S3 shows tags: in order.
func tagList(m map[string]string) []Tag {
	tags := make([]Tag, 0, len(m))
	for k, t := range m {
		tags = append(tags, Tag{k, t})
	}
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return tags
}

func (c *call) putObjectTagging() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	tags, err := DecodeTagging(doc, false)
	if err != nil {
		return err
	}
	v, err := c.store.SetTags(c.ctx, c.by, c.place(), tagMap(tags))
	return c.changed(&v, err, http.StatusOK)
}

func (c *call) deleteObjectTagging() error {
	v, err := c.store.SetTags(c.ctx, c.by, c.place(), nil)
	return c.changed(&v, err, http.StatusNoContent)
}
