package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"stele/internal/s3api/s3err"
)

// TestPolicyRefusesWhatNeverHolds: a condition that no request can meet looks like a guard and is none, so it is refused when the policy is put, in words that name it.
// A policy that was stored once is still read.
func TestPolicyRefusesWhatNeverHolds(t *testing.T) {
	const object, bucket = `"arn:aws:s3:::photos/*"`, `["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]`
	deny := func(actions, resource, condition string) string {
		return `{"Statement":{"Effect":"Deny","Principal":"*",` + actions + `,"Resource":` + resource + `,"Condition":{` + condition + `}}}`
	}
	const all, get, put = `"Action":"s3:*"`, `"Action":"s3:GetObject"`, `"Action":"s3:PutObject"`
	type refusal struct{ doc, message string }
	var refused []refusal
	for _, key := range UnsuppliedKeys() {
		refused = append(refused, refusal{deny(all, bucket, `"StringEquals":{"`+key+`":"x"}`), "that no request to this store can carry: " + key + " ("},
			refusal{deny(all, bucket, `"Null":{"`+strings.ToUpper(key)+`":"true"}`), strings.ToUpper(key)})
	}
	for _, c := range [][3]string{
		{get, `"StringEquals":{"s3:object-lock-mode":"COMPLIANCE"}`, "s3:getobject never has the condition key s3:object-lock-mode"},
		{`"Action":"s3:DeleteObjectVersion"`, `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"1"}`, "s3:deleteobjectversion never has"},
		{get, `"StringEquals":{"s3:RequestObjectTag/k":"v"}`, "never has the condition key s3:requestobjecttag/k"},
		{`"Action":["s3:PutObject","s3:Get*"]`, `"StringEquals":{"s3:x-amz-storage-class":"STANDARD"}`, "s3:get* never has"},
		{`"NotAction":["s3:PutObject"]`, `"Bool":{"s3:ObjectCreationOperation":"true"}`, "no action that NotAction leaves has the condition key s3:objectcreationoperation"},
		{`"NotAction":["s3:Put*","s3:Delete*"]`, `"Null":{"s3:if-match":"true"}`, "no action that NotAction leaves"},
		{all, `"StringEquals":{"s3:ExistingObjectTag":"v"}`, "invalid condition key; Detail: s3:ExistingObjectTag"},
		{all, `"StringEquals":{"s3:ExistingObjectTag/":"v"}`, "; Detail: s3:ExistingObjectTag/"},
		{all, `"NumericLessThan":{"aws:SecureTransport":"1"}`, "Condition NumericLessThan never matches a value of aws:SecureTransport"},
		{all, `"Bool":{"s3:TlsVersion":"true"}`, "never matches"},
		{all, `"DateLessThan":{"s3:TlsVersion":"2020-01-01"}`, "never matches"},
		{all, `"NumericLessThan":{"aws:CurrentTime":"5"}`, "never matches"},
		{all, `"IpAddress":{"aws:Referer":"10.0.0.1"}`, "never matches"},
		{all, `"ArnLike":{"aws:SourceIp":"10.0.0.1"}`, "never matches"},
		{all, `"NumericEqualsIfExists":{"aws:SourceIp":"10.0.0.1"}`, "never matches"},
		{all, `"StringEquals":{"aws:SourceIp":"10.0.0.0/8"}`, "Invalid IP address"},
		{all, `"Bool":{"aws:SecureTransport":"1"}`, `Invalid value "1"`},
		{all, `"Null":{"aws:Referer":"t"}`, `Invalid value "t"`},
		{all, `"StringEquals":{"aws:SecureTransport":"False"}`, `Invalid value "False"`},
		{put, `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"NaN"}`, `Invalid value "NaN"`},
		{put, `"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"Inf"}`, `Invalid value "Inf"`},
		{all, `"NumericGreaterThan":{"s3:max-keys":"${aws:username}"}`, "Invalid value"},
		{all, `"StringLike":{"s3:prefix":"${aws:nobody}/*"}`, "can fill in: ${aws:nobody}"},
		{all, `"StringLike":{"s3:prefix":"${aws:PrincipalTag/team}/*"}`, "can fill in: ${aws:PrincipalTag/team}"},
		{all, `"StringLike":{"s3:prefix":"${aws:username/*"}`, "without a closing brace"},
		{all, `"StringEquals":{"s3:prefix":"a","S3:Prefix":"b"}`, "has the key s3:prefix twice"},
		{all, `"StringEquals":null`, "invalid Json"},
	} {
		refused = append(refused, refusal{deny(c[0], bucket, c[1]), c[2]})
	}
	refused = append(refused, refusal{`{"Statement":{"Effect":"Deny","Principal":"*",` + get + `,"Resource":` + object + `,"Condition":null}}`, "invalid Json"},
		refusal{deny(get, `"arn:aws:s3:::photos/${aws:team}/*"`, ``), "can fill in: ${aws:team}"})
	for _, c := range refused {
		_, err := Parse([]byte(c.doc), Rules{Bucket: "photos"})
		var e *s3err.Error
		if !errors.As(err, &e) || e.Code != "MalformedPolicy" || !strings.Contains(whole(e), c.message) {
			t.Errorf("%s: %v %+v, want %q", c.doc, err, e, c.message)
		}
		if _, err := Parse([]byte(c.doc), Rules{Bucket: "photos", Stored: true}); err != nil && !strings.Contains(c.message, "Invalid") {
			t.Errorf("a stored policy %s cannot be read any more: %v", c.doc, err)
		}
	}
}

// whole is what a client is told: the message and what stands beside it.
func whole(e *s3err.Error) string {
	text := e.Message
	for _, f := range e.Extra {
		text += "; " + f.Name + ": " + f.Value
	}
	return text
}

// TestOpenConditions: until the body was read, a statement that asks for it does not deny, and may allow.
func TestOpenConditions(t *testing.T) {
	open := func(key string) bool { return key == "s3:requestobjecttag/class" }
	for _, c := range []struct {
		effect, condition string
		want              Decision
	}{
		{"Deny", `"StringNotEquals":{"s3:RequestObjectTag/class":"x"}`, NoDecision},
		{"Deny", `"Null":{"s3:RequestObjectTag/class":"true"}`, NoDecision},
		{"Deny", `"StringNotLike":{"aws:Referer":"${s3:RequestObjectTag/class}"}`, NoDecision},
		{"Deny", `"StringNotEquals":{"s3:RequestObjectTag/other":"x"}`, Denies},
		{"Deny", `"StringEquals":{"aws:username":"alice"}`, Denies},
		{"Deny", `"StringEquals":{"aws:username":"alice"},"StringLike":{"s3:RequestObjectTag/class":"x"}`, NoDecision},
		{"Allow", `"StringEquals":{"s3:RequestObjectTag/class":"x"}`, Allows},
		{"Allow", `"StringEquals":{"s3:RequestObjectTag/class":"x","aws:username":"bob"}`, NoDecision},
	} {
		p := policyOf(t, fmt.Sprintf(`{"Effect":%q,"Principal":"*","Action":"s3:PutObjectTagging","Resource":"arn:aws:s3:::photos/*","Condition":{%s}}`, c.effect, c.condition))
		got := p.Evaluate(&Ask{Principal: "alice", Action: "s3:PutObjectTagging", Bucket: "photos", Key: "k", Context: Context{"aws:username": {"alice"}}, Open: open})
		if got != c.want {
			t.Errorf("%s if %s: %d, want %d", c.effect, c.condition, got, c.want)
		}
	}
}
