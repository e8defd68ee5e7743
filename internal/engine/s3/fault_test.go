package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/minio/minio-go/v7"

	"stele/internal/engine"
	"stele/internal/engine/s3"
)

// through opens a bucket through a proxy that may harm each request; retries don't wait.
func (s *server) through(t *testing.T, bucket string, harm func(request []byte) fault, change ...func(*s3.Options)) (*s3.S3, *proxy) {
	t.Helper()
	p := newProxy(t, s.url, harm)
	opt := s.options(bucket)
	opt.Endpoint = p.url
	for _, c := range change {
		c(&opt)
	}
	e := unprobed(t, opt)
	e.NoWait()
	e.SetWire(func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		r.Close = true // one request a connection, so that each is judged
		return base.RoundTrip(r)
	})
	return e, p
}

// on harms the first n requests that begin with a method.
func on(method string, n int, f fault) func([]byte) fault {
	return func(request []byte) fault {
		if n > 0 && bytes.HasPrefix(request, []byte(method+" ")) {
			n--
			return f
		}
		return none
	}
}

func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

func (s *server) wantFile(t *testing.T, bucket, name string, want []byte) {
	t.Helper()
	e := unprobed(t, s.options(bucket))
	f, err := e.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes (%v), want the %d that were created", name, len(got), err, len(want))
	}
}

// objects counts the versions, markers and open uploads in a bucket.
func (s *server) objects(t *testing.T, bucket string) (n int) {
	t.Helper()
	for o := range s.admin.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		n++
	}
	for o := range s.admin.ListIncompleteUploads(t.Context(), bucket, "", true) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		n++
	}
	return n
}

// sources yield the same bytes as a reader that can be read again, and as one that can't.
func sources(b []byte) map[string]io.Reader {
	return map[string]io.Reader{"Seeker": bytes.NewReader(b), "Stream": iotest.HalfReader(bytes.NewReader(b))}
}

// testLostReply: an upload whose reply is lost is created, once, whatever is said to its repetition; another's file is never taken for it.
func testLostReply(t *testing.T, s *server, k kind) {
	for _, lost := range []int{0, 1, 4} { // of four attempts
		bucket := s.bucket(t, k)
		want := content(2 << 20)
		e, p := s.through(t, bucket, on("PUT", lost, loseReply))
		if err := e.Create(t.Context(), "packs/p", int64(len(want)), bytes.NewReader(want)); err != nil {
			t.Fatalf("Create whose reply was lost %d times = %v", lost, err)
		}
		if p.faults() != lost {
			t.Errorf("%d replies were lost, want %d: the test proves nothing", p.faults(), lost)
		}
		s.wantFile(t, bucket, "packs/p", want)
		if n := s.objects(t, bucket); n != 1 {
			t.Errorf("%d versions and uploads are there, want 1", n)
		}
		// The same bytes by another: a refusal, and through a lost reply too.
		e, _ = s.through(t, bucket, on("PUT", 1, loseReply))
		if err := e.Create(t.Context(), "packs/p", int64(len(want)), bytes.NewReader(want)); !errors.Is(err, engine.ErrExist) {
			t.Errorf("Create of another's name = %v, want ErrExist", err)
		}
	}
}

// testCutUpload: an upload that is cut leaves nothing; it is repeated, from any kind of source.
func testCutUpload(t *testing.T, s *server, k kind) {
	want := content(3 << 20)
	for kind, r := range sources(want) {
		bucket := s.bucket(t, k)
		e, p := s.through(t, bucket, on("PUT", 2, cutUpload))
		if err := e.Create(t.Context(), "packs/p", int64(len(want)), r); err != nil {
			t.Fatalf("%s: Create that was cut twice = %v", kind, err)
		}
		if p.faults() != 2 {
			t.Errorf("%s: %d uploads were cut, want 2: the test proves nothing", kind, p.faults())
		}
		s.wantFile(t, bucket, "packs/p", want)
	}
	bucket := s.bucket(t, k)
	e, _ := s.through(t, bucket, on("PUT", 100, cutUpload))
	if err := e.Create(t.Context(), "packs/p", int64(len(want)), bytes.NewReader(want)); !errors.Is(err, s3.ErrUnreachable) {
		t.Errorf("Create that is always cut = %v, want ErrUnreachable", err)
	}
	if n := s.objects(t, bucket); n != 0 {
		t.Errorf("%d objects and uploads are left of it", n)
	}
}

