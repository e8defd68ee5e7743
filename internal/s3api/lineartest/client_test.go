package lineartest

import (
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"

	"stele/internal/s3api/doortest"
)

const (
	clients = 32
	groups  = 8
)

// run is one history in the making.
type run struct {
	server *doortest.Server // what is asked: the server, or a proxy before it
	prefix string
	http   *http.Client
	start  time.Time
	bodies atomic.Uint64 // so that no two bodies are alike

	mu      sync.Mutex
	history []porcupine.Operation
	open    []porcupine.Operation // without an answer; their end is the server's
	wrong   error                 // an answer that no state explains
}

func newRun(s *doortest.Server, prefix string) *run {
	return &run{server: s, prefix: prefix, start: time.Now(), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 30 * time.Second}}
}

func (r *run) now() int64 { return int64(time.Since(r.start)) }

// bucket alternates: even groups live in one without versions, odd ones in one with.
func bucket(group int) string { return [...]string{"plain", "versioned"}[group%2] }

func (r *run) object(in *input) string {
	return fmt.Sprintf("/%s/%s/%d/%d", bucket(in.group), r.prefix, in.group, in.key)
}

// client asks until stop is closed or the server is gone. seen is what it last knew of each key, for If-Match.
func (r *run) client(id int, rng *rand.Rand, stop <-chan struct{}) {
	seen := map[[2]int]string{}
	for {
		select {
		case <-stop:
			return
		default:
		}
		in := input{verb: []verb{put, put, put, get, get, get, del, list}[rng.IntN(8)], group: rng.IntN(groups), key: rng.IntN(keysPerGroup)}
		at := [2]int{in.group, in.key}
		switch conditional := rng.IntN(2) == 0; {
		case in.verb == put && conditional && (seen[at] == "" || rng.IntN(3) == 0):
			in.fresh = true
		case (in.verb == put || in.verb == del) && conditional:
			in.match = seen[at]
		}
		out, err := r.do(id, in)
		if err != nil {
			return
		}
		switch {
		case in.verb == list:
			for k, etag := range out.all {
				seen[[2]int{in.group, k}] = etag
			}
		case in.verb == get:
			seen[at] = out.etag
		case in.verb == put && out.outcome == done:
			delete(seen, at) // mostly somebody else's by the next time; look again first
		}
	}
}

// do asks once and writes down what came back. An error means that the server is gone, or that the answer was wrong.
func (r *run) do(id int, in input) (output, error) {
	var body []byte
	if in.verb == put {
		body = fmt.Appendf(nil, "%s body %d", r.prefix, r.bodies.Add(1))
		sum := md5.Sum(body) //nolint:gosec // S3's ETag
		in.etag = hex.EncodeToString(sum[:])
	}
	op := porcupine.Operation{ClientId: id, Input: in, Call: r.now()}
	res, err := doortest.Send(r.http, r.request(&in, body))
	op.Return = r.now()
	if err != nil {
		if (in.verb == put || in.verb == del) && !errors.Is(err, syscall.ECONNREFUSED) {
			op.Output = output{outcome: unknown}
			r.mu.Lock()
			r.open = append(r.open, op)
			r.mu.Unlock()
		}
		return output{}, err
	}
	out, err := r.judge(&in, res)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.wrong = errors.Join(r.wrong, fmt.Errorf("%s %s: %w", in.verb, r.object(&in), err))
		return out, err
	}
	op.Output = out
	r.history = append(r.history, op)
	return out, nil
}

func (r *run) request(in *input, body []byte) *http.Request {
	var headers []string
	if in.match != "" {
		headers = append(headers, `If-Match: "`+in.match+`"`)
	}
	if in.fresh {
		headers = append(headers, "If-None-Match: *")
	}
	target := r.object(in)
	if in.verb == list {
		target = fmt.Sprintf("/%s?list-type=2&prefix=%s%%2F%d%%2F", bucket(in.group), r.prefix, in.group)
	}
	return r.server.NewRequest(doortest.Key{}, [...]string{"PUT", "GET", "DELETE", "GET"}[in.verb], target, body, headers...)
}

// judge turns a reply into an output; an error is one that no model allows.
func (r *run) judge(in *input, res *doortest.Reply) (out output, err error) {
	switch res.Status {
	case http.StatusOK, http.StatusNoContent:
	case http.StatusNotFound:
		out.outcome = missing
	case http.StatusPreconditionFailed:
		out.outcome = refused
	default:
		return out, fmt.Errorf("status %d: %.300s", res.Status, res.Body)
	}
	if out.outcome != done {
		return out, nil
	}
	switch in.verb {
	case put:
		if got := res.Header.Get("ETag"); got != `"`+in.etag+`"` {
			return out, fmt.Errorf("the reply's ETag is %s, want %q", got, in.etag)
		}
	case get:
		sum := md5.Sum(res.Body) //nolint:gosec // S3's ETag
		out.etag = hex.EncodeToString(sum[:])
		if got := res.Header.Get("ETag"); got != `"`+out.etag+`"` {
			return out, fmt.Errorf("the body's MD5 is %s, the ETag %s", out.etag, got)
		}
	case list:
		err = out.all.parse(res.Body)
	}
	return out, err
}

// parse reads a listing of a group.
func (s *state) parse(doc []byte) error {
	var l struct {
		IsTruncated bool
		Contents    []struct{ Key, ETag string }
	}
	if err := xml.Unmarshal(doc, &l); err != nil {
		return fmt.Errorf("couldn't read the listing: %w", err)
	}
	for _, c := range l.Contents {
		k := int(c.Key[len(c.Key)-1] - '0')
		if k >= keysPerGroup || s[k] != "" || l.IsTruncated {
			return fmt.Errorf("a listing that can't be: %.600s", doc)
		}
		if s[k] = c.ETag; len(s[k]) == 34 {
			s[k] = s[k][1:33]
		}
	}
	return nil
}

// ended closes what was left without an answer: the server is gone, so it has happened by now or never will.
func (r *run) ended() {
	r.http.CloseIdleConnections()
	for _, op := range r.open {
		op.Return = r.now()
		r.history = append(r.history, op)
	}
	r.open = nil
}
