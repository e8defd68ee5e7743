package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"stele"
	"stele/internal/engine"
	"stele/internal/engine/s3"
	"stele/internal/s3api"
)

// testProbe: what a bucket is, and that the probe leaves nothing where it may remove.
func testProbe(t *testing.T, s *server, k kind) {
	bucket := s.bucket(t, k)
	for range 3 {
		_, f := probed(t, s.options(bucket))
		want := s3.Facts{Versioned: k != plain, ObjectLock: k == locking, CanCreate: true, CanList: true, CanRead: true, CanRemove: true}
		if f.Skew.Abs() > time.Minute {
			t.Errorf("the clock of this very machine is %v off", f.Skew)
		}
		if f.Skew = 0; fmt.Sprint(f) != fmt.Sprint(want) {
			t.Errorf("facts %+v, want %+v", f, want)
		}
	}
	if n := s.objects(t, bucket); n != 0 {
		t.Errorf("the probe left %d versions", n)
	}
}

// createOnly is a bucket and a key that may do nothing there but put.
func createOnly(t *testing.T, s *server, k kind, refused string) (s3.Options, s3.Credentials) {
	t.Helper()
	bucket := s.bucket(t, k)
	key, err := s.store.Keys().Create(t.Context(), stele.Local(), stele.RoleAppend, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"%s"},"Action":[%s],"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`,
		key.ID, refused, bucket, bucket)
	if err := s.admin.SetBucketPolicy(t.Context(), bucket, policy); err != nil {
		t.Fatal(err)
	}
	opt := s.options(bucket)
	reader := opt.Write
	opt.Write = s3.Credentials{AccessKey: key.ID, SecretKey: key.Secret}
	return opt, reader
}

// TestCreateOnly: a key that may only put can be shipped with; the facts say what it lacks; a key for reading makes up for it.
func TestCreateOnly(t *testing.T) {
	s := steleServer(t)
	for _, k := range []kind{plain, versioned} {
		t.Run(k.String(), func(t *testing.T) {
			opt, reader := createOnly(t, s, k, `"s3:Get*","s3:List*","s3:Delete*"`)
			for range 2 {
				_, f := probed(t, opt)
				if !f.CanCreate || f.CanRead || f.CanList || f.CanRemove {
					t.Errorf("facts: %+v", f)
				}
				for _, right := range []string{"s3:GetBucketVersioning", "s3:ListBucket ", "s3:GetObject ", "s3:DeleteObject "} {
					if !slices.ContainsFunc(f.Missing, func(m string) bool { return strings.HasPrefix(m, right) }) && (k == plain || right != "s3:DeleteObject ") {
						t.Errorf("%q isn't among what is missing: %q", right, f.Missing)
					}
				}
			}
			if n := s.objects(t, opt.Bucket); n != 1 {
				t.Errorf("two probes left %d versions, want 1", n)
			}
			e, _ := probed(t, opt)
			if err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("mine")); err != nil {
				t.Fatal(err)
			}
			if err := e.Create(t.Context(), "packs/p", 4, strings.NewReader("mine")); !errors.Is(err, engine.ErrExist) {
				t.Errorf("a second Create = %v, want ErrExist", err)
			}
			_, err := e.Open(t.Context(), "packs/p")
			for what, err := range map[string]error{"Open": err, "Remove": e.Remove(t.Context(), "packs/p"),
				"List": e.List(t.Context(), engine.Packs, func(engine.Info) error { return nil })} {
				if !errors.Is(err, engine.ErrDenied) || !strings.Contains(err.Error(), "allow s3:") {
					t.Errorf("%s = %v, want ErrDenied and the right to ask for", what, err)
				}
			}
			opt.Read = reader
			e, f := probed(t, opt)
			if !f.CanRead || !f.CanList || f.CanRemove || len(f.Missing) != 1 || f.Versioned != (k == versioned) {
				t.Errorf("facts with a key for reading: %+v", f)
			}
			s.wantFile(t, opt.Bucket, "packs/p", []byte("mine"))
			if _, err := e.Open(t.Context(), "packs/p"); err != nil {
				t.Error(err)
			}
			if err := e.Remove(t.Context(), "packs/p"); !errors.Is(err, engine.ErrDenied) {
				t.Errorf("Remove = %v, want ErrDenied", err)
			}
		})
	}
}

// TestCannotCreate: a key that may not put, or not lock, is no key for a target.
func TestCannotCreate(t *testing.T) {
	s := steleServer(t)
	for refused, want := range map[string]string{`"s3:PutObject"`: "s3:PutObject", `"s3:PutObjectRetention"`: "s3:PutObjectRetention"} {
		opt, _ := createOnly(t, s, locking, refused)
		opt.LockFor = time.Hour
		_, err := unprobed(t, opt).Probe(t.Context())
		if !errors.Is(err, engine.ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("Probe without %s = %v", want, err)
		}
	}
}

