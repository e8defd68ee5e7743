package config

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele"
	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/s3"
	"stele/internal/s3api"
)

func environment(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

// TestTargetURL: a URL that can't be meant is refused with one that could, and no secret is repeated.
func TestTargetURL(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"", "dir:///PATH"},
		{"dir://relative/path", "three slashes"},
		{"dir:relative", "three slashes"},
		{"dir:///a?b=c", "three slashes"},
		{"s3:bucket", "s3://BUCKET/PREFIX"},
		{"s3:///prefix", "s3://BUCKET/PREFIX"},
		{"gs://bucket", "no kind of target"},
		{"https://host/bucket", "s3://BUCKET/PREFIX"},
		{"s3://b?endpoint=http://127.0.0.1:1&endpiont=x", "endpiont=… is not understood"},
		{"s3://b?style=round", "style=… is not understood"},
		{"s3://b?endpoint=127.0.0.1:9000", "http://HOST:PORT"},
		{"s3://b", "STELE_TARGET_ACCESS_KEY"},
		{"s3://key:swordfish@b", "doesn't belong in a URL"},
		{"s3://b?endpoint=http://key:swordfish@127.0.0.1:1", "doesn't belong in an endpoint"},
		{"s3://b?secret_key=swordfish", "secret_key=… is not understood"},
		{"dir://key:swordfish@host/path", "three slashes"},
		{"s3://key:swordfish@b%zz", "no URL"},
	} {
		opt := TargetOptions{Getenv: environment()}
		if strings.Contains(c.raw, "127.0.0.1") {
			opt.AccessKey, opt.SecretKey = "id", "secret"
		}
		_, _, err := OpenTarget(t.Context(), c.raw, opt)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("OpenTarget(%q) = %v, want an error with %q", c.raw, err, c.want)
		}
	}
}

// TestTargetKeys: which key is used when several are there.
func TestTargetKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("s3://b/p/q?endpoint=http://127.0.0.1:9&region=eu-1&style=path")
	if err != nil {
		t.Fatal(err)
	}
	aws := []string{"AWS_ACCESS_KEY_ID", "aws", "AWS_SECRET_ACCESS_KEY", "aws-secret", "AWS_SESSION_TOKEN", "token"}
	all := append(aws, "STELE_TARGET_ACCESS_KEY", "any", "STELE_TARGET_SECRET_KEY_FILE", file)
	own := append(all, "STELE_TARGET_OFF_SITE_ACCESS_KEY", "own", "STELE_TARGET_OFF_SITE_SECRET_KEY", "own-secret", "STELE_TARGET_READ_ACCESS_KEY", "reader", "STELE_TARGET_READ_SECRET_KEY", "reads")
	for _, c := range []struct {
		opt         TargetOptions
		write, read s3.Credentials
	}{
		{TargetOptions{Getenv: environment(aws...)}, s3.Credentials{AccessKey: "aws", SecretKey: "aws-secret", SessionToken: "token"}, s3.Credentials{}},
		{TargetOptions{Getenv: environment(all...)}, s3.Credentials{AccessKey: "any", SecretKey: "from-file"}, s3.Credentials{}},
		{TargetOptions{Getenv: environment(own...), Name: "off-site"}, s3.Credentials{AccessKey: "own", SecretKey: "own-secret"}, s3.Credentials{AccessKey: "reader", SecretKey: "reads"}},
		{TargetOptions{Getenv: environment(own...), AccessKey: "given", SecretKey: "given-secret"}, s3.Credentials{AccessKey: "given", SecretKey: "given-secret"}, s3.Credentials{}},
		{TargetOptions{Getenv: environment(own[len(own)-4:]...), ReadOnly: true}, s3.Credentials{AccessKey: "reader", SecretKey: "reads"}, s3.Credentials{AccessKey: "reader", SecretKey: "reads"}},
	} {
		got, err := s3Options(u, c.opt)
		if err != nil || got.Write != c.write || got.Read != c.read {
			t.Errorf("keys %v and %v (%v), want %v and %v", got.Write, got.Read, err, c.write, c.read)
		}
		if got.Bucket != "b" || got.Prefix != "/p/q" || got.Endpoint != "http://127.0.0.1:9" || got.Region != "eu-1" || !got.PathStyle {
			t.Errorf("the URL is read as %+v", got)
		}
	}
	for _, getenv := range []func(string) string{
		environment("STELE_TARGET_ACCESS_KEY", "half", "AWS_SECRET_ACCESS_KEY", "x"), environment("AWS_SECRET_ACCESS_KEY", "x"), environment("STELE_TARGET_ACCESS_KEY_FILE", "/not/there"),
	} {
		if _, err := s3Options(u, TargetOptions{Getenv: getenv}); err == nil {
			t.Error("half a key is taken")
		}
	}
}

