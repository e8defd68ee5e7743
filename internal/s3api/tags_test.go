package s3api

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/tagging"
)

func TestTaggingHeader(t *testing.T) {
	for header, want := range map[string][]tagging.Tag{
		"": nil, "&&": {}, "key": {{Key: "key", Value: ""}}, "key=&": {{Key: "key", Value: ""}}, "a=1&b=2": {{Key: "a", Value: "1"}, {Key: "b", Value: "2"}},
		"k%2E=v%2B": {{Key: "k.", Value: "v+"}}, "a++b=c++d": {{Key: "a  b", Value: "c  d"}}, "%E6%97%A5=%C3%A9": {{Key: "\u65e5", Value: "\u00e9"}},
		strings.Repeat("k", 128) + "=" + strings.Repeat("v", 256): {{Key: strings.Repeat("k", 128), Value: strings.Repeat("v", 256)}},
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
		s3errtest.Want(t, fmt.Sprintf("%.40s", header), err, code, message)
	}
}
