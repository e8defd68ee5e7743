package policy

import (
	"slices"
	"strings"
)

// Context is what conditions are tested against: values by key, keys in lower case (tag keys as they are).
type Context map[string][]string

// expand replaces policy variables, ${aws:username}, in a pattern. ok is false where one has no single value: nothing matches such a pattern. What is put in is literal and is not looked at again.
func (ctx Context) expand(s string) (pattern string, ok bool) {
	for at := 0; ; {
		i := strings.Index(s[at:], "${")
		if i < 0 {
			return s, true
		}
		i += at
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			return s, true
		}
		name := s[i+2 : i+j]
		v := name
		if name != "*" && name != "?" && name != "$" {
			got := ctx[conditionKey(name)]
			if len(got) != 1 {
				return "", false
			}
			v = got[0]
		}
		v = literal.Replace(v)
		s = s[:i] + v + s[i+j+1:]
		at = i + len(v)
	}
}

// Set sets a key to those of the values that are not empty. A header that came in several lines has several values: a Deny on any of them fires.
func (ctx Context) Set(key string, values ...string) {
	var kept []string
	for _, v := range values {
		if v != "" && !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	if kept != nil {
		ctx[key] = kept
	}
}

// Only drops the keys that requests for an action do not have.
func (ctx Context) Only(action string) {
	action = strings.ToLower(action)
	for key := range ctx {
		if r, ok := ruleOf(key); !ok || !r.applies(action) {
			delete(ctx, key)
		}
	}
}
