package torture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"stele/internal/s3api/doortest"
)

const (
	writers = 8
	keys    = 6 // of each writer, in the bucket plain
	plain   = "plain"
	kept    = "kept" // versioned
	once    = "once" // each key is put at most once, by whoever is first
)

// content is what was put: its digest stands for the bytes. Nil stands for no object.
type content *[32]byte

// told is what clients were told about a key, and what they may not have been told.
type told struct {
	last   content   // of the last change that was answered
	flight []content // changes that were not answered since: each may have happened or not
	taken  bool      // once: somebody was answered 412, so that the key is there
}

// oracle outlives the server.
type oracle struct {
	client *minio.Client
	admin  string

	mu       sync.Mutex
	objects  map[string]*told              // bucket/key
	versions map[string]map[string]content // bucket/key → version id, of those that were answered
	size     uint64                        // of the newest checkpoint that was seen
	answered int
}

func newOracle(t *testing.T, s *doortest.Server) *oracle {
	t.Helper()
	c, err := minio.New(s.Host, &minio.Options{Creds: credentials.NewStaticV4(doortest.AccessKey, doortest.SecretKey, ""), Region: "us-east-1",
		MaxRetries: 1, Transport: &http.Transport{MaxIdleConnsPerHost: 64}})
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{client: c, admin: s.Admin, objects: map[string]*told{}, versions: map[string]map[string]content{}}
	for _, b := range []string{plain, kept, once} {
		if err := c.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.EnableVersioning(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *oracle) at(bucket, key string) *told {
	k := bucket + "/" + key
	if o.objects[k] == nil {
		o.objects[k] = new(told)
	}
	return o.objects[k]
}

// begin notes a change before it is asked for, answer what became of it. A change that was refused did not happen.
func (o *oracle) begin(bucket, key string, c content) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.at(bucket, key)
	t.flight = append(t.flight, c)
}

func (o *oracle) answer(bucket, key string, c content, version string, err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.at(bucket, key)
	status := minio.ToErrorResponse(err).StatusCode
	switch {
	case err == nil:
		o.answered++
		if bucket == once && t.last != nil {
			return fmt.Errorf("%s/%s was won twice", bucket, key)
		}
		if bucket == once {
			t.flight = without(t.flight, c) // the others race on
		} else {
			t.flight = nil
		}
		t.last = c
		if bucket == kept && version != "" {
			o.version(bucket + "/" + key)[version] = c
		}
		return nil
	case status == http.StatusPreconditionFailed:
		o.answered++
		t.flight, t.taken = without(t.flight, c), true
		return nil
	case status >= 400 && status < 500:
		return fmt.Errorf("%s/%s: %w", bucket, key, err)
	}
	return errUnanswered
}

// errUnanswered: the server went away, or said 5xx; whether the change happened nobody knows.
var errUnanswered = errors.New("no answer")

func without(list []content, c content) (out []content) {
	for _, x := range list {
		if x != c {
			out = append(out, x)
		}
	}
	return out
}

func (o *oracle) version(k string) map[string]content {
	if o.versions[k] == nil {
		o.versions[k] = map[string]content{}
	}
	return o.versions[k]
}

// write asks for changes until the server gives no answer. Each key of plain and kept belongs to one writer, those of once to all.
func (o *oracle) write(ctx context.Context, writer, round int) error {
	rng := rand.New(rand.NewPCG(uint64(round), uint64(writer)))
	for n := 0; ctx.Err() == nil; n++ {
		bucket, key := plain, fmt.Sprintf("w%d/k%d", writer, rng.IntN(keys))
		switch rng.IntN(10) {
		case 0, 1:
			bucket = kept
		case 2, 3:
			bucket, key = once, fmt.Sprintf("r%d/n%d", round, n/2)
		case 4:
			if err := o.remove(bucket, key); err != nil {
				return err
			}
			continue
		}
		if err := o.put(rng, bucket, key); err != nil {
			return err
		}
	}
	return nil
}

func (o *oracle) put(rng *rand.Rand, bucket, key string) error {
	size, opt := 1+rng.IntN(60_000), minio.PutObjectOptions{}
	if rng.IntN(40) == 0 && bucket != once { // minio-go forgets the condition when it completes an upload
		size, opt.PartSize = 6<<20, 5<<20 // two parts
	}
	if bucket == once {
		opt.SetMatchETagExcept("*")
	}
	body := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()), 1}).Read(body) //nolint:errcheck // never fails
	if rng.IntN(8) == 0 {
		body = bytes.Repeat([]byte("the same for all who write it, a duplicate "), 500)
	}
	sum := sha256.Sum256(body)
	o.begin(bucket, key, &sum)
	info, err := o.client.PutObject(context.Background(), bucket, key, bytes.NewReader(body), int64(len(body)), opt)
	return o.answer(bucket, key, &sum, info.VersionID, err)
}

