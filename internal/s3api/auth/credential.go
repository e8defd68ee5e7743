package auth

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// credential is what a signature claims about itself.
type credential struct {
	accessKeyID string
	date        string // yyyymmdd
	region      string
	service     string
	terminal    string
	scope       string // date/region/service/terminal, as sent
	signed      string // the names of signed headers, lower case, separated by ';'
	signature   string
}

// errorStyle words a fault of the credential for the place that it came from.
type errorStyle uint8

const (
	headerErrors errorStyle = iota
	queryErrors
	formErrors
)

func authHeaderMalformed(format string, args ...any) *s3err.Error {
	return s3err.ErrAuthHeaderMalformed.Msg("The authorization header is malformed; "+format, args...)
}

func (s errorStyle) fault(value, format string, args ...any) *s3err.Error {
	switch s {
	case headerErrors:
		return authHeaderMalformed(format, args...)
	case queryErrors:
		return s3err.ErrAuthQueryParameters.Msg("Error parsing the X-Amz-Credential parameter; "+format, args...)
	}
	return s3err.InvalidArgument("x-amz-credential", value, format, args...)
}

// parseCredential splits AKID/date/region/service/aws4_request.
func parseCredential(s string, style errorStyle) (*credential, error) {
	id, scope, _ := strings.Cut(s, "/")
	p := strings.Split(scope, "/")
	if id == "" || len(p) != 4 || len(s) > 256 {
		return nil, style.fault(s, `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	return &credential{accessKeyID: id, scope: scope, date: p[0], region: p[1], service: p[2], terminal: p[3]}, nil
}

// checkScope holds the credential to this endpoint.
func (c *credential) checkScope(service, region string, style errorStyle) error {
	value := c.accessKeyID + "/" + c.scope
	switch {
	case c.terminal != "aws4_request":
		return style.fault(value, "incorrect terminal %q. This endpoint uses \"aws4_request\".", c.terminal)
	case c.service != service:
		return style.fault(value, "incorrect service %q. This endpoint belongs to %q.", c.service, service)
	case c.region != region:
		e := style.fault(value, "the region %q is wrong; expecting %q", c.region, region)
		if style == headerErrors {
			e = e.With("Region", region)
		}
		return e
	}
	if _, err := time.Parse("20060102", c.date); err != nil {
		return style.fault(value, "incorrect date format %q. This date in the credential must be in the format \"yyyyMMdd\".", c.date)
	}
	return nil
}

// parseAuthHeader splits "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func parseAuthHeader(header string) (*credential, error) {
	algorithm, rest, ok := strings.Cut(header, " ")
	switch {
	case !ok:
		return nil, s3err.InvalidArgument("Authorization", header, "Authorization header is invalid -- one and only one ' ' (space) required.")
	case algorithm == "AWS":
		return nil, s3err.ErrSignatureV2
	case algorithm == "AWS4-ECDSA-P256-SHA256":
		return nil, s3err.ErrNotImplemented.With("Header", "Authorization")
	case algorithm != AlgorithmV4:
		return nil, s3err.InvalidArgument("Authorization", algorithm, "Unsupported Authorization Type")
	}
	var value [3]string
	if n := strings.Count(rest, ",") + 1; n != len(value) {
		return nil, authHeaderMalformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		part = strings.TrimSpace(part)
		name, v, ok := strings.Cut(part, "=")
		if !ok {
			return nil, authHeaderMalformed("the authorization component %q is malformed.", part)
		}
		for i, n := range authComponents {
			if n == name {
				value[i] = v
			}
		}
	}
	for i, n := range authComponents {
		if value[i] == "" {
			return nil, authHeaderMalformed("missing %s.", n)
		}
	}
	c, err := parseCredential(value[0], headerErrors)
	if err != nil {
		return nil, err
	}
	c.signed, c.signature = value[1], value[2]
	return c, nil
}

var authComponents = [...]string{"Credential", "SignedHeaders", "Signature"}

// parsePresigned takes the credential from the query, with the seconds for which it holds.
func parsePresigned(q wire.Query) (c *credential, expires int, err error) {
	algorithm, ok := q.Lookup("X-Amz-Algorithm")
	if q.Has("X-Amz-Security-Token") {
		return nil, 0, s3err.ErrSecurityToken // keys are permanent
	}
	for _, n := range [...]string{"X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		ok = ok && q.Get(n) != ""
	}
	switch {
	case !ok || algorithm == "":
		return nil, 0, s3err.ErrAuthQueryParameters.Msg("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	case algorithm == "AWS4-ECDSA-P256-SHA256":
		return nil, 0, s3err.ErrAuthQueryParameters.Msg(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`)
	case algorithm != AlgorithmV4:
		return nil, 0, s3err.ErrAuthQueryParameters.Msg(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`)
	}
	if c, err = parseCredential(q.Get("X-Amz-Credential"), queryErrors); err != nil {
		return nil, 0, err
	}
	c.signed, c.signature = q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature")
	expires, err = strconv.Atoi(q.Get("X-Amz-Expires"))
	switch {
	case err != nil:
		return nil, 0, s3err.ErrAuthQueryParameters.Msg("X-Amz-Expires should be a number")
	case expires < 0:
		return nil, 0, s3err.ErrAuthQueryParameters.Msg("X-Amz-Expires must be non-negative")
	case expires > maxExpires:
		return nil, 0, s3err.ErrAuthQueryParameters.Msg("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than %d seconds", maxExpires)
	}
	return c, expires, nil
}

// signs tells whether the header of that lower-case name is signed.
func (c *credential) signs(name string) bool {
	for rest := c.signed; rest != ""; {
		var n string
		if n, rest, _ = strings.Cut(rest, ";"); n == name {
			return true
		}
	}
	return false
}

// checkSigned demands that host and every x-amz-* header are signed. The two that enter the signature by themselves are
// exempt. Otherwise whoever carries a signed request could add a header that changes what it does.
func (c *credential) checkSigned(h http.Header) error {
	var missing []string
	if !c.signs("host") {
		missing = append(missing, "host")
	}
	for name := range h {
		if len(name) < 6 || name[:6] != "X-Amz-" || name == "X-Amz-Content-Sha256" || name == "X-Amz-Date" {
			continue
		}
		if lower := lowerName(name); !c.signs(lower) {
			missing = append(missing, lower)
		}
	}
	if missing == nil {
		return nil
	}
	return s3err.ErrHeadersNotSigned.With("HeadersNotSigned", joinSorted(missing))
}

// requestTime takes the time of a header-signed request from x-amz-date, or else Date, with its ISO form.
func requestTime(h http.Header) (time.Time, string, error) {
	if s := wire.First(h, "X-Amz-Date"); s != "" {
		t, err := time.Parse(isoTime, s)
		if err != nil {
			return t, "", s3err.ErrMissingDate
		}
		return t, s, nil
	}
	s := wire.First(h, "Date")
	t, err := http.ParseTime(s)
	if err != nil {
		if t, err = time.Parse(isoTime, s); err != nil {
			return t, "", s3err.ErrMissingDate
		}
	}
	t = t.UTC()
	return t, t.Format(isoTime), nil
}

func (c *credential) String() string { return fmt.Sprintf("%s/%s", c.accessKeyID, c.scope) }
