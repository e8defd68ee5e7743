package s3api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"stele/internal/s3api/s3err/s3errtest"
)

func TestLockConfig(t *testing.T) {
	doc := func(rule string) string {
		return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>" + rule + "</ObjectLockConfiguration>"
	}
	def := func(s string) string {
		return doc("<Rule><DefaultRetention>" + s + "</DefaultRetention></Rule>")
	}
	for _, c := range []struct {
		doc  string
		want LockConfig
		err  string
	}{
		{doc(""), LockConfig{}, ""},
		{def("<Mode>GOVERNANCE</Mode><Days>30</Days>"), LockConfig{Governance, 30, 0}, ""},
		{def("<Years>2</Years><Mode>COMPLIANCE</Mode>"), LockConfig{Compliance, 0, 2}, ""},
		{"<ObjectLockConfiguration/>", LockConfig{}, "MalformedXML: "},
		{strings.Replace(doc(""), "Enabled<", "Disabled<", 1), LockConfig{}, "MalformedXML: "},
		{def("<Mode>COMPLIANCE</Mode>"), LockConfig{}, "MalformedXML: "},
		{def("<Days>1</Days>"), LockConfig{}, "MalformedXML: "},
		{def("<Mode>compliance</Mode><Days>1</Days>"), LockConfig{}, "MalformedXML: "},
		{def("<Mode>COMPLIANCE</Mode><Days>1</Days><Years>1</Years>"), LockConfig{}, "MalformedXML: "},
		{def("<Mode>COMPLIANCE</Mode><Days>0</Days>"), LockConfig{}, "InvalidArgument: Default retention period must be a positive integer value."},
		{def("<Mode>COMPLIANCE</Mode><Days>-3</Days>"), LockConfig{}, "InvalidArgument: Default retention period must be a positive integer value."},
		{def("<Mode>COMPLIANCE</Mode><Days>36501</Days>"), LockConfig{}, "InvalidArgument: Default retention period too large."},
		{def("<Mode>COMPLIANCE</Mode><Years>101</Years>"), LockConfig{}, "InvalidArgument: Default retention period too large."},
	} {
		got, err := DecodeLockConfig([]byte(c.doc))
		if c.err != "" {
			code, message, _ := strings.Cut(c.err, ": ")
			s3errtest.Want(t, c.doc, err, code, message)
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.doc, got, err)
		}
		if again, err := DecodeLockConfig(got.AppendXML(nil)); err != nil || again != got {
			t.Errorf("%s: again %+v, %v", c.doc, again, err)
		}
	}
	if got := (LockConfig{Compliance, 0, 1}).Until(time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)); got.Format(time.DateOnly) != "2025-03-01" {
		t.Error(got)
	}
}

func TestRetention(t *testing.T) {
	now := testTime
	r := Retention{Compliance, now.Add(time.Hour)}
	if got, err := DecodeRetention(r.AppendXML(nil), now); err != nil || got != r {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := DecodeRetention([]byte("<Retention/>"), now); err != nil || got != (Retention{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for doc, code := range map[string]string{
		string(Retention{Compliance, now}.AppendXML(nil)): "InvalidArgument", string(Retention{"X", now.Add(1)}.AppendXML(nil)): "MalformedXML",
		"<Retention><Mode>COMPLIANCE</Mode></Retention>":                                              "MalformedXML",
		"<Retention><RetainUntilDate>2050-01-01T00:00:00Z</RetainUntilDate></Retention>":              "MalformedXML",
		"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2050-01-01</RetainUntilDate></Retention>": "MalformedXML",
	} {
		_, err := DecodeRetention([]byte(doc), now)
		s3errtest.Want(t, doc, err, code, "")
	}
}

func TestLegalHold(t *testing.T) {
	for _, on := range []bool{true, false} {
		if got, err := DecodeLegalHold(AppendLegalHold(nil, on)); err != nil || got != on {
			t.Errorf("%v: %v, %v", on, got, err)
		}
	}
	_, err := DecodeLegalHold([]byte("<LegalHold><Status>on</Status></LegalHold>"))
	s3errtest.Want(t, "on", err, "MalformedXML", "")
}

func TestLockHeaders(t *testing.T) {
	now := testTime
	for _, c := range []struct {
		mode, until, hold string
		any               bool
		err               string
	}{
		{"", "", "", false, ""},
		{"", "", "ON", true, ""},
		{"", "", "OFF", false, ""},
		{"COMPLIANCE", "2013-05-24T00:00:01Z", "", true, ""},
		{"GOVERNANCE", "2013-05-24T00:00:00.5Z", "ON", true, ""},
		{"", "", "on", false, "Legal Hold must be"},
		{"COMPLIANCE", "", "", false, "must both be supplied"},
		{"", "2050-01-01T00:00:00Z", "", false, "must both be supplied"},
		{"COMPLIANCE", "tomorrow", "", false, "ISO 8601"},
		{"COMPLIANCE", "2013-05-24T00:00:00Z", "", false, "in the future"},
		{"compliance", "2050-01-01T00:00:00Z", "", false, "Unknown wormMode"},
	} {
		h := http.Header{}
		for k, v := range map[string]string{"X-Amz-Object-Lock-Mode": c.mode, "X-Amz-Object-Lock-Retain-Until-Date": c.until, "X-Amz-Object-Lock-Legal-Hold": c.hold} {
			if v != "" {
				h.Set(k, v)
			}
		}
		l, err := ParseLockHeaders(h, now)
		if c.err != "" {
			s3errtest.Want(t, c.err, err, "InvalidArgument", c.err)
			continue
		}
		if err != nil || l.Any() != c.any {
			t.Errorf("%+v: %+v, %v", c, l, err)
		}
		out := http.Header{}
		l.SetHeaders(out)
		if again, err := ParseLockHeaders(out, now); err != nil || again != l {
			t.Errorf("%+v: again %+v, %v", c, again, err)
		}
	}
	if !BypassGovernance(http.Header{"X-Amz-Bypass-Governance-Retention": {"True"}}) || BypassGovernance(http.Header{}) {
		t.Error("bypass")
	}
}
