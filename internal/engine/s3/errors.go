package s3

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"

	"stele/internal/engine"
)

var (
	// ErrCredentials: the server doesn't know the access key, or the secret is another one.
	ErrCredentials = errors.New("wrong credentials")
	// ErrNoBucket: there is no such bucket.
	ErrNoBucket error = noBucket{}
	// ErrUnreachable: no server answered, or it stopped answering. What was under way may have happened.
	ErrUnreachable = errors.New("the server can't be reached")
	// ErrClock: the server's clock and ours differ by so much that it refuses our signatures.
	ErrClock = errors.New("the server's clock and this machine's differ too much")
	// ErrBusy: the server asked us to slow down, or failed within, each time we tried.
	ErrBusy = errors.New("the server is busy or failing")
	// ErrRegion: the bucket is in another region.
	ErrRegion = errors.New("the bucket is in another region")
	// ErrOverwrites: the server ignores If-None-Match, so that a file could be replaced unseen; it is not used.
	ErrOverwrites = errors.New("the server overwrites what must be created once")
)

// words are the errors that have a next step, by the server's code for them.
var words = map[string]struct {
	is   error
	next string
}{
	"InvalidAccessKeyId":             {ErrCredentials, "there is no such access key: check the target's access key and that it is meant for this server"},
	"SignatureDoesNotMatch":          {ErrCredentials, "the secret key is another one: set the target's secret key again"},
	"XAdminUserNotFound":             {ErrCredentials, "there is no such access key: check the target's access key and that it is meant for this server"},
	"InvalidToken":                   {ErrCredentials, "the session token is no good: get new temporary credentials"},
	"ExpiredToken":                   {ErrCredentials, "the session token has expired: get new temporary credentials"},
	"ExpiredTokenException":          {ErrCredentials, "the session token has expired: get new temporary credentials"},
	"NoSuchBucket":                   {ErrNoBucket, "make it first (with Object Lock, if copies shall be locked), or correct its name"},
	"RequestTimeTooSkewed":           {ErrClock, "set this machine's clock or the server's (NTP)"},
	"XMinioStorageFull":              {engine.ErrFull, "free or add room on the target"},
	"InsufficientStorage":            {engine.ErrFull, "free or add room on the target"},
	"QuotaExceeded":                  {engine.ErrFull, "raise the target's quota"},
	"XMinioAdminBucketQuotaExceeded": {engine.ErrFull, "raise the bucket's quota"},
	"AuthorizationHeaderMalformed":   {ErrRegion, "name the bucket's region: region=…"},
	"PermanentRedirect":              {ErrRegion, "name the bucket's region: region=…"},
	"InvalidRegion":                  {ErrRegion, "name the bucket's region: region=…"},
	"NoSuchKey":                      {engine.ErrNotExist, ""},
	"NoSuchVersion":                  {engine.ErrNotExist, ""},
	"PreconditionFailed":             {engine.ErrExist, ""},
}

// explain puts what the client said into the engine's words, with a next step. right is what the request needs to be allowed, as in a policy.
func (s *S3) explain(err error, right string) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || explained(err) {
		return err
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return s.explainNet(err)
	}
	if w, ok := words[r.Code]; ok {
		if w.next == "" {
			return fmt.Errorf("%w: %w", w.is, err)
		}
		if w.is == ErrRegion && r.Region != "" {
			w.next = "the bucket is in region=" + r.Region
		}
		return fmt.Errorf("%w: %s: %s (%w)", w.is, s, w.next, err)
	}
	switch {
	case r.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s: allow %s to the target's access key (%w)", engine.ErrDenied, s, right, err)
	case r.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %s: free or add room on the target (%w)", engine.ErrFull, s, err)
	case r.StatusCode/100 == 3:
		return fmt.Errorf("%w: %s: name the bucket's region: region=… (%w)", ErrRegion, s, err)
	case transient(err):
		return fmt.Errorf("%w: %s: it is tried again later (%w)", ErrBusy, s, err)
	}
	return fmt.Errorf("%s: %s: %w", s, r.Code, err)
}

// explainNet is explain for what no server said.
func (s *S3) explainNet(err error) error {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		next      = "is it running, and is the address right?"
	)
	switch {
	case errors.Is(err, errStalled):
		next = "it took the request and then fell silent"
	case errors.As(err, &dns):
		next = "its name has no address: check the endpoint"
	case errors.As(err, &authority):
		next = "its certificate is signed by nobody known here: point SSL_CERT_FILE to the authority's certificate"
	case errors.As(err, &host), errors.As(err, &invalid):
		next = "its certificate doesn't fit: check the endpoint's name and the certificate's dates"
	case errors.Is(err, http.ErrSchemeMismatch):
		next = "it speaks plain HTTP: write endpoint=http://…"
	case !network(err):
		return fmt.Errorf("%s: %w", s, err)
	}
	return fmt.Errorf("%w: %s: %s (%w)", ErrUnreachable, s.opt.Endpoint, next, err)
}

// noBucket is an engine.ErrGone in this package's words.
type noBucket struct{}

func (noBucket) Error() string { return "no such bucket" }
func (noBucket) Unwrap() error { return engine.ErrGone }

func explained(err error) bool {
	for _, is := range []error{ErrCredentials, ErrNoBucket, ErrUnreachable, ErrClock, ErrBusy, ErrRegion, ErrOverwrites, engine.ErrDenied, engine.ErrExist, engine.ErrNotExist, engine.ErrFull, engine.ErrLocked} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// code is the server's word for what went wrong; "" if it didn't say one.
func code(err error) string {
	var r minio.ErrorResponse
	errors.As(err, &r)
	return r.Code
}

// denied: the server knows us, and won't.
func denied(err error) bool {
	var r minio.ErrorResponse
	if !errors.As(err, &r) || r.StatusCode != http.StatusForbidden {
		return false
	}
	_, other := words[r.Code] // a bad key, a skewed clock, a full quota
	return !other
}

// transient: it may go better if it is tried again.
func transient(err error) bool {
	var r minio.ErrorResponse
	if errors.As(err, &r) {
		switch r.Code {
		case "SlowDown", "SlowDownRead", "SlowDownWrite", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "Throttling", "ThrottlingException", "RequestLimitExceeded":
			return true
		case "NotImplemented", "InsufficientStorage", "XMinioStorageFull":
			return false
		}
		return r.StatusCode == http.StatusTooManyRequests || r.StatusCode == http.StatusRequestTimeout ||
			r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented && r.StatusCode != http.StatusInsufficientStorage
	}
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	if errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &dns) && dns.IsNotFound {
		return false
	}
	return network(err)
}

// network: the line broke, or nothing came.
func network(err error) bool {
	var (
		u  *url.Error
		op net.Error
	)
	return errors.As(err, &u) || errors.As(err, &op) || errors.Is(err, errStalled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
