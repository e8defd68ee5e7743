package policy

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// policyCondition is one operator on one key: StringLike on s3:prefix.
type condition struct {
	key      string // lower case
	op       string // the operator's name: of the one that is not negated, without prefix and suffix
	test     func(want, got string) bool
	pattern  bool // values are patterns
	negated  bool // true of got only if test holds for no wanted value
	ifExists bool // a missing key satisfies it
	set      setOperator
	null     bool // the Null operator: values are "true" or "false"
	values   []string
}

var unliteral = strings.NewReplacer("\xFE", "*", "\xFF", "?")

// setOperator is ForAnyValue or ForAllValues.
type setOperator uint8

const (
	single setOperator = iota
	forAny
	forAll
)

// operators are the tests, by the name of the one that is not negated.
var operators = map[string]func(want, got string) bool{
	"StringEquals":             func(w, g string) bool { return w == g },
	"StringEqualsIgnoreCase":   strings.EqualFold,
	"StringLike":               match,
	"ArnEquals":                match,
	"ArnLike":                  match,
	"BinaryEquals":             func(w, g string) bool { return w == g },
	"Bool":                     strings.EqualFold,
	"IpAddress":                inNetwork,
	"NumericEquals":            numeric(func(g, w float64) bool { return g == w }),
	"NumericLessThan":          numeric(func(g, w float64) bool { return g < w }),
	"NumericLessThanEquals":    numeric(func(g, w float64) bool { return g <= w }),
	"NumericGreaterThan":       numeric(func(g, w float64) bool { return g > w }),
	"NumericGreaterThanEquals": numeric(func(g, w float64) bool { return g >= w }),
	"DateEquals":               dates(func(c int) bool { return c == 0 }),
	"DateLessThan":             dates(func(c int) bool { return c < 0 }),
	"DateLessThanEquals":       dates(func(c int) bool { return c <= 0 }),
	"DateGreaterThan":          dates(func(c int) bool { return c > 0 }),
	"DateGreaterThanEquals":    dates(func(c int) bool { return c >= 0 }),
}

var negatedOperators = map[string]string{
	"StringNotEquals": "StringEquals", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase", "StringNotLike": "StringLike",
	"ArnNotEquals": "ArnEquals", "ArnNotLike": "ArnLike", "NotIpAddress": "IpAddress",
	"NumericNotEquals": "NumericEquals", "DateNotEquals": "DateEquals",
}

func numeric(cmp func(got, want float64) bool) func(want, got string) bool {
	return func(want, got string) bool {
		w, err1 := strconv.ParseFloat(want, 64)
		g, err2 := strconv.ParseFloat(got, 64)
		return err1 == nil && err2 == nil && cmp(g, w)
	}
}

func dates(ok func(int) bool) func(want, got string) bool {
	return func(want, got string) bool {
		w, err1 := readTime(want)
		g, err2 := readTime(got)
		return err1 == nil && err2 == nil && ok(g.Compare(w))
	}
}

// policyTime reads ISO 8601 or seconds since 1970.
func readTime(s string) (time.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	if t, err := time.Parse("2006-01-02", s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339Nano, s)
}

func inNetwork(want, got string) bool {
	p, err := parseNetwork(want)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(got)
	return err == nil && p.Contains(a.Unmap().WithZone("")) // a link-local peer has the zone that it came through, and no network holds an address with one
}

// parseNetwork reads an address or a network. An IPv4 one may be written as IPv6 has it, ::ffff:192.0.2.0/120: callers' addresses are compared as IPv4.
func parseNetwork(s string) (netip.Prefix, error) {
	var p netip.Prefix
	var err error
	if strings.Contains(s, "/") {
		p, err = netip.ParsePrefix(s)
	} else {
		var a netip.Addr
		if a, err = netip.ParseAddr(s); err == nil {
			p, err = a.WithZone("").Prefix(a.BitLen())
		}
	}
	const mapped = 96 // bits before the IPv4 address
	if err == nil && p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p, err
}

// conditionKey keeps the letters of a tag's key, which are case sensitive, behind a key in lower case.
func conditionKey(k string) string {
	if i := strings.IndexByte(k, '/'); i >= 0 {
		return strings.ToLower(k[:i]) + k[i:]
	}
	return strings.ToLower(k)
}

