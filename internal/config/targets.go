package config

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/s3"
)

// TargetOptions are what a target's URL doesn't say. A key that isn't given is looked for in the environment: STELE_TARGET_<NAME>_ACCESS_KEY and
// …_SECRET_KEY, then STELE_TARGET_ACCESS_KEY and …, each also with _FILE, then AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
// The key for reading: STELE_TARGET_<NAME>_READ_ACCESS_KEY and so on. <NAME> is Name in capitals, with _ for what is no letter or digit.
type TargetOptions struct {
	// Name is what people call the target; "" has no variables of its own.
	Name string
	// AccessKey, SecretKey and SessionToken write and, without a ReadAccessKey, read.
	AccessKey, SecretKey, SessionToken string
	// ReadAccessKey and ReadSecretKey only read and list.
	ReadAccessKey, ReadSecretKey string
	// LockFor is how long files are locked where the target can lock.
	LockFor time.Duration
	// ReadOnly makes and writes nothing: to restore, to serve from a copy, to drill.
	ReadOnly bool
	// Make makes a folder that is missing: for a target that is being added. Else it must be there, since its disk may not be mounted.
	Make bool
	// Without are patterns of files that are taken for not there, commas between them (engine.Without); with ReadOnly only.
	Without string
	// Store is the store's folder, to see whether a target in a folder lies on the same disk; "" doesn't look.
	Store string
	// Offsite: somebody declared that the target stands at another site. It is believed where nothing proves otherwise.
	Offsite bool
	// Timeout is how long nothing may move in a request to a server; 0: the engine's default.
	Timeout time.Duration
	// Getenv is os.Getenv if nil.
	Getenv func(string) string
}

// Facts are what opening has shown of a target.
type Facts struct {
	Kind  string // "dir" or "s3"
	Place string // where it lies, without secrets
	// Disks are what it lies on, whole disks or a server; two targets that share one are lost together. None: it can't be told.
	Disks []string
	// NoCopy says why it is no copy in the sense of 3-2-1-1-0; "" if it is one, or nobody asked.
	NoCopy string
	// S3 is what a server's bucket can do.
	S3 s3.Facts
}

const rightURL = "write dir:///PATH or s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION"

// OpenTarget opens a target: dir:///PATH or a plain path for a folder, or
// s3://BUCKET[/PREFIX][?endpoint=http[s]://HOST:PORT][&region=REGION][&style=path|host] for a bucket, which must be there. Without endpoint it is AWS.
// A bucket is probed: it must take files, once each.
func OpenTarget(ctx context.Context, rawURL string, opt TargetOptions) (engine.Engine, Facts, error) {
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	if opt.Without != "" {
		patterns := opt.Without
		opt.Without = ""
		e, f, err := OpenTarget(ctx, rawURL, opt)
		if err == nil {
			e, err = engine.Without(e, strings.Split(patterns, ",")...)
		}
		return e, f, err
	}
	if !strings.Contains(rawURL, "://") && !strings.HasPrefix(rawURL, "dir:") && !strings.HasPrefix(rawURL, "s3:") {
		return openDirTarget(rawURL, opt)
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("target: that is no URL: %s", rightURL) // the parser's error quotes it, password and all
	}
	switch u.Scheme {
	case "dir":
		if u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" {
			return nil, Facts{}, errors.New("target: a folder is dir:///PATH, from the root, with three slashes") // the URL may hold a password
		}
		return openDirTarget(u.Path, opt)
	case "s3":
		return openS3Target(ctx, u, opt)
	}
	return nil, Facts{}, fmt.Errorf("target: %q is no kind of target: %s", u.Scheme, rightURL)
}

func openDirTarget(path string, opt TargetOptions) (engine.Engine, Facts, error) {
	if path == "" {
		return nil, Facts{}, errors.New("target: nothing is given: " + rightURL)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("target: %w", err)
	}
	e, err := dir.Open(vfs.Default, path, dir.Options{ReadOnly: opt.ReadOnly, Existing: !opt.Make})
	if errors.Is(err, engine.ErrNotExist) {
		return nil, Facts{}, fmt.Errorf("target %s: %w. Check the path, and whether its disk is mounted; nothing is made in its stead", path, engine.ErrGone)
	}
	if err != nil {
		return nil, Facts{}, fmt.Errorf("target %s: %w", path, err)
	}
	m := thisMachine()
	on := m.mediumOf(path, 0)
	f := Facts{Kind: "dir", Place: path, Disks: on.disks}
	if opt.Store != "" {
		f.NoCopy = noCopy(m.mediumOf(opt.Store, 0), on, opt.Offsite)
	}
	return e, f, nil
}

