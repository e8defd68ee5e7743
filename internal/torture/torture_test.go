package torture

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stele/internal/s3api/doortest"
)

var rounds = flag.Int("rounds", 20, "how often the server is killed")

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("STELE_FULL") != "" && *rounds == 20 {
		*rounds = 400
	}
	os.Exit(doortest.Main(m))
}

// TestKilled kills the server while all write, starts it on what is left, and holds it against what was told. At the end the store verifies, with
// its index and without.
func TestKilled(t *testing.T) {
	if testing.Short() {
		*rounds = 4
	}
	s := doortest.Start(t)
	o := newOracle(t, s)
	for round := range *rounds {
		if round > 0 {
			s.Serve(t)
		}
		o.settle(t)
		o.round(t, round, time.Duration(20+rand.IntN(400))*time.Millisecond, s.Kill)
	}
	s.Serve(t)
	o.settle(t)
	if err := s.Stop(); err != nil {
		t.Fatalf("the server didn't stop well: %v\n%s", err, s.Log())
	}
	verify(t, s)
	if err := os.RemoveAll(filepath.Join(s.Dir, "index")); err != nil {
		t.Fatal(err)
	}
	s.Serve(t)
	o.settle(t)
	t.Logf("%d rounds, %d answers, %d entries published", *rounds, o.answered, o.size)
	if o.answered < 10**rounds {
		t.Errorf("only %d answers in %d rounds: the server was never at work", o.answered, *rounds)
	}
}

// round lets all write for a time, then ends it.
func (o *oracle) round(t *testing.T, round int, lasts time.Duration, end func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() { errs[i] = o.write(ctx, i, round) })
	}
	time.Sleep(lasts) // the experiment's length; nothing is waited for
	end()
	stop()
	all.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, errUnanswered) {
			t.Fatal(err)
		}
	}
}

func verify(t *testing.T, s *doortest.Server) {
	t.Helper()
	out, err := exec.Command(doortest.Binary(t), "verify", "--deep", "--data", s.Dir).CombinedOutput()
	if err != nil {
		t.Fatalf("stele verify --deep: %v\n%s", err, out)
	}
}

// TestFailedFsync makes an fsync of the running server fail, by strace. From then on it takes no write, reads go on, health says so;
// a restart brings back all that was answered.
func TestFailedFsync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is missing: .ci/run installs it")
		}
		t.Skip("strace is missing")
	}
	calls := map[string][]int{"fdatasync": {1, 2, 4}, "fsync": {1}}
	if os.Getenv("STELE_FULL") != "" {
		calls = map[string][]int{"fdatasync": {1, 2, 3, 4, 5, 6, 8, 11, 16, 23, 32, 50}, "fsync": {1, 2, 3, 4, 5, 6}}
	}
	for call, list := range calls {
		for _, n := range list {
			t.Run(fmt.Sprintf("%s %d of each thread", call, n), func(t *testing.T) { failFsync(t, strace, call, n) })
		}
	}
}

func failFsync(t *testing.T, strace, call string, n int) {
	s := doortest.Start(t)
	o := newOracle(t, s)
	o.round(t, -1, 100*time.Millisecond, func() {}) // ends between two changes: all are answered
	trace := attach(t, strace, s.PID, call, n)
	o.round(t, n, 1500*time.Millisecond, func() {})
	for more := 0; !failed(t, trace); more++ {
		if more == 4 {
			t.Skipf("no thread has made %d calls of %s", n, call)
		}
		o.round(t, n+3000+more, time.Second, func() {})
	}
	if ready(t, s) {
		// The call that failed may have been one that nothing rests on yet (a segment made ahead). Then writes go on until it is needed, and are right.
		o.round(t, n+1000, 500*time.Millisecond, func() {})
	}
	stopped := !ready(t, s)
	t.Logf("writing has stopped: %v", stopped)
	if stopped {
		if err := o.put(rand.New(rand.NewPCG(1, 1)), plain, "after"); !errors.Is(err, errUnanswered) {
			t.Errorf("a put after the failed fsync: %v", err)
		}
		o.mu.Lock()
		for k, told := range o.objects { // reads go on
			if told.last == nil || len(told.flight) > 0 {
				continue
			}
			bucket, key, _ := strings.Cut(k, "/")
			if got, err := o.read(t.Context(), bucket, key, ""); err != nil || got == nil || *got != *told.last {
				t.Errorf("%s reads as %s after the failed fsync: %v", k, digest(got), err)
			}
		}
		o.mu.Unlock()
	}
	s.Kill()
	s.Serve(t)
	o.settle(t)
	o.round(t, n+2000, 50*time.Millisecond, func() {})
	o.settle(t)
	if err := s.Stop(); err != nil {
		t.Fatalf("%v\n%s", err, s.Log())
	}
	verify(t, s)
}

// attach lets strace fail the n-th call of each thread, and returns its log.
func attach(t *testing.T, strace string, pid int, call string, n int) string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command(strace, "-f", "-p", fmt.Sprint(pid), "-o", log, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:error=EIO:when=%d", call, n))
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it ends with the server
		cmd.Wait()         //nolint:errcheck // as above
	})
	lines := bufio.NewScanner(messages)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "attached") {
			go func() {
				for lines.Scan() { // so that it is never blocked
				}
			}()
			return log
		}
		t.Log(lines.Text())
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("strace cannot attach to the server")
	}
	t.Skip("strace cannot attach to the server")
	return ""
}

func failed(t *testing.T, log string) bool {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), "INJECTED")
}

func ready(t *testing.T, s *doortest.Server) bool {
	t.Helper()
	r, err := http.Get(s.Admin + "/healthz/ready")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close() //nolint:errcheck // only the status counts
	return r.StatusCode == http.StatusOK
}
