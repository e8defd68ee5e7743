package entry

// The words (8 bytes at a time) in which a string is searched for what needs escaping.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain reports how many bytes at the start of s stand for themselves inside a JSON string.
func plain(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if special(load(s[i : i+8])) {
			break
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

func load(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// special reports whether one of eight bytes is a control character, a quote or a backslash.
func special(w uint64) bool {
	quote, back := w^('"'*ones), w^('\\'*ones)
	return ((w-' '*ones)&^w|(quote-ones)&^quote|(back-ones)&^back)&highs != 0
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string with the escapes of RFC 8785, section 3.2.2.2.
func appendString(d []byte, s string) []byte {
	d = append(d, '"')
	for {
		n := plain(s)
		d = append(d, s[:n]...)
		if n == len(s) {
			return append(d, '"')
		}
		d = appendEscaped(d, s[n])
		s = s[n+1:]
	}
}

func appendEscaped(d []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(d, '\\', c)
	case '\b':
		return append(d, '\\', 'b')
	case '\t':
		return append(d, '\\', 't')
	case '\n':
		return append(d, '\\', 'n')
	case '\f':
		return append(d, '\\', 'f')
	case '\r':
		return append(d, '\\', 'r')
	}
	return append(d, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// compareNames orders member names by UTF-16 code units, as RFC 8785 asks. That is the order of the UTF-8 bytes, but
// that a character above U+FFFF (lead byte F0 and up) comes before U+E000 to U+FFFF (lead bytes EE and EF).
func compareNames(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0) {
			x, y = y, x
		}
		return int(x) - int(y)
	}
	return len(a) - len(b)
}
