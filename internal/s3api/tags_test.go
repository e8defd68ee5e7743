package s3api

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestTaggingHeader(t *testing.T) {
	for header, want := range map[string][]Tag{
		"": nil, "&&": {}, "key": {{"key", ""}}, "key=&": {{"key", ""}}, "a=1&b=2": {{"a", "1"}, {"b", "2"}},
		"k%2E=v%2B": {{"k.", "v+"}}, "a++b=c++d": {{"a  b", "c  d"}}, "%E6%97%A5=%C3%A9": {{"\u65e5", "\u00e9"}},
		strings.Repeat("k", 128) + "=" + strings.Repeat("v", 256): {{strings.Repeat("k", 128), strings.Repeat("v", 256)}},
	} {
		got, err := ParseTagging(header)
		if err != nil || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", header, got, err)
		}
	}
	for header, want := range map[string]string{
		"=": "InvalidArgument: shall be encoded", "key%": "InvalidArgument: shall be encoded", "a=1&a=2": "InvalidArgument: without tag name duplicates",
		"%ff=1": "InvalidArgument: shall be encoded", "a?=1": "InvalidTag: The TagKey you have provided is invalid", "a=1!": "InvalidTag: The TagValue you have provided is invalid",
		strings.Repeat("k", 129): "InvalidTag: TagKey", "k=" + strings.Repeat("v", 257): "InvalidTag: TagValue", strings.Repeat("k", 9000): "InvalidArgument: ",
		"a&b&c&d&e&f&g&h&i&j&k": "BadRequest: Object tags cannot be greater than 10",
	} {
		_, err := ParseTagging(header)
		code, message, _ := strings.Cut(want, ": ")
		wantError(t, fmt.Sprintf("%.40s", header), err, code, message)
	}
}

func TestTaggingDocument(t *testing.T) {
	tags := []Tag{{"a", "1"}, {"b c", ""}, {"\u65e5", "+-=._:/@"}}
	if got, err := DecodeTagging(AppendTagging(nil, tags), false); err != nil || !reflect.DeepEqual(got, tags) {
		t.Errorf("%v, %v", got, err)
	}
	many := func(n int) []byte {
		tags := make([]Tag, n)
		for i := range tags {
			tags[i].Key = fmt.Sprint("k", i)
		}
		return AppendTagging(nil, tags)
	}
	for _, c := range []struct {
		doc    []byte
		bucket bool
		err    string
	}{
		{many(0), false, ""}, {many(10), false, ""}, {many(50), true, ""},
		{many(11), false, "BadRequest: Object tags"},
		{many(51), true, "BadRequest: Bucket tag count"},
		{[]byte("<Tagging/>"), false, "MalformedXML: "},
		{[]byte("<Tagging><TagSet><Tag><Key>k</Key></Tag></TagSet></Tagging>"), false, "MalformedXML: "},
		{[]byte("<Tagging><TagSet><X/></TagSet></Tagging>"), false, "MalformedXML: "},
		{AppendTagging(nil, []Tag{{"a", ""}, {"a", ""}}), false, "InvalidTag: Cannot provide multiple Tags with the same key"},
		{AppendTagging(nil, []Tag{{"", "x"}}), false, "InvalidTag: TagKey"},
		{AppendTagging(nil, []Tag{{"AWS:x", "x"}}), true, "InvalidTag: System tags"},
	} {
		_, err := DecodeTagging(c.doc, c.bucket)
		if c.err == "" && err != nil {
			t.Errorf("%s: %v", c.doc, err)
		} else if c.err != "" {
			code, message, _ := strings.Cut(c.err, ": ")
			wantError(t, string(c.doc), err, code, message)
		}
	}
}
