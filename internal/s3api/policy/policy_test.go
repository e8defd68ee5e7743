package policy

import (
	"fmt"
	"strings"
	"testing"

	"stele/internal/s3api/s3err/s3errtest"
)

func policyOf(t testing.TB, statements string) *Policy {
	t.Helper()
	p, err := Parse([]byte(`{"Version":"2012-10-17","Statement":`+statements+`}`), Rules{Bucket: "photos"})
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return p
}

const allowGet = `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*"%s}`

func TestPolicyRefusals(t *testing.T) {
	st := func(effect, principal, action, resource string) string {
		return fmt.Sprintf(`{"Statement":[{"Effect":%s,"Principal":%s,"Action":%s,"Resource":%s}]}`, effect, principal, action, resource)
	}
	const res, all = `"arn:aws:s3:::photos/*"`, `"*"`
	cond := func(c string) string { return `{"Statement":` + fmt.Sprintf(allowGet, `,"Condition":`+c) + `}` }
	for _, c := range []struct{ doc, message string }{
		{``, "first byte must be '{'"},
		{`[]`, "first byte must be '{'"},
		{`{"Principal": "*" `, "invalid Json"},
		{`{"Version":"2012-10-17","Version":"2012-10-17"}`, "invalid Json"},
		{`{}`, "Missing required field Statement"},
		{`{"Statement":[]}`, "Statement is empty!"},
		{`{"Statement":[],"Extra":1}`, "Unknown field Extra"},
		{`{"Version":"2020-01-01","Statement":[]}`, "valid version string"},
		{strings.Repeat(" ", MaxBytes+1), "exceeds the maximum"},
		{st(`"allow"`, all, `"s3:*"`, res), "Invalid effect: allow"},
		{`{"Statement":{"Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::photos"}}`, "Missing required field Effect"},
		{`{"Statement":{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::photos"}}`, "Missing required field Principal"},
		{`{"Statement":{"Effect":"Deny","Principal":"*","Resource":"arn:aws:s3:::photos"}}`, "Missing required field Action"},
		{`{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*"}}`, "Missing required field Resource"},
		{`{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::photos","Extra":1}}`, "Unknown field Extra"},
		{`{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","NotAction":"s3:*","Resource":"arn:aws:s3:::photos"}}`, "both Action and NotAction"},
		{st(`"Allow"`, `""`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, `[]`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, `{"AWS":[]}`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, `{"Service":"x"}`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, `["*","key1"]`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, `"key*"`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, `"arn:aws:iam::111122223333:root"`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, `"stranger"`, `"s3:*"`, res), "Invalid principal"},
		{st(`"Allow"`, all, `"ec2:*"`, res), "invalid action"},
		{st(`"Allow"`, all, `"s3:Nothing"`, res), "invalid action"},
		{st(`"Allow"`, all, `"s3:Nothing*"`, res), "invalid action"},
		{st(`"Allow"`, all, `[]`, res), "invalid action"},
		{st(`"Allow"`, all, `"s3:*"`, `""`), "invalid resource"},
		{st(`"Allow"`, all, `"s3:*"`, `"photos/*"`), "invalid resource"},
		{st(`"Allow"`, all, `"s3:*"`, `"arn:aws:s3:::other/*"`), "invalid resource"},
		{st(`"Allow"`, all, `"s3:*"`, `"arn:aws:s3:::/photos/*"`), "invalid resource"},
		{st(`"Allow"`, all, `"s3:GetObject"`, `"arn:aws:s3:::photos"`), "does not apply to any resource"},
		{st(`"Allow"`, all, `"s3:ListBucket"`, res), "does not apply to any resource"},
		{st(`"Allow"`, all, `["s3:GetObject","s3:ListBucket"]`, res), "does not apply to any resource"},
		{cond(`{"StringSortOf":{"s3:prefix":"a"}}`), "Invalid Condition type"},
		{cond(`{"StringEquals":{"s3:nonsense":"a"}}`), "invalid condition key"},
		{cond(`{"StringEquals":{"aws:SourceIp":[]}}`), "invalid Json"},
		{cond(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`), "Invalid IP address"},
		{cond(`{"Null":{"aws:SourceIp":"true"}}`), "Invalid IP address"},
		{cond(`{"IpAddress":{"aws:VpcSourceIp":"10.0.0.1"}}`), "aws:VpcSourceIp (no request comes through a VPC"},
		{cond(`{"stringequals":{"aws:UserAgent":"x"}}`), "Invalid Condition type : stringequals"},
		{cond(`{"NullIfExists":{"aws:UserAgent":"true"}}`), "Invalid Condition type : NullIfExists"},
		{cond(`{"ForSomeValues:StringEquals":{"aws:UserAgent":"x"}}`), "Invalid Condition type : ForSomeValues:StringEquals"},
		{cond(`{"StringEquals":{"s3:prefix":"x"}}`), "Conditions do not apply"},
		{cond(`{"StringEquals":{"s3:VersionId":"x"}}`), "Conditions do not apply"},
		{strings.Replace(cond(`{"StringEquals":{"s3:x-amz-acl":"x"}}`), `"s3:GetObject"`, `["s3:GetObject","s3:PutObject"]`, 1), "Conditions do not apply"},
		{cond(`{"NumericLessThan":{"s3:signatureAge":"ten"}}`), "Invalid value"},
		{cond(`{"Bool":{"aws:SecureTransport":"yes"}}`), "Invalid value"},
		{cond(`{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), "Invalid value"},
		{`{"Statement":[` + fmt.Sprintf(allowGet, `,"Sid":"a"`) + `,` + fmt.Sprintf(allowGet, `,"Sid":"a"`) + `]}`, "unique"},
	} {
		_, err := Parse([]byte(c.doc), Rules{Bucket: "photos", Known: func(k string) bool { return k != "stranger" }})
		s3errtest.Want(t, c.doc, err, "MalformedPolicy", c.message)
	}
}

func TestPolicyDecisions(t *testing.T) {
	const denyDelete = `{"Effect":"Deny","Principal":"*","Action":"s3:Delete*","Resource":"arn:aws:s3:::photos/*"}`
	const allowAll = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},"Action":"s3:*","Resource":["arn:aws:s3:::photos","arn:aws:s3:::photos/*"]}`
	for _, c := range []struct {
		name, policy, who, action, key string
		want                           Decision
	}{
		{"anyone reads", fmt.Sprintf(allowGet, ""), "", "s3:GetObject", "a", Allows},
		{"case of actions", fmt.Sprintf(allowGet, ""), "", "s3:getobject", "a", Allows},
		{"not the version", fmt.Sprintf(allowGet, ""), "", "s3:GetObjectVersion", "a", NoDecision},
		{"not the bucket", fmt.Sprintf(allowGet, ""), "", "s3:GetObject", "", NoDecision},
		{"deny wins", "[" + allowAll + "," + denyDelete + "]", "alice", "s3:DeleteObject", "a", Denies},
		{"deny wins, other order", "[" + denyDelete + "," + allowAll + "]", "alice", "s3:DeleteObjectVersion", "a", Denies},
		{"the rest stays", "[" + denyDelete + "," + allowAll + "]", "alice", "s3:PutObject", "a", Allows},
		{"another user", allowAll, "bob", "s3:PutObject", "a", NoDecision},
		{"anonymous", allowAll, "", "s3:PutObject", "a", NoDecision},
		{"account", strings.Replace(allowAll, ":user/alice", ":root", 1), "bob", "s3:PutObject", "a", Allows},
		{"account is not everyone", strings.Replace(allowAll, ":user/alice", ":root", 1), "", "s3:PutObject", "a", NoDecision},
		{"plain id", strings.Replace(allowAll, `{"AWS":"arn:aws:iam::000000000000:user/alice"}`, `["alice","bob"]`, 1), "bob", "s3:PutObject", "a", Allows},
		{"not principal", `{"Effect":"Deny","NotPrincipal":{"AWS":"alice"},"Action":"s3:*","Resource":"arn:aws:s3:::photos/*"}`, "bob", "s3:GetObject", "a", Denies},
		{"not principal, him", `{"Effect":"Deny","NotPrincipal":{"AWS":"alice"},"Action":"s3:*","Resource":"arn:aws:s3:::photos/*"}`, "alice", "s3:GetObject", "a", NoDecision},
		{"not action", `{"Effect":"Deny","Principal":"*","NotAction":"s3:Get*","Resource":"arn:aws:s3:::photos/*"}`, "alice", "s3:PutObject", "a", Denies},
		{"not action, that", `{"Effect":"Deny","Principal":"*","NotAction":"s3:Get*","Resource":"arn:aws:s3:::photos/*"}`, "alice", "s3:GetObject", "a", NoDecision},
		{"not resource", `{"Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":"arn:aws:s3:::photos/public/*"}`, "alice", "s3:GetObject", "private/a", Denies},
		{"not resource, there", `{"Effect":"Deny","Principal":"*","Action":"s3:*","NotResource":"arn:aws:s3:::photos/public/*"}`, "alice", "s3:GetObject", "public/a", NoDecision},
		{"question mark", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/a?c"}`, "", "s3:GetObject", "abc", Allows},
		{"question mark is one", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/a?c"}`, "", "s3:GetObject", "abbc", NoDecision},
		{"variable", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/home/${aws:username}/*"}`, "alice", "s3:GetObject", "home/alice/x", Allows},
		{"variable, other", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/home/${aws:username}/*"}`, "bob", "s3:GetObject", "home/alice/x", NoDecision},
		{"variable is literal", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/home/${aws:username}/*"}`, "*", "s3:GetObject", "home/alice/x", NoDecision},
		{"variable absent", `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/home/${aws:username}/*"}`, "", "s3:GetObject", "home//x", NoDecision},
	} {
		ctx := Context{}
		if c.who != "" {
			ctx["aws:username"] = []string{c.who}
		}
		ask := &Ask{Principal: c.who, Action: c.action, Bucket: "photos", Key: c.key, Context: ctx}
		if got := policyOf(t, c.policy).Evaluate(ask); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if (*Policy)(nil).Evaluate(&Ask{}) != NoDecision || (*Policy)(nil).Public() {
		t.Error("no policy decided")
	}
}

func TestConditions(t *testing.T) {
	ctx := Context{
		"aws:sourceip": {"192.0.2.17"}, "aws:securetransport": {"true"}, "s3:prefix": {"home/a"}, "s3:max-keys": {"10"},
		"aws:currenttime": {"2026-11-22T12:00:00Z"}, "s3:requestobjecttagkeys": {"a", "b"}, "s3:existingobjecttag/Class": {"x*y"},
		"aws:username": {"home"}, "aws:epochtime": {"1795348800"},
	}
	for cond, want := range map[string]bool{
		`{"StringEquals":{"s3:prefix":"home/a"}}`:                                        true,
		`{"StringEquals":{"s3:prefix":["x","home/a"]}}`:                                  true,
		`{"StringEquals":{"S3:Prefix":"HOME/A"}}`:                                        false,
		`{"StringEqualsIgnoreCase":{"s3:prefix":"HOME/A"}}`:                              true,
		`{"StringNotEquals":{"s3:prefix":["home/a","x"]}}`:                               false,
		`{"StringNotEquals":{"s3:prefix":["y","x"]}}`:                                    true,
		`{"StringNotEquals":{"s3:delimiter":"/"}}`:                                       true,
		`{"StringEquals":{"s3:delimiter":"/"}}`:                                          false,
		`{"StringEqualsIfExists":{"s3:delimiter":"/"}}`:                                  true,
		`{"StringEqualsIfExists":{"s3:prefix":"/"}}`:                                     false,
		`{"StringLike":{"s3:prefix":"home/*"}}`:                                          true,
		`{"StringLike":{"s3:prefix":"${aws:username}/*"}}`:                               true,
		`{"StringEquals":{"s3:prefix":"home/*"}}`:                                        false,
		`{"StringNotLike":{"s3:prefix":"home/*"}}`:                                       false,
		`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}`:                   true,
		`{"IpAddress":{"aws:SourceIp":"192.0.2.17"}}`:                                    true,
		`{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}`:                false,
		`{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`:                                 true,
		`{"IpAddress":{"aws:SourceIp":"::ffff:192.0.2.17"}}`:                             true,
		`{"IpAddress":{"aws:SourceIp":"::ffff:192.0.2.0/120"}}`:                          true,
		`{"NotIpAddress":{"aws:SourceIp":"::ffff:192.0.2.0/120"}}`:                       false,
		`{"IpAddress":{"aws:SourceIp":"::ffff:10.0.0.0/104"}}`:                           false,
		`{"Bool":{"aws:SecureTransport":true}}`:                                          true,
		`{"Bool":{"aws:SecureTransport":"false"}}`:                                       false,
		`{"NumericLessThanEquals":{"s3:max-keys":10}}`:                                   true,
		`{"NumericLessThan":{"s3:max-keys":"10"}}`:                                       false,
		`{"NumericGreaterThan":{"s3:max-keys":"9.5"}}`:                                   true,
		`{"NumericNotEquals":{"s3:max-keys":"10"}}`:                                      false,
		`{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}`:                 true,
		`{"DateLessThan":{"aws:CurrentTime":"2026-01-01"}}`:                              false,
		`{"DateGreaterThan":{"aws:EpochTime":"2026-01-01T00:00:00Z"}}`:                   true,
		`{"Null":{"s3:delimiter":"true"}}`:                                               true,
		`{"Null":{"s3:prefix":"true"}}`:                                                  false,
		`{"Null":{"s3:prefix":false}}`:                                                   true,
		`{"Null":{"s3:prefix":["true","false"]}}`:                                        true,
		`{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["b","c"]}}`:             true,
		`{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["c"]}}`:                 false,
		`{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a","b","c"]}}`:        true,
		`{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]}}`:                false,
		`{"ForAllValues:StringEquals":{"s3:if-match":["a"]}}`:                            true,
		`{"ForAnyValue:StringNotEquals":{"s3:RequestObjectTagKeys":["a"]}}`:              true,
		`{"ForAnyValue:StringEquals":{"s3:if-match":["a"]}}`:                             false,
		`{"StringEquals":{"s3:ExistingObjectTag/Class":"x*y"}}`:                          true,
		`{"StringEquals":{"s3:ExistingObjectTag/class":"x*y"}}`:                          false,
		`{"StringLike":{"s3:ExistingObjectTag/Class":"x${*}y"}}`:                         true,
		`{"StringEquals":{"s3:prefix":"home/a"},"Bool":{"aws:SecureTransport":"true"}}`:  true,
		`{"StringEquals":{"s3:prefix":"home/a"},"Bool":{"aws:SecureTransport":"false"}}`: false,
		`{"StringEquals":{"s3:prefix":"home/a","s3:max-keys":"11"}}`:                     false,
		`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*"}}`:                              false,
		`{"StringLike":{"s3:prefix":["${aws:userid}/*"]}}`:                               false,
		`{"StringNotEqualsIfExists":{"s3:prefix":"home/a"}}`:                             false,
		`{"NumericEquals":{"s3:prefix":"10"}}`:                                           false,
		`{"StringEquals":{"s3:max-keys":10}}`:                                            true,
		`{"StringEqualsIfExists":{"s3:TlsVersion":"1.3"}}`:                               true,
		`{"NumericNotEquals":{"s3:TlsVersion":"1.3"}}`:                                   true,
		`{"DateEquals":{"aws:EpochTime":"1795348800"}}`:                                  true,
		`{"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["?"]}}`:                  true,
		`{"ForAnyValue:StringLike":{"s3:RequestObjectTagKeys":["??"]}}`:                  false,
		`{"BinaryEquals":{"s3:prefix":"home/a"}}`:                                        true,
		`{"StringNotEqualsIgnoreCase":{"s3:prefix":"HOME/A"}}`:                           false,
		`{"ArnNotLike":{"aws:PrincipalArn":"arn:*"}}`:                                    true,
		`{"NumericGreaterThanEquals":{"s3:max-keys":"11"}}`:                              false,
		`{"DateNotEquals":{"aws:CurrentTime":"2026-11-22T12:00:00Z"}}`:                   false,
		`{"DateLessThanEquals":{"aws:CurrentTime":"2026-11-22T12:00:00Z"}}`:              true,
		`{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-22T12:00:01Z"}}`:           false,
	} {
		p := policyOf(t, strings.Replace(fmt.Sprintf(allowGet, `,"Condition":`+cond), "s3:GetObject", "s3:*", 1))
		got := p.Evaluate(&Ask{Action: "s3:GetObject", Bucket: "photos", Key: "k", Context: ctx}) == Allows
		if got != want {
			t.Errorf("%s: %v", cond, got)
		}
	}
}

func TestPublic(t *testing.T) {
	for policy, want := range map[string]bool{
		fmt.Sprintf(allowGet, ""): true,
		fmt.Sprintf(allowGet, `,"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`):    false,
		fmt.Sprintf(allowGet, `,"Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`):       true,
		fmt.Sprintf(allowGet, `,"Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`): true,
		fmt.Sprintf(allowGet, `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`):          true,
		strings.Replace(fmt.Sprintf(allowGet, ""), `"*"`, `{"AWS":"alice"}`, 1):                false,
		strings.Replace(fmt.Sprintf(allowGet, ""), `Allow`, `Deny`, 1):                         false,
	} {
		if got := policyOf(t, policy).Public(); got != want {
			t.Errorf("%s: %v", policy, got)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a/b", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false},
		{"?", "", false}, {"a?", "ab", true}, {"**", "x", true}, {"*a", "ba", true}, {"*a", "ab", false},
	} {
		if match(c.pattern, c.s) != c.want {
			t.Errorf("%q %q", c.pattern, c.s)
		}
	}
	// A pattern made to be slow must not be.
	if match(strings.Repeat("a*", 5000)+"b", strings.Repeat("a", 10000)) {
		t.Error("matched")
	}
}

func BenchmarkEvaluate(b *testing.B) {
	p := policyOf(b, "["+fmt.Sprintf(allowGet, `,"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`)+`]`)
	ask := &Ask{Action: "s3:GetObject", Bucket: "photos", Key: "a/b", Context: Context{"aws:sourceip": {"192.0.2.1"}}}
	b.ReportAllocs()
	for b.Loop() {
		if p.Evaluate(ask) != Allows {
			b.Fatal("denied")
		}
	}
}

// TestPolicyIsText: a resource that encoding/json would read as another one is refused.
func TestPolicyIsText(t *testing.T) {
	const policy = `{"Statement":[{"Sid":"a","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/KEY"}]}`
	for _, key := range []string{"\xff", `\ud800`, `\udc00\ud800`, `\ud83dA`, `\\\ud800`} {
		if _, err := Parse([]byte(strings.Replace(policy, "KEY", key, 1)), Rules{Bucket: "photos"}); err == nil {
			t.Errorf("a policy with %q is accepted", key)
		}
	}
}
