package policy

import (
	"strings"
)

// What a policy variable stands for is literal. These bytes, which occur in no UTF-8, stand for its wildcards.
const (
	literalStar     = 0xFE
	literalQuestion = 0xFF
)

var literal = strings.NewReplacer("*", "\xFE", "?", "\xFF")

// match matches s against a pattern in which '*' is any run of bytes, '/' too, and '?' is one byte. It never backtracks
// further than the last '*', so that its cost is at most the product of the lengths.
func match(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i] || pattern[p] == literalStar && s[i] == '*' || pattern[p] == literalQuestion && s[i] == '?'):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
