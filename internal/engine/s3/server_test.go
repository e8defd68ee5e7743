package s3_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele"
	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/enginetest"
	"stele/internal/engine/s3"
	"stele/internal/s3api"
)

const (
	accessKey = "STELEROOTTEST"
	secretKey = "a-secret-of-some-length"
)

var buckets atomic.Int64

// server is a real S3 server on loopback.
type server struct {
	url   string
	admin *minio.Client
	store *stele.Store // of Stele alone
}

// bucket kinds.
type kind int

const (
	plain kind = iota
	versioned
	locking
)

func (k kind) String() string { return [...]string{"Plain", "Versioned", "Locking"}[k] }

// servers are what the tests run against; with -short Stele alone. One that is not installed is left out by name; an error where CI is "true" and the gate
// installs it.
func servers(t *testing.T) map[string]*server {
	all := map[string]*server{"Stele": steleServer(t)}
	if testing.Short() {
		return all
	}
	if s := versitygwServer(t); s != nil {
		all["Versitygw"] = s
	}
	if s := minioServer(t); s != nil {
		all["MinIO"] = s
	}
	return all
}

func steleServer(t testing.TB) *server {
	t.Helper()
	dir := t.TempDir()
	st, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Root: &entry.AccessKey{ID: accessKey, Secret: secretKey, Role: stele.RoleAdmin}, Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s3api.NewHandler(st, s3api.Options{}))
	t.Cleanup(func() {
		srv.Close()
		if err := st.Close(); err != nil {
			t.Errorf("couldn't close the store: %v", err)
		}
	})
	return &server{url: srv.URL, admin: client(t, srv.URL, accessKey, secretKey), store: st}
}

func client(t testing.TB, url, id, secret string) *minio.Client {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(url, "http://"), &minio.Options{Creds: credentials.NewStaticV4(id, secret, ""), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// binary finds a server's program; required: its absence is an error in CI.
func binary(t *testing.T, env, name string, required bool) string {
	t.Helper()
	home, _ := os.UserHomeDir() // empty: the path below is not there
	for _, at := range []string{os.Getenv(env), name, filepath.Join(home, ".cache/stele-ci", name), filepath.Join(home, ".cache/stele-peers/bin", name)} {
		if path, err := exec.LookPath(at); at != "" && err == nil {
			return path
		}
	}
	if required && (os.Getenv("CI") == "true" || os.Getenv("STELE_CLIENTS") == "all") {
		t.Fatalf("%s is missing: name it in %s; .ci/run installs it", name, env)
	}
	t.Logf("without %s, which is not installed (%s)", name, env)
	return ""
}

func versitygwServer(t *testing.T) *server {
	bin := binary(t, "STELE_VERSITYGW", "versitygw", true)
	if bin == "" {
		return nil
	}
	dir := t.TempDir()
	root, versions := filepath.Join(dir, "root"), filepath.Join(dir, "versions")
	if err := errors.Join(os.Mkdir(root, 0o700), os.Mkdir(versions, 0o700)); err != nil {
		t.Fatal(err)
	}
	addr := freeAddress(t)
	return process(t, addr, exec.Command(bin, "--access", accessKey, "--secret", secretKey, "--port", addr, "posix", "--versioning-dir", versions, root))
}

// minioServer is nil without the program, which only .ci/full builds.
func minioServer(t *testing.T) *server {
	bin := binary(t, "STELE_MINIO", "minio", os.Getenv("STELE_FULL") != "")
	if bin == "" {
		return nil
	}
	addr := freeAddress(t)
	// Four folders: without parity it has no Object Lock and no versions.
	cmd := exec.Command(bin, "server", "--quiet", "--address", addr, "--console-address", freeAddress(t), filepath.Join(t.TempDir(), "disk{1...4}"))
	cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+accessKey, "MINIO_ROOT_PASSWORD="+secretKey, "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off", "MINIO_CI_CD=1")
	return process(t, addr, cmd)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// process starts a server and returns when it answers.
func process(t *testing.T, addr string, cmd *exec.Cmd) *server {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "AWS_CA_BUNDLE=")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var tail []string
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			tail = append(tail[max(0, len(tail)-20):], lines.Text())
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
	})
	s := &server{url: "http://" + addr, admin: client(t, "http://"+addr, accessKey, secretKey)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if _, err := s.admin.ListBuckets(ctx); err == nil {
			return s
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("the server ended at once: %s", strings.Join(tail, "\n"))
		case <-ctx.Done():
			t.Fatalf("the server isn't ready after a minute")
		}
	}
}

// bucket makes a bucket of a kind.
func (s *server) bucket(t testing.TB, k kind) string {
	t.Helper()
	name := fmt.Sprintf("target-%d", buckets.Add(1))
	if err := s.admin.MakeBucket(t.Context(), name, minio.MakeBucketOptions{ObjectLocking: k == locking}); err != nil {
		t.Fatal(err)
	}
	if k == versioned {
		if err := s.admin.EnableVersioning(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func (s *server) options(bucket string) s3.Options {
	return s3.Options{Endpoint: s.url, Bucket: bucket, Prefix: "copies/a", Write: s3.Credentials{AccessKey: accessKey, SecretKey: secretKey}}
}

// open opens a new, probed bucket.
func (s *server) open(t testing.TB, k kind) *s3.S3 {
	t.Helper()
	e, _ := probed(t, s.options(s.bucket(t, k)))
	return e
}

func probed(t testing.TB, opt s3.Options) (*s3.S3, s3.Facts) {
	t.Helper()
	e := unprobed(t, opt)
	f, err := e.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e, f
}

func unprobed(t testing.TB, opt s3.Options) *s3.S3 {
	t.Helper()
	e, err := s3.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestServers is what holds on every server, in each kind of bucket.
func TestServers(t *testing.T) {
	for name, s := range servers(t) {
		t.Run(name, func(t *testing.T) {
			for _, k := range []kind{plain, versioned, locking} {
				t.Run("Conformance"+k.String(), func(t *testing.T) {
					enginetest.Run(t, func(t testing.TB) engine.Engine { return s.open(t, k) })
				})
			}
			for _, c := range []struct {
				name  string
				kinds []kind
				test  func(*testing.T, *server, kind)
			}{
				{"Probe", []kind{plain, versioned, locking}, testProbe},
				{"WrongCredentials", []kind{plain}, testWrongCredentials},
				{"LostReply", []kind{plain, versioned}, testLostReply},
				{"CutUpload", []kind{plain}, testCutUpload},
				{"Thief", []kind{versioned, locking}, testThief},
				{"Lock", []kind{locking}, testLock},
			} {
				for _, k := range c.kinds {
					t.Run(c.name+k.String(), func(t *testing.T) { c.test(t, s, k) })
				}
			}
		})
	}
}
