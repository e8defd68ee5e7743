package s3api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Content-MD5
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"stele/entry"
	"stele/internal/logtest"
	"stele/internal/s3api"
	"stele/internal/s3api/doortest"
)

// server is the door as package doortest sees one, which has a signer of its own.
func (d *door) server() *doortest.Server { return &doortest.Server{URL: d.srv.URL, Host: d.host} }

func keyOf(k entry.AccessKey) doortest.Key { return doortest.Key{ID: k.ID, Secret: k.Secret} }

// begin sends the head of a request that declares a body of so many bytes, and the first bytes of it. The connection ends with the test.
func (d *door) begin(k *doortest.Key, method, target string, length int, body string, headers ...string) *bufio.Reader {
	d.Helper()
	r := d.server().NewRequest(doortest.Key{}, method, target, nil, headers...)
	if k == nil {
		r.Header.Del("Authorization")
		r.Header.Del("X-Amz-Content-Sha256")
	} else {
		k.Sign(r, doortest.Unsigned)
	}
	c, err := net.Dial("tcp", d.host)
	d.ok(err)
	d.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // a TCP connection takes one
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, target, d.host, length)
	d.ok(r.Header.Write(&b))
	b.WriteString("\r\n" + body)
	_, err = c.Write(b.Bytes())
	d.ok(err)
	return bufio.NewReader(c)
}

// answer reads the reply to a request.
func answer(r *bufio.Reader) (status int, body string) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// refusals waits until all but so many of the requests are refused, and returns how many were with what code.
func refusals(t *testing.T, requests []*bufio.Reader, left int) map[string]int {
	t.Helper()
	codes := make(chan string, len(requests))
	for _, r := range requests {
		go func() {
			_, body := answer(r)
			_, rest, _ := strings.Cut(body, "<Code>")
			code, _, _ := strings.Cut(rest, "</Code>")
			codes <- code
		}()
	}
	got := map[string]int{}
	for range len(requests) - left {
		got[<-codes]++
	}
	return got
}

// TestStrangersKeepNobodyOut: forms that nobody has signed yet, and that never end, take places of their own. Whoever has a key is served.
func TestStrangersKeepNobodyOut(t *testing.T) {
	d := openDoor(t, s3api.Options{MaxRequests: 32, MaxAnonymous: 8})
	d.server().Must(t, 200, "PUT", "/box", nil)
	var forms []*bufio.Reader
	for range 40 {
		forms = append(forms, d.begin(nil, "POST", "/box", 1000, "--x\r\n", "Content-Type: multipart/form-data; boundary=x"))
	}
	if got := refusals(t, forms, 6); got["SlowDown"] != 34 { // one address has three quarters of the eight places
		t.Errorf("refused: %v, want 34 times SlowDown", got)
	}
	d.server().Must(t, 200, "PUT", "/box/good", []byte("x"))
}

// TestOneKeyKeepsNobodyOut: bodies of one key that hardly come take its share of the places and no more.
func TestOneKeyKeepsNobodyOut(t *testing.T) {
	d := openDoor(t, s3api.Options{MaxRequests: 32})
	d.server().Must(t, 200, "PUT", "/box", nil)
	_, k := d.key("readwrite")
	slow := keyOf(k)
	var puts []*bufio.Reader
	for i := range 40 {
		puts = append(puts, d.begin(&slow, "PUT", fmt.Sprint("/box/slow", i), 1000, "x"))
	}
	if got := refusals(t, puts, 24); got["SlowDown"] != 16 {
		t.Errorf("refused: %v, want 16 times SlowDown", got)
	}
	d.server().Must(t, 200, "PUT", "/box/good", []byte("x"))
}

