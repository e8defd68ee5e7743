package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/durable"
	"stele/internal/node"
)

// certificates are the server's certificate and key, from files that may change while it runs.
type certificates struct {
	certFile, keyFile string
	self              bool // made here

	mu      sync.RWMutex
	failed  error // why the files could not be read again; nil: they were
	current *tls.Certificate
	stamp   [2]time.Time // of the files that current was read from
	looked  time.Time
}

// secure reads or makes the certificate, if there is to be one.
func (s *server) secure() error {
	c := &certificates{certFile: s.cfg.TLSCert, keyFile: s.cfg.TLSKey}
	if s.cfg.TLS == "self" && s.noDoor && s.port == nil {
		return nil // nobody comes but through the socket
	}
	if s.cfg.TLS == "self" {
		c.self = true
		c.certFile, c.keyFile = filepath.Join(s.cfg.Data, "tls.crt"), filepath.Join(s.cfg.Data, "tls.key")
		if err := makeCertificate(c.certFile, c.keyFile, cmp.Or(s.s3, s.port).Addr()); err != nil {
			return err
		}
	}
	if c.certFile == "" {
		return nil
	}
	if err := c.load(); err != nil {
		return err
	}
	s.certs = c
	if s.metrics != nil {
		s.metrics.Certificate(c.expires)
	}
	return nil
}

func (c *certificates) load() error {
	stamp := c.stamps() // before reading, so that what changes meanwhile is read again
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = fmt.Errorf("couldn't read the certificate: %w", err)
		return c.failed
	}
	c.current, c.stamp, c.failed = &pair, stamp, nil
	return nil
}

// expires is when the certificate in use is not valid any more.
func (c *certificates) expires() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.current.Leaf.NotAfter
}

// expiresSoon is how long before its end a certificate that nobody has renewed is bad news. Those that are made for 90 days or less are renewed earlier.
const expiresSoon = 10 * 24 * time.Hour

// problem is what somebody has to see to; nil: nothing.
func (c *certificates) problem(now time.Time) error {
	c.again()
	c.mu.RLock()
	failed, leaf := c.failed, c.current.Leaf
	c.mu.RUnlock()
	renew := "put a new one in its place, it is read again by itself"
	if c.self {
		renew = "start the server anew: it makes a new one then"
	}
	soon := min(expiresSoon, leaf.NotAfter.Sub(leaf.NotBefore)/10)
	switch {
	case failed != nil:
		return fmt.Errorf("%w. The one before stays in use, up to %s", failed, moment(leaf.NotAfter))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it expired %s: %s", moment(leaf.NotAfter), renew)
	case leaf.NotAfter.Sub(now) < soon:
		return fmt.Errorf("it expires %s: %s", moment(leaf.NotAfter), renew)
	}
	return nil
}

// watchCertificate takes note of what is wrong with the certificate, until ctx ends.
func (s *server) watchCertificate(ctx context.Context, store *node.Node) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		var problem error
		if s.certs != nil {
			problem = s.certs.problem(time.Now())
		}
		store.Outcome(stele.WorkTLS, problem)
		if s.certs == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *certificates) stamps() (t [2]time.Time) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}

// again reads the files again if they are not those that are in use, or could not be read the last time.
func (c *certificates) again() {
	c.mu.RLock()
	stamp, failed := c.stamp, c.failed
	c.mu.RUnlock()
	if failed != nil || c.stamps() != stamp {
		_ = c.load() // kept for problem
	}
}

// lookEvery is how often the files are looked at, at most, when a client connects.
const lookEvery = 5 * time.Second

func (c *certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c.mu.Lock()
		due := time.Since(c.looked) >= lookEvery
		if due {
			c.looked = time.Now()
		}
		stamp := c.stamp
		c.mu.Unlock()
		if due && c.stamps() != stamp {
			// A pair that is half replaced can't be loaded: the old one goes on until the other half is there. If that is not soon, problem says so.
			_ = c.load()
		}
		c.mu.RLock()
		defer c.mu.RUnlock()
		return c.current, nil
	}}
}

// fingerprint is the SHA-256 of the certificate, as clients show it.
func (c *certificates) fingerprint() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	sum := sha256.Sum256(c.current.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// selfValid is how long a certificate made here is valid. It is made anew in its last tenth.
const selfValid = 825 * 24 * time.Hour // the longest that Apple's clients accept

// makeCertificate makes a certificate for this machine unless there is one that is still good.
func makeCertificate(certFile, keyFile string, listens net.Addr) error {
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && pair.Leaf != nil && time.Until(pair.Leaf.NotAfter) > selfValid/10 {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't read the certificate made before: %w", err)
	}
	cert, key, err := selfSigned(listens, time.Now())
	if err != nil {
		return fmt.Errorf("couldn't make a certificate: %w", err)
	}
	if err := durable.Replace(vfs.Default, keyFile, key, 0o600); err != nil {
		return fmt.Errorf("couldn't write %s: %w", keyFile, err)
	}
	if err := durable.Replace(vfs.Default, certFile, cert, durable.PrivateFile); err != nil {
		return fmt.Errorf("couldn't write %s: %w", certFile, err)
	}
	return nil
}

func selfSigned(listens net.Addr, now time.Time) (cert, key []byte, err error) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "Stele"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfValid),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true, // so that a client can be told to trust it
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	if name, err := os.Hostname(); err == nil && name != "" {
		t.DNSNames = append(t.DNSNames, name)
	}
	if a, ok := listens.(*net.TCPAddr); ok && !a.IP.IsUnspecified() {
		t.IPAddresses = append(t.IPAddresses, a.IP)
	} else if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if ipn, ok := a.(*net.IPNet); ok && !ipn.IP.IsLoopback() {
				t.IPAddresses = append(t.IPAddresses, ipn.IP)
			}
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &priv.PublicKey, priv)
	if err != nil {
		return nil, nil, err
	}
	pk, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}), nil
}