func openS3Target(ctx context.Context, u *url.URL, opt TargetOptions) (engine.Engine, Facts, error) {
	o, err := s3Options(u, opt)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("target s3://%s%s: %w", u.Host, u.Path, err)
	}
	e, err := s3.New(o)
	if err != nil {
		return nil, Facts{}, fmt.Errorf("target s3://%s%s: %w", u.Host, u.Path, err)
	}
	f := Facts{Kind: "s3", Place: e.String()}
	if f.S3, err = e.Probe(ctx); err != nil {
		return nil, f, err
	}
	if opt.Store != "" {
		f.Disks, f.NoCopy = thisMachine().serverMedium(o.Endpoint, o.Bucket, opt.Offsite)
	}
	return e, f, nil
}

// s3Options reads the URL, and finds the keys.
func s3Options(u *url.URL, opt TargetOptions) (s3.Options, error) {
	if u.User != nil {
		return s3.Options{}, errors.New("a key doesn't belong in a URL, which is shown and logged: set STELE_TARGET_ACCESS_KEY and STELE_TARGET_SECRET_KEY_FILE")
	}
	if u.Host == "" || u.Opaque != "" || u.Fragment != "" {
		return s3.Options{}, errors.New(rightURL)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s3.Options{}, errors.New(rightURL)
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
			return s3.Options{}, fmt.Errorf("%s=… is not understood: %s", key, rightURL) // the value may be a secret
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

// key finds a key in the first place that has one; both halves come from the same place.
func (opt *TargetOptions) key(kind string, given s3.Credentials) (s3.Credentials, error) {
	if given.AccessKey != "" || given.SecretKey != "" {
		return whole(given, "the options")
	}
	prefixes := []string{"STELE_TARGET_" + kind}
	if opt.Name != "" {
		prefixes = []string{"STELE_TARGET_" + variable(opt.Name) + "_" + kind, prefixes[0]}
	}
	if kind != "" && opt.AccessKey != "" {
		prefixes = prefixes[:len(prefixes)-1] // a target with a key of its own gets no key that is for any target: only what bears its name
	}
	for _, p := range prefixes {
		id, err := opt.env(p + "ACCESS_KEY")
		if err != nil {
			return s3.Credentials{}, err
		}
		secret, err := opt.env(p + "SECRET_KEY")
		if err != nil {
			return s3.Credentials{}, err
		}
		if id != "" || secret != "" {
			return whole(s3.Credentials{AccessKey: id, SecretKey: secret, SessionToken: opt.Getenv(p + "SESSION_TOKEN")}, p+"…")
		}
	}
	if kind != "" {
		return s3.Credentials{}, nil
	}
	c := s3.Credentials{AccessKey: opt.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: opt.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: opt.Getenv("AWS_SESSION_TOKEN")}
	if c.AccessKey == "" && c.SecretKey == "" {
		return s3.Credentials{}, nil
	}
	return whole(c, "AWS_…")
}

// whole refuses half a key.
func whole(c s3.Credentials, from string) (s3.Credentials, error) {
	if c.AccessKey == "" || c.SecretKey == "" {
		return c, fmt.Errorf("%w: %s has one half of a key: an access key and its secret key go together", s3.ErrCredentials, from)
	}
	return c, nil
}

// env is a variable, or what is in the file that NAME_FILE names.
func (opt *TargetOptions) env(name string) (string, error) {
	value, err := valueOr(opt.Getenv(name), opt.Getenv(name+"_FILE"))
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	return value, nil
}

// variable is a target's name as a part of a variable's name.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

func first(getenv func(string) string, names ...string) string {
	for _, n := range names {
		if v := getenv(n); v != "" {
			return v
		}
	}
	return ""
}