// TestMute: a server that takes a request and says nothing hangs nobody.
func TestMute(t *testing.T) {
	s := steleServer(t)
	bucket := s.bucket(t, plain)
	want := content(2 << 20)
	e := unprobed(t, s.options(bucket))
	if err := e.Create(t.Context(), "packs/p", int64(len(want)), bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, e, "packs/p")
	_ = f.Close()
	short := func(o *s3.Options) { o.Timeout, o.Attempts = 100*time.Millisecond, 2 }
	all := func([]byte) fault { return mute }
	e, _ = s.through(t, bucket, all, short)
	_, err := e.Open(t.Context(), "packs/p")
	for what, err := range map[string]error{
		"Create": e.Create(t.Context(), "packs/q", int64(len(want)), bytes.NewReader(want)),
		"Open":   err,
		"List":   e.List(t.Context(), engine.Packs, func(engine.Info) error { return nil }),
		"Remove": e.Remove(t.Context(), "packs/p"),
	} {
		if !errors.Is(err, s3.ErrUnreachable) || !strings.Contains(err.Error(), "fell silent") {
			t.Errorf("%s on a mute server = %v, want ErrUnreachable", what, err)
		}
	}
	// The caller's own end comes first.
	ctx, cancel := context.WithCancel(t.Context())
	e, _ = s.through(t, bucket, func([]byte) fault { cancel(); return mute })
	if _, err := e.Open(ctx, "packs/p"); !errors.Is(err, context.Canceled) {
		t.Errorf("Open whose context ends = %v, want Canceled", err)
	}
	// One mute moment is ridden out.
	e, _ = s.through(t, bucket, on("GET", 1, mute), func(o *s3.Options) { o.Timeout = time.Second })
	if f := openFile(t, e, "packs/p"); f.Size() != int64(len(want)) {
		t.Error("another size")
	}
}

func openFile(t *testing.T, e engine.Engine, name string) engine.File {
	t.Helper()
	f, err := e.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestTrickle: replies that come in crumbs, and reads that break off, give whole bytes.
func TestTrickle(t *testing.T) {
	s := steleServer(t)
	bucket := s.bucket(t, versioned)
	want := content(200 << 10)
	var gets atomic.Int64
	e, _ := s.through(t, bucket, func(request []byte) fault {
		if bytes.HasPrefix(request, []byte("GET ")) && bytes.Contains(request, []byte("Range:")) {
			if gets.Add(1) == 1 {
				return loseReply
			}
		}
		return trickle
	})
	if err := e.Create(t.Context(), "packs/p", int64(len(want)), bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := openFile(t, e, "packs/p").ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("reading through crumbs and broken replies: %v", err)
	}
	if gets.Load() != 2 {
		t.Errorf("%d requests for the range, want 2", gets.Load())
	}
}

// TestNobodyThere: refused connections, and names without an address, say so.
func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	e := unprobed(t, s3.Options{Endpoint: "http://" + l.Addr().String(), Bucket: "b-1", Write: s3.Credentials{AccessKey: "a", SecretKey: "b"}})
	e.NoWait()
	_, err = e.Probe(t.Context())
	if !errors.Is(err, s3.ErrUnreachable) || !strings.Contains(err.Error(), "is it running") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Probe of a closed port = %v", err)
	}
}

// TestSourceChanges: a source that breaks, or changes, between its two readings makes nothing.
func TestSourceChanges(t *testing.T) {
	s := steleServer(t)
	bucket := s.bucket(t, plain)
	e := unprobed(t, s.options(bucket))
	broken := errors.New("disk broke")
	for name, second := range map[string]io.Reader{"Breaks": iotest.ErrReader(broken), "Changes": bytes.NewReader(bytes.Repeat([]byte{9}, 5000)), "Shrinks": bytes.NewReader(nil)} {
		if err := e.Create(t.Context(), "packs/p", 5000, &twice{readers: []io.Reader{bytes.NewReader(content(5000)), second}}); err == nil {
			t.Errorf("%s: Create = nil", name)
		}
		if n := s.objects(t, bucket); n != 0 {
			t.Fatalf("%s: %d objects are there", name, n)
		}
	}
}

// twice is a source that yields something else when it is read again.
type twice struct{ readers []io.Reader }

func (r *twice) Read(p []byte) (int, error) { return r.readers[0].Read(p) }

func (r *twice) Seek(_ int64, whence int) (int64, error) {
	if whence == io.SeekStart && len(r.readers) > 1 {
		r.readers = r.readers[1:]
	}
	return 0, nil
}
