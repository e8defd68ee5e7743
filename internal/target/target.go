// Package target opens what a URL names as a place for copies of a store, and tells what it lies on. Each kind of target
// is a row of one table: a new kind is a file with its row here, and a row of the table in docs/BACKUP.md.
package target

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"stele/internal/engine"
	"stele/internal/engine/s3"
)

// kind is a kind of target.
type kind struct {
	scheme string // of its URLs
	form   string // how its URL is written, for people; it begins with the scheme
	server bool   // it lies on a server, not in a folder of this machine
	// open checks the URL, whose scheme it is, opens what it names and says what that lies on. Its errors repeat nothing of
	// the URL that may be a secret: they are shown and logged. Facts.Kind and Facts.Server need not be set.
	open func(ctx context.Context, u *url.URL, opt Options) (engine.Engine, Facts, error)
}

// kinds is the table.
func kinds() []kind { return []kind{dirKind, s3Kind} }

// Forms is how the URLs of all kinds are written, for help and errors.
func Forms() string {
	var all []string
	for _, k := range kinds() {
		all = append(all, k.form)
	}
	return strings.Join(all, " or ")
}

func rightURL() string { return "write " + Forms() }

// Options are what a target's URL doesn't say. A key that isn't given is looked for in the environment: STELE_TARGET_<NAME>_ACCESS_KEY and
// …_SECRET_KEY, then STELE_TARGET_ACCESS_KEY and …, each also with _FILE, then AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
// The key for reading: STELE_TARGET_<NAME>_READ_ACCESS_KEY and so on. <NAME> is Name in capitals, with _ for what is no letter or digit.
type Options struct {
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
	Kind   string // the scheme of its URL
	Server bool   // it lies on a server, not in a folder of this machine
	Place  string // where it lies, without secrets
	// Disks are what it lies on, whole disks or a server; two targets that share one are lost together. None: it can't be told.
	Disks []string
	// NoCopy says why it is no copy in the sense of 3-2-1-1-0; "" if it is one, or nobody asked.
	NoCopy string
	// S3 is what a server's bucket can do.
	S3 s3.Facts
}

// Open opens what a URL of one of the kinds names, or a folder by its plain path. A bucket must be there, and is probed: it
// must take files, once each. Of a URL that can't be meant the error says how one is written.
func Open(ctx context.Context, rawURL string, opt Options) (engine.Engine, Facts, error) {
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	e, f, err := open(ctx, rawURL, opt)
	if err == nil && opt.Without != "" {
		e, err = engine.Without(e, strings.Split(opt.Without, ",")...)
	}
	return e, f, err
}

func open(ctx context.Context, rawURL string, opt Options) (engine.Engine, Facts, error) {
	if rawURL == "" {
		return nil, Facts{}, errors.New("no target is given: " + rightURL())
	}
	if !isURL(rawURL) {
		return of(dirKind)(openFolder(rawURL, opt))
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, Facts{}, errors.New("that is no URL of a target: " + rightURL()) // the parser's error quotes it, password and all
	}
	for _, k := range kinds() {
		if k.scheme == u.Scheme {
			return of(k)(k.open(ctx, u, opt))
		}
	}
	return nil, Facts{}, fmt.Errorf("%q is no kind of target: %s", u.Scheme, rightURL())
}

// of completes what opening has shown by what is so of the whole kind.
func of(k kind) func(engine.Engine, Facts, error) (engine.Engine, Facts, error) {
	return func(e engine.Engine, f Facts, err error) (engine.Engine, Facts, error) {
		if err == nil {
			f.Kind, f.Server = k.scheme, k.server
		}
		return e, f, err
	}
}

// isURL tells a URL from the plain path of a folder. One that begins as a URL and is written wrong is a URL, so that no folder of that name is made.
func isURL(raw string) bool {
	if strings.Contains(raw, "://") {
		return true
	}
	for _, k := range kinds() {
		if strings.HasPrefix(raw, k.scheme+":") {
			return true
		}
	}
	return false
}
