package s3api

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// exactJSON tells whether every string of valid JSON is text. encoding/json puts U+FFFD in the place of bytes that are not UTF-8 and of half a surrogate
// pair, so that a condition would be about another name than the one that was written.
func exactJSON(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		r, ok := escapedRune(b[i:])
		if i++; !ok { // past the escaped character
			continue
		}
		if utf16.IsSurrogate(r) {
			low, _ := escapedRune(b[min(i+5, len(b)):])
			if utf16.DecodeRune(r, low) == utf8.RuneError {
				return false
			}
			i += 6
		}
	}
	return true
}

// escapedRune reads \uXXXX at the start of b.
func escapedRune(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}
