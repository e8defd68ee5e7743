package moment

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// friday is the clock of these tests.
var friday = time.Date(2026, 11, 20, 10, 30, 0, 500_000_000, time.UTC)

func at(s string) Moment {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return Moment{Time: t.UTC()}
}

// TestParse: each form that people write, and what it means where it could mean two things.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Moment
	}{
		{"", Moment{}},
		{"now", Moment{}},
		{"today", at("2026-11-20T00:00:00Z")},
		{"yesterday", at("2026-11-19T00:00:00Z")},
		{"2h", at("2026-11-20T08:30:00.5Z")},
		{"2h ago", at("2026-11-20T08:30:00.5Z")},
		{"90m", at("2026-11-20T09:00:00.5Z")},
		{"1h30m", at("2026-11-20T09:00:00.5Z")},
		{"1h30m10s", at("2026-11-20T08:59:50.5Z")},
		{"7d", at("2026-11-13T10:30:00.5Z")},
		{"2w", at("2026-11-06T10:30:00.5Z")},
		{"1w1d", at("2026-11-12T10:30:00.5Z")},
		{"0s", at("2026-11-20T10:30:00.5Z")},
		{"04:04", at("2026-11-20T04:04:00Z")},
		{"4:04", at("2026-11-20T04:04:00Z")},
		{"04:04:30", at("2026-11-20T04:04:30Z")},
		{"10:30", at("2026-11-20T10:30:00Z")},
		{"10:31", at("2026-11-19T10:31:00Z")}, // not past today
		{"23:59:59", at("2026-11-19T23:59:59Z")},
		{"2026-11-20", at("2026-11-20T00:00:00Z")},
		{"2026-11-20 10:00", at("2026-11-20T10:00:00Z")},
		{"2026-11-20T10:00", at("2026-11-20T10:00:00Z")},
		{"2026-11-20 10:00:05", at("2026-11-20T10:00:05Z")},
		{"2026-11-20T10:00:05.25", at("2026-11-20T10:00:05.25Z")},
		{"2026-11-20T10:00:05Z", at("2026-11-20T10:00:05Z")},
		{"2026-11-20t10:00:05z", at("2026-11-20T10:00:05Z")},
		{"2026-11-20T10:00:05+01:00", at("2026-11-20T09:00:05Z")},
		{"2026-11-20 10:00+01:00", at("2026-11-20T09:00:00Z")},
		{"20261120t100000z", at("2026-11-20T10:00:00.999999Z")}, // that second included
		{"1795165200", at("2026-11-20T09:00:00Z")},
		{"1795165200.5", at("2026-11-20T09:00:00.5Z")},
		{"@1", Moment{Size: 1}},
		{"@123456", Moment{Size: 123456}},
		{"before", Moment{Name: "before"}},
		{" 2h ", at("2026-11-20T08:30:00.5Z")},
		{"2030-01-01", at("2030-01-01T00:00:00Z")}, // whether that has come is for who has the clock
	} {
		got, err := Parse(c.text, friday)
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
}

// TestUnreadable: what can't be read is quoted, called so, and answered with what can.
func TestUnreadable(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Tomorrow", `"Tomorrow": not a time I can read. Try 2h, yesterday, "2026-11-20 10:00" (UTC)`},
		{"before upgrade", "not a time"},
		{"2h3h", "not a time"},
		{"3m2h", "not a time"},
		{"-2h", "not a time"},
		{"2y", "not a time"},
		{"ago", ""},
		{" ago", ""},
		{"2h before ago", "not a time"},
		{"25:00", "no such time of day"},
		{"10:61", "no such time of day"},
		{"2026-13-01", "not a time"},
		{"2026-02-30", "not a time"},
		{"20260230t100000z", "no such date"},
		{"20261120", "a date with dashes"},
		{"12345", "written @12345"},
		{"1795165200000", "in seconds"},
		{"99999999999999999999", "in seconds"},
		{"@", "ledger size"},
		{"@0", "ledger size"},
		{"@-1", "ledger size"},
		{"@+1", "ledger size"},
		{"@9007199254740993000", "ledger size"},
		{"99999999999999999999w", "too long ago"},
		{"9000w99999999999h", "too long ago"},
		{"3000w", "1970"},
		{"0001-01-01", "1970"},
		{"1969-12-31T23:59:59Z", "1970"},
		{strings.Repeat("x", 5000), "not a time"},
		{"2h\x00", "not a time"},
	} {
		got, err := Parse(c.text, friday)
		if c.want == "" { // a word like another
			continue
		}
		if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), Try) || len(err.Error()) > 400 {
			t.Errorf("Parse(%q) = %+v, %v, want ErrUnreadable with %q and what to try", c.text, got, err, c.want)
		}
	}
}

// TestWords: a pinned view can't be named like a moment.
func TestWords(t *testing.T) {
	for word, want := range map[string]bool{"now": true, "today": true, "yesterday": true, "tomorrow": false, "before": false, "2h": true} {
		if IsWord(word) != want {
			t.Errorf("IsWord(%q) = %v", word, !want)
		}
	}
}

// FuzzParse: whatever the text is, it is read as exactly one kind of moment or refused with words; a time is within the years that can be written, and written as RFC 3339 it is read as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"now", "yesterday", "1h30m", "2w ago", "04:04", "04:04:30", "2026-11-20", "2026-11-20 10:00:05", "2026-11-20T10:00:00.5+01:00", "20261120t100000z", "1795165200.5", "@123456", "before", "@0", "99999999999999999999w", "2026-02-30", "０４:０４"} {
		f.Add(s, int64(1795170600))
	}
	f.Fuzz(func(t *testing.T, text string, clock int64) {
		now := time.Unix(clock%(1<<33), 0)
		m, err := Parse(text, now)
		if err != nil {
			if !errors.Is(err, ErrUnreadable) || m != (Moment{}) || len(err.Error()) > 600 {
				t.Fatalf("Parse(%q) = %+v, %v", text, m, err)
			}
			return
		}
		kinds := 0
		for _, is := range []bool{!m.Time.IsZero(), m.Size > 0, m.Name != ""} {
			if is {
				kinds++
			}
		}
		if word := strings.TrimSpace(text); kinds > 1 || kinds == 0 && word != "" && word != "now" {
			t.Fatalf("Parse(%q) = %+v", text, m)
		}
		if m.Time.IsZero() {
			return
		}
		if m.Time.Location() != time.UTC || m.Time.Year() < 1970 || m.Time.Year() > 9999 {
			t.Fatalf("Parse(%q) = %v", text, m.Time)
		}
		if again, err := Parse(m.Time.Format(time.RFC3339Nano), now); err != nil || again != m {
			t.Fatalf("Parse(%q) = %v, and that is read as %v, %v", text, m.Time, again.Time, err)
		}
	})
}
