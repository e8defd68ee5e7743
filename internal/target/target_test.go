package target

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

// TestURL: a URL that can't be meant is refused with one that could, and no secret is repeated.
func TestURL(t *testing.T) {
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
		opt := Options{Getenv: environment()}
		if strings.Contains(c.raw, "127.0.0.1") {
			opt.AccessKey, opt.SecretKey = "id", "secret"
		}
		_, _, err := Open(t.Context(), c.raw, opt)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("Open(%q) = %v, want an error with %q", c.raw, err, c.want)
		}
	}
}

// TestKeys: which key is used when several are there.
func TestKeys(t *testing.T) {
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
		opt         Options
		write, read s3.Credentials
	}{
		{Options{Getenv: environment(aws...)}, s3.Credentials{AccessKey: "aws", SecretKey: "aws-secret", SessionToken: "token"}, s3.Credentials{}},
		{Options{Getenv: environment(all...)}, s3.Credentials{AccessKey: "any", SecretKey: "from-file"}, s3.Credentials{}},
		{Options{Getenv: environment(own...), Name: "off-site"}, s3.Credentials{AccessKey: "own", SecretKey: "own-secret"}, s3.Credentials{AccessKey: "reader", SecretKey: "reads"}},
		{Options{Getenv: environment(own...), AccessKey: "given", SecretKey: "given-secret"}, s3.Credentials{AccessKey: "given", SecretKey: "given-secret"}, s3.Credentials{}},
		{Options{Getenv: environment(own[len(own)-4:]...), ReadOnly: true}, s3.Credentials{AccessKey: "reader", SecretKey: "reads"}, s3.Credentials{AccessKey: "reader", SecretKey: "reads"}},
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
		if _, err := s3Options(u, Options{Getenv: getenv}); err == nil {
			t.Error("half a key is taken")
		}
	}
}

// TestFolder: a folder is made when its target is added, and never again, and one on the store's disk is known for it.
func TestFolder(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "made here: at once")
	for _, opt := range []Options{{ReadOnly: true}, {}} {
		if _, _, err := Open(t.Context(), path, opt); !errors.Is(err, engine.ErrGone) {
			t.Errorf("a folder that is missing, %+v: %v", opt, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a folder was made for a target that is not being added")
	}
	for _, raw := range []string{"dir://" + (&url.URL{Path: path}).EscapedPath(), path} {
		e, f, err := Open(t.Context(), raw, Options{Store: root, Make: true})
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind != "dir" || f.Place != path || f.NoCopy == "" {
			t.Errorf("Open(%q): %+v", raw, f)
		}
		if _, ok := e.(*dir.Dir); !ok {
			t.Errorf("Open(%q) is a %T", raw, e)
		}
	}
	if _, f, err := Open(t.Context(), path, Options{Store: "/not/there"}); err != nil || f.NoCopy == "" {
		t.Errorf("a store whose disk isn't known: %+v, %v, want it taken for the same", f, err)
	}
	e, _, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Create(t.Context(), "packs/p", 0, bytes.NewReader(nil)); !errors.Is(err, dir.ErrReadOnly) {
		t.Errorf("Create on a target opened for reading = %v", err)
	}
}

// TestBucket: a bucket of a real server, by its URL.
func TestBucket(t *testing.T) {
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
	opt := Options{Getenv: environment("AWS_ACCESS_KEY_ID", "ROOTKEY", "AWS_SECRET_ACCESS_KEY", "root-secret")}
	raw := "s3://copies/of/this?endpoint=" + srv.URL
	if _, _, err := Open(t.Context(), raw, opt); !errors.Is(err, s3.ErrNoBucket) {
		t.Errorf("a bucket that is missing: %v", err)
	}
	c, err := minio.New(srv.Listener.Addr().String(), &minio.Options{Creds: credentials.NewStaticV4("ROOTKEY", "root-secret", "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(t.Context(), "copies", minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	e, f, err := Open(t.Context(), raw, opt)
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

// TestKinds: each kind is opened by its scheme, and the error of a URL that can't be meant names it; docs/BACKUP.md has a row for it.
func TestKinds(t *testing.T) {
	doc, err := os.ReadFile("../../docs/BACKUP.md")
	if err != nil {
		t.Fatal(err)
	}
	_, _, wrong := Open(t.Context(), "moon://crater", Options{Getenv: environment()})
	for _, k := range kinds() {
		if !strings.HasPrefix(k.form, k.scheme+"://") || wrong == nil || !strings.Contains(wrong.Error(), k.form) || !strings.Contains(Forms(), k.form) {
			t.Errorf("%s is written %s, and the error says: %v", k.scheme, k.form, wrong)
		}
		if row := "\n| `" + k.scheme + "` | `" + k.form + "` |"; !strings.Contains(string(doc), row) {
			t.Errorf("docs/BACKUP.md, Kinds of targets, has no row that begins with%s", row)
		}
		if !isURL(k.scheme + ":x") {
			t.Errorf("%s:x is taken for a folder's path", k.scheme)
		}
	}
}
