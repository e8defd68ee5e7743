// Package config holds the settings of a server in one struct. Each has the same name as a flag (--tls-cert), in the environment (STELE_TLS_CERT) and in a
// YAML file (tls-cert:). A flag wins over the environment, the environment over the file, and the file over the default. An unknown key is an error.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Begin says how the folder of a server begins. A standby's begins with its primary.
type Begin struct {
	// Kit is where the recovery kit of a new store goes.
	Kit string `yaml:"kit" placeholder:"FILE" help:"Where the recovery kit of a new store goes (stele-recovery-kit.txt beside the data folder)."`
	// From is the URL of a target: a backup there is served, from an empty folder that is filled behind.
	From string `yaml:"from" placeholder:"URL" help:"Serve the backup on this target (dir:///PATH, s3://BUCKET/PREFIX?endpoint=…) from an empty folder, which is filled behind."`
	// Without are files on it that are taken for not there.
	Without string `yaml:"without" placeholder:"PATTERN,…" help:"With --from, leave these files of the target out, as keyring/000007,segments/000099-*: junk that somebody put there and nobody may remove."`
	// HydrateRate bounds filling it.
	HydrateRate string `yaml:"hydrate-rate" placeholder:"RATE" help:"Fill the folder at most so fast: 20MB a second, say (as fast as it goes)."`
	// AcceptLacking lets such a folder become a store of its own without what no target has.
	AcceptLacking bool `yaml:"accept-lacking" help:"With --from, end the filling although packs are missing or damaged on every target: what lay in them can't be read."`
}

// Config is the configuration of `stele serve`, and but for Begin of `stele standby`, which goes on as a server when it is promoted. A field with its zero value is not set.
type Config struct {
	Begin `yaml:",inline" kong:"-"`
	// Data is the data folder. An empty or missing one becomes a new store.
	Data string `yaml:"data" kong:"-"`
	// Listen is the address of the S3 door.
	Listen string `yaml:"listen" placeholder:"HOST:PORT" help:"Address of the S3 door (127.0.0.1:9000)."`
	// Admin is the address of the admin port; "off": none.
	Admin string `yaml:"admin" placeholder:"HOST:PORT" help:"Address of health, metrics, the ledger and the other verbs (127.0.0.1:9001); off: none."`
	// Domain is the suffix of virtual-host style names: with s3.example.com, photos.s3.example.com is bucket photos.
	Domain string `yaml:"domain" placeholder:"NAME" help:"Answer to BUCKET.NAME as well as to paths."`
	// Region is the region that S3 clients sign for.
	Region string `yaml:"region" placeholder:"NAME" help:"Region that S3 clients sign for (us-east-1)."`
	// TLS is "off" (plain HTTP, the default without a certificate) or "self" (a certificate made here, kept in the data folder).
	TLS string `yaml:"tls" placeholder:"self|off" help:"self makes a certificate and keeps it in the data folder."`
	// TLSCert and TLSKey are PEM files. They are read again when they change, and on SIGHUP.
	TLSCert string `yaml:"tls-cert" placeholder:"FILE" help:"Certificate, in PEM; read again when it changes, and on SIGHUP."`
	TLSKey  string `yaml:"tls-key" placeholder:"FILE" help:"Its key, in PEM."`
	// RootAccessKey and RootSecretKey are the root key, in place of the one in the data folder.
	RootAccessKey     string `yaml:"root-access-key" placeholder:"ID" help:"Root access key, in place of the one kept in the data folder."`
	RootAccessKeyFile string `yaml:"root-access-key-file" placeholder:"FILE" help:"File that holds it."`
	RootSecretKey     string `yaml:"root-secret-key" placeholder:"SECRET" help:"Its secret. Better in the environment or a file."`
	RootSecretKeyFile string `yaml:"root-secret-key-file" placeholder:"FILE" help:"File that holds the secret."`
	// Log is the least level that is logged: debug, info (a line a request), warn, error, off.
	Log string `yaml:"log" placeholder:"LEVEL" help:"debug, info (a line for each request), warn, error or off (info)."`
	// LogFormat is text or json.
	LogFormat string `yaml:"log-format" placeholder:"text|json" help:"Form of the log, on standard error (text)."`
	// DrillEvery is how often each target is drilled: served from, read and compared, with a certificate; below 0: never.
	DrillEvery time.Duration `yaml:"drill-every" placeholder:"TIME" help:"How often each target is drilled, with a certificate in the ledger; below 0: never (168h)."`
	// ListTargets is how often each target is listed anew and compared with what was shipped to it; below 0: only after errors.
	ListTargets time.Duration `yaml:"list-targets" placeholder:"TIME" help:"How often each target is listed and compared with what was shipped to it; what it lacks is shipped again and reported; below 0: only after errors (1h)."`
	// StopTimeout is how long requests under way may take to end when the server is told to stop.
	StopTimeout time.Duration `yaml:"stop-timeout" placeholder:"TIME" help:"How long requests under way may take when the server is told to stop (30s)."`
	// ScrubDays is within how many days every stored byte is read again and compared with what was written; 0: never.
	ScrubDays *int `yaml:"scrub-days" placeholder:"DAYS" help:"Every stored byte is read again within so many days, and healed from a target if it rotted; 0: never (30)."`
	// MaxRetentionDays is the longest retention that anybody may ask for; 0: any.
	MaxRetentionDays *int `yaml:"max-retention-days" placeholder:"DAYS" help:"The longest Object Lock retention that is taken, from now on: a typo in a COMPLIANCE date could be mended by nobody; 0: any (36525: a hundred years)."`
	// Witness are those who cosign the checkpoints of receipts, each "VKEY URL".
	Witness []string `yaml:"witness" sep:"none" placeholder:"'VKEY URL'" help:"A witness that cosigns the checkpoints of receipts: its verifier key and its address (a standby's admin address, or any C2SP tlog-witness). May be given several times."`
	// RequireWitness is how many of them must have cosigned a receipt for it to be given; 0: those that are at hand.
	RequireWitness int `yaml:"require-witness" placeholder:"N" help:"Give no receipt that fewer of the witnesses have cosigned (0: it bears what is at hand)."`
	// MaxRequests is how many S3 requests of access keys are worked on at once. One key alone gets three quarters of them.
	MaxRequests int `yaml:"max-requests" placeholder:"N" help:"S3 requests of access keys worked on at once, three quarters of them of one key; one more is told to slow down (1024)."`
	// MaxAnonymous is the same for requests that nobody has signed, and of one address.
	MaxAnonymous int `yaml:"max-anonymous" placeholder:"N" help:"S3 requests without a signature worked on at once, three quarters of them from one address (an eighth of max-requests)."`
	// MaxConnections bounds those of the S3 door. It is never more than the limit of open files allows, of which the store keeps a part.
	MaxConnections int `yaml:"max-connections" placeholder:"N" help:"Connections to the S3 door, three quarters of them from one address (as the limit of open files allows, 16384 at most)."`
	// LeastRate is how slowly the body of a request may come, over 30 seconds.
	LeastRate string `yaml:"least-rate" placeholder:"RATE" help:"A body that comes more slowly over 30 seconds is cut off, so that it holds no place; 0: any rate will do (16KiB a second)."`
}

