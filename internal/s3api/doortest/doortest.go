// Package doortest runs the real server, `stele serve`, as a child process: built by the test, killed, restarted and measured by it. It has a
// signer of its own, so that the door's verifier is judged by something that it does not share a line with. Linux only where it reads /proc.
package doortest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The root key of every server here.
const (
	AccessKey = "STELEROOTTEST"
	SecretKey = "a-secret-of-some-length"
)

// Server is one data folder and the process that serves it.
type Server struct {
	URL   string // of the S3 door; the same after a restart
	Host  string // URL without its scheme
	Admin string // URL of the admin port
	Dir   string // data folder
	PID   int

	binary string
	log    string // file of the server's standard error
	cmd    *exec.Cmd
	exited chan error
}

var build struct {
	sync.Once
	path string
	err  error
}

// Binary builds cmd/stele once per test process and returns its path. Main removes it.
func Binary(t testing.TB) string {
	t.Helper()
	build.Do(func() {
		dir, err := os.MkdirTemp("", "stele-doortest-")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "stele")
		if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", build.path, "stele/cmd/stele").CombinedOutput(); err != nil {
			build.err = fmt.Errorf("couldn't build the server: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.path
}

// Main is TestMain's body: it runs the tests and removes the binary.
func Main(m *testing.M) int {
	code := m.Run()
	if build.path != "" {
		os.RemoveAll(filepath.Dir(build.path)) //nolint:errcheck // a temporary folder
	}
	return code
}

// Start serves a new store in a temporary folder. The test's end kills the process if it still runs.
func Start(t testing.TB) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{Dir: filepath.Join(dir, "data"), binary: Binary(t), log: filepath.Join(dir, "log")}
	s.Serve(t)
	t.Cleanup(func() { s.Kill() })
	return s
}

// Serve starts the process, again on the same address, and returns once it answers.
func (s *Server) Serve(t testing.TB) {
	t.Helper()
	listen, admin := "127.0.0.1:0", "127.0.0.1:0"
	if s.Host != "" {
		listen, admin = s.Host, strings.TrimPrefix(s.Admin, "http://")
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(s.binary, "serve", "--data", s.Dir, "--kit", s.log+".kit", "--listen", listen, "--admin", admin, "--log", "warn")
	cmd.Env = append(os.Environ(), "STELE_ROOT_ACCESS_KEY="+AccessKey, "STELE_ROOT_SECRET_KEY="+SecretKey)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	banner, drained := make(chan [2]string, 1), make(chan struct{})
	go readBanner(out, banner, drained)
	s.cmd, s.PID, s.exited = cmd, cmd.Process.Pid, make(chan error, 1)
	go func() { <-drained; s.exited <- cmd.Wait() }()
	select {
	case addr := <-banner:
		s.URL, s.Admin = addr[0], addr[1]
		s.Host = strings.TrimPrefix(s.URL, "http://")
	case err := <-s.exited:
		s.cmd = nil
		t.Fatalf("the server ended at once: %v\n%s", err, s.Log())
	case <-time.After(time.Minute):
		t.Fatalf("the server isn't ready after a minute\n%s", s.Log())
	}
}

// readBanner finds the addresses in what serve prints, and reads on so that it is never blocked.
func readBanner(r io.Reader, found chan<- [2]string, drained chan<- struct{}) {
	defer close(drained)
	var addr [2]string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) > 1 && f[0] == "S3":
			addr[0] = f[1]
		case len(f) > 1 && f[0] == "admin":
			addr[1] = f[1]
			found <- addr
		}
	}
}

// Kill ends the process with SIGKILL and returns when it is gone: whatever it hadn't made durable is lost to it.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself; Wait tells
	<-s.exited
	s.cmd = nil
}

// Stop asks the process to end and reports how it did; after a minute it is killed.
func (s *Server) Stop() error {
	if s.cmd == nil {
		return errors.New("the server does not run")
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		s.cmd = nil
		return err
	case <-time.After(time.Minute):
		s.Kill()
		return errors.New("the server didn't stop within a minute")
	}
}

// Log is what the server wrote to standard error so far.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Memory is the process's resident memory in bytes; peak: the highest so far.
func (s *Server) Memory(t testing.TB) (now, peak int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) int64 {
		_, rest, ok := strings.Cut(string(b), "\n"+name+":")
		if !ok {
			t.Fatalf("no %s in /proc/%d/status", name, s.PID)
		}
		kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return kb << 10
	}
	return read("VmRSS"), read("VmHWM")
}

// Metric is the value of one metric without labels, from the admin port.
func (s *Server) Metric(t testing.TB, name string) float64 {
	t.Helper()
	res, err := http.Get(s.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(b, []byte("\n"+name+" "))
	if !ok {
		t.Fatalf("no metric %s", name)
	}
	v, err := strconv.ParseFloat(strings.Fields(string(rest))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
