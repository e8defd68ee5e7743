package tagging

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"stele/internal/s3api/s3err/s3errtest"
)

func TestDocument(t *testing.T) {
	tags := []Tag{{"a", "1"}, {"b c", ""}, {"\u65e5", "+-=._:/@"}}
	if got, err := Decode(Append(nil, tags), false); err != nil || !reflect.DeepEqual(got, tags) {
		t.Errorf("%v, %v", got, err)
	}
	many := func(n int) []byte {
		tags := make([]Tag, n)
		for i := range tags {
			tags[i].Key = fmt.Sprint("k", i)
		}
		return Append(nil, tags)
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
		{Append(nil, []Tag{{"a", ""}, {"a", ""}}), false, "InvalidTag: Cannot provide multiple Tags with the same key"},
		{Append(nil, []Tag{{"", "x"}}), false, "InvalidTag: TagKey"},
		{Append(nil, []Tag{{"AWS:x", "x"}}), true, "InvalidTag: System tags"},
	} {
		_, err := Decode(c.doc, c.bucket)
		if c.err == "" && err != nil {
			t.Errorf("%s: %v", c.doc, err)
		} else if c.err != "" {
			code, message, _ := strings.Cut(c.err, ": ")
			s3errtest.Want(t, string(c.doc), err, code, message)
		}
	}
}
