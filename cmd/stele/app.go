package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/admin"
	"stele/internal/config"
	"stele/internal/keyring"
	"stele/internal/node"
	"stele/internal/rpc/client"
)

// app is what a verb works with.
type app struct {
	cli            *Globals
	verb           string // as it is written: target add; empty until it is known
	stdin          io.Reader
	stdout, stderr io.Writer
	recovered      bool   // the store was brought in order after a crash before it was read
	fs             vfs.FS // nil: the operating system's; tests put faults into it
}

// local is the actor of what the command line changes by itself. Through a server it is who the server takes us for.
var local = admin.ThisUser()

// openRead opens the store to read it. Readers share a folder that no process writes. Where a crash left work to recover the store is opened for
// writing, if that is possible, so that a reading verb does not ask for another verb first.
func (a *app) openRead(ctx context.Context) (client.Store, error) { return tellWhy(a.reader(ctx)) }

func (a *app) reader(ctx context.Context) (client.Store, error) {
	if c, err := a.connect(ctx); c != nil || err != nil {
		return c, err
	}
	opt, err := a.options()
	if err != nil {
		return nil, err
	}
	opt.ReadOnly = true
	s, err := node.Open(ctx, a.data(), opt)
	if err == nil {
		return client.Local{Node: s}, nil
	}
	for _, final := range []error{stele.ErrLocked, stele.ErrNotStore, stele.ErrWrongKey, stele.ErrVersion, stele.ErrBehind, context.Canceled} {
		if errors.Is(err, final) {
			return nil, err
		}
	}
	if stuck, rerr := a.recover(ctx, opt); stuck != nil {
		return client.Local{Node: stuck}, nil
	} else if errors.Is(rerr, os.ErrPermission) {
		return nil, err
	} else if rerr != nil && !errors.Is(rerr, stele.ErrSuperseded) { // which brings it in order too, and can be read
		return nil, rerr
	}
	a.recovered = true
	if s, err = node.Open(ctx, a.data(), opt); err != nil {
		return nil, err
	}
	return client.Local{Node: s}, nil
}

// recover opens the store for writing, which brings index and ledger in order, and closes it again, so that other readers need not wait for this one. Where the folder takes no
// writes, it returns the store as it can be read.
func (a *app) recover(ctx context.Context, opt stele.Options) (*node.Node, error) {
	opt.ReadOnly = false
	s, err := node.Open(ctx, a.data(), opt)
	if err != nil || s.Stuck() != nil {
		return s, err
	}
	return nil, s.Close()
}

// openWrite opens the store to change it.
func (a *app) openWrite(ctx context.Context) (client.Store, error) { return tellWhy(a.writer(ctx)) }

func (a *app) writer(ctx context.Context) (client.Store, error) {
	if c, err := a.connect(ctx); c != nil || err != nil {
		return c, err
	}
	opt, err := a.options()
	if err != nil {
		return nil, err
	}
	s, err := node.Open(ctx, a.data(), opt)
	if err != nil {
		return nil, err
	}
	return client.Local{Node: s}, nil
}

// connect returns the server that --server names or that holds the folder; nil if there is none.
func (a *app) connect(ctx context.Context) (client.Store, error) {
	if a.cli.Server == "" {
		c, err := client.Connect(ctx, a.data())
		if c == nil || err != nil {
			return nil, err
		}
		return c, nil
	}
	secret, err := secretOf(a.cli.SecretKey, a.cli.SecretKeyFile)
	if err != nil {
		return nil, err
	}
	if a.cli.AccessKey == "" || secret == "" {
		return nil, usage{errors.New("--server wants an access key: set STELE_ACCESS_KEY and STELE_SECRET_KEY, or STELE_SECRET_KEY_FILE")}
	}
	tr, err := a.transport()
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, a.cli.Server, entry.AccessKey{ID: a.cli.AccessKey, Secret: secret}, tr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (a *app) transport() (*http.Transport, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	if a.cli.CA == "" {
		return tr, nil
	}
	pem, err := os.ReadFile(a.cli.CA)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", a.cli.CA)
	}
	tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return tr, nil
}

// secretOf returns a secret given by itself or in a file.
func secretOf(secret, file string) (string, error) {
	if secret != "" || file == "" {
		return secret, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("couldn't read the secret: %w", err)
	}
	return string(bytes.TrimSpace(b)), nil
}

func (a *app) options() (stele.Options, error) {
	opt := stele.Options{Log: a.logger(), FS: a.fs, OpenTarget: targetsOf(a.data()), AskHandover: a.askHandover}
	if a.cli.RecoveryKey == "" {
		return opt, nil
	}
	text, err := os.ReadFile(a.cli.RecoveryKey)
	if err != nil {
		return opt, fmt.Errorf("couldn't read the recovery kit: %w", err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		return opt, fmt.Errorf("couldn't read the recovery kit %s: %w", a.cli.RecoveryKey, err)
	}
	opt.Identity = kit.RecoveryIdentity
	return opt, nil
}

// data is the folder that the verb works on.
func (a *app) data() string {
	if a.cli.Data == "" {
		return config.Default.Data
	}
	return a.cli.Data
}
