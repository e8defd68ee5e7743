package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"stele/internal/config"
)

// logTo is the server's log. cfg is checked already.
func logTo(w io.Writer, cfg *config.Config) *slog.Logger {
	level, _ := cfg.Level()
	opt := &slog.HandlerOptions{Level: level}
	buffer := newLogBuffer(w)
	if cfg.LogFormat == "json" {
		return slog.New(flushing{slog.NewJSONHandler(buffer, opt), buffer})
	}
	return slog.New(flushing{slog.NewTextHandler(buffer, opt), buffer})
}

// endpoint is how clients on this machine name a listener.
func endpoint(l net.Listener, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// banner says where the server is. The secret is printed only when it was made just now; later the place where it is kept is named.
func (s *server) banner() {
	a, secure := s.app, s.certs != nil
	door := endpoint(s.s3, secure)
	root := s.store.Keys().Root()
	configured := s.cfg.RootAccessKey != "" || s.cfg.RootAccessKeyFile != ""
	if a.cli.JSON {
		doc := map[string]any{"v": 1, "s3": door, "region": s.cfg.Region, "access_key": root.ID, "store": s.store.ID(), "socket": s.socketPath(), "made": s.created}
		if s.port != nil {
			doc["admin"] = endpoint(s.port, secure)
		}
		if secure {
			doc["certificate_sha256"] = s.certs.fingerprint()
		}
		a.document(doc)
		return
	}
	v, _ := versionText()
	a.say("%s", a.bold("stele "+v)+" serves "+s.cfg.Data)
	a.say("  S3          %s  region %s", door, s.cfg.Region)
	if s.port != nil {
		a.say("  admin       %s", endpoint(s.port, secure))
	}
	if secure {
		a.say("  certificate SHA-256 %s", s.certs.fingerprint())
	}
	a.say("  access key  %s", root.ID)
	switch {
	case configured:
		a.say("  secret key  as configured")
	case s.created:
		a.say("  secret key  %s", root.Secret)
	default:
		a.say("  secret key  in %s; `stele key show-root --data %s` prints it", filepath.Join(s.cfg.Data, "root.key"), shellWord(s.cfg.Data))
	}
	s.warnPlain()
	s.firstSteps(door, root.ID, root.Secret, configured)
	s.remindOfKit()
	a.say("")
}

// firstSteps are lines to copy for aws-cli.
func (s *server) firstSteps(door, id, secret string, configured bool) {
	a := s.app
	switch {
	case configured && s.cfg.RootSecretKeyFile != "":
		secret = fmt.Sprintf(`"$(cat %s)"`, shellWord(s.cfg.RootSecretKeyFile))
	case configured: // who configured it knows it, and it is not printed
		secret = `"$STELE_ROOT_SECRET_KEY"`
	case !s.created:
		secret = fmt.Sprintf(`"$(%s key show-root --secret --data %s)"`, shellWord(program()), shellWord(s.cfg.Data))
	}
	a.say("\nfor aws-cli:")
	a.say("  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s", id, secret)
	a.say("  export AWS_ENDPOINT_URL=%s AWS_REGION=%s", door, s.cfg.Region)
	if s.certs != nil && s.certs.self {
		a.say("  export AWS_CA_BUNDLE=%s", s.certs.certFile)
	}
	a.say("  aws s3 mb s3://first && echo hello | aws s3 cp - s3://first/hello && aws s3 ls s3://first")
}

// program is how another terminal can call this program: by its name where that is found, else by its path.
func program() string {
	self, err := os.Executable()
	if err != nil {
		return "stele"
	}
	if found, err := exec.LookPath("stele"); err == nil && found == self {
		return "stele"
	}
	return self
}

// remindOfKit names the recovery kit at each start until it was read back: what nobody has kept is missed when it is too late.
func (s *server) remindOfKit() {
	a := s.app
	if s.created {
		a.sayKit(s.store.KitWritten())
		return
	}
	at, err := s.store.Keys().KitConfirmed()
	if err != nil || !at.IsZero() || s.store.ReadOnly() { // whoever only reads can't note it
		return
	}
	if path, there := a.kitBesideOf(s.cfg.Data, s.store.ID()); there {
		a.sayKit(path)
		return
	}
	a.say("\nrecovery kit: it was moved away, and nobody has shown yet that it can be read where it is kept. Read it back:")
	a.say("  stele kit confirm FILE")
}

// warnPlain warns of plain HTTP where other machines can reach it.
func (s *server) warnPlain() {
	for _, l := range []net.Listener{s.s3, s.port} {
		if l == nil || s.certs != nil {
			continue
		}
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			s.log.Warn("plain HTTP: whoever is on the way reads what goes over it. --tls-cert and --tls-key, or --tls self, or a proxy with TLS before it", "address", l.Addr().String())
		}
	}
}