// TestReadOnly: nothing is written, by the probe neither.
func TestReadOnly(t *testing.T) {
	s := steleServer(t)
	opt := s.options(s.bucket(t, versioned))
	opt.ReadOnly = true
	e, f := probed(t, opt)
	if !f.CanList || !f.Versioned || f.CanCreate {
		t.Errorf("facts: %+v", f)
	}
	for what, err := range map[string]error{"Create": e.Create(t.Context(), "packs/p", 0, strings.NewReader("")), "Remove": e.Remove(t.Context(), "packs/p"), "Renew": e.Renew(t.Context(), "packs/p", time.Now())} {
		if !errors.Is(err, s3.ErrReadOnly) {
			t.Errorf("%s = %v, want ErrReadOnly", what, err)
		}
	}
	if n := s.objects(t, opt.Bucket); n != 0 {
		t.Errorf("%d objects were written", n)
	}
}

// testWrongCredentials: an unknown key and a wrong secret are told from a missing right and a missing bucket.
func testWrongCredentials(t *testing.T, s *server, k kind) {
	bucket := s.bucket(t, k)
	for _, c := range []struct {
		what   string
		change func(*s3.Options)
		want   error
		next   string
	}{
		{"key", func(o *s3.Options) { o.Write.AccessKey = "NOBODYATALL" }, s3.ErrCredentials, "no such access key"},
		{"secret", func(o *s3.Options) { o.Write.SecretKey = "another-secret" }, s3.ErrCredentials, "secret key is another"},
		{"bucket", func(o *s3.Options) { o.Bucket = "no-such-bucket" }, s3.ErrNoBucket, "make it first"},
	} {
		opt := s.options(bucket)
		c.change(&opt)
		_, err := unprobed(t, opt).Probe(t.Context())
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.next) || strings.Contains(err.Error(), "another-secret") {
			t.Errorf("wrong %s: %v", c.what, err)
		}
	}
}

// TestSecrets: a key is not made without both halves, and never printed.
func TestSecrets(t *testing.T) {
	if _, err := s3.New(s3.Options{Bucket: "b"}); !errors.Is(err, s3.ErrCredentials) {
		t.Errorf("no credentials: %v", err)
	}
	if text := fmt.Sprintf("%v %+v", s3.Credentials{AccessKey: "id", SecretKey: "swordfish"}, s3.Options{Write: s3.Credentials{SecretKey: "swordfish"}}); strings.Contains(text, "swordfish") {
		t.Errorf("a secret is printed: %s", text)
	}
}

// forgetful is a server that ignores If-None-Match, as Ceph 16 does on versioned buckets: it hides what is there before such a PUT.
func forgetful(t *testing.T, s *server) *server {
	t.Helper()
	inner := s3api.NewHandler(s.store, s3api.Options{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); r.Header.Get("If-None-Match") != "" {
			if err := s.admin.RemoveObject(context.WithoutCancel(r.Context()), bucket, key, minio.RemoveObjectOptions{}); err != nil {
				t.Error(err)
			}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return &server{url: srv.URL, admin: s.admin, store: s.store}
}

// TestOverwritingServer: a server that ignores the condition is refused; on a versioned bucket even without a probe nobody is told that he created
// what another had.
func TestOverwritingServer(t *testing.T) {
	s := steleServer(t)
	bad := forgetful(t, s)
	for _, k := range []kind{plain, versioned} {
		bucket := s.bucket(t, k)
		_, err := unprobed(t, bad.options(bucket)).Probe(t.Context())
		if !errors.Is(err, s3.ErrOverwrites) || !strings.Contains(err.Error(), "newer server") {
			t.Errorf("%s: Probe = %v, want ErrOverwrites", k, err)
		}
	}
	bucket := s.bucket(t, versioned)
	for i, want := range []error{nil, engine.ErrExist} {
		e := unprobed(t, bad.options(bucket))
		if err := e.Create(t.Context(), "segments/0-1", 1, strings.NewReader(fmt.Sprint(i))); !errors.Is(err, want) {
			t.Errorf("Create number %d = %v, want %v", i+1, err, want)
		}
	}
	s.wantFile(t, bucket, "segments/0-1", []byte("0"))
}

// TestProbeRace: probes of one target at the same time don't take each other's removal for a server that overwrites.
func TestProbeRace(t *testing.T) {
	s := steleServer(t)
	bucket := s.bucket(t, plain)
	e := unprobed(t, s.options(bucket))
	puts := 0
	e.SetWire(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			if puts++; puts == 2 { // between our two PUTs another's probe ends
				if err := s.admin.RemoveObject(r.Context(), bucket, "copies/a/meta/.probe", minio.RemoveObjectOptions{}); err != nil {
					t.Error(err)
				}
			}
		}
		return base.RoundTrip(r)
	})
	if _, err := e.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if n := s.objects(t, bucket); puts != 4 || n != 0 {
		t.Errorf("%d PUTs, %d objects left, want 4 and 0", puts, n)
	}
}

// TestSkew: the distance of the server's clock.
func TestSkew(t *testing.T) {
	s := steleServer(t)
	e := unprobed(t, s.options(s.bucket(t, plain)))
	e.SetWire(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil {
			resp.Header.Set("Date", time.Now().Add(7*time.Minute).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
	f, err := e.Probe(t.Context())
	if err != nil || (f.Skew-7*time.Minute).Abs() > 30*time.Second {
		t.Errorf("skew %v, %v, want 7 minutes", f.Skew, err)
	}
}
