// Package clienttest runs stock S3 clients against the S3 face of a real store, each with its own checks. A client that is missing is an error where
// CI is "true" or STELE_CLIENTS is "all", else that test is skipped by name.
package clienttest

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/s3api"
)

const (
	accessKey = "STELEROOTTEST"
	secretKey = "a-secret-of-some-length"
)

// client is one program with its environment.
type client struct {
	*testing.T
	url  string
	host string
	dir  string
	env  []string
	s    *stele.Store
}

// open starts a store behind a door, and finds the program.
func open(t *testing.T, program string) *client {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		absent(t, "the client "+program, err)
	}
	dir := t.TempDir()
	s, err := stele.Create(t.Context(), filepath.Join(dir, "data"), stele.Options{Root: &entry.AccessKey{ID: accessKey, Secret: secretKey, Role: stele.RoleAdmin}, Kit: filepath.Join(dir, "kit.txt")})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s3api.NewHandler(s, s3api.Options{}), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-done
		if err := s.Close(); err != nil {
			t.Errorf("couldn't close the store: %v", err)
		}
	})
	c := &client{T: t, url: "http://" + l.Addr().String(), host: l.Addr().String(), dir: dir, s: s}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_") && !strings.HasPrefix(e, "RCLONE_") && !strings.HasPrefix(e, "RESTIC_") {
			c.env = append(c.env, e) // AWS_CA_BUNDLE among them: some clients fail on it even without TLS
		}
	}
	c.env = append(c.env, "HOME="+dir, "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")
	return c
}

// run runs a command and returns its standard output; a failure ends the test.
func (c *client) run(name string, args ...string) string {
	c.Helper()
	out, err := c.try(name, args...)
	if err != nil {
		c.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (c *client) try(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.Context(), name, args...)
	cmd.Env, cmd.Dir = c.env, c.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		return out.String() + errs.String(), err
	}
	return out.String(), nil
}

// refused runs a command that must fail with text in its output.
func (c *client) refused(text, name string, args ...string) {
	c.Helper()
	out, err := c.try(name, args...)
	if err == nil || !strings.Contains(out, text) {
		c.Fatalf("%s %s: want a refusal with %q, got %v\n%s", name, strings.Join(args, " "), text, err, out)
	}
}

// file writes a file of random bytes and returns its path.
func (c *client) file(name string, size int) string {
	c.Helper()
	b := make([]byte, size)
	rand.Read(b)
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		c.Fatal(err)
	}
	return path
}

// same fails unless two files have the same bytes.
func (c *client) same(a, b string) {
	c.Helper()
	x, err1 := os.ReadFile(a)
	y, err2 := os.ReadFile(b)
	if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
		c.Fatalf("%s and %s differ (%v, %v)", a, b, err1, err2)
	}
}

// contains fails unless out has every text.
func (c *client) contains(out string, texts ...string) {
	c.Helper()
	for _, t := range texts {
		if !strings.Contains(out, t) {
			c.Fatalf("no %q in:\n%s", t, out)
		}
	}
}

