package lifecycle

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"stele/internal/s3api/s3err/s3errtest"
	"stele/internal/s3api/tagging"
)

func parsed(t testing.TB, rules string) *Configuration {
	t.Helper()
	l, err := Parse([]byte("<LifecycleConfiguration>" + rules + "</LifecycleConfiguration>"))
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

func TestRefusals(t *testing.T) {
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
		_, err := Parse([]byte("<LifecycleConfiguration>" + doc + "</LifecycleConfiguration>"))
		code, message, _ := strings.Cut(want, ": ")
		s3errtest.Want(t, fmt.Sprintf("%.100s", doc), err, code, message)
	}
}

func TestRoundTrip(t *testing.T) {
	l := parsed(t, rule("a", "<Prefix>logs/</Prefix>", in3Days)+
		rule("b", "<Filter><And><Prefix>x</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></And></Filter>", "<Expiration><Date>2027-01-01T00:00:00Z</Date></Expiration>")+
		rule("c", anyKey, "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration><NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>")+
		rule("d", "<Filter><Prefix></Prefix></Filter>", "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>")+
		rule("e", "<Filter><ObjectSizeLessThan>100</ObjectSizeLessThan></Filter>", in3Days)+
		"<Rule><Status>Disabled</Status><Filter/>"+in3Days+"</Rule>")
	again, err := Parse(l.AppendXML(nil))
	if err != nil || !reflect.DeepEqual(again, l) {
		t.Errorf("got %+v, %v\nfrom %s", again, err, l.AppendXML(nil))
	}
}

func TestAction(t *testing.T) {
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
		want        Action
	}{
		// Made on the 1st at 15:00: three days later is the 4th at 15:00, and the next midnight the 5th.
		{"before midnight", rule("r", anyKey, in3Days), current, day(5).Add(-time.Microsecond), Keep},
		{"at midnight", rule("r", anyKey, in3Days), current, day(5), Expire},
		{"made at midnight", rule("r", anyKey, in3Days), with(current, func(v *VersionState) { v.Created = day(1) }), day(4), Expire},
		{"disabled", strings.Replace(rule("r", anyKey, in3Days), "Enabled", "Disabled", 1), current, day(30), Keep},
		{"prefix", rule("r", "<Prefix>logs/</Prefix>", in3Days), current, day(30), Expire},
		{"another prefix", rule("r", "<Prefix>log/</Prefix>", in3Days), current, day(30), Keep},
		{"larger", rule("r", "<Filter><ObjectSizeGreaterThan>49</ObjectSizeGreaterThan></Filter>", in3Days), current, day(30), Expire},
		{"not larger", rule("r", "<Filter><ObjectSizeGreaterThan>50</ObjectSizeGreaterThan></Filter>", in3Days), current, day(30), Keep},
		{"not smaller", rule("r", "<Filter><ObjectSizeLessThan>50</ObjectSizeLessThan></Filter>", in3Days), current, day(30), Keep},
		{"no tag", rule("r", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", in3Days), current, day(30), Keep},
		{"tag", rule("r", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", in3Days), with(current, func(v *VersionState) { v.Tags = []tagging.Tag{{Key: "k", Value: "v"}} }), day(30), Expire},
		{"other value", rule("r", "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>", in3Days), with(current, func(v *VersionState) { v.Tags = []tagging.Tag{{Key: "k", Value: "w"}} }), day(30), Keep},
		{"date", rule("r", anyKey, "<Expiration><Date>2026-11-10T00:00:00Z</Date></Expiration>"), current, day(10), Expire},
		{"before the date", rule("r", anyKey, "<Expiration><Date>2026-11-10T00:00:00Z</Date></Expiration>"), current, day(9), Keep},
		{"noncurrent is not expired", rule("r", anyKey, in3Days), old, day(30), Keep},
		{"current is not noncurrent", noncurrent(""), current, day(30), Keep},
		{"noncurrent", noncurrent(""), old, day(5), DeleteVersion},
		{"noncurrent, too young", noncurrent(""), old, day(4), Keep},
		{"two are kept", noncurrent("<NewerNoncurrentVersions>2</NewerNoncurrentVersions>"), old, day(5), DeleteVersion},
		{"three are kept", noncurrent("<NewerNoncurrentVersions>3</NewerNoncurrentVersions>"), old, day(5), Keep},
		{"an old marker is a noncurrent version", noncurrent(""), with(old, func(v *VersionState) { v.Marker = true }), day(5), DeleteVersion},
		{"lone marker", markers, marker, day(2), DeleteVersion},
		{"marker over versions", markers, with(marker, func(v *VersionState) { v.Alone = false }), day(30), Keep},
		{"lone marker, by days", rule("r", anyKey, in3Days), marker, day(5), DeleteVersion},
		{"marker is never expired", rule("r", anyKey, in3Days), with(marker, func(v *VersionState) { v.Alone = false }), day(30), Keep},
	} {
		if got, id := parsed(t, c.rules).Action(&c.v, c.now); got != c.want || (got != Keep) != (id == "r") {
			t.Errorf("%s: %d by %q, want %d", c.name, got, id, c.want)
		}
	}
}

func TestDates(t *testing.T) {
	made := time.Date(2026, 11, 1, 15, 0, 0, 0, time.UTC)
	l := parsed(t, rule("later", anyKey, "<Expiration><Days>9</Days></Expiration>")+rule("so on", "<Prefix>a</Prefix>", in3Days)+
		rule("up", anyKey, "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"))
	at, id, ok := l.Expiration("abc", 0, nil, made)
	if !ok || !at.Equal(time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)) || id != "so on" {
		t.Errorf("%s by %q, %v", at, id, ok)
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
	if abort, at, _ := parsed(t, rule("r", anyKey, in3Days)).AbortUpload("k", made, made.AddDate(1, 0, 0)); abort || !at.IsZero() {
		t.Error("aborted by a rule that does not say so")
	}
}

// TestIsGivenBack: clients wait until they read the rules that they wrote, also what says nothing: an empty prefix, and an ExpiredObjectDeleteMarker that is false.
func TestIsGivenBack(t *testing.T) {
	for _, inner := range []string{
		"<Filter><And><Prefix></Prefix><ObjectSizeGreaterThan>131072</ObjectSizeGreaterThan></And></Filter><Expiration><Days>1</Days></Expiration>",
		"<Filter><Prefix></Prefix></Filter><Expiration><Days>14</Days><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>",
		"<Filter></Filter><Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>",
		"<Filter></Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
	} {
		l, err := Parse([]byte("<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>" + inner + "</Rule></LifecycleConfiguration>"))
		if err != nil {
			t.Errorf("%s: %v", inner, err)
			continue
		}
		if got := string(l.AppendXML(nil)); !strings.Contains(got, inner) {
			t.Errorf("%s\nis given back as %s", inner, got)
		}
	}
	for _, inner := range []string{
		"<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
		"<Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>", // does nothing
		"<Expiration></Expiration>",
	} {
		if _, err := Parse([]byte("<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/>" + inner + "</Rule></LifecycleConfiguration>")); err == nil {
			t.Errorf("%s is taken", inner)
		}
	}
}
