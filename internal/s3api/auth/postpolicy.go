package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// postPolicy is the document that a signed form carries: what its fields may be.
type postPolicy struct {
	expiration  time.Time
	conditions  []postCondition
	bounded     bool // content-length-range
	least, most int64
}

// postCondition demands of one field that it equals, or starts with, a value.
type postCondition struct {
	op, field, value string
	text             string // as an error repeats it
}

func invalidPostPolicy(format string, args ...any) *s3err.Error {
	return s3err.ErrInvalidPolicyDocument.Msg("Invalid Policy: "+format, args...)
}

func policyFailed(format string, args ...any) *s3err.Error {
	return s3err.ErrAccessDenied.Msg("Invalid according to Policy: "+format, args...)
}

var errPostJSON = invalidPostPolicy("Invalid JSON.")

// parsePostPolicy reads a base64 encoded document.
func parsePostPolicy(encoded string) (*postPolicy, error) {
	if encoded == "" {
		return nil, invalidPostPolicy("Expecting '{' but found End-of-Input")
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, invalidPostPolicy("invalid Base64 encoding.")
	}
	b = bytes.TrimSpace(b)
	var doc map[string]json.RawMessage
	if !wire.ExactJSON(b) || json.Unmarshal(b, &doc) != nil || doc == nil {
		return nil, errPostJSON
	}
	for name := range doc {
		if name != "expiration" && name != "conditions" {
			return nil, invalidPostPolicy("Unexpected: %q", name)
		}
	}
	p := &postPolicy{}
	if err := p.parseExpiration(doc["expiration"]); err != nil {
		return nil, err
	}
	raw, ok := doc["conditions"]
	if !ok {
		return nil, invalidPostPolicy("Policy missing conditions.")
	}
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, invalidPostPolicy("Invalid 'conditions' value: must be a List.")
	}
	for _, c := range list {
		if err := p.parseCondition(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *postPolicy) parseExpiration(raw json.RawMessage) error {
	if raw == nil {
		return invalidPostPolicy("Policy missing expiration.")
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return errPostJSON
	}
	var err error
	if p.expiration, err = time.Parse(time.RFC3339Nano, s); err != nil {
		return invalidPostPolicy("Invalid 'expiration' value: '%s'", s)
	}
	return nil
}

// parseCondition reads {"field": "value"}, ["op", "$field", "value"] or ["content-length-range", least, most].
func (p *postPolicy) parseCondition(raw json.RawMessage) error {
	switch raw[0] {
	case '{':
		return p.parseSimple(raw)
	case '[':
	default:
		return invalidPostPolicy("Invalid condition test: must be a List or Object.")
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return errPostJSON
	}
	if len(list) == 0 {
		return invalidPostPolicy("Invalid Condition: missing operation identifier.")
	}
	var op string
	if json.Unmarshal(list[0], &op) != nil {
		return errPostJSON
	}
	op = strings.ToLower(op)
	if op != "eq" && op != "starts-with" && op != "content-length-range" {
		return invalidPostPolicy("Invalid Condition: unknown operation '%s'.", op)
	}
	if len(list) != 3 {
		return invalidPostPolicy("Invalid %s: wrong number of arguments.", op)
	}
	if op == "content-length-range" {
		return p.parseBounds(list[1], list[2])
	}
	c := postCondition{op: op}
	var field string
	if json.Unmarshal(list[1], &field) != nil || json.Unmarshal(list[2], &c.value) != nil {
		return errPostJSON
	}
	c.field = strings.ToLower(field)
	text, _ := json.Marshal([]string{op, field, c.value}) // strings always encode
	c.text = string(text)
	p.conditions = append(p.conditions, c)
	return nil
}

func (p *postPolicy) parseSimple(raw json.RawMessage) error {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return errPostJSON
	}
	if len(m) != 1 {
		return invalidPostPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
	}
	for name, v := range m {
		c := postCondition{op: "eq", field: "$" + strings.ToLower(name)}
		if json.Unmarshal(v, &c.value) != nil {
			return invalidPostPolicy("Invalid Simple-Condition: value must be a string.")
		}
		c.text = `["eq", "` + c.field + `", "` + c.value + `"]`
		p.conditions = append(p.conditions, c)
	}
	return nil
}

func (p *postPolicy) parseBounds(least, most json.RawMessage) error {
	var from, to int64
	for _, b := range [...]struct {
		raw json.RawMessage
		to  *int64
	}{{least, &from}, {most, &to}} {
		raw := b.raw
		var s string
		if json.Unmarshal(raw, &s) == nil {
			raw = json.RawMessage(s) // SDKs write numbers as strings, too
		}
		if json.Unmarshal(raw, b.to) != nil || *b.to < 0 {
			return errPostJSON
		}
	}
	if p.bounded { // each of several holds
		from, to = max(from, p.least), min(to, p.most)
	}
	p.bounded, p.least, p.most = true, from, to
	return nil
}

// check holds a form to the policy: every condition must hold, and every field must be in one.
func (p *postPolicy) check(f *PostForm, bucket string) error {
	for _, c := range p.conditions {
		name, ok := strings.CutPrefix(c.field, "$")
		value := f.Fields[name]
		if name == "bucket" {
			value = bucket
		}
		if !ok || !c.holds(name, value) {
			return policyFailed("Policy Condition failed: %s", c.text)
		}
	}
	var extra []string
	for name := range f.Fields {
		if !p.covers(name) {
			extra = append(extra, name)
		}
	}
	if !p.covers("bucket") {
		extra = append(extra, "bucket")
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		return policyFailed("Extra input fields: %s", strings.Join(slices.Compact(extra), ", "))
	}
	return nil
}

// covers tells whether a field may be there: because a condition is about it, or because none has to be.
func (p *postPolicy) covers(field string) bool {
	if field == "policy" || field == "x-amz-signature" || strings.HasPrefix(field, "x-ignore-") {
		return true
	}
	for _, c := range p.conditions {
		if c.field == "$"+field {
			return true
		}
	}
	return false
}

func (c *postCondition) holds(field, value string) bool {
	if c.op == "eq" {
		return value == c.value
	}
	if field != "content-type" {
		return strings.HasPrefix(value, c.value)
	}
	for _, one := range strings.Split(value, ",") { // a list of types: each must
		if !strings.HasPrefix(strings.TrimSpace(one), c.value) {
			return false
		}
	}
	return true
}
