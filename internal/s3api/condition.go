package s3api

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// policyCondition is one operator on one key: StringLike on s3:prefix.
type policyCondition struct {
	key      string // lower case
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
		w, err1 := policyTime(want)
		g, err2 := policyTime(got)
		return err1 == nil && err2 == nil && ok(g.Compare(w))
	}
}

// policyTime reads ISO 8601 or seconds since 1970.
func policyTime(s string) (time.Time, error) {
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
	return err == nil && p.Contains(a.Unmap())
}

func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}

// conditionKeys are the keys that a policy may use. Those that NewContext never sets are absent from every request, which
// is the truth: no request comes through a VPC.
var conditionKeys = func() map[string]bool {
	m := map[string]bool{}
	for _, k := range strings.Fields(`aws:CurrentTime aws:EpochTime aws:MultiFactorAuthAge aws:MultiFactorAuthPresent aws:PrincipalAccount
		aws:PrincipalArn aws:PrincipalIsAWSService aws:PrincipalOrgID aws:PrincipalOrgPaths aws:PrincipalType aws:Referer aws:ResourceAccount
		aws:SecureTransport aws:SourceAccount aws:SourceArn aws:SourceIp aws:SourceVpc aws:SourceVpce aws:UserAgent aws:userid aws:username
		aws:ViaAWSService aws:VpcSourceIp s3:authType s3:delimiter s3:if-match s3:if-none-match s3:LocationConstraint s3:locationconstraint
		s3:max-keys s3:object-lock-legal-hold s3:object-lock-mode s3:object-lock-remaining-retention-days
		s3:object-lock-retain-until-date s3:ObjectCreationOperation s3:prefix s3:RequestObjectTagKeys s3:ResourceAccount s3:signatureAge
		s3:signatureversion s3:TlsVersion s3:VersionId s3:x-amz-acl s3:x-amz-content-sha256 s3:x-amz-copy-source
		s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write s3:x-amz-grant-write-acp
		s3:x-amz-metadata-directive s3:x-amz-object-ownership s3:x-amz-server-side-encryption
		s3:x-amz-server-side-encryption-aws-kms-key-id s3:x-amz-server-side-encryption-customer-algorithm s3:x-amz-storage-class
		s3:x-amz-website-redirect-location`) {
		m[strings.ToLower(k)] = true
	}
	return m
}()

func knownConditionKey(k string) bool {
	if conditionKeys[k] {
		return true
	}
	for _, p := range [...]string{"s3:existingobjecttag/", "s3:requestobjecttag/", "aws:principaltag/", "aws:requesttag/"} {
		if strings.HasPrefix(k, p) && len(k) > len(p) {
			return true
		}
	}
	return false
}

// conditionKey keeps the letters of a tag's key, which are case sensitive, behind a key in lower case.
func conditionKey(k string) string {
	if i := strings.IndexByte(k, '/'); i >= 0 {
		return strings.ToLower(k[:i]) + k[i:]
	}
	return strings.ToLower(k)
}

// onlyOn are the keys that a few actions have and no other: a condition on them would never be what it looks like elsewhere.
var onlyOn = map[string]map[string]bool{}

func init() {
	list := set("s3:listbucket s3:listbucketversions")
	for _, k := range [...]string{"s3:prefix", "s3:delimiter", "s3:max-keys"} {
		onlyOn[k] = list
	}
	acl := set("s3:putobject s3:putobjectacl s3:putobjectversionacl s3:putbucketacl s3:createbucket")
	for _, k := range [...]string{"acl", "grant-full-control", "grant-read", "grant-read-acp", "grant-write", "grant-write-acp"} {
		onlyOn["s3:x-amz-"+k] = acl
	}
	version := map[string]bool{}
	for a := range knownActions {
		if strings.Contains(a, "version") && !strings.Contains(a, "bucket") {
			version[a] = true
		}
	}
	onlyOn["s3:versionid"] = version
}

// checkConditions demands that every action can have every key that the conditions are about.
func (s *statement) checkConditions() error {
	for _, c := range s.conditions {
		actions, ok := onlyOn[c.key]
		if !ok || s.notAction {
			continue
		}
		for _, pattern := range s.actions {
			found := false
			for a := range actions {
				found = found || match(pattern, a)
			}
			if !found {
				return malformedPolicy("Conditions do not apply to combination of actions and resources in statement")
			}
		}
	}
	return nil
}

