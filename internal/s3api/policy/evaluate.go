package policy

import (
	"slices"
	"strings"
)

// Decision is what a policy says to a request.
type Decision uint8

const (
	NoDecision Decision = iota // no statement applies
	Allows                     // a statement allows and none denies
	Denies                     // a statement denies: nothing can allow any more
)

// Ask is a question to a policy.
type Ask struct {
	Principal string // access key id; "": anonymous
	Action    string // s3:GetObject
	Bucket    string
	Key       string  // "" for actions on the bucket
	Context   Context // what is known of the request
	// Open tells of a key whose value is not known yet, since the request's body was not read. A statement that asks for it does not deny yet, and may allow yet. nil: all is known.
	Open func(key string) bool
}

// Evaluate answers a: an explicit deny beats an allow, which beats nothing. A nil policy has no decision.
func (p *Policy) Evaluate(a *Ask) Decision {
	if p == nil {
		return NoDecision
	}
	action, resource := strings.ToLower(a.Action), a.Bucket
	if a.Key != "" {
		resource += "/" + a.Key
	}
	decision := NoDecision
	for i := range p.statements {
		s := &p.statements[i]
		if !s.applies(a, action, resource) {
			continue
		}
		if s.deny && a.Open != nil && s.asks(a.Open) {
			continue
		}
		if s.deny {
			return Denies
		}
		decision = Allows
	}
	return decision
}

func (s *statement) applies(a *Ask, action, resource string) bool {
	if s.hasPrincipal(a.Principal) == s.notPrincipal {
		return false
	}
	if anyMatch(s.actions, action, nil) == s.notAction {
		return false
	}
	if anyMatch(s.resources, resource, a.Context) == s.notResource && !(a.Open != nil && anyVariable(s.resources, a.Open)) {
		return false
	}
	for i := range s.conditions {
		if !(a.Open != nil && s.conditions[i].asks(a.Open)) && !s.conditions[i].holds(a.Context) {
			return false
		}
	}
	return true
}

// MayAllow tells whether some statement allows one of the actions to a principal, on whatever resource and under whatever conditions.
func (p *Policy) MayAllow(principal string, actions []string) bool {
	if p == nil {
		return false
	}
	for i := range p.statements {
		s := &p.statements[i]
		if s.deny || s.hasPrincipal(principal) == s.notPrincipal {
			continue
		}
		for _, a := range actions {
			if anyMatch(s.actions, strings.ToLower(a), nil) != s.notAction {
				return true
			}
		}
	}
	return false
}

func (s *statement) hasPrincipal(id string) bool {
	for _, p := range s.principals {
		if p == "*" || id != "" && (p == id || p == accountPrincipal) {
			return true
		}
	}
	return false
}

func anyMatch(patterns []string, s string, ctx Context) bool {
	for _, p := range patterns {
		if p, ok := ctx.expand(p); ok && match(p, s) {
			return true
		}
	}
	return false
}

// narrowing are the keys whose fixed values make a policy for everyone not public (S3 User Guide, "The meaning of public"). Some of them are refused in a new policy.
var narrowing = map[string]bool{
	"aws:sourceip": true, "aws:sourcearn": true, "aws:sourcevpc": true, "aws:sourcevpce": true, "aws:sourceaccount": true,
	"aws:userid": true, "aws:principalorgid": true, "aws:principalarn": true, "aws:username": true, "aws:principalaccount": true,
	"s3:x-amz-server-side-encryption-aws-kms-key-id": true,
}

// Public tells whether the policy lets everyone in, as GetBucketPolicyStatus and public access blocks mean it.
func (p *Policy) Public() bool {
	if p == nil {
		return false
	}
	for i := range p.statements {
		if p.statements[i].public() {
			return true
		}
	}
	return false
}

func (s *statement) public() bool {
	if s.deny || !s.notPrincipal && !slices.Contains(s.principals, "*") {
		return false
	}
	for _, c := range s.conditions {
		if narrowing[c.key] && !c.negated && !c.ifExists && !c.null && c.set != forAll && c.fixed() {
			return false
		}
	}
	return true
}

// fixed tells whether the values are definite: no wildcard, no variable, no network wider than /8.
func (c *condition) fixed() bool {
	for _, v := range c.values {
		if strings.ContainsAny(v, "*?$") {
			return false
		}
		if c.key == "aws:sourceip" {
			if n, err := parseNetwork(v); err != nil || n.Bits() < 8 {
				return false
			}
		}
	}
	return true
}

// Asks tells whether a condition of the policy, or a variable in it, is about a key.
func (p *Policy) Asks(about func(key string) bool) bool {
	for i := range p.statements {
		if p.statements[i].asks(about) {
			return true
		}
	}
	return false
}

func (s *statement) asks(about func(key string) bool) bool {
	for i := range s.conditions {
		if s.conditions[i].asks(about) {
			return true
		}
	}
	return anyVariable(s.resources, about)
}

func (c *condition) asks(about func(key string) bool) bool {
	return about(c.key) || anyVariable(c.values, about)
}

// anyVariable tells whether one of the texts has a variable ${key} of such a key.
func anyVariable(texts []string, about func(key string) bool) bool {
	for _, s := range texts {
		for {
			_, rest, found := strings.Cut(s, "${")
			if !found {
				break
			}
			name, after, _ := strings.Cut(rest, "}")
			if about(conditionKey(name)) {
				return true
			}
			s = after
		}
	}
	return false
}
