package s3api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Policy is a bucket policy, ready to be evaluated. The language is that of the IAM User Guide, "Policy reference", for
// resource-based policies of S3.
type Policy struct {
	statements []statement
}

type statement struct {
	sid          string
	deny         bool
	principals   []string // "*", an access key id or accountPrincipal
	notPrincipal bool
	actions      []string // patterns in lower case
	notAction    bool
	resources    []string // patterns, without "arn:aws:s3:::"
	notResource  bool
	conditions   []policyCondition
}

// PolicyRules are what a policy is held to besides the language.
type PolicyRules struct {
	Bucket string                // resources must be in it
	Known  func(key string) bool // tells whether an access key exists; nil: any may be named
	// Stored is a policy that was accepted once, maybe by an earlier version: what could never hold in it still holds never. When it is put again, it is refused.
	Stored bool
}

// AccountID is the account of every ARN: a store is one account.
const AccountID = "000000000000"

const (
	accountPrincipal = ":account" // everyone who is authenticated; no access key that a policy names has a colon
	arnPrefix        = "arn:aws:s3:::"
)

func malformedPolicy(format string, args ...any) error {
	return s3err.ErrMalformedPolicy.Msg(format, args...)
}

var (
	errPolicyJSON      = s3err.ErrMalformedPolicy.Msg("This policy contains invalid Json")
	errPolicyPrincipal = s3err.ErrMalformedPolicy.Msg("Invalid principal in policy")
	errPolicyAction    = s3err.ErrMalformedPolicy.Msg("Policy has invalid action")
	errPolicyResource  = s3err.ErrMalformedPolicy.Msg("Policy has invalid resource")
	errPolicyMismatch  = s3err.ErrMalformedPolicy.Msg("Action does not apply to any resource(s) in statement")
)