func (s *statement) parseConditions(f map[string]json.RawMessage, rules Rules) error {
	raw, ok := f["Condition"]
	if !ok {
		return nil
	}
	var byOperator map[string]map[string]json.RawMessage
	if json.Unmarshal(raw, &byOperator) != nil || byOperator == nil && !rules.Stored {
		return errJSON
	}
	for name, keys := range byOperator {
		op, err := parseOperator(name)
		if err != nil {
			return err
		}
		if keys == nil && !rules.Stored {
			return errJSON
		}
		seen := map[string]bool{}
		for key, raw := range keys {
			c := op
			if c.key = conditionKey(key); seen[c.key] && !rules.Stored {
				return malformed("Condition %s has the key %s twice", name, c.key) // both would have to hold, where a list was meant
			}
			seen[c.key] = true
			if c.values, err = words(raw, true); err != nil || len(c.values) == 0 {
				return errJSON
			}
			if !rules.Stored {
				if err := c.check(name, key); err != nil {
					return err
				}
			}
			if c.key == "s3:x-amz-copy-source" { // "/bucket/key" and "bucket/key" name the same object
				for i, v := range c.values {
					c.values[i] = strings.TrimPrefix(v, "/")
				}
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

// parseOperator reads [ForAnyValue:|ForAllValues:]Operator[IfExists].
func parseOperator(name string) (condition, error) {
	var c condition
	op := name
	if rest, ok := strings.CutPrefix(op, "ForAnyValue:"); ok {
		op, c.set = rest, forAny
	} else if rest, ok := strings.CutPrefix(op, "ForAllValues:"); ok {
		op, c.set = rest, forAll
	}
	op, c.ifExists = strings.CutSuffix(op, "IfExists")
	if positive, ok := negatedOperators[op]; ok {
		op, c.negated = positive, true
	}
	c.op = op
	c.pattern = strings.HasSuffix(op, "Like") || strings.HasPrefix(op, "Arn")
	c.null = op == "Null" && !c.ifExists
	c.test = operators[op]
	if c.test == nil && !c.null {
		return c, malformed("Invalid Condition type : %s", name)
	}
	return c, nil
}

// check refuses a condition that could never hold: a typing error must not make a Deny toothless. operator and key are as the policy has them.
func (c *condition) check(operator, key string) error {
	if err := checkKey(c.key, key); err != nil {
		return err
	}
	if r, _ := ruleOf(c.key); !c.null && !c.fits(r.kind) {
		return malformed("Condition %s never matches a value of %s", operator, key)
	}
	for _, v := range c.values {
		if err := c.checkValue(v, operator); err != nil {
			return err
		}
		if err := checkVariables(v); err != nil {
			return err
		}
	}
	return nil
}

// fits tells whether the operator can match values of a kind at all.
func (c *condition) fits(k kind) bool {
	switch {
	case strings.HasPrefix(c.op, "String"), c.op == "BinaryEquals":
		return true
	case c.op == "IpAddress":
		return k == address
	case c.op == "Bool":
		return k == flag || k == text
	case strings.HasPrefix(c.op, "Numeric"):
		return k == number || k == epoch || k == text
	case strings.HasPrefix(c.op, "Date"):
		return k == moment || k == epoch || k == text
	}
	return k == text // Arn…
}

// checkValue refuses a value that the operator cannot match.
func (c *condition) checkValue(v, operator string) error {
	var err error
	ok := true
	r, _ := ruleOf(c.key)
	switch variable := strings.Contains(v, "${"); {
	case c.key == "aws:sourceip" && !variable:
		if n, err := parseNetwork(v); err != nil || c.op != "IpAddress" && n.Bits() != n.Addr().BitLen() {
			return malformed("Invalid IP address in Conditions")
		}
	case c.null, c.op == "Bool":
		ok = strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	case c.op == "IpAddress":
		_, err = parseNetwork(v)
	case strings.HasPrefix(c.op, "Numeric"):
		var f float64
		f, err = strconv.ParseFloat(v, 64)
		ok = !math.IsNaN(f) && !math.IsInf(f, 0)
	case strings.HasPrefix(c.op, "Date"):
		_, err = readTime(v)
	case r.kind == flag && !c.pattern && !variable:
		ok = v == "true" || v == "false" || c.op == "StringEqualsIgnoreCase" && (strings.EqualFold(v, "true") || strings.EqualFold(v, "false"))
	}
	if err != nil || !ok {
		return malformed("Invalid value %q in condition %s", v, operator)
	}
	return nil
}

// checkVariables refuses a variable that nothing fills in: what it stands in would match nothing.
func checkVariables(s string) error {
	for {
		_, rest, found := strings.Cut(s, "${")
		if !found {
			return nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return malformed("Policy has a variable without a closing brace: ${%s", rest)
		}
		if _, ok := ruleOf(conditionKey(name)); !ok && name != "*" && name != "?" && name != "$" {
			return malformed("Policy has a variable that no request to this store can fill in: ${%s}", name)
		}
		s = after
	}
}

// holds evaluates the condition.
func (c *condition) holds(ctx Context) bool {
	got, ok := ctx[c.key]
	switch {
	case c.null:
		absent := strconv.FormatBool(!ok || len(got) == 0)
		return slices.ContainsFunc(c.values, func(v string) bool { return strings.EqualFold(v, absent) })
	case len(got) == 0 && c.set == forAll:
		return true
	case len(got) == 0:
		return c.ifExists || c.negated && c.set == single
	}
	matches := func(g string) bool {
		for _, w := range c.values {
			w, ok := ctx.expand(w)
			if !ok {
				continue
			}
			if !c.pattern {
				w = unliteral.Replace(w)
			}
			if c.test(w, g) {
				return !c.negated
			}
		}
		return c.negated
	}
	all := c.set == forAll || c.set == single && c.negated
	for _, g := range got {
		if matches(g) != all {
			return !all
		}
	}
	return all
}
