package lineartest

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's ETag
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"stele/internal/s3api/doortest"
)

func TestMain(m *testing.M) { os.Exit(doortest.Main(m)) }

func start(t *testing.T) *doortest.Server {
	t.Helper()
	s := doortest.Start(t)
	for g := range 2 {
		s.Must(t, 200, "PUT", "/"+bucket(g), nil)
	}
	s.Must(t, 200, "PUT", "/versioned?versioning=", []byte(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`))
	return s
}

// phase lets all clients ask for a time; kill: the server is then killed while they still do.
func (r *run) phase(seed uint64, lasts time.Duration, kill bool) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	for id := range clients {
		rng := rand.New(rand.NewPCG(seed, uint64(id)))
		all.Go(func() { r.client(id, rng, stop) })
	}
	time.Sleep(lasts) // the experiment's length; nothing is waited for
	if kill {
		r.server.Kill()
	}
	close(stop)
	all.Wait()
	if kill {
		r.ended()
	}
}

// look reads everything once more.
func (r *run) look(t *testing.T) {
	t.Helper()
	for g := range groups {
		if _, err := r.do(clients, input{verb: list, group: g}); err != nil {
			t.Fatal(err)
		}
		for k := range keysPerGroup {
			if _, err := r.do(clients, input{verb: get, group: g, key: k}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// check searches for an order.
func (r *run) check(t *testing.T) porcupine.CheckResult {
	t.Helper()
	if r.wrong != nil {
		t.Fatal(r.wrong)
	}
	if len(r.open) > 0 {
		t.Fatalf("%d writes had no answer though the server ran", len(r.open))
	}
	result, info := porcupine.CheckOperationsVerbose(model, r.history, 10*time.Minute)
	if result != porcupine.Ok {
		path := filepath.Join(os.TempDir(), "stele-"+r.prefix+".html")
		if err := porcupine.VisualizePath(model, info, path); err == nil && !strings.HasPrefix(r.prefix, "lie") {
			t.Logf("the history is drawn in %s", path)
		} else {
			os.Remove(path) //nolint:errcheck // it was to be illegal
		}
	}
	return result
}

func TestLinearizable(t *testing.T) {
	kills, lasts := 3, time.Second
	switch {
	case testing.Short():
		kills, lasts = 1, 500*time.Millisecond
	case os.Getenv("STELE_FULL") == "1":
		kills, lasts = 40, 3*time.Second
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	s := start(t)
	r := newRun(s, "run")
	lost := 0
	var restarts []time.Duration
	for range kills {
		r.phase(rng.Uint64(), lasts/2+time.Duration(rng.Int64N(int64(lasts))), true)
		began := time.Now()
		s.Serve(t)
		restarts = append(restarts, time.Since(began).Round(time.Millisecond))
	}
	r.phase(rng.Uint64(), lasts, false)
	r.look(t)
	outcomes := map[string]int{}
	for _, op := range r.history {
		out := op.Output.(output)
		outcomes[op.Input.(input).verb.String()+" "+out.outcome.String()]++
		if out.outcome == unknown {
			lost++
		}
	}
	t.Logf("seed %d: %d operations, %d kills, %d writes without an answer, restarts of %v: %v", seed, len(r.history), kills, lost, restarts, outcomes)
	began := time.Now()
	if got := r.check(t); got != porcupine.Ok {
		t.Fatalf("the history is %s", got)
	}
	t.Logf("checked in %v", time.Since(began).Round(time.Millisecond))
	for _, must := range []string{"put done", "put refused", "put missing", "get done", "get missing", "del done", "del refused", "list done"} {
		if outcomes[must] == 0 && !testing.Short() {
			t.Errorf("the history has no %q: it shows less than it should", must)
		}
	}
	if lost == 0 && !testing.Short() {
		t.Error("no kill met a write under way: the test shows less than it should")
	}
	if err := s.Stop(); err != nil {
		t.Fatalf("the server didn't stop cleanly: %v\n%s", err, s.Log())
	}
	began = time.Now()
	if out, err := exec.Command(doortest.Binary(t), "verify", "--deep", "--data", s.Dir).CombinedOutput(); err != nil {
		t.Fatalf("the store doesn't verify: %v\n%s", err, out)
	}
	t.Logf("verified in %v", time.Since(began).Round(time.Millisecond))
}

// TestBites shows that the search fails where it should: each proxy tells one small lie.
func TestBites(t *testing.T) {
	s := start(t)
	for name, lie := range map[string]func(http.Handler) http.Handler{
		"stale read": staleReads, "stale list": staleLists, "lost write": lostWrites, "answer before the commit": earlyAnswers, "conditions ignored": noConditions, "delete undone": lostDeletes,
	} {
		t.Run(name, func(t *testing.T) {
			target, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			through := httputil.NewSingleHostReverseProxy(target)
			through.Transport = &http.Transport{MaxIdleConnsPerHost: clients}
			proxy := httptest.NewServer(hostOf(s, lie(through)))
			defer proxy.Close()
			r := newRun(&doortest.Server{URL: proxy.URL, Host: s.Host}, "lie-"+strings.ReplaceAll(name, " ", "-"))
			r.http.Transport = &signedFor{s.Host, r.http.Transport}
			got := porcupine.Ok
			for phase := 1; got == porcupine.Ok && phase <= 20; phase++ { // a busy machine may meet few lies in one phase
				r.phase(uint64(phase), 700*time.Millisecond, false)
				got = r.check(t)
			}
			if got != porcupine.Illegal {
				t.Fatalf("%d operations with a lie among them are %s", len(r.history), got)
			}
		})
	}
}

// signedFor sends to the proxy what was signed for the server: the signature covers the host.
type signedFor struct {
	host string
	http.RoundTripper
}

func (s *signedFor) CloseIdleConnections() {}

func (s *signedFor) RoundTrip(r *http.Request) (*http.Response, error) {
	again := r.Clone(r.Context())
	again.Host = s.host
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		again.Body = io.NopCloser(bytes.NewReader(body))
	}
	doortest.Key{}.Sign(again, doortest.Sum(body))
	return s.RoundTripper.RoundTrip(again)
}

func hostOf(s *doortest.Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = s.Host
		next.ServeHTTP(w, r)
	})
}

func isList(r *http.Request) bool { return r.URL.Query().Has("list-type") }

// staleReads answers one GET in 20 with what the key gave before.
func staleReads(next http.Handler) http.Handler { return stale(next, false) }
func staleLists(next http.Handler) http.Handler { return stale(next, true) }

func stale(next http.Handler, lists bool) http.Handler {
	var mu sync.Mutex
	old := map[string]*httptest.ResponseRecorder{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || isList(r) != lists {
			next.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		had := old[r.URL.String()]
		mu.Unlock()
		if had == nil || rand.IntN(20) != 0 {
			had = httptest.NewRecorder()
			next.ServeHTTP(had, r)
			mu.Lock()
			old[r.URL.String()] = had
			mu.Unlock()
		}
		for name, v := range had.Header() {
			w.Header()[name] = v
		}
		w.WriteHeader(had.Code)
		w.Write(had.Body.Bytes()) //nolint:errcheck // the client tells
	})
}

// lostWrites acknowledges one plain PUT in 50 and forgets it.
func lostWrites(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if plain := r.Method == http.MethodPut && r.Header.Get("If-Match")+r.Header.Get("If-None-Match") == ""; !plain || rand.IntN(50) != 0 {
			next.ServeHTTP(w, r)
			return
		}
		acknowledge(w, r)
	})
}

func acknowledge(w http.ResponseWriter, r *http.Request) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body))) //nolint:gosec // S3's ETag
	w.Header().Set("Content-Length", "0")                      // so that the reply is whole before the handler ends
	w.WriteHeader(http.StatusOK)
	return body
}

// earlyAnswers acknowledges one plain PUT in 10 and passes it on a little later.
func earlyAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if plain := r.Method == http.MethodPut && r.Header.Get("If-Match")+r.Header.Get("If-None-Match") == ""; !plain || rand.IntN(10) != 0 {
			next.ServeHTTP(w, r)
			return
		}
		body := acknowledge(w, r)
		later := r.Clone(r.Context())
		later.Body = io.NopCloser(bytes.NewReader(body))
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		time.Sleep(30 * time.Millisecond) // the lie itself
		next.ServeHTTP(httptest.NewRecorder(), later)
	})
}

func noConditions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rand.IntN(10) == 0 {
			r.Header.Del("If-Match")
			r.Header.Del("If-None-Match")
		}
		next.ServeHTTP(w, r)
	})
}

// lostDeletes acknowledges one plain DELETE in 10 and forgets it.
func lostDeletes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && r.Header.Get("If-Match") == "" && rand.IntN(10) == 0 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