// Default is what holds where nothing else is said.
var Default = Config{
	Data: "./stele-data", Listen: "127.0.0.1:9000", Admin: "127.0.0.1:9001", Region: "us-east-1", Log: "info", LogFormat: "text",
	StopTimeout: 30 * time.Second, MaxRequests: 1024, LeastRate: "16KiB", DrillEvery: 7 * 24 * time.Hour, ListTargets: time.Hour, ScrubDays: new(30), MaxRetentionDays: new(36525),
}

// Off turns a listener or the log off.
const Off = "off"

// Load reads a YAML file. An unknown or repeated key, or a value of the wrong kind, is an error that names its line.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("couldn't read the configuration: %w", err)
	}
	c, err := parse(b)
	if err != nil {
		return Config{}, fmt.Errorf("couldn't read the configuration %s: %s", path, explain(err))
	}
	return c, nil
}

func parse(b []byte) (c Config, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) { // an empty file sets nothing
		return Config{}, err
	}
	if err := dec.Decode(new(Config)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("there is a second document in it")
	}
	return c, nil
}

// explain puts the parser's error on one line, in the words of the file.
func explain(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	text = strings.ReplaceAll(text, " in type config.Config", "")
	text = strings.ReplaceAll(text, "field ", "unknown key ")
	text = strings.ReplaceAll(text, " not found", "")
	return strings.Join(strings.Fields(text), " ")
}

// Merge returns over where it is set, else under.
func Merge(over, under Config) Config {
	merge(reflect.ValueOf(&over).Elem(), reflect.ValueOf(under))
	return over
}

