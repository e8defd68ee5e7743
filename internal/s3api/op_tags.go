package s3api

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"stele"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/tagging"
)

func (c *call) getObjectTagging() error {
	v, err := c.head()
	if err != nil {
		return c.ofMarker(&v, err)
	}
	tags := tagList(v.Tags)
	c.setVersion(c.w.Header(), &v)
	return c.replyDocument(func(b []byte) []byte { return tagging.Append(b, tags) })
}

// tagList is how S3 shows tags: in order.
func tagList(m map[string]string) []tagging.Tag {
	tags := make([]tagging.Tag, 0, len(m))
	for k, t := range m {
		tags = append(tags, tagging.Tag{Key: k, Value: t})
	}
	slices.SortFunc(tags, func(a, b tagging.Tag) int { return strings.Compare(a.Key, b.Key) })
	return tags
}

// ofMarker is the error where tags or lock of a delete marker are meant: S3 says that a marker has none, also where it is current and no version was named,
// when a read says that there is no such key.
func (c *call) ofMarker(v *stele.Version, err error) error {
	if !v.Marker || !errors.Is(err, stele.ErrNoKey) {
		return err
	}
	h := c.w.Header()
	h["X-Amz-Delete-Marker"], h["Allow"] = isTrue, []string{"DELETE"}
	c.setVersion(h, v)
	return s3err.MethodNotAllowed(c.r.Method, "DeleteMarker")
}

func (c *call) putObjectTagging() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	tags, err := tagging.Decode(doc, false)
	if err != nil {
		return err
	}
	if err := c.learn(learned{tags: tags}); err != nil {
		return err
	}
	v, err := c.change(func(at stele.Place) (stele.Version, error) { return c.store.SetTags(c.ctx, c.by, at, tagMap(tags)) })
	return c.changed(&v, c.ofMarker(&v, err), http.StatusOK)
}

func (c *call) deleteObjectTagging() error {
	v, err := c.change(func(at stele.Place) (stele.Version, error) { return c.store.SetTags(c.ctx, c.by, at, nil) })
	return c.changed(&v, c.ofMarker(&v, err), http.StatusNoContent)
}