// TestTargetFolder: a folder is made when its target is added, and never again, and one on the store's disk is known for it.
func TestTargetFolder(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "made here: at once")
	for _, opt := range []TargetOptions{{ReadOnly: true}, {}} {
		if _, _, err := OpenTarget(t.Context(), path, opt); !errors.Is(err, engine.ErrGone) {
			t.Errorf("a folder that is missing, %+v: %v", opt, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a folder was made for a target that is not being added")
	}
	for _, raw := range []string{"dir://" + (&url.URL{Path: path}).EscapedPath(), path} {
		e, f, err := OpenTarget(t.Context(), raw, TargetOptions{Store: root, Make: true})
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind != "dir" || f.Place != path || f.NoCopy == "" {
			t.Errorf("OpenTarget(%q): %+v", raw, f)
		}
		if _, ok := e.(*dir.Dir); !ok {
			t.Errorf("OpenTarget(%q) is a %T", raw, e)
		}
	}
	if _, f, err := OpenTarget(t.Context(), path, TargetOptions{Store: "/not/there"}); err != nil || f.NoCopy == "" {
		t.Errorf("a store whose disk isn't known: %+v, %v, want it taken for the same", f, err)
	}
	e, _, err := OpenTarget(t.Context(), path, TargetOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Create(t.Context(), "packs/p", 0, bytes.NewReader(nil)); !errors.Is(err, dir.ErrReadOnly) {
		t.Errorf("Create on a target opened for reading = %v", err)
	}
}

// TestTargetBucket: a bucket of a real server, by its URL.
func TestTargetBucket(t *testing.T) {
	dir := t.TempDir()
	st, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Root: &entry.AccessKey{ID: "ROOTKEY", Secret: "root-secret", Role: stele.RoleAdmin}, Kit: filepath.Join(dir, "kit")})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s3api.NewHandler(st, s3api.Options{}))
	defer func() {
		srv.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	opt := TargetOptions{Getenv: environment("AWS_ACCESS_KEY_ID", "ROOTKEY", "AWS_SECRET_ACCESS_KEY", "root-secret")}
	raw := "s3://copies/of/this?endpoint=" + srv.URL
	if _, _, err := OpenTarget(t.Context(), raw, opt); !errors.Is(err, s3.ErrNoBucket) {
		t.Errorf("a bucket that is missing: %v", err)
	}
	c, err := minio.New(srv.Listener.Addr().String(), &minio.Options{Creds: credentials.NewStaticV4("ROOTKEY", "root-secret", "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(t.Context(), "copies", minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	e, f, err := OpenTarget(t.Context(), raw, opt)
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind != "s3" || f.Place != "s3://copies/of/this at "+srv.URL || !f.S3.ObjectLock || !f.S3.CanRemove {
		t.Errorf("facts: %+v", f)
	}
	if err := e.Create(t.Context(), engine.Packs+"p", 1, strings.NewReader("x")); err != nil {
		t.Error(err)
	}
	if _, err := c.StatObject(t.Context(), "copies", "of/this/packs/p", minio.StatObjectOptions{}); err != nil {
		t.Errorf("the file isn't where the URL says: %v", err)
	}
}