func (o *oracle) remove(bucket, key string) error {
	o.begin(bucket, key, nil)
	return o.answer(bucket, key, nil, "", o.client.RemoveObject(context.Background(), bucket, key, minio.RemoveObjectOptions{}))
}

// settle holds what the server shows against what was told, and takes what it shows for the truth from now on.
func (o *oracle) settle(t *testing.T) {
	t.Helper()
	o.checkpoint(t)
	listed := map[string]bool{}
	for _, b := range []string{plain, kept, once} {
		for i := range o.client.ListObjects(t.Context(), b, minio.ListObjectsOptions{Recursive: true}) {
			if i.Err != nil {
				t.Fatal(i.Err)
			}
			listed[b+"/"+i.Key] = true
		}
	}
	now := o.readAll(t)
	for k, told := range o.objects {
		bucket, _, _ := strings.Cut(k, "/")
		got := now[k]
		if listed[k] != (got != nil) {
			t.Errorf("%s: listed %v, read %v", k, listed[k], got != nil)
		}
		delete(listed, k)
		if !told.explains(got, bucket == once) {
			t.Fatalf("%s reads as %s, was told %s, in flight %d", k, digest(got), digest(told.last), len(told.flight))
		}
		told.last, told.flight = got, nil
	}
	for k := range listed {
		t.Errorf("%s is listed and nobody put it", k)
	}
	for k, versions := range o.versions {
		for id, want := range versions {
			if got := now[k+"?"+id]; got == nil || *got != *want {
				t.Fatalf("%s version %s reads as %s, was told %s", k, id, digest(got), digest(want))
			}
		}
	}
}

// readAll reads every key that was ever written, and every version that was told (key?id), several at a time.
func (o *oracle) readAll(t *testing.T) map[string]content {
	t.Helper()
	var all []string
	for k := range o.objects {
		all = append(all, k+"?")
	}
	for k, versions := range o.versions {
		for id := range versions {
			all = append(all, k+"?"+id)
		}
	}
	var mu sync.Mutex
	now := map[string]content{}
	work := make(chan string)
	var readers sync.WaitGroup
	for range writers {
		readers.Go(func() {
			for k := range work {
				path, id, _ := strings.Cut(k, "?")
				bucket, key, _ := strings.Cut(path, "/")
				got, err := o.read(t.Context(), bucket, key, id)
				if err != nil {
					t.Errorf("%s: %v", k, err)
				}
				mu.Lock()
				now[strings.TrimSuffix(k, "?")] = got
				mu.Unlock()
			}
		})
	}
	for _, k := range all {
		work <- k
	}
	close(work)
	readers.Wait()
	return now
}

// explains says whether what is read now may follow from what was told.
func (t *told) explains(got content, once bool) bool {
	if got == nil && once && (t.taken || t.last != nil) {
		return false // a 412 rested on a key that is gone
	}
	same := func(c content) bool { return (c == nil) == (got == nil) && (c == nil || *c == *got) }
	if same(t.last) {
		return true
	}
	if once && t.last != nil {
		return false // who was first stays
	}
	for _, c := range t.flight {
		if same(c) {
			return true
		}
	}
	return false
}

func digest(c content) string {
	if c == nil {
		return "nothing"
	}
	return fmt.Sprintf("%x", c[:6])
}

func (o *oracle) read(ctx context.Context, bucket, key, version string) (content, error) {
	r, err := o.client.GetObject(ctx, bucket, key, minio.GetObjectOptions{VersionID: version})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	sum := [32]byte(h.Sum(nil))
	return &sum, nil
}

// checkpoint reads the published checkpoint, which must never go back.
func (o *oracle) checkpoint(t *testing.T) {
	t.Helper()
	r, err := http.Get(o.admin + "/ledger/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var origin string
	var size uint64
	if _, err := fmt.Fscan(r.Body, &origin, &size); err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	if size < o.size {
		t.Fatalf("the checkpoint went back from size %d to %d", o.size, size)
	}
	o.size = size
}