func merge(over, under reflect.Value) {
	for i := range over.NumField() {
		switch f := over.Field(i); {
		case f.Kind() == reflect.Struct:
			merge(f, under.Field(i))
		case f.IsZero():
			f.Set(under.Field(i))
		}
	}
}

// Check refuses values that can't be meant.
func (c *Config) Check() error {
	for _, a := range []struct{ name, value string }{{"listen", c.Listen}, {"admin", c.Admin}} {
		if a.name == "admin" && a.value == Off {
			continue
		}
		if _, _, err := net.SplitHostPort(a.value); err != nil {
			return fmt.Errorf("%s: %q is no address, write HOST:PORT", a.name, a.value)
		}
	}
	switch {
	case c.TLS != "" && c.TLS != "self" && c.TLS != Off:
		return fmt.Errorf("tls: %q is neither self nor off; files go into tls-cert and tls-key", c.TLS)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("tls-cert and tls-key go together")
	case c.TLS != "" && c.TLSCert != "":
		return errors.New("tls and tls-cert exclude each other")
	case c.LogFormat != "text" && c.LogFormat != "json":
		return fmt.Errorf("log-format: %q is neither text nor json", c.LogFormat)
	case c.AcceptLacking && c.From == "":
		return errors.New("accept-lacking: it says how a folder may be filled, and goes with from")
	case c.Without != "" && c.From == "":
		return errors.New("without: it says what to leave out of the target that is served, and goes with from")
	case c.StopTimeout < 0:
		return errors.New("stop-timeout: a time is not negative")
	case c.ScrubDays != nil && (*c.ScrubDays < 0 || *c.ScrubDays > 3650):
		return errors.New("scrub-days: a number of days from 0 to 3650")
	case c.MaxRetentionDays != nil && (*c.MaxRetentionDays < 0 || *c.MaxRetentionDays > 1000000):
		return errors.New("max-retention-days: a number of days from 0 (any) to 1000000")
	case c.RequireWitness < 0 || c.RequireWitness > len(c.Witness):
		return fmt.Errorf("require-witness: %d of %d witnesses can't be required; name each by --witness 'VKEY URL'", c.RequireWitness, len(c.Witness))
	case c.MaxRequests < 0:
		return errors.New("max-requests: a number of requests is not negative")
	case c.MaxAnonymous < 0:
		return errors.New("max-anonymous: a number of requests is not negative")
	case c.MaxConnections < 0:
		return errors.New("max-connections: a number of connections is not negative")
	}
	if _, err := Rate(c.LeastRate); err != nil {
		return fmt.Errorf("least-rate: %w", err)
	}
	if _, err := Rate(c.HydrateRate); err != nil {
		return fmt.Errorf("hydrate-rate: %w", err)
	}
	if _, err := c.Level(); err != nil {
		return err
	}
	_, _, err := c.Root()
	return err
}

// Level is the level of the log; above every level if it is off.
func (c *Config) Level() (slog.Level, error) {
	switch c.Log {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case Off:
		return slog.LevelError + 100, nil
	}
	return 0, fmt.Errorf("log: %q is none of debug, info, warn, error, off", c.Log)
}

// Root returns the configured root key; empty: the one kept in the data folder.
func (c *Config) Root() (id, secret string, err error) {
	if id, err = valueOr(c.RootAccessKey, c.RootAccessKeyFile); err != nil {
		return "", "", fmt.Errorf("root-access-key-file: %w", err)
	}
	if secret, err = valueOr(c.RootSecretKey, c.RootSecretKeyFile); err != nil {
		return "", "", fmt.Errorf("root-secret-key-file: %w", err)
	}
	switch {
	case (id == "") != (secret == ""):
		return "", "", errors.New("root-access-key and root-secret-key go together")
	case id != "" && (len(id) < 3 || strings.ContainsAny(id, "/ ,\t\n")):
		return "", "", errors.New("root-access-key: at least 3 characters, without slash, comma and space")
	case id == "stele" || id == "local" || strings.HasPrefix(id, "local:"):
		return "", "", fmt.Errorf("root-access-key: %s is how the ledger calls the store itself and the command line; take another name", id)
	case secret != "" && len(secret) < 8:
		return "", "", errors.New("root-secret-key: at least 8 characters")
	}
	return id, secret, nil
}

// valueOr is a value given by itself or in a file, whose white space at the ends is left out.
func valueOr(value, file string) (string, error) {
	if value != "" || file == "" {
		return value, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("couldn't read it: %w", err)
	}
	if value = string(bytes.TrimSpace(b)); value == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return value, nil
}