func (s *statement) parseConditions(f map[string]json.RawMessage, _ PolicyRules) error {
	raw, ok := f["Condition"]
	if !ok {
		return nil
	}
	var byOperator map[string]map[string]json.RawMessage
	if json.Unmarshal(raw, &byOperator) != nil {
		return errPolicyJSON
	}
	for name, keys := range byOperator {
		op, err := parseOperator(name)
		if err != nil {
			return err
		}
		for key, raw := range keys {
			c := op
			if c.key = conditionKey(key); !knownConditionKey(c.key) {
				return malformedPolicy("Policy has an invalid condition key")
			}
			if c.values, err = words(raw, true); err != nil || len(c.values) == 0 {
				return errPolicyJSON
			}
			if err := c.checkValues(name); err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

// parseOperator reads [ForAnyValue:|ForAllValues:]Operator[IfExists].
func parseOperator(name string) (policyCondition, error) {
	var c policyCondition
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
	c.pattern = strings.HasSuffix(op, "Like") || strings.HasPrefix(op, "Arn")
	c.null = op == "Null" && !c.ifExists
	c.test = operators[op]
	if c.test == nil && !c.null {
		return c, malformedPolicy("Invalid Condition type : %s", name)
	}
	return c, nil
}

// checkValues refuses values that could never match: a typing error must not make a Deny toothless.
func (c *policyCondition) checkValues(operator string) error {
	op := operator
	for _, v := range c.values {
		var err error
		switch {
		case strings.Contains(v, "${"):
		case c.key == "aws:sourceip":
			if _, err := parseNetwork(v); err != nil {
				return malformedPolicy("Invalid IP address in Conditions")
			}
		case c.null, strings.Contains(op, "Bool"):
			_, err = strconv.ParseBool(strings.ToLower(v))
		case strings.Contains(op, "IpAddress"):
			_, err = parseNetwork(v)
		case strings.Contains(op, "Numeric"):
			_, err = strconv.ParseFloat(v, 64)
		case strings.Contains(op, "Date"):
			_, err = policyTime(v)
		}
		if err != nil {
			return malformedPolicy("Invalid value %q in condition %s", v, operator)
		}
	}
	return nil
}

// holds evaluates the condition.
func (c *policyCondition) holds(ctx Context) bool {
	got, ok := ctx[c.key]
	switch {
	case c.null:
		return strings.EqualFold(c.values[0], "true") != (ok && len(got) > 0)
	case len(got) == 0 && c.set == forAll:
		return true
	case len(got) == 0:
		return c.ifExists || c.negated && c.set == single
	}
	matches := func(g string) bool {
		for _, w := range c.values {
			if w = ctx.expand(w); !c.pattern {
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

// Context is what conditions are tested against: values by key, keys in lower case (tag keys as they are).
type Context map[string][]string

// expand replaces policy variables, ${aws:username}, in a pattern; one without a single value makes a pattern that matches
// nothing. What is put in is literal and is not looked at again.
func (ctx Context) expand(s string) string {
	for at := 0; ; {
		i := strings.Index(s[at:], "${")
		if i < 0 {
			return s
		}
		i += at
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			return s
		}
		name := s[i+2 : i+j]
		v := name
		if name != "*" && name != "?" && name != "$" {
			got := ctx[conditionKey(name)]
			if len(got) != 1 {
				return "\x00"
			}
			v = got[0]
		}
		v = literal.Replace(v)
		s = s[:i] + v + s[i+j+1:]
		at = i + len(v)
	}
}

// Peer is what is known of the connection.
type Peer struct {
	Addr   string // client's address, with or without port
	Secure bool   // TLS
	Now    time.Time
}

// NewContext collects what the request itself says. What only the store knows (the existing object's tags, the remaining
// retention) is added by the caller: s3:existingobjecttag/KEY, s3:object-lock-remaining-retention-days.
func NewContext(r *http.Request, q *Request, a *Auth, peer Peer) Context {
	host := peer.Addr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ctx := Context{
		"aws:sourceip":        {host},
		"aws:securetransport": {strconv.FormatBool(peer.Secure)},
		"aws:currenttime":     {peer.Now.UTC().Format(time.RFC3339)},
		"aws:epochtime":       {strconv.FormatInt(peer.Now.Unix(), 10)},
		"aws:resourceaccount": {AccountID},
		"s3:resourceaccount":  {AccountID},
	}
	ctx.addPrincipal(a, peer.Now)
	for key, param := range queryConditions {
		if v, ok := q.Query.Lookup(param); ok {
			ctx[key] = []string{v}
		}
	}
	for key, header := range headerConditions {
		if v := firstOf(r.Header, header); v != "" {
			ctx[key] = []string{v}
		}
	}
	if tags, err := ParseTagging(firstOf(r.Header, "X-Amz-Tagging")); err == nil {
		ctx.AddRequestTags(tags)
	}
	return ctx
}

// AddRequestTags adds tags that came in the request's body.
func (ctx Context) AddRequestTags(tags []Tag) {
	for _, t := range tags {
		ctx["s3:requestobjecttag/"+t.Key] = []string{t.Value}
		ctx["s3:requestobjecttagkeys"] = append(ctx["s3:requestobjecttagkeys"], t.Key)
	}
}

// addPrincipal says who asks and how it was signed.
func (ctx Context) addPrincipal(a *Auth, now time.Time) {
	if a.Kind == Anonymous {
		ctx["aws:principaltype"] = []string{"Anonymous"}
		ctx["aws:userid"] = []string{"anonymous"}
		return
	}
	ctx["aws:principaltype"] = []string{"User"}
	ctx["aws:userid"] = []string{a.AccessKeyID}
	ctx["aws:username"] = []string{a.AccessKeyID}
	ctx["aws:principalaccount"] = []string{AccountID}
	ctx["aws:principalarn"] = []string{"arn:aws:iam::" + AccountID + ":user/" + a.AccessKeyID}
	ctx["s3:authtype"] = []string{[...]string{"", "REST-HEADER", "REST-QUERY-STRING", "POST"}[a.Kind]}
	ctx["s3:signatureversion"] = []string{algorithmV4}
	ctx["s3:signatureage"] = []string{strconv.FormatInt(now.Sub(a.SignedAt).Milliseconds(), 10)}
}

var queryConditions = map[string]string{
	"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys", "s3:versionid": "versionId",
}

var headerConditions = map[string]string{
	"aws:referer": "Referer", "aws:useragent": "User-Agent", "s3:if-match": "If-Match", "s3:if-none-match": "If-None-Match",
	"s3:object-lock-legal-hold":                          "X-Amz-Object-Lock-Legal-Hold",
	"s3:object-lock-mode":                                "X-Amz-Object-Lock-Mode",
	"s3:object-lock-retain-until-date":                   "X-Amz-Object-Lock-Retain-Until-Date",
	"s3:x-amz-acl":                                       "X-Amz-Acl",
	"s3:x-amz-content-sha256":                            "X-Amz-Content-Sha256",
	"s3:x-amz-copy-source":                               "X-Amz-Copy-Source",
	"s3:x-amz-grant-full-control":                        "X-Amz-Grant-Full-Control",
	"s3:x-amz-grant-read":                                "X-Amz-Grant-Read",
	"s3:x-amz-grant-read-acp":                            "X-Amz-Grant-Read-Acp",
	"s3:x-amz-grant-write":                               "X-Amz-Grant-Write",
	"s3:x-amz-grant-write-acp":                           "X-Amz-Grant-Write-Acp",
	"s3:x-amz-metadata-directive":                        "X-Amz-Metadata-Directive",
	"s3:x-amz-object-ownership":                          "X-Amz-Object-Ownership",
	"s3:x-amz-server-side-encryption":                    "X-Amz-Server-Side-Encryption",
	"s3:x-amz-server-side-encryption-aws-kms-key-id":     "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id",
	"s3:x-amz-server-side-encryption-customer-algorithm": "X-Amz-Server-Side-Encryption-Customer-Algorithm",
	"s3:x-amz-storage-class":                             "X-Amz-Storage-Class",
	"s3:x-amz-website-redirect-location":                 "X-Amz-Website-Redirect-Location",
}
