package s3api

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func lifecycleOf(t testing.TB, rules string) *Lifecycle {
	t.Helper()
	l, err := DecodeLifecycle([]byte("<LifecycleConfiguration>" + rules + "</LifecycleConfiguration>"))
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	return l
}

func rule(id, filter, actions string) string {
	return "<Rule><ID>" + id + "</ID><Status>Enabled</Status>" + filter + actions + "</Rule>"
}

const (
	anyKey  = "<Filter/>"
	in3Days = "<Expiration><Days>3</Days></Expiration>"
)

func TestLifecycleRefusals(t *testing.T) {
	for doc, want := range map[string]string{
		"": "MalformedXML: ",
		"<Rule><Status>On</Status><Filter/>" + in3Days + "</Rule>": "MalformedXML: ",
		rule("a", "", in3Days):                   "MalformedXML: ",
		rule("a", "<Filter/><Prefix/>", in3Days): "MalformedXML: ",
		rule("a", "<Filter><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>", in3Days): "MalformedXML: ",
		rule("a", "<Filter><Nonsense/></Filter>", in3Days):                                                  "MalformedXML: ",
		rule("a", anyKey, ""):              "InvalidRequest: At least one action",
		rule("a", anyKey, "<Expiration/>"): "MalformedXML: ",
		rule("a", anyKey, "<Expiration><Days>3</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"):                                                                "MalformedXML: ",
		rule("a", anyKey, "<Expiration><Days>0</Days></Expiration>"):                                                                                                                           "InvalidArgument: 'Days' for Expiration action must be a positive integer",
		rule("a", anyKey, "<Expiration><Days>x</Days></Expiration>"):                                                                                                                           "MalformedXML: ",
		rule("a", anyKey, "<Expiration><Date>2026-11-22T12:00:00Z</Date></Expiration>"):                                                                                                        "InvalidArgument: 'Date' must be at midnight GMT",
		rule("a", anyKey, "<Expiration><Date>soon</Date></Expiration>"):                                                                                                                        "MalformedXML: ",
		rule("a", anyKey, "<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>"):                                                                     "InvalidArgument: positive integer",
		rule("a", anyKey, "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>"):               "InvalidArgument: at most 100",
		rule("a", anyKey, "<AbortIncompleteMultipartUpload/>"):                                                                                                                                 "MalformedXML: ",
		rule("a", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"): "InvalidRequest: with Tags",
		rule("a", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"):                          "InvalidRequest: with Tags",
		rule("a", anyKey, "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"):                                                                                       "NotImplemented: Transitions",
		rule("a", anyKey, in3Days) + rule("a", anyKey, in3Days):                                                                                                                                "InvalidArgument: must be unique",
		rule(strings.Repeat("i", 256), anyKey, in3Days):                                                                                                                                        "InvalidArgument: 255",
		strings.Repeat("<Rule><Status>Enabled</Status><Filter/>"+in3Days+"</Rule>", 1001):                                                                                                      "MalformedXML: ",
	} {
		_, err := DecodeLifecycle([]byte("<LifecycleConfiguration>" + doc + "</LifecycleConfiguration>"))
		code, message, _ := strings.Cut(want, ": ")
		wantError(t, fmt.Sprintf("%.100s", doc), err, code, message)
	}
}

func TestLifecycleRoundTrip(t *testing.T) {
	l := lifecycleOf(t, rule("a", "<Prefix>logs/</Prefix>", in3Days)+
		rule("b", "<Filter><And><Prefix>x</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></And></Filter>", "<Expiration><Date>2027-01-01T00:00:00Z</Date></Expiration>")+
		rule("c", anyKey, "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration><NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>")+
		rule("d", "<Filter><Prefix></Prefix></Filter>", "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>")+
		rule("e", "<Filter><ObjectSizeLessThan>100</ObjectSizeLessThan></Filter>", in3Days)+
		"<Rule><Status>Disabled</Status><Filter/>"+in3Days+"</Rule>")
	again, err := DecodeLifecycle(l.AppendXML(nil))
	if err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("got %+v, %v\nfrom %s", again, err, l.AppendXML(nil))
	}
}

func TestLifecycleAction(t *testing.T) {
	made := time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	current := VersionState{Key: "logs/a", Size: 50, Created: made, Current: true}
	marker := VersionState{Key: "logs/a", Created: made, Current: true, Marker: true, Alone: true}
	old := VersionState{Key: "logs/a", Size: 50, Created: made, NoncurrentSince: made, NewerNoncurrent: 2}
	with := func(v VersionState, change func(*VersionState)) VersionState { change(&v); return v }
	noncurrent := func(keep string) string {
		return rule("r", anyKey, "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>"+keep+"</NoncurrentVersionExpiration>")
	}
	markers := rule("r", anyKey, "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>")
	for _, c := range []struct {
		name, rules string
		v           VersionState
		now         time.Time
		want        LifecycleAction
	}{
		// Made on the 1st at 15:00: three days later is the 4th at 15:00, and the next midnight the 5th.
		{"before midnight", rule("r", anyKey, in3Days), current, day(5).Add(-time.Microsecond), LifecycleKeep},
		{"at midnight", rule("r", anyKey, in3Days), current, day(5), LifecycleExpire},
		{"made at midnight", rule("r", anyKey, in3Days), with(current, func(v *VersionState) { v.Created = day(1) }), day(4), LifecycleExpire},
		{"disabled", strings.Replace(rule("r", anyKey, in3Days), "Enabled", "Disabled", 1), current, day(30), LifecycleKeep},
		{"prefix", rule("r", "<Prefix>logs/</Prefix>", in3Days), current, day(30), LifecycleExpire},
		{"another prefix", rule("r", "<Prefix>log/</Prefix>", in3Days), current, day(30), LifecycleKeep},
		{"larger", rule("r", "<Filter><ObjectSizeGreaterThan>49</ObjectSizeGreaterThan></Filter>", in3Days), current, day(30), LifecycleExpire},
		{"not larger", rule("r", "<Filter><ObjectSizeGreaterThan>50</ObjectSizeGreaterThan></Filter>", in3Days), current, day(30), LifecycleKeep},
		{"not smaller", rule("r", "<Filter><ObjectSizeLessThan>50</ObjectSizeLessThan></Filter>", in3Days), current, day(30), LifecycleKeep},
		{"no tag", rule("r", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", in3Days), current, day(30), LifecycleKeep},
		{"tag", rule("r", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", in3Days), with(current, func(v *VersionState) { v.Tags = []Tag{{"k", "v"}} }), day(30), LifecycleExpire},
		{"other value", rule("r", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", in3Days), with(current, func(v *VersionState) { v.Tags = []Tag{{"k", "w"}} }), day(30), LifecycleKeep},
		{"date", rule("r", anyKey, "<Expiration><Date>2026-11-10T00:00:00Z</Date></Expiration>"), current, day(10), LifecycleExpire},
		{"before the date", rule("r", anyKey, "<Expiration><Date>2026-11-10T00:00:00Z</Date></Expiration>"), current, day(9), LifecycleKeep},
		{"noncurrent is not expired", rule("r", anyKey, in3Days), old, day(30), LifecycleKeep},
		{"current is not noncurrent", noncurrent(""), current, day(30), LifecycleKeep},
		{"noncurrent", noncurrent(""), old, day(5), LifecycleDeleteVersion},
		{"noncurrent, too young", noncurrent(""), old, day(4), LifecycleKeep},
		{"two are kept", noncurrent("<NewerNoncurrentVersions>2</NewerNoncurrentVersions>"), old, day(5), LifecycleDeleteVersion},
		{"three are kept", noncurrent("<NewerNoncurrentVersions>3</NewerNoncurrentVersions>"), old, day(5), LifecycleKeep},
		{"an old marker is a noncurrent version", noncurrent(""), with(old, func(v *VersionState) { v.Marker = true }), day(5), LifecycleDeleteVersion},
		{"lone marker", markers, marker, day(2), LifecycleDeleteVersion},
		{"marker over versions", markers, with(marker, func(v *VersionState) { v.Alone = false }), day(30), LifecycleKeep},
		{"lone marker, by days", rule("r", anyKey, in3Days), marker, day(5), LifecycleDeleteVersion},
		{"marker is never expired", rule("r", anyKey, in3Days), with(marker, func(v *VersionState) { v.Alone = false }), day(30), LifecycleKeep},
	} {
		if got, id := lifecycleOf(t, c.rules).Action(&c.v, c.now); got != c.want || (got != LifecycleKeep) != (id == "r") {
			t.Errorf("%s: %d by %q, want %d", c.name, got, id, c.want)
		}
	}
}

func TestLifecycleDates(t *testing.T) {
	made := time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC)
	l := lifecycleOf(t, rule("later", anyKey, "<Expiration><Days>9</Days></Expiration>")+rule("so on", "<Prefix>a</Prefix>", in3Days)+
		rule("up", anyKey, "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"))
	at, id, ok := l.Expiration("abc", 0, nil, made)
	if got := ExpirationHeader(at, id); !ok || got != `expiry-date="Thu, 05 Nov 2026 00:00:00 GMT", rule-id="so%20on"` {
		t.Errorf("%s %v", got, ok)
	}
	if _, id, _ := l.Expiration("b", 0, nil, made); id != "later" {
		t.Error(id)
	}
	if abort, at, id := l.AbortUpload("k", made, made); abort || id != "up" || at.Day() != 4 {
		t.Error(abort, at, id)
	}
	if abort, _, _ := l.AbortUpload("k", made, made.AddDate(0, 0, 3)); !abort {
		t.Error("not aborted")
	}
	if abort, at, _ := lifecycleOf(t, rule("r", anyKey, in3Days)).AbortUpload("k", made, made.AddDate(1, 0, 0)); abort || !at.IsZero() {
		t.Error("aborted by a rule that does not say so")
	}
}
