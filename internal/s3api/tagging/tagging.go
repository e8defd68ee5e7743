// Package tagging is the tags of objects and buckets: S3's limits, and their document.
package tagging

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
)

// Tag is one object or bucket tag.
type Tag struct{ Key, Value string }

const (
	MaxOfObject   = 10 // tags of an object
	MaxOfBucket   = 50 // tags of a bucket
	maxKeyRunes   = 128
	maxValueRunes = 256
)

// Decode parses a Tagging document for an object or for a bucket.
func Decode(b []byte, bucket bool) ([]Tag, error) {
	root, err := s3xml.Parse(b, "Tagging")
	if err != nil {
		return nil, err
	}
	set := root.Child("TagSet")
	if !set.Exists() {
		return nil, s3err.ErrMalformedXML
	}
	if bucket {
		return DecodeSet(set, MaxOfBucket)
	}
	return DecodeSet(set, MaxOfObject)
}

// DecodeSet parses the element TagSet of a document, with at most limit tags.
func DecodeSet(set s3xml.Elem, limit int) ([]Tag, error) {
	tags := []Tag{}
	for t := range set.Children() {
		key, value := t.Child("Key"), t.Child("Value")
		if t.Name() != "Tag" || !key.Exists() || !value.Exists() {
			return nil, s3err.ErrMalformedXML
		}
		tags = append(tags, Tag{key.Text(), value.Text()})
	}
	return tags, Check(tags, limit)
}

// Check holds tags to S3's limits. limit is MaxOfObject or MaxOfBucket.
func Check(tags []Tag, limit int) error {
	if len(tags) > limit {
		if limit == MaxOfBucket {
			return s3err.ErrBucketTagCount
		}
		return s3err.ErrObjectTagCount
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		invalid := func(text string) error {
			return s3err.ErrInvalidTag.Msg("%s", text).With("TagKey", t.Key).With("TagValue", t.Value)
		}
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > maxKeyRunes || !isTagText(t.Key):
			return invalid("The TagKey you have provided is invalid")
		case utf8.RuneCountInString(t.Value) > maxValueRunes || !isTagText(t.Value):
			return invalid("The TagValue you have provided is invalid")
		case limit == MaxOfBucket && strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return invalid("System tags cannot be added/updated by requester")
		case seen[t.Key]:
			return invalid("Cannot provide multiple Tags with the same key")
		}
		seen[t.Key] = true
	}
	return nil
}

// isTagText allows letters, digits and spaces of any script, and _ . : / = + - @.
func isTagText(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !unicode.IsMark(r) && !strings.ContainsRune("_.:/=+-@", r) {
			return false
		}
	}
	return true
}

// Append appends a Tagging document.
func Append(b []byte, tags []Tag) []byte {
	w := s3xml.Writer{B: b}
	w.Root("Tagging")
	w.Open("TagSet")
	for _, t := range tags {
		w.Open("Tag")
		w.Str("Key", t.Key)
		w.Str("Value", t.Value)
		w.Close("Tag")
	}
	w.Close("TagSet")
	w.Close("Tagging")
	return w.B
}
