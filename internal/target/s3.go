package target

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"stele/internal/engine"
	"stele/internal/engine/s3"
)

const (
	s3Form  = "s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION"
	rightS3 = "write " + s3Form
)

// s3Kind is a bucket of any S3-compatible server.
var s3Kind = kind{scheme: "s3", form: s3Form, server: true, open: openS3}

// openS3 opens s3://BUCKET[/PREFIX][?endpoint=http[s]://HOST:PORT][&region=REGION][&style=path|host]. Without endpoint it is AWS.
func openS3(ctx context.Context, u *url.URL, opt Options) (engine.Engine, Facts, error) {
	o, err := s3Options(u, opt)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("s3://%s%s: %w", u.Host, u.Path, err)
	}
	e, err := s3.New(o)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("s3://%s%s: %w", u.Host, u.Path, err)
	}
	f := Facts{Place: e.String()}
	if f.S3, err = e.Probe(ctx); err != nil {
		return nil, f, err
	}
	if opt.Store != "" {
		f.Disks, f.NoCopy = thisMachine().serverMedium(o.Endpoint, o.Bucket, opt.Offsite)
	}
	return e, f, nil
}

// s3Options reads the URL, and finds the keys.
func s3Options(u *url.URL, opt Options) (s3.Options, error) {
	if u.User != nil {
		return s3.Options{}, errors.New("a key doesn't belong in a URL, which is shown and logged: set STELE_TARGET_ACCESS_KEY and STELE_TARGET_SECRET_KEY_FILE")
	}
	if u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return s3.Options{}, errors.New(rightS3)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s3.Options{}, errors.New(rightS3)
	}
	o := s3.Options{Bucket: u.Host, Prefix: u.Path, ReadOnly: opt.ReadOnly, LockFor: opt.LockFor, Timeout: opt.Timeout,
		Endpoint: first(opt.Getenv, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), Region: first(opt.Getenv, "AWS_REGION", "AWS_DEFAULT_REGION")}
	for key, values := range query {
		switch value := values[len(values)-1]; {
		case key == "endpoint" && value != "":
			o.Endpoint = value
		case key == "region" && value != "":
			o.Region = value
		case key == "style" && value == "path":
			o.PathStyle = true
		case key == "style" && value == "host":
			o.HostStyle = true
		default:
			return s3.Options{}, fmt.Errorf("%s=… is not understood: %s", key, rightS3) // the value may be a secret
		}
	}
	if o.Write, err = opt.key("", s3.Credentials{AccessKey: opt.AccessKey, SecretKey: opt.SecretKey, SessionToken: opt.SessionToken}); err != nil {
		return o, err
	}
	if o.Read, err = opt.key("READ_", s3.Credentials{AccessKey: opt.ReadAccessKey, SecretKey: opt.ReadSecretKey}); err != nil {
		return o, err
	}
	if o.Write.AccessKey == "" {
		if o.Read.AccessKey == "" || !o.ReadOnly {
			return o, fmt.Errorf("%w: no access key is given: set STELE_TARGET_ACCESS_KEY and STELE_TARGET_SECRET_KEY (or …_FILE), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", s3.ErrCredentials)
		}
		o.Write = o.Read
	}
	return o, nil
}
