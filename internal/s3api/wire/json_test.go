package wire

import "testing"

// TestExactJSON: what encoding/json would read as something else than is written is refused.
func TestExactJSON(t *testing.T) {
	for _, doc := range []string{
		`{"a":"` + "\xff" + `"}`, `{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, `{"\ud83d":1}`, `{"a":"\ud83dA"}`, `{"a":"\\\ud800"}`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":[{"b":1,"b":2}]}`, `{"a":1`, ``, `{}{}`,
	} {
		if ExactJSON([]byte(doc)) {
			t.Errorf("%q passes", doc)
		}
	}
	for _, doc := range []string{`{"a":"\ud83d\ude00"}`, `{"a":"\\ud800"}`, `{"a":"\ufffd` + "\uFFFD" + `"}`, `{"a":"\u00e9\n"}`, `{"a":{"a":1},"b":["a","a"],"A":1}`} {
		if !ExactJSON([]byte(doc)) {
			t.Errorf("%q is refused", doc)
		}
	}
}