// ParsePolicy parses and checks a bucket policy. Errors are ErrMalformedPolicy with AWS's texts.
func ParsePolicy(b []byte, rules PolicyRules) (*Policy, error) {
	if len(b) > MaxPolicyBytes {
		return nil, malformedPolicy("Policy exceeds the maximum allowed document size.")
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return nil, s3err.ErrMalformedPolicy
	}
	if !wire.ExactJSON(b) {
		return nil, errPolicyJSON
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, errPolicyJSON
	}
	for name := range doc {
		if name != "Version" && name != "Id" && name != "Statement" {
			return nil, malformedPolicy("Unknown field %s", name)
		}
	}
	if v, ok := doc["Version"]; ok && string(v) != `"2012-10-17"` && string(v) != `"2008-10-17"` {
		return nil, malformedPolicy("The policy must contain a valid version string")
	}
	raw, ok := doc["Statement"]
	if !ok || string(raw) == "null" {
		return nil, malformedPolicy("Missing required field Statement")
	}
	list, err := oneOrMany(raw)
	if err != nil {
		return nil, errPolicyJSON
	}
	if len(list) == 0 {
		return nil, malformedPolicy("Could not parse the policy: Statement is empty!")
	}
	p := &Policy{}
	sids := map[string]bool{}
	for _, raw := range list {
		s, err := parseStatement(raw, rules)
		if err != nil {
			return nil, err
		}
		if s.sid != "" && sids[s.sid] {
			return nil, malformedPolicy("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[s.sid] = true
		p.statements = append(p.statements, *s)
	}
	return p, nil
}

// oneOrMany makes a list of what may stand alone.
func oneOrMany(raw json.RawMessage) ([]json.RawMessage, error) {
	if len(raw) > 0 && raw[0] == '[' {
		var list []json.RawMessage
		err := json.Unmarshal(raw, &list)
		return list, err
	}
	return []json.RawMessage{raw}, nil
}

// words reads one string or a list of strings; booleans and numbers are taken as written where loose.
func words(raw json.RawMessage, loose bool) ([]string, error) {
	list, err := oneOrMany(raw)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(list))
	for _, r := range list {
		var s string
		switch {
		case len(r) > 0 && r[0] == '"':
			err = json.Unmarshal(r, &s)
		case loose && len(r) > 0 && r[0] != '{' && r[0] != '[' && string(r) != "null":
			s = string(r)
		default:
			err = errors.New("not a string")
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func parseStatement(raw json.RawMessage, rules PolicyRules) (*statement, error) {
	var f map[string]json.RawMessage
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &f) != nil {
		return nil, errPolicyJSON
	}
	s := &statement{}
	for name := range f {
		switch name {
		case "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition":
		default:
			return nil, malformedPolicy("Unknown field %s", name)
		}
	}
	if raw, ok := f["Sid"]; ok && json.Unmarshal(raw, &s.sid) != nil {
		return nil, errPolicyJSON
	}
	for _, step := range []func(map[string]json.RawMessage, PolicyRules) error{
		s.parseEffect, s.parsePrincipal, s.parseAction, s.parseResource, s.parseConditions,
	} {
		if err := step(f, rules); err != nil {
			return nil, err
		}
	}
	if !rules.Stored {
		if err := s.checkConditions(); err != nil {
			return nil, err
		}
	}
	return s, s.checkMatch()
}

func (s *statement) parseEffect(f map[string]json.RawMessage, _ PolicyRules) error {
	raw, ok := f["Effect"]
	if !ok {
		return malformedPolicy("Missing required field Effect")
	}
	var effect string
	if json.Unmarshal(raw, &effect) != nil || effect != "Allow" && effect != "Deny" {
		return malformedPolicy("Invalid effect: %s", effect)
	}
	s.deny = effect == "Deny"
	return nil
}

// either returns the one of two exclusive fields that is there.
func either(f map[string]json.RawMessage, name, not string) (raw json.RawMessage, negated bool, err error) {
	a, okA := f[name]
	b, okB := f[not]
	switch {
	case okA && okB:
		return nil, false, malformedPolicy("Statement has both %s and %s", name, not)
	case okA:
		return a, false, nil
	case okB:
		return b, true, nil
	}
	return nil, false, malformedPolicy("Missing required field %s", name)
}

// parsePrincipal accepts "*", {"AWS": …} and, as other S3 servers do, key ids without the map around them.
func (s *statement) parsePrincipal(f map[string]json.RawMessage, rules PolicyRules) (err error) {
	var raw json.RawMessage
	if raw, s.notPrincipal, err = either(f, "Principal", "NotPrincipal"); err != nil {
		return err
	}
	if len(raw) > 0 && raw[0] == '{' {
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil || len(m) != 1 || m["AWS"] == nil {
			return errPolicyPrincipal
		}
		raw = m["AWS"]
	}
	names, err := words(raw, false)
	if err != nil || len(names) == 0 {
		return errPolicyPrincipal
	}
	for _, n := range names {
		p, ok := principalName(n, rules)
		if !ok || p == "*" && len(names) > 1 {
			return errPolicyPrincipal
		}
		s.principals = append(s.principals, p)
	}
	return nil
}

// principalName reads "*", AKID, arn:aws:iam::ACCOUNT:user/AKID, the account's number and its root ARN.
func principalName(n string, rules PolicyRules) (string, bool) {
	if n == "*" {
		return n, true
	}
	if n == AccountID || n == "arn:aws:iam::"+AccountID+":root" {
		return accountPrincipal, true
	}
	for _, prefix := range [...]string{"arn:aws:iam::" + AccountID + ":user/", "arn:aws:iam:::user/"} {
		n = strings.TrimPrefix(n, prefix)
	}
	if n == "" || strings.ContainsAny(n, "*?:/ ") {
		return "", false
	}
	return n, rules.Known == nil || rules.Known(n)
}

func (s *statement) parseAction(f map[string]json.RawMessage, _ PolicyRules) (err error) {
	var raw json.RawMessage
	if raw, s.notAction, err = either(f, "Action", "NotAction"); err != nil {
		return err
	}
	list, err := words(raw, false)
	if err != nil || len(list) == 0 {
		return errPolicyAction
	}
	for _, a := range list {
		a = strings.ToLower(a)
		if len(actionKinds(a)) == 0 {
			return errPolicyAction
		}
		s.actions = append(s.actions, a)
	}
	return nil
}

func (s *statement) parseResource(f map[string]json.RawMessage, rules PolicyRules) (err error) {
	var raw json.RawMessage
	if raw, s.notResource, err = either(f, "Resource", "NotResource"); err != nil {
		return err
	}
	list, err := words(raw, false)
	if err != nil || len(list) == 0 {
		return errPolicyResource
	}
	for _, r := range list {
		rest, ok := strings.CutPrefix(r, arnPrefix)
		bucket, _, _ := strings.Cut(rest, "/")
		if !ok || !match(bucket, rules.Bucket) {
			return errPolicyResource
		}
		if !rules.Stored {
			if err := checkVariables(rest); err != nil {
				return err
			}
		}
		s.resources = append(s.resources, rest)
	}
	return nil
}

// checkMatch demands that every action finds a resource that it can apply to: a bucket's for ListBucket, objects for GetObject.
func (s *statement) checkMatch() error {
	if s.notAction || s.notResource {
		return nil
	}
	var buckets, objects bool
	for _, r := range s.resources {
		objects = objects || strings.ContainsAny(r, "/*")
		buckets = buckets || !strings.Contains(r, "/")
	}
	for _, a := range s.actions {
		kinds := actionKinds(a)
		if !(kinds[onBucket] && buckets || kinds[onKey] && objects || kinds[onService]) {
			return errPolicyMismatch
		}
	}
	return nil
}

// knownActions gives the level of every action, by its name in lower case.
var knownActions = func() map[string]level {
	m := map[string]level{
		"s3:bypassgovernanceretention": onKey, "s3:replicateobject": onKey, "s3:replicatedelete": onKey, "s3:replicatetags": onKey,
		"s3:getobjectversionforreplication": onKey, "s3:objectowneroverridetobucketowner": onKey, "s3:deletebucketwebsite": onBucket,
		"s3:putobjectversionacl": onKey, "s3:putbucketrequestpayment": onBucket,
	}
	for _, r := range routes {
		t := opTable[r.op]
		l := r.level
		if r.op == OpDeleteObjects || r.op == OpPostObject {
			l = onKey
		}
		for _, a := range [...]string{t.action, t.versionAction} {
			if a != "" {
				m[strings.ToLower(a)] = l
			}
		}
	}
	m["s3:listallmybuckets"] = onService
	return m
}()

// actionKinds tells at which levels a pattern of actions applies; empty: it matches no action at all.
func actionKinds(pattern string) map[level]bool {
	kinds := map[level]bool{}
	if l, ok := knownActions[pattern]; ok {
		kinds[l] = true
		return kinds
	}
	if !strings.ContainsAny(pattern, "*?") || pattern != "*" && !strings.HasPrefix(pattern, "s3:") {
		return kinds
	}
	for a, l := range knownActions {
		if match(pattern, a) {
			kinds[l] = true
		}
	}
	return kinds
}

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
