package s3xml

import (
	"encoding/xml"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	for _, doc := range []string{
		"", " ", "text", "<a>", "</a>", "<a></b>", "<a/><a/>", "<a/>x", "x<a/>", "<a", "<a b>", "<a b=c/>", "<a b='<'/>", "<a b='1'c='2'/>",
		"<a>&unknown;</a>", "<a>&amp</a>", "<a>&#xD800;</a>", "<a>&#1114112;</a>", "<a>&#x;</a>", "<a>&#;</a>", "<a>& </a>",
		"<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<?php ?><a/>", "<a><?x?></a>", "<a><!-- </a>", "<a><![CDATA[</a>",
		"<?xml version='1.0' encoding='UTF-16'?><a/>", "<?xml version='1.0'<a/>", "<a>\xff</a>", "< a/>", "<a:/b/>",
		strings.Repeat("<a>", maxDepth+1) + strings.Repeat("</a>", maxDepth+1),
		"<a>" + strings.Repeat("<b/>", maxNodes) + "</a>",
	} {
		if _, err := parse([]byte(doc)); err == nil {
			t.Errorf("%.60q was parsed", doc)
		}
	}
}

func TestText(t *testing.T) {
	for doc, want := range map[string]string{
		"<a>x</a>": "x", "<a/>": "", "<a></a >": "", "<a> x </a>": " x ", "<a>&lt;&gt;&amp;&quot;&apos;</a>": `<>&"'`,
		"<a>;&amp;;&amp;</a>": ";&;&", "<a>&#65;&#x42;&#x1F600;&#0;</a>": "AB\U0001F600\x00", "<a>a\r\nb\rc</a>": "a\nb\nc", "<a>a&#13;b</a>": "a\rb",
		"<a><![CDATA[<&>]]></a>": "<&>", "<a>x<!-- c -->y</a>": "xy", "\ufeff<a>x</a>": "x", "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<a>x</a>\n": "x",
		`<s3:a xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/" c = 'd>e'>x</s3:a>`: "x", "<!-- c --><a>x</a><!-- d -->": "x", "<a>\u00e9</a>": "\u00e9",
	} {
		e, err := Parse([]byte(doc), "a")
		if err != nil || e.Text() != want {
			t.Errorf("%q: %q, %v", doc, e.Text(), err)
		}
	}
	e, err := Parse([]byte(`<G xmlns:xsi="x"><Grantee xsi:type="Group"/></G>`), "G")
	if err != nil || e.Child("Grantee").Type() != "Group" {
		t.Errorf("xsi:type: %v", err)
	}
}

// Whatever a key holds, encoding/xml reads back what we wrote, or the same character reference that S3 writes.
func TestAppendText(t *testing.T) {
	for _, s := range []string{"", "plain", `<a href="x">&'`, "\u00e9\U0001F600", "tab\there", "new\nline\r"} {
		var got struct {
			Text string `xml:",chardata"`
		}
		doc := append(AppendText([]byte("<a>"), s), "</a>"...)
		if err := xml.Unmarshal(doc, &got); err != nil || got.Text != s {
			t.Errorf("%q: %s, %q, %v", s, doc, got.Text, err)
		}
	}
	for s, want := range map[string]string{"\x00": "&#x0;", "\x1f": "&#x1f;", "\uffff": "&#xffff;", "\xff": "\ufffd"} {
		if got := string(AppendText(nil, s)); got != want {
			t.Errorf("%q: %s", s, got)
		}
	}
	// Our own parser reads them all.
	for c := rune(0); c < 0x3000; c++ {
		s := "a" + string(c) + "b"
		e, err := Parse(append(AppendText([]byte("<a>"), s), "</a>"...), "a")
		if err != nil || e.Text() != s {
			t.Fatalf("%q: %q, %v", s, e.Text(), err)
		}
	}
}

func TestTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10000 {
		at := time.Unix(rng.Int64N(1<<36)-1<<34, rng.Int64N(1e9)).In(time.FixedZone("x", 3600))
		if got, want := string(AppendTime(nil, at)), at.UTC().Format(timeFormat); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}
