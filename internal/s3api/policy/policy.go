package policy

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
	conditions   []condition
}

// Rules are what a policy is held to besides the language.
type Rules struct {
	Bucket string                // resources must be in it
	Known  func(key string) bool // tells whether an access key exists; nil: any may be named
	// Stored is a policy that was accepted once, maybe by an earlier version: what could never hold in it still holds never. When it is put again, it is refused.
	Stored bool
}

// AccountID is the account of every ARN: a store is one account.
const AccountID = "000000000000"

// ARNPrefix begins the name of a bucket, or of an object in one, as policies and replies have it.
const ARNPrefix = "arn:aws:s3:::"

const accountPrincipal = ":account" // everyone who is authenticated; no access key that a policy names has a colon

// MaxBytes is how long a policy may be, as at AWS.
const MaxBytes = 20 << 10

func malformed(format string, args ...any) error {
	return s3err.ErrMalformedPolicy.Msg(format, args...)
}

var (
	errJSON      = s3err.ErrMalformedPolicy.Msg("This policy contains invalid Json")
	errPrincipal = s3err.ErrMalformedPolicy.Msg("Invalid principal in policy")
	errAction    = s3err.ErrMalformedPolicy.Msg("Policy has invalid action")
	errResource  = s3err.ErrMalformedPolicy.Msg("Policy has invalid resource")
	errMismatch  = s3err.ErrMalformedPolicy.Msg("Action does not apply to any resource(s) in statement")
)

// Parse parses and checks a bucket policy. Errors are ErrMalformedPolicy with AWS's texts.
func Parse(b []byte, rules Rules) (*Policy, error) {
	if len(b) > MaxBytes {
		return nil, malformed("Policy exceeds the maximum allowed document size.")
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return nil, s3err.ErrMalformedPolicy
	}
	if !wire.ExactJSON(b) {
		return nil, errJSON
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, errJSON
	}
	for name := range doc {
		if name != "Version" && name != "Id" && name != "Statement" {
			return nil, malformed("Unknown field %s", name)
		}
	}
	if v, ok := doc["Version"]; ok && string(v) != `"2012-10-17"` && string(v) != `"2008-10-17"` {
		return nil, malformed("The policy must contain a valid version string")
	}
	raw, ok := doc["Statement"]
	if !ok || string(raw) == "null" {
		return nil, malformed("Missing required field Statement")
	}
	list, err := oneOrMany(raw)
	if err != nil {
		return nil, errJSON
	}
	if len(list) == 0 {
		return nil, malformed("Could not parse the policy: Statement is empty!")
	}
	p := &Policy{}
	sids := map[string]bool{}
	for _, raw := range list {
		s, err := parseStatement(raw, rules)
		if err != nil {
			return nil, err
		}
		if s.sid != "" && sids[s.sid] {
			return nil, malformed("Statement IDs (SID) in a single policy must be unique.")
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

func parseStatement(raw json.RawMessage, rules Rules) (*statement, error) {
	var f map[string]json.RawMessage
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &f) != nil {
		return nil, errJSON
	}
	s := &statement{}
	for name := range f {
		switch name {
		case "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition":
		default:
			return nil, malformed("Unknown field %s", name)
		}
	}
	if raw, ok := f["Sid"]; ok && json.Unmarshal(raw, &s.sid) != nil {
		return nil, errJSON
	}
	for _, step := range []func(map[string]json.RawMessage, Rules) error{
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

func (s *statement) parseEffect(f map[string]json.RawMessage, _ Rules) error {
	raw, ok := f["Effect"]
	if !ok {
		return malformed("Missing required field Effect")
	}
	var effect string
	if json.Unmarshal(raw, &effect) != nil || effect != "Allow" && effect != "Deny" {
		return malformed("Invalid effect: %s", effect)
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
		return nil, false, malformed("Statement has both %s and %s", name, not)
	case okA:
		return a, false, nil
	case okB:
		return b, true, nil
	}
	return nil, false, malformed("Missing required field %s", name)
}

// parsePrincipal accepts "*", {"AWS": …} and, as other S3 servers do, key ids without the map around them.
func (s *statement) parsePrincipal(f map[string]json.RawMessage, rules Rules) (err error) {
	var raw json.RawMessage
	if raw, s.notPrincipal, err = either(f, "Principal", "NotPrincipal"); err != nil {
		return err
	}
	if len(raw) > 0 && raw[0] == '{' {
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil || len(m) != 1 || m["AWS"] == nil {
			return errPrincipal
		}
		raw = m["AWS"]
	}
	names, err := words(raw, false)
	if err != nil || len(names) == 0 {
		return errPrincipal
	}
	for _, n := range names {
		p, ok := principalName(n, rules)
		if !ok || p == "*" && len(names) > 1 {
			return errPrincipal
		}
		s.principals = append(s.principals, p)
	}
	return nil
}

// principalName reads "*", AKID, arn:aws:iam::ACCOUNT:user/AKID, the account's number and its root ARN.
func principalName(n string, rules Rules) (string, bool) {
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

func (s *statement) parseAction(f map[string]json.RawMessage, _ Rules) (err error) {
	var raw json.RawMessage
	if raw, s.notAction, err = either(f, "Action", "NotAction"); err != nil {
		return err
	}
	list, err := words(raw, false)
	if err != nil || len(list) == 0 {
		return errAction
	}
	for _, a := range list {
		a = strings.ToLower(a)
		if len(actionKinds(a)) == 0 {
			return errAction
		}
		s.actions = append(s.actions, a)
	}
	return nil
}

func (s *statement) parseResource(f map[string]json.RawMessage, rules Rules) (err error) {
	var raw json.RawMessage
	if raw, s.notResource, err = either(f, "Resource", "NotResource"); err != nil {
		return err
	}
	list, err := words(raw, false)
	if err != nil || len(list) == 0 {
		return errResource
	}
	for _, r := range list {
		rest, ok := strings.CutPrefix(r, ARNPrefix)
		bucket, _, _ := strings.Cut(rest, "/")
		if !ok || !match(bucket, rules.Bucket) {
			return errResource
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
		if !(kinds[OnBucket] && buckets || kinds[OnObject] && objects || kinds[OnStore]) {
			return errMismatch
		}
	}
	return nil
}
