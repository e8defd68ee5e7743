package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair writes a fresh certificate and key.
func pair(t *testing.T, certFile, keyFile string, at time.Time) {
	t.Helper()
	cert, key, err := selfSigned(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, cert, at)
	write(t, keyFile, key, at)
}

func write(t *testing.T, name string, b []byte, at time.Time) {
	t.Helper()
	if err := errors.Join(os.WriteFile(name, b, 0o600), os.Chtimes(name, at, at)); err != nil {
		t.Fatal(err)
	}
}

func served(t *testing.T, c *certificates) []byte {
	t.Helper()
	c.mu.Lock()
	c.looked = time.Time{} // as if some time had passed since the last look
	c.mu.Unlock()
	got, err := c.config().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return got.Certificate[0]
}

// TestCertificateReload: new files are used once both are there, and the old pair goes on until then.
func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	c := &certificates{certFile: filepath.Join(dir, "crt"), keyFile: filepath.Join(dir, "key")}
	if err := c.load(); err == nil {
		t.Error("missing files are loaded")
	}
	start := time.Now().Add(-time.Hour)
	pair(t, c.certFile, c.keyFile, start)
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	old := served(t, c)
	leaf, err := x509.ParseCertificate(old)
	if err != nil || leaf.VerifyHostname("192.0.2.7") != nil || leaf.VerifyHostname("localhost") != nil {
		t.Errorf("it is not for the address that is listened on: %v, %v", leaf.IPAddresses, err)
	}
	newCert, newKey := filepath.Join(dir, "crt2"), filepath.Join(dir, "key2")
	pair(t, newCert, newKey, start)
	half, err := os.ReadFile(newCert)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.certFile, half, start.Add(time.Minute))
	if !bytes.Equal(served(t, c), old) {
		t.Error("half a pair is served")
	}
	rest, err := os.ReadFile(newKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.keyFile, rest, start.Add(2*time.Minute))
	if bytes.Equal(served(t, c), old) {
		t.Error("the new pair is not served")
	}

	// SIGHUP does not wait for the next look.
	s := &server{certs: c, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	defer s.takeHangups()()
	go s.onHangup(t.Context())
	before := c.fingerprint()
	pair(t, c.certFile, c.keyFile, start.Add(3*time.Minute))
	for deadline := time.Now().Add(10 * time.Second); c.fingerprint() == before; {
		if time.Now().After(deadline) {
			t.Fatal("SIGHUP changes nothing")
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // until the handler has run
	}
}

// TestHangupWithoutCertificate: SIGHUP does not end a server that has nothing to read again, and the log says so.
func TestHangupWithoutCertificate(t *testing.T) {
	log, told := io.Pipe()
	s := &server{log: slog.New(slog.NewTextHandler(told, nil))}
	defer s.takeHangups()()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil { // before anything serves yet
		t.Fatal(err)
	}
	go s.onHangup(t.Context())
	line, err := bufio.NewReader(log).ReadString('\n')
	if err != nil || !strings.Contains(line, "SIGHUP changes nothing") {
		t.Errorf("%q, %v", line, err)
	}
}

// TestSelfCertificateStays: it is made once, and anew when it has nearly run out.
func TestSelfCertificateStays(t *testing.T) {
	dir := t.TempDir()
	crt, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	addr := &net.TCPAddr{IP: net.IPv4zero}
	read := func() string {
		if err := makeCertificate(crt, key, addr); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(crt)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := read()
	if read() != first {
		t.Error("it is made anew each time")
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is open to others: %v, %v", info.Mode(), err)
	}
	c, k, err := selfSigned(addr, time.Now().Add(-selfValid+time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	write(t, crt, c, time.Now())
	write(t, key, k, time.Now())
	if read() == string(c) {
		t.Error("one that runs out in an hour stays")
	}
}

// TestCertificateProblem: a pair that can't be read, and one that is at its end, are bad news until a good one is there; the half of a pair and a missing file are not left to the next client.
func TestCertificateProblem(t *testing.T) {
	dir := t.TempDir()
	c := &certificates{certFile: filepath.Join(dir, "crt"), keyFile: filepath.Join(dir, "key")}
	start := time.Now().Add(-time.Hour)
	pair(t, c.certFile, c.keyFile, start)
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	is := func(when time.Duration, want string) {
		t.Helper()
		err := c.problem(time.Now().Add(when))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
	is(0, "")
	is(selfValid-48*time.Hour, "it expires")
	is(selfValid+time.Hour, "it expired")
	write(t, c.certFile, []byte("no certificate"), start.Add(time.Minute))
	is(0, "couldn't read the certificate")
	pair(t, c.certFile, c.keyFile, start) // as old as the one in use
	is(0, "")
	if err := os.Remove(c.keyFile); err != nil {
		t.Fatal(err)
	}
	is(0, "couldn't read the certificate")
}
