package s3xml

import (
	"encoding/xml"
	"testing"
	"unicode/utf8"
)

// FuzzText: what we write as text we read back, and so does encoding/xml where XML 1.0 can hold it.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "!*'();:@&=$,?#[]~", "a&amp;b", "\x00\r\n", "\u65e5\ufffe", "<![CDATA[", "]]>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		doc := append(AppendText([]byte("<a>"), s), "</a>"...)
		e, err := Parse(doc, "a")
		if err != nil || e.Text() != s {
			t.Fatalf("%q: %s, %q, %v", s, doc, e.Text(), err)
		}
		var std struct {
			Text string `xml:",chardata"`
		}
		if err := xml.Unmarshal(doc, &std); err == nil && std.Text != s {
			t.Fatalf("%q: %s, %q", s, doc, std.Text)
		}
	})
}

// FuzzParse: what is parsed was read within its bounds, and is text.
func FuzzParse(f *testing.F) {
	for _, doc := range []string{
		`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key><VersionId>v</VersionId></Object></Delete>`,
		`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part></CompleteMultipartUpload>`,
		`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, `<a b='c'><![CDATA[x]]>&#x41;<!-- d --></a>`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parse(b)
		if err != nil {
			return
		}
		if len(d.nodes) > maxNodes {
			t.Fatal(len(d.nodes))
		}
		for _, n := range d.nodes {
			if !utf8.ValidString(n.text) {
				t.Fatalf("text %q", n.text)
			}
		}
	})
}