// TestLargeBodiesOfStrangers: where a policy lets anybody write, bodies that hardly come, from however many addresses, take no place of a key's.
func TestLargeBodiesOfStrangers(t *testing.T) {
	d := openDoor(t, s3api.Options{MaxBodies: 4, StallTimeout: 500 * time.Millisecond, LeastRate: -1})
	d.server().Must(t, 200, "PUT", "/box", nil)
	d.server().Must(t, 204, "PUT", "/box?policy=", []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::box/*"}]}`))
	begun := 0
	for i := range 8 {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(10+i))}}
		c, err := from.Dial("tcp", d.host)
		d.ok(err)
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "PUT /box/slow%d HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", i, d.host, 2<<20)
		if line, err := bufio.NewReader(c).ReadString('\n'); err == nil && strings.Contains(line, " 100 ") { // so it has its place, and keeps it as long as something comes
			begun++
			go keepSending(t.Context(), c)
		}
	}
	if begun == 0 {
		t.Fatal("nobody got a place")
	}
	d.server().Must(t, 200, "PUT", "/box/good", bytes.Repeat([]byte("x"), 2<<20))
}

// keepSending sends just enough of a body that it does not stand still.
func keepSending(ctx context.Context, c net.Conn) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for piece := make([]byte, 8<<10); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
	}
}

// TestLargeBodiesOfOneKey: the places for large bodies are shared like those for requests.
func TestLargeBodiesOfOneKey(t *testing.T) {
	d := openDoor(t, s3api.Options{MaxBodies: 4, StallTimeout: 500 * time.Millisecond, LeastRate: -1})
	d.server().Must(t, 200, "PUT", "/box", nil)
	_, k := d.key("readwrite")
	slow := keyOf(k)
	for i := range 3 {
		r := d.begin(&slow, "PUT", fmt.Sprint("/box/slow", i), 2<<20, "x", "Expect: 100-continue")
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " 100 ") { // so it has its place
			t.Fatalf("%q, %v", line, err)
		}
	}
	d.server().Must(t, 200, "PUT", "/box/good", bytes.Repeat([]byte("x"), 2<<20))
}

// TestJudgedBeforeTheDocument: whoever can delete nothing is refused before he has sent a document or taken a place for it; whoever can, by role or by policy, is not.
func TestJudgedBeforeTheDocument(t *testing.T) {
	d := openDoor(t, s3api.Options{StallTimeout: 500 * time.Millisecond})
	d.server().Must(t, 200, "PUT", "/box", nil)
	d.server().Must(t, 200, "PUT", "/other", nil)
	_, reader := d.key("readonly", "box/a/")
	_, elsewhere := d.key("readwrite", "other")
	_, scoped := d.key("readwrite", "box/a/")
	for i, k := range []entry.AccessKey{reader, elsewhere, {}} {
		by := keyOf(k)
		ask := &by
		if k.ID == "" {
			ask = nil
		}
		status, body := answer(d.begin(ask, "POST", "/box?delete=", 100_000, ""))
		if status != 403 || !strings.Contains(body, "<Code>AccessDenied</Code>") {
			t.Errorf("caller %d: %d %s, want AccessDenied before the document", i, status, body)
		}
	}
	doc := []byte("<Delete><Object><Key>a/k</Key></Object></Delete>" + strings.Repeat(" ", 70_000))
	md5 := "Content-Md5: " + contentMD5(doc)
	for _, k := range []doortest.Key{{}, keyOf(scoped)} {
		res, err := doortest.Send(http.DefaultClient, d.server().NewRequest(k, "POST", "/box?delete=", doc, md5))
		if err != nil || res.Status != 200 || bytes.Contains(res.Body, []byte("<Error>")) {
			t.Errorf("%s: %v, %v", k.ID, res, err)
		}
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"s3:DeleteObject","Resource":"arn:aws:s3:::box/a/*"}]}`, reader.ID)
	d.server().Must(t, 204, "PUT", "/box?policy=", []byte(policy))
	res, err := doortest.Send(http.DefaultClient, d.server().NewRequest(keyOf(reader), "POST", "/box?delete=", doc, md5))
	if err != nil || res.Status != 200 || bytes.Contains(res.Body, []byte("<Error>")) {
		t.Errorf("by policy: %v, %v", res, err)
	}
}

// TestSlowBodyIsCutOff: a body below the least rate is refused, with the reason, in the reply and in the log.
func TestSlowBodyIsCutOff(t *testing.T) {
	var log lines
	d := openDoor(t, s3api.Options{LeastRate: 1 << 40, RateWindow: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	d.server().Must(t, 200, "PUT", "/box", nil)
	status, body := answer(d.begin(&doortest.Key{}, "PUT", "/box/slow", 1000, "x"))
	if status != 400 || !strings.Contains(body, "<Code>RequestTimeout</Code>") || !strings.Contains(body, "least-rate") {
		t.Errorf("%d %s", status, body)
	}
	log.want(t, "op=PutObject status=400", "code=RequestTimeout", "least-rate")
}

// lines is a log in memory.
type lines struct{ logtest.Buffer }

// want waits for a line that holds all words: a request's line is written after its reply.
func (l *lines) want(t *testing.T, words ...string) string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
	next:
		for line := range strings.Lines(l.String()) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue next
				}
			}
			return line
		}
	}
	t.Errorf("no line holds %q:\n%s", words, l.String())
	return ""
}

// TestAccessLines: a request that failed can be explained from the log: by its code and reason, by the key that was proven, or by the one that was only claimed.
func TestAccessLines(t *testing.T) {
	var log lines
	d := openDoor(t, s3api.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	s := d.server()
	s.Must(t, 200, "PUT", "/box", nil)
	_, reader := d.key("readonly", "box")
	send := func(k doortest.Key, method, target string) {
		t.Helper()
		_, err := doortest.Send(http.DefaultClient, s.NewRequest(k, method, target, nil))
		d.ok(err)
	}
	send(doortest.Key{ID: rootID, Secret: "wrong"}, "GET", "/box/wrong-secret")
	if line := log.want(t, "object=wrong-secret", "code=SignatureDoesNotMatch", "claimed_key="+rootID, `key=""`); strings.Contains(line, " key="+rootID) {
		t.Errorf("a key that nobody proved: %s", line)
	}
	send(doortest.Key{ID: "NOBODY", Secret: "wrong-secret"}, "GET", "/box/unknown")
	log.want(t, "object=unknown", "code=InvalidAccessKeyId", "claimed_key=NOBODY")
	send(doortest.Key{Now: time.Now().Add(-time.Hour)}, "GET", "/box/skewed")
	log.want(t, "object=skewed", "code=RequestTimeTooSkewed", "claimed_key="+rootID)
	send(doortest.Key{Region: "mars"}, "GET", "/box/region")
	log.want(t, "object=region", "code=AuthorizationHeaderMalformed", "claimed_key="+rootID, "mars")
	send(keyOf(reader), "PUT", "/box/denied")
	log.want(t, "object=denied", "code=AccessDenied", " key="+reader.ID, "reason=")
	if line := log.want(t, "object=denied"); strings.Contains(line, "claimed_key") {
		t.Errorf("a proven key is not claimed: %s", line)
	}
	link, err := http.Get(doortest.Key{ID: "LINKED", Secret: "wrong-secret"}.Presign("GET", s.URL+"/box/link", time.Minute))
	d.ok(err)
	link.Body.Close()
	log.want(t, "object=link", "claimed_key=LINKED")
	v2, err := http.Get(s.URL + "/box/v2?AWSAccessKeyId=OLDKEY&Signature=x&Expires=1")
	d.ok(err)
	v2.Body.Close()
	log.want(t, "object=v2", "claimed_key=OLDKEY", "code=")
}

// TestNotImplementedNamesItself: a refusal names what was asked for.
func TestNotImplementedNamesItself(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	d.server().Must(t, 200, "PUT", "/box", nil)
	res := d.server().Must(t, 501, "GET", "/box?website=", nil)
	if !bytes.Contains(res.Body, []byte("operation GetBucketWebsite")) {
		t.Errorf("%s", res.Body)
	}
}

// TestMinIOPages: tools made for MinIO learn whether the server is up, and that it has no admin API of MinIO's.
func TestMinIOPages(t *testing.T) {
	d := openDoor(t, s3api.Options{})
	get := func(method, path string) (int, string) {
		r, err := http.NewRequest(method, d.srv.URL+path, nil)
		d.ok(err)
		res, err := doortest.Send(http.DefaultClient, r)
		d.ok(err)
		return res.Status, string(res.Body)
	}
	for _, page := range []string{"live", "ready", "cluster", "cluster/read"} {
		for _, method := range []string{"GET", "HEAD"} {
			if status, _ := get(method, "/minio/health/"+page); status != 200 {
				t.Errorf("%s %s: %d", method, page, status)
			}
		}
	}
	if status, body := get("GET", "/minio/admin/v3/info"); status != 501 || !strings.Contains(body, "no admin API") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get("PUT", "/minio/health/live"); status != 405 {
		t.Errorf("PUT: %d", status)
	}
	d.server().Must(t, 200, "PUT", "/minio", nil) // from here on it is a bucket
	d.server().Must(t, 200, "PUT", "/minio/health/live", []byte("mine"))
	if res := d.server().Must(t, 200, "GET", "/minio/health/live", nil); string(res.Body) != "mine" {
		t.Errorf("%q", res.Body)
	}
	if status, _ := get("GET", "/minio/health/live"); status != 403 {
		t.Errorf("an object of a bucket was shown to anybody: %d", status)
	}
	d.ok(d.store.Close())
	if status, _ := get("GET", "/minio/health/ready"); status == 200 {
		t.Error("ready, and the store is closed")
	}
}

// TestFailuresAreCounted: what every request meets after a failure is one line in the log, not one each.
func TestFailuresAreCounted(t *testing.T) {
	var log lines
	d := openDoor(t, s3api.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	d.server().Must(t, 200, "PUT", "/box", nil)
	d.ok(d.store.Close())
	for range 100 {
		d.server().Must(t, 503, "PUT", "/box/k", nil)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines for 100 failed requests:\n%.2000s", n, log.String())
	}
}

// TestFullDoorServesTheNext: a place that comes free is used.
func TestFullDoorServesTheNext(t *testing.T) {
	d := openDoor(t, s3api.Options{MaxRequests: 1})
	for range 20 {
		d.server().Must(t, 200, "GET", "/", nil)
	}
}

func contentMD5(b []byte) string {
	sum := md5.Sum(b) //nolint:gosec // Content-MD5
	return base64.StdEncoding.EncodeToString(sum[:])
}
