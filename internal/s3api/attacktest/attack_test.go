package attacktest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"stele/internal/s3api/doortest"
)

func TestMain(m *testing.M) { os.Exit(doortest.Main(m)) }

const (
	maxMemory = 300 << 20 // bytes resident, at the worst moment
	spare     = 20        // goroutines that may be there besides those of the start: housekeeping under way
)

// victim is a server under attack.
type victim struct {
	*doortest.Server
	baseline float64 // goroutines of the server at rest
}

func TestAttacks(t *testing.T) {
	v := &victim{Server: doortest.Start(t)}
	v.Must(t, 200, "PUT", "/box", nil)
	v.alive(t)
	http.DefaultClient.CloseIdleConnections()
	v.baseline = v.Metric(t, "go_goroutines")
	loris := v.startLoris(t)
	for _, a := range []struct {
		name   string
		attack func(*testing.T, *victim)
	}{
		{"signatures", signatures}, {"presigned", presigned}, {"signed chunks", signedChunks}, {"bodies", bodies}, {"headers", headers}, {"smuggling", smuggling},
		{"documents", documents}, {"deletions", deletions}, {"garbage", garbage}, {"denied flood", deniedFlood}, {"aborted downloads", abortedDownloads},
		{"large bodies at once", largeBodies}, {"document flood", documentFlood}, {"unfinished heads", unfinishedHeads}, {"unfinished forms", unfinishedForms}, {"idle connections", idle},
	} {
		t.Run(a.name, func(t *testing.T) {
			a.attack(t, v)
			v.unharmed(t)
		})
	}
	t.Run("slow headers", func(t *testing.T) { loris.ended(t) })
	v.settled(t)
	if err := v.Stop(); err != nil {
		t.Errorf("the server didn't stop cleanly: %v", err)
	}
	if log := v.Log(); strings.Contains(log, "panic") {
		t.Errorf("the server panicked:\n%.3000s", log)
	}
}

// alive does what a client does.
func (v *victim) alive(t *testing.T) {
	t.Helper()
	body := []byte(time.Now().String())
	v.Must(t, 200, "PUT", "/box/alive", body)
	if got := v.Must(t, 200, "GET", "/box/alive", nil); !bytes.Equal(got.Body, body) {
		t.Fatalf("read %q, want %q", got.Body, body)
	}
}

// unharmed fails if the server doesn't answer, grew too large, or stored anything under stolen/.
func (v *victim) unharmed(t *testing.T) {
	t.Helper()
	v.alive(t)
	now, peak := v.Memory(t)
	t.Logf("memory %d MiB, at its peak %d MiB", now>>20, peak>>20)
	if peak > maxMemory {
		t.Errorf("the server took %d MiB, want at most %d", peak>>20, maxMemory>>20)
	}
	if got := v.Must(t, 200, "GET", "/box?prefix=stolen%2F&versions=", nil); bytes.Contains(got.Body, []byte("<Key>")) {
		t.Errorf("something was stored that nobody signed for, or not whole:\n%.2000s", got.Body)
	}
}

// settled fails unless the server's goroutines go back to what they were.
func (v *victim) settled(t *testing.T) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	var n float64
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) { // a child process has no other sign
		if n = v.Metric(t, "go_goroutines"); n <= v.baseline+spare {
			t.Logf("%v goroutines, %v at the start", n, v.baseline)
			return
		}
	}
	t.Errorf("%v goroutines are left, %v at the start", n, v.baseline)
}

// dial opens a raw connection that ends with the test.
func (v *victim) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", v.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// raw writes bytes and reads the status of what comes back: 0 if nothing does.
func (v *victim) raw(t *testing.T, parts ...[]byte) (int, string) {
	t.Helper()
	return v.write(t, false, parts...)
}

// cut is raw that hangs up its own half after the bytes.
func (v *victim) cut(t *testing.T, parts ...[]byte) (int, string) {
	t.Helper()
	return v.write(t, true, parts...)
}

func (v *victim) write(t *testing.T, hangUp bool, parts ...[]byte) (int, string) {
	t.Helper()
	c := v.dial(t)
	defer c.Close()
	c.SetDeadline(time.Now().Add(90 * time.Second)) //nolint:errcheck // a TCP connection takes one
	for _, p := range parts {
		if _, err := c.Write(p); err != nil {
			break // the server has had enough: its answer is read below
		}
	}
	if hangUp {
		c.CloseWrite() //nolint:errcheck // as above
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// head is a request's head as it goes over the wire, signed for sum and a length that need not be true.
func (v *victim) head(k doortest.Key, method, target, sum string, length int64, headers ...string) (head []byte, signature string) {
	r := v.NewRequest(k, method, target, nil, headers...)
	signature = k.Sign(r, sum)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, target, v.Host, length)
	r.Header.Write(&b) //nolint:errcheck // a buffer
	b.WriteString("\r\n")
	return b.Bytes(), signature
}

// want fails unless the server refused with one of the codes, or, where none is given, at all.
func want(t *testing.T, what string, status int, body string, codes ...string) {
	t.Helper()
	if status/100 == 2 || status >= 500 && status != 501 && status != 503 && status != 505 {
		t.Errorf("%s: status %d\n%.400s", what, status, body)
		return
	}
	for _, c := range codes {
		if strings.Contains(body, "<Code>"+c+"</Code>") {
			return
		}
	}
	if len(codes) > 0 {
		t.Errorf("%s: want %v, got %d\n%.400s", what, codes, status, body)
	}
}
