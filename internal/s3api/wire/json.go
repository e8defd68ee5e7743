package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ExactJSON tells whether b is valid JSON that encoding/json reads as it is written. No object has a key twice: of two conditions under one name the first
// would silently not count. Every string is text: U+FFFD would stand in the place of bytes that are not UTF-8 and of half a surrogate pair, so that a
// condition would be about another name than the one that was written.
func ExactJSON(b []byte) bool {
	if !json.Valid(b) || !allText(b) {
		return false
	}
	type level struct {
		object bool
		key    bool // the next token is a key
		seen   map[string]bool
	}
	var stack []level
	dec := json.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := dec.Token()
		if err != nil {
			return err == io.EOF
		}
		if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].object {
			top := &stack[n-1]
			if top.key {
				k := tok.(string)
				if top.seen[k] {
					return false
				}
				top.seen[k], top.key = true, false
				continue
			}
			top.key = true
		}
		if d, ok := tok.(json.Delim); ok {
			stack = append(stack, level{object: d == '{', key: d == '{', seen: map[string]bool{}})
		}
	}
}

// allText tells whether every string of valid JSON is text.
func allText(b []byte) bool {
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