func TestAWS(t *testing.T) {
	c := open(t, "aws")
	t.Log(c.run("aws", "--version"))
	aws := func(args ...string) string {
		t.Helper()
		return c.run("aws", append([]string{"--endpoint-url", c.url}, args...)...)
	}
	api := func(args ...string) string { t.Helper(); return aws(append([]string{"s3api"}, args...)...) }
	aws("s3", "mb", "s3://photos")
	small, large := c.file("tree/small", 4096), c.file("tree/a b/ü+large", 20<<20)
	aws("s3", "cp", "--quiet", small, "s3://photos/small")
	aws("s3", "cp", "--quiet", large, "s3://photos/x/large") // multipart
	aws("s3", "cp", "--quiet", "s3://photos/x/large", c.dir+"/back")
	c.same(large, c.dir+"/back")
	c.contains(api("head-object", "--bucket", "photos", "--key", "x/large"), `"ContentLength": 20971520`, `-3\"`)
	c.contains(api("get-object", "--bucket", "photos", "--key", "small", "--range", "bytes=10-19", c.dir+"/part"), `bytes 10-19/4096`)
	aws("s3", "sync", "--quiet", c.dir+"/tree", "s3://photos/tree")
	if out := aws("s3", "sync", c.dir+"/tree", "s3://photos/tree"); out != "" {
		t.Fatalf("a second sync found work: %s", out)
	}
	aws("s3", "sync", "--quiet", "s3://photos/tree", c.dir+"/tree2")
	c.same(large, c.dir+"/tree2/a b/ü+large")
	c.contains(aws("s3", "ls", "s3://photos"), "PRE tree/", "PRE x/", "small")
	c.contains(aws("s3", "ls", "--recursive", "s3://photos"), "tree/a b/ü+large")
	aws("s3", "mv", "--quiet", "s3://photos/small", "s3://photos/moved")
	c.refused("Not Found", "aws", "--endpoint-url", c.url, "s3api", "head-object", "--bucket", "photos", "--key", "small")
	c.refused("NoSuchKey", "aws", "--endpoint-url", c.url, "s3api", "get-object", "--bucket", "photos", "--key", "small", c.dir+"/none")
	c.refused("BucketNotEmpty", "aws", "--endpoint-url", c.url, "s3", "rb", "s3://photos")
	api("put-bucket-versioning", "--bucket", "photos", "--versioning-configuration", "Status=Enabled")
	api("put-object-tagging", "--bucket", "photos", "--key", "moved", "--tagging", "TagSet=[{Key=a,Value=b}]")
	c.contains(api("get-object-tagging", "--bucket", "photos", "--key", "moved"), `"a"`)
	aws("s3", "rm", "--quiet", "--recursive", "s3://photos")
	c.contains(api("list-object-versions", "--bucket", "photos"), `"DeleteMarkers"`, `"VersionId": "null"`)
	if err := os.MkdirAll(c.dir+"/.aws", 0o700); err != nil {
		t.Fatal(err)
	}
	// Without this, aws-cli presigns for other endpoints with signature version 2, which has no place here.
	if err := os.WriteFile(c.dir+"/.aws/config", []byte("[default]\ns3 =\n  signature_version = s3v4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	aws("s3", "cp", "--quiet", small, "s3://photos/signed")
	res, err := http.Get(strings.TrimSpace(aws("s3", "presign", "s3://photos/signed")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if want, _ := os.ReadFile(small); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the presigned URL gave %s, %v: %.300s", res.Status, err, got)
	}
}

func TestRestic(t *testing.T) {
	c := open(t, "restic")
	t.Log(c.run("restic", "version"))
	c.env = append(c.env, "RESTIC_PASSWORD=x", "RESTIC_REPOSITORY=s3:"+c.url+"/backups/host")
	for _, n := range []string{"src/a", "src/b/c", "src/b/d"} {
		c.file(n, 3<<20)
	}
	c.run("restic", "init")
	c.run("restic", "backup", "--quiet", "src")
	c.run("restic", "check", "--read-data")
	c.file("src/a", 3<<20)
	c.run("restic", "backup", "--quiet", "src")
	c.run("restic", "forget", "--keep-last", "1", "--prune")
	c.run("restic", "check", "--read-data")
	c.run("restic", "restore", "latest", "--target", c.dir+"/out")
	c.same(c.dir+"/src/a", c.dir+"/out/src/a")
	c.same(c.dir+"/src/b/d", c.dir+"/out/src/b/d")
	c.restoreFromView()
}

// TestResticAppend backs up with a key that can overwrite and delete nothing: restic must not hang at the end over its lock files.
func TestResticAppend(t *testing.T) {
	c := open(t, "restic")
	if _, err := c.s.CreateBucket(t.Context(), stele.Local(), "backups", false); err != nil {
		t.Fatal(err)
	}
	k, err := c.s.Keys().Create(t.Context(), stele.Local(), stele.RoleAppend, []string{"backups/host/"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.env = append(c.env, "AWS_ACCESS_KEY_ID="+k.ID, "AWS_SECRET_ACCESS_KEY="+k.Secret, "RESTIC_PASSWORD=x", "RESTIC_REPOSITORY=s3:"+c.url+"/backups/host")
	c.file("src/a", 3<<20)
	c.run("restic", "init")
	c.run("restic", "backup", "--quiet", "src")
	c.file("src/b", 1<<20)
	c.run("restic", "backup", "--quiet", "src")
	c.run("restic", "check", "--read-data")
	c.contains(c.run("restic", "snapshots"), "2 snapshots")
	c.run("restic", "restore", "latest", "--target", c.dir+"/out")
	c.same(c.dir+"/src/b", c.dir+"/out/src/b")
	page, err := c.s.List(t.Context(), stele.ListRequest{Bucket: "backups", Prefix: "host/locks/", Max: 10})
	if err != nil || len(page.Versions) > 0 {
		t.Errorf("%d locks are left, %v", len(page.Versions), err)
	}
}

// restoreFromView hides the whole repository and restores from the bucket as it was before.
func (c *client) restoreFromView() {
	c.Helper()
	size := c.s.Ledger().Size()
	c.env = append(c.env, "RCLONE_CONFIG=/dev/null")
	page, err := c.s.List(c.Context(), stele.ListRequest{Bucket: "backups", Max: 1000})
	if err != nil {
		c.Fatal(err)
	}
	for _, v := range page.Versions {
		if _, err := c.s.Hide(c.Context(), stele.HideRequest{By: stele.Local(), Bucket: "backups", Key: v.Key}); err != nil {
			c.Fatal(err)
		}
	}
	c.refused("", "restic", "snapshots")
	past := "s3:" + c.url + "/backups--at-e" + strconv.FormatUint(size, 10) + "/host"
	c.run("restic", "--no-lock", "-r", past, "restore", "latest", "--target", c.dir+"/out2")
	c.same(c.dir+"/src/a", c.dir+"/out2/src/a")
}

func TestRclone(t *testing.T) {
	c := open(t, "rclone")
	t.Log(strings.SplitN(c.run("rclone", "version"), "\n", 2)[0])
	conf := filepath.Join(c.dir, "rclone.conf")
	text := "[s]\ntype = s3\nprovider = Other\naccess_key_id = " + accessKey + "\nsecret_access_key = " + secretKey + "\nendpoint = " + c.url + "\nregion = us-east-1\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rclone := func(args ...string) string {
		t.Helper()
		return c.run("rclone", append([]string{"--config", conf}, args...)...)
	}
	c.file("src/one", 1000)
	c.file("src/sub/two ü", 12<<20)
	c.file("src/sub/empty", 0)
	rclone("mkdir", "s:store")
	rclone("sync", "src", "s:store/copy", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M")
	rclone("check", "src", "s:store/copy")
	rclone("sync", "s:store/copy", "back")
	c.same(c.dir+"/src/sub/two ü", c.dir+"/back/sub/two ü")
	rclone("copy", "s:store/copy", "s:store/again") // server side
	rclone("check", "s:store/copy", "s:store/again")
	if _, err := c.s.SetVersioning(t.Context(), stele.Local(), "store", stele.Enabled); err != nil {
		t.Fatal(err)
	}
	c.file("src/one", 2000)
	rclone("sync", "src", "s:store/copy")
	if out := rclone("lsf", "--s3-versions", "s:store/copy"); strings.Count(out, "one") != 2 {
		t.Fatalf("want two versions of one, got:\n%s", out)
	}
	rclone("purge", "s:store/copy")
}

func TestS3cmd(t *testing.T) {
	c := open(t, "s3cmd")
	t.Log(c.run("s3cmd", "--version"))
	base := []string{"--config=/dev/null", "--access_key=" + accessKey, "--secret_key=" + secretKey, "--host=" + c.host, "--host-bucket=" + c.host, "--no-ssl", "--region=us-east-1", "--multipart-chunk-size-mb=5"}
	s3cmd := func(args ...string) string {
		t.Helper()
		return c.run("s3cmd", append(append([]string{}, base...), args...)...)
	}
	small, large := c.file("small", 100), c.file("large", 12<<20)
	s3cmd("mb", "s3://box")
	s3cmd("put", "--quiet", small, large, "s3://box/")
	s3cmd("get", "--quiet", "s3://box/large", c.dir+"/back")
	c.same(large, c.dir+"/back")
	c.contains(s3cmd("info", "s3://box/large"), "12582912")
	s3cmd("cp", "s3://box/small", "s3://box/copy")
	c.contains(s3cmd("ls", "s3://box"), "s3://box/copy", "s3://box/large", "s3://box/small")
	s3cmd("del", "--recursive", "--force", "s3://box/")
	s3cmd("rb", "s3://box")
}
