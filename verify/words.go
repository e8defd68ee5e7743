package verify

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Lines says for people what a good receipt proves of file, the name of what was hashed. Names that a client chose are
// quoted where they could move a terminal's cursor.
func (r *Report) Lines(file string) []string {
	e := &r.Entry
	return []string{
		fmt.Sprintf("good: %s is %s/%s as it was put at %s by %s", shown(file), e.Private.Bucket, shown(e.Private.Key), moment(e.Time), shown(e.Private.Actor)),
		fmt.Sprintf("entry %d of %s, proven by the checkpoint of size %d", e.Index, r.Checkpoint.Origin, r.Checkpoint.Size),
		fmt.Sprintf("sha256 %s, %d bytes", r.SHA256, r.Size),
	}
}

// Document says the same for programs: the fields of one JSON document. They are added to within a version ("v"), never changed.
func (r *Report) Document() map[string]any {
	e := &r.Entry
	return map[string]any{"v": 1, "ok": true, "bucket": e.Private.Bucket, "key": e.Private.Key, "entry": e.Index, "time": e.Time.UTC().Format(time.RFC3339Nano),
		"actor": e.Private.Actor, "sha256": r.SHA256.String(), "size": r.Size, "origin": r.Checkpoint.Origin, "ledger_size": r.Checkpoint.Size, "root": r.Checkpoint.Root.String()}
}

// Err is nil for a drill that passed, else ErrFailed.
func (c *Certificate) Err() error {
	if c.OK {
		return nil
	}
	return fmt.Errorf("%w: target %s did not pass its drill of %s", ErrFailed, shown(c.Target), moment(c.Started))
}

// Facts says for people what a certificate says: what is told, and what it is. The first one is the outcome.
func (c *Certificate) Facts() [][2]string {
	outcome := "passed"
	if !c.OK {
		outcome = "FAILED"
	}
	read := fmt.Sprintf("%s, %s", count(uint64(c.Versions), "version"), size(c.Bytes))
	if c.Full {
		read += ", and every byte of the copy"
	}
	key := "the server's identity; --recovery-key tries the kit"
	if c.OpenedBy == OpenedByRecovery {
		key = "the recovery key"
	}
	at, holds := "none: the drill did not get so far", "nothing that could be opened"
	if c.Size > 0 {
		at = fmt.Sprintf("%s, size %d, chosen at random", moment(c.Moment), c.Size)
	}
	if c.Head > 0 {
		if holds = thousands(c.Head) + " entries"; c.Head == 1 {
			holds = "1 entry"
		}
		if !c.HeadTime.IsZero() {
			holds += ", newest of " + moment(c.HeadTime)
		}
	}
	lost, first := "nothing", "none: no object was ever written"
	if !c.OK {
		lost, first = "not known", "none: the drill did not get so far"
	}
	if c.RPOSeconds > 0 {
		lost = "the changes of the last " + seconds(c.RPOSeconds)
	}
	if c.Versions > 0 {
		first = "after " + seconds(c.RTOSeconds)
	}
	facts := [][2]string{{"drill", outcome}, {"target", shown(c.Target) + ", " + shown(c.Place)}, {"moment", at}, {"read", read},
		{"listed", count(uint64(c.Listed), "key")}, {"holds", holds}, {"would lose", lost}, {"first read", first}, {"opened by", key}}
	for _, p := range c.Problems {
		facts = append(facts, [2]string{"problem", shown(p)})
	}
	return facts
}

// shown makes a name safe to print: what is not printable is quoted. A name is anything that a client sent.
func shown(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	if strings.HasPrefix(s, `"`) || s == "" {
		return strconv.Quote(s)
	}
	return s
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond).String()
}

func count(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if f /= 1024; f < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
