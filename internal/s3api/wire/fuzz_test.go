package wire

import (
	"testing"
	"unicode/utf8"
)

// FuzzEscape: what is escaped comes back, and what comes back escapes to the same again.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a b", "a%2Fb", "%", "%zz", "+", "\x00", "\u65e5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			if got, ok := Unescape(string(AppendEscaped(nil, s, false)), true); !ok || got != s {
				t.Fatalf("%q came back as %q", s, got)
			}
		}
		if d, ok := Unescape(s, false); ok {
			again, ok := Unescape(string(AppendEscaped(nil, d, true)), false)
			if !ok || again != d {
				t.Fatalf("%q: %q, then %q", s, d, again)
			}
		}
	})
}
