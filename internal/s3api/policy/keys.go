package policy

import (
	"fmt"
	"slices"
	"strings"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// Every condition key that a policy may use has a line here: what its values are, and which actions it can have a value for. A key that nothing in a request to this
// store can give a value is refused when the policy is put: the condition would look like a guard and be none.

// kind is what the values of a condition key are; it says which operators can ever match them.
type kind uint8

const (
	text kind = iota
	flag
	number
	moment
	epoch // seconds since 1970: a number and a moment
	address
)

// keyRule is a line of the table. on nil: every action.
type keyRule struct {
	kind kind
	on   map[string]bool // actions in lower case
}

// conditionKeys are the keys by their names in lower case.
var conditionKeys = map[string]keyRule{
	"aws:currenttime":           {kind: moment},
	"aws:epochtime":             {kind: epoch},
	"aws:principalaccount":      {},
	"aws:principalarn":          {},
	"aws:principalisawsservice": {kind: flag},
	"aws:principaltype":         {},
	"aws:referer":               {},
	"aws:resourceaccount":       {},
	"aws:securetransport":       {kind: flag},
	"aws:sourceip":              {kind: address},
	"aws:useragent":             {},
	"aws:userid":                {},
	"aws:username":              {},
	"aws:viaawsservice":         {kind: flag},
	"s3:authtype":               {},
	"s3:resourceaccount":        {},
	"s3:signatureage":           {kind: number},
	"s3:signatureversion":       {},
	"s3:tlsversion":             {kind: number},
	"s3:x-amz-content-sha256":   {},

	"s3:prefix":    {on: onList},
	"s3:delimiter": {on: onList},
	"s3:max-keys":  {kind: number, on: onList},

	"s3:versionid": {on: onVersion},

	"s3:object-lock-mode":                     {on: onRetention},
	"s3:object-lock-retain-until-date":        {kind: moment, on: onRetention},
	"s3:object-lock-remaining-retention-days": {kind: number, on: onRetention},
	"s3:object-lock-legal-hold":               {on: wire.Words("s3:putobject s3:putobjectlegalhold s3:bypassgovernanceretention")},

	"s3:requestobjecttagkeys": {on: onTagging},

	"s3:objectcreationoperation": {kind: flag, on: onPut},
	"s3:if-match":                {on: wire.Words("s3:putobject s3:deleteobject s3:deleteobjectversion")},
	"s3:if-none-match":           {on: onPut},

	"s3:x-amz-acl":                onACL,
	"s3:x-amz-grant-full-control": onACL,
	"s3:x-amz-grant-read":         onACL,
	"s3:x-amz-grant-read-acp":     onACL,
	"s3:x-amz-grant-write":        onACL,
	"s3:x-amz-grant-write-acp":    onACL,

	"s3:x-amz-copy-source":                               {on: onPut},
	"s3:x-amz-metadata-directive":                        {on: onPut},
	"s3:x-amz-server-side-encryption":                    {on: onPut},
	"s3:x-amz-server-side-encryption-aws-kms-key-id":     {on: onPut},
	"s3:x-amz-server-side-encryption-customer-algorithm": {on: onPut},
	"s3:x-amz-storage-class":                             {on: onPut},
	"s3:x-amz-website-redirect-location":                 {on: onPut},
}

// The two keys that end in the key of a tag.
const (
	ExistingTag = "s3:existingobjecttag/"
	RequestTag  = "s3:requestobjecttag/"
)

var (
	onPut       = wire.Words("s3:putobject")
	onList      = wire.Words("s3:listbucket s3:listbucketversions s3:listbucketmultipartuploads")
	onRetention = wire.Words("s3:putobject s3:putobjectretention s3:bypassgovernanceretention")
	onTagging   = wire.Words("s3:putobject s3:putobjecttagging s3:putobjectversiontagging")
	onACL       = keyRule{on: wire.Words("s3:putobject s3:putobjectacl s3:putobjectversionacl s3:putbucketacl")}

	// onVersion is what can name a version, and what bypasses the lock of one.
	onVersion = func() map[string]bool {
		m := wire.Words("s3:getobjectretention s3:putobjectretention s3:getobjectlegalhold s3:putobjectlegalhold s3:bypassgovernanceretention")
		for a, l := range actions {
			if l == OnObject && strings.Contains(a, "version") {
				m[a] = true
			}
		}
		return m
	}()
	onObject = func() map[string]bool {
		m := map[string]bool{}
		for a, l := range actions {
			if l == OnObject {
				m[a] = true
			}
		}
		return m
	}()
)

// ruleOf finds the line of a key, which is in lower case but for the key of a tag.
func ruleOf(key string) (keyRule, bool) {
	if r, ok := conditionKeys[key]; ok {
		return r, true
	}
	switch {
	case strings.HasPrefix(key, ExistingTag) && len(key) > len(ExistingTag):
		return keyRule{on: onObject}, true
	case strings.HasPrefix(key, RequestTag) && len(key) > len(RequestTag):
		return keyRule{on: onTagging}, true
	}
	return keyRule{}, false
}

// unsupplied are the keys of AWS that no request to this store can have, with the reason.
var unsupplied = map[string]string{
	"aws:multifactorauthage":     "access keys here have no second factor",
	"aws:multifactorauthpresent": "access keys here have no second factor",
	"aws:principalorgid":         "a store has no organization",
	"aws:principalorgpaths":      "a store has no organization",
	"aws:sourceaccount":          "no service asks on behalf of an account",
	"aws:sourcearn":              "no service asks on behalf of a resource",
	"aws:sourcevpc":              "no request comes through a VPC; use aws:SourceIp",
	"aws:sourcevpce":             "no request comes through a VPC; use aws:SourceIp",
	"aws:vpcsourceip":            "no request comes through a VPC; use aws:SourceIp",
	"s3:locationconstraint":      "only CreateBucket has it, and a bucket that is being created has no policy yet",
	"s3:x-amz-object-ownership":  "only CreateBucket has it, and a bucket that is being created has no policy yet",
}

// unsuppliedReason says why nothing can give a key a value; "": it is not a key of AWS that we know.
func unsuppliedReason(key string) string {
	if why := unsupplied[key]; why != "" {
		return why
	}
	switch {
	case strings.HasPrefix(key, "aws:principaltag/"):
		return "access keys here have no tags"
	case strings.HasPrefix(key, "aws:requesttag/"):
		return "the tags of objects are s3:RequestObjectTag/KEY"
	}
	return ""
}

// checkKey refuses a key that can never make the statement apply. written is the key as the policy has it.
func checkKey(key, written string) error {
	if _, ok := ruleOf(key); ok {
		return nil
	}
	if why := unsuppliedReason(key); why != "" {
		return malformed("Policy has a condition key that no request to this store can carry: %s (%s). Remove the condition.", written, why)
	}
	return s3err.ErrMalformedPolicy.Msg("Policy has an invalid condition key").With("Detail", written) // as AWS puts it
}

// Applies tells whether a policy may use a key, in lower case but for the key of a tag, and a request for an action can have a value for it.
func Applies(key, action string) bool {
	r, ok := ruleOf(key)
	return ok && r.applies(strings.ToLower(action))
}

// applies tells whether a request for an action, in lower case, can have the key.
func (r keyRule) applies(action string) bool { return r.on == nil || r.on[action] }

// checkConditions demands that each action of the statement can have every key that its conditions are about.
func (s *statement) checkConditions() error {
	for _, c := range s.conditions {
		r, ok := ruleOf(c.key)
		if !ok || r.on == nil { // not ok: a policy of before, whose keys are absent from every request
			continue
		}
		if s.notAction {
			if !someAction(r.on, func(a string) bool { return !anyMatch(s.actions, a, nil) }) {
				return conditionsApart("no action that NotAction leaves has the condition key %s", c.key)
			}
			continue
		}
		for _, pattern := range s.actions {
			if !someAction(r.on, func(a string) bool { return match(pattern, a) }) {
				return conditionsApart("%s never has the condition key %s", pattern, c.key)
			}
		}
	}
	return nil
}

// conditionsApart is the error in AWS's words, with what does not fit as its detail.
func conditionsApart(format string, args ...any) error {
	return s3err.ErrMalformedPolicy.Msg("Conditions do not apply to combination of actions and resources in statement").With("Detail", fmt.Sprintf(format, args...))
}

func someAction(actions map[string]bool, holds func(string) bool) bool {
	for a := range actions {
		if holds(a) {
			return true
		}
	}
	return false
}

// Keys are all condition keys that a policy may use, in lower case and in order; the two of tags as they end without the tag's key. Each must be judged: a test goes through them.
func Keys() []string {
	keys := []string{ExistingTag, RequestTag}
	for k := range conditionKeys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// UnsuppliedKeys are the keys of AWS that are refused by name, with "team" in the place of a tag.
func UnsuppliedKeys() []string {
	keys := []string{"aws:principaltag/team", "aws:requesttag/team"}
	for k := range unsupplied {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
