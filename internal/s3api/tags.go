package s3api

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tag is one object or bucket tag.
type Tag struct{ Key, Value string }

const (
	maxObjectTags    = 10
	maxBucketTags    = 50
	maxTagKeyRunes   = 128
	maxTagValueRunes = 256
)

// ParseTagging reads the header x-amz-tagging: URL query parameters.
func ParseTagging(header string) ([]Tag, error) {
	if header == "" {
		return nil, nil
	}
	invalid := InvalidArgument("x-amz-tagging", header, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	if len(header) > 8<<10 {
		return nil, invalid
	}
	q, err := parseQuery(header)
	if err != nil {
		return nil, invalid
	}
	tags := make([]Tag, len(q))
	for i, p := range q {
		tags[i] = Tag{p.Name, p.Value}
		if p.Name == "" {
			return nil, invalid
		}
		for _, before := range tags[:i] {
			if before.Key == p.Name {
				return nil, invalid
			}
		}
	}
	return tags, checkTags(tags, maxObjectTags)
}

// DecodeTagging parses a Tagging document for an object or for a bucket.
func DecodeTagging(b []byte, bucket bool) ([]Tag, error) {
	root, err := parseRoot(b, "Tagging")
	if err != nil {
		return nil, err
	}
	set := root.child("TagSet")
	if !set.exists() {
		return nil, ErrMalformedXML
	}
	if bucket {
		return decodeTagSet(set, maxBucketTags)
	}
	return decodeTagSet(set, maxObjectTags)
}

func decodeTagSet(set elem, limit int) ([]Tag, error) {
	tags := []Tag{}
	for t := range set.children() {
		key, value := t.child("Key"), t.child("Value")
		if t.name() != "Tag" || !key.exists() || !value.exists() {
			return nil, ErrMalformedXML
		}
		tags = append(tags, Tag{key.text(), value.text()})
	}
	return tags, checkTags(tags, limit)
}

// checkTags holds tags to S3's limits.
func checkTags(tags []Tag, limit int) error {
	if len(tags) > limit {
		if limit == maxBucketTags {
			return ErrBucketTagCount
		}
		return ErrObjectTagCount
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		invalid := func(text string) error {
			return ErrInvalidTag.Msg("%s", text).With("TagKey", t.Key).With("TagValue", t.Value)
		}
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > maxTagKeyRunes || !tagText(t.Key):
			return invalid("The TagKey you have provided is invalid")
		case utf8.RuneCountInString(t.Value) > maxTagValueRunes || !tagText(t.Value):
			return invalid("The TagValue you have provided is invalid")
		case limit == maxBucketTags && strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return invalid("System tags cannot be added/updated by requester")
		case seen[t.Key]:
			return invalid("Cannot provide multiple Tags with the same key")
		}
		seen[t.Key] = true
	}
	return nil
}

// tagText allows letters, digits and spaces of any script, and _ . : / = + - @.
func tagText(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && !strings.ContainsRune("_.:/=+-@", r) {
			return false
		}
	}
	return true
}

// AppendTagging appends a Tagging document.
func AppendTagging(b []byte, tags []Tag) []byte {
	w := xw{b}
	w.root("Tagging")
	w.open("TagSet")
	for _, t := range tags {
		w.open("Tag")
		w.str("Key", t.Key)
		w.str("Value", t.Value)
		w.close("Tag")
	}
	w.close("TagSet")
	w.close("Tagging")
	return w.b
}
