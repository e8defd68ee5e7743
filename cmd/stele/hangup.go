package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// takeHangups lets SIGHUP end the server no more, from before its store is opened. The caller calls what it returns when the server has ended.
func (s *server) takeHangups() (release func()) {
	s.hangup = make(chan os.Signal, 1)
	signal.Notify(s.hangup, syscall.SIGHUP)
	return func() { signal.Stop(s.hangup) }
}

// onHangup reads again, on SIGHUP, what can be read again while the server runs: the certificate.
func (s *server) onHangup(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hangup:
		}
		if s.certs == nil {
			s.log.Info("SIGHUP changes nothing: there is no certificate to read again, and everything else is read at the start. Restart the server for that")
		} else if err := s.certs.load(); err != nil {
			s.log.Error("the new certificate was not taken: the old one stays in use", "err", err)
		} else {
			s.log.Info("certificate read again", "sha256", s.certs.fingerprint())
		}
	}
}
