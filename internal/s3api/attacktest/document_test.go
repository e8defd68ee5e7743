package attacktest

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"stele/internal/s3api/doortest"
)

func contentMD5(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // Content-MD5
	return "Content-Md5: " + base64.StdEncoding.EncodeToString(sum[:])
}

// takesXML are the requests that take a document.
var takesXML = []struct{ method, target string }{
	{"POST", "/box?delete="}, {"PUT", "/box?tagging="}, {"PUT", "/box?cors="}, {"PUT", "/box?lifecycle="}, {"PUT", "/box?versioning="}, {"PUT", "/box?object-lock="},
	{"PUT", "/box?encryption="}, {"PUT", "/box?publicAccessBlock="}, {"PUT", "/box?ownershipControls="}, {"PUT", "/box/alive?tagging="}, {"PUT", "/box/alive?retention="},
	{"PUT", "/box/alive?legal-hold="}, {"PUT", "/box?policy="}, {"PUT", "/box?acl="}, {"PUT", "/new-box"}, {"POST", "/box/alive?uploadId=00000000000000000000000000000001"},
}

// documents sends bombs to whatever parses.
func documents(t *testing.T, v *victim) {
	bomb := `<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">`
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf(`<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
	}
	for name, doc := range map[string]string{
		"billion laughs":      bomb + `]><Delete><Object><Key>&j;</Key></Object></Delete>`,
		"external entity":     `<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Tagging><TagSet><Tag><Key>k</Key><Value>&x;</Value></Tag></TagSet></Tagging>`,
		"depth":               strings.Repeat("<a>", 20_000) + strings.Repeat("</a>", 20_000),
		"open only":           strings.Repeat("<Delete>", 50_000),
		"attributes":          "<Delete " + strings.Repeat(`a="b" `, 70_000) + "/>",
		"one huge name":       "<" + strings.Repeat("x", 500<<10) + "/>",
		"a million elements":  "<Delete>" + strings.Repeat("<a/>", 120_000) + "</Delete>",
		"comments":            "<Delete>" + strings.Repeat("<!---->", 70_000) + "</Delete>",
		"cdata":               "<Delete>" + strings.Repeat("<![CDATA[]]>", 40_000) + "</Delete>",
		"character entities":  "<Delete><Object><Key>" + strings.Repeat("&#x1;", 90_000) + "</Key></Object></Delete>",
		"unknown entity":      "<Delete><Object><Key>&nbsp;</Key></Object></Delete>",
		"UTF-16":              "\xff\xfe<\x00D\x00/\x00>\x00",
		"not UTF-8":           "<Delete><Object><Key>\xff\xfe</Key></Object></Delete>",
		"NUL":                 "<Delete>\x00</Delete>",
		"instruction":         `<?php system("x")?><Delete/>`,
		"nothing":             "",
		"JSON depth":          `{"Version":"2012-10-17","Statement":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}",
		"JSON wildcards":      `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:` + strings.Repeat("*?", 8000) + `","Resource":"arn:aws:s3:::box/*"}]}`,
		"over every limit":    "<Delete>" + strings.Repeat(" ", 8<<20) + "</Delete>",
		"100,000 CORS rules":  "<CORSConfiguration>" + strings.Repeat("<CORSRule/>", 40_000) + "</CORSConfiguration>",
		"100,000 lifecycles":  "<LifecycleConfiguration>" + strings.Repeat("<Rule/>", 60_000) + "</LifecycleConfiguration>",
		"100,000 tags":        "<Tagging><TagSet>" + strings.Repeat("<Tag><Key>k</Key><Value>v</Value></Tag>", 10_000) + "</TagSet></Tagging>",
		"negative part":       "<CompleteMultipartUpload><Part><PartNumber>-1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
		"part of 2^63":        "<CompleteMultipartUpload><Part><PartNumber>9223372036854775808</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
		"retained until 9999": "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>99999-12-31T23:59:59Z</RetainUntilDate></Retention>",
	} {
		for _, q := range takesXML {
			if name == "nothing" && (q.target == "/new-box" || q.target == "/box?acl=") {
				continue // a bucket without a document is a bucket, and an ACL may be in the header
			}
			res := v.Do(t, q.method, q.target, []byte(doc), contentMD5([]byte(doc)))
			want(t, name+" to "+q.target, res.Status, string(res.Body))
			if len(res.Body) > 64<<10 {
				t.Errorf("%s to %s: %d bytes of error", name, q.target, len(res.Body))
			}
		}
	}
}

// documentFlood sends the largest documents that are taken, many at once.
func documentFlood(t *testing.T, v *victim) {
	doc := []byte("<Delete><Quiet>true</Quiet>" + strings.Repeat("<Object><Key>k</Key></Object>", 120_000) + "</Delete>")
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			r := v.NewRequest(doortest.Key{}, "POST", "/box?delete=", doc, contentMD5(doc))
			if i%2 == 0 {
				r.Header.Del("Authorization") // nobody has to have a key in order to be read
			}
			res, err := doortest.Send(http.DefaultClient, r)
			if err == nil && res.Status == 200 {
				t.Errorf("120,000 keys in one request were taken")
			}
		})
	}
	all.Wait()
}

// deletions names a million keys in one request, and 1,001.
func deletions(t *testing.T, v *victim) {
	for n, codes := range map[int][]string{1_000_000: {"MaxMessageLengthExceeded", "MalformedXML"}, 1001: {"MalformedXML"}} {
		var b bytes.Buffer
		b.WriteString("<Delete>")
		for i := range n {
			fmt.Fprintf(&b, "<Object><Key>alive%d</Key></Object>", i)
		}
		b.WriteString("</Delete>")
		r := v.NewRequest(doortest.Key{}, "POST", "/box?delete=", b.Bytes(), contentMD5(b.Bytes()), "Expect: 100-continue")
		res, err := doortest.Send(http.DefaultClient, r)
		if err != nil {
			t.Errorf("%d keys: %v", n, err)
			continue
		}
		want(t, fmt.Sprint(n, " keys"), res.Status, string(res.Body), codes...)
	}
}
