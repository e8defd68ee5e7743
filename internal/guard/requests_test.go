package guard

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve answers by h behind Requests, and returns how to connect to it.
func serve(t *testing.T, g *Requests, h http.HandlerFunc) func() net.Conn {
	t.Helper()
	srv := httptest.NewServer(g.Handler(h))
	t.Cleanup(srv.Close)
	return func() net.Conn {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // a TCP connection takes one
		return c
	}
}

func refuse(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "no", http.StatusForbidden)
}

// TestManyHeaders: a request of very many headers is refused before anything looks at it, whether or not its body comes.
func TestManyHeaders(t *testing.T) {
	dial := serve(t, &Requests{}, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }) //nolint:errcheck // the reply tells
	for lines, want := range map[int]int{maxLines + 1: http.StatusRequestHeaderFieldsTooLarge, maxLines - 10: http.StatusOK} {
		for _, body := range []string{"Content-Length: 0", "Content-Length: 1000000"} {
			if want == http.StatusOK && body != "Content-Length: 0" {
				continue
			}
			c := dial()
			fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\n", body, strings.Repeat("A:\r\n", lines))
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != want || res.Close != (want != http.StatusOK) {
				t.Errorf("%d headers, %s: %v, %v; want %d", lines, body, res, err, want)
			}
		}
	}
}

// TestUnreadBody: a body that is declared and never sent delays no refusal, and the connection ends; with 100-continue as well, and where nobody writes a header at all.
func TestUnreadBody(t *testing.T) {
	was := drainEnd
	drainEnd = 50 * time.Millisecond
	t.Cleanup(func() { drainEnd = was })
	dial := serve(t, &Requests{}, refuse)
	silent := serve(t, &Requests{}, func(http.ResponseWriter, *http.Request) {})
	for _, head := range []string{"Content-Length: 1000", "Content-Length: 100000000", "Transfer-Encoding: chunked", "Content-Length: 1000\r\nExpect: 100-continue"} {
		for want, dial := range map[int]func() net.Conn{403: dial, 200: silent} {
			c := dial()
			fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", head)
			r := bufio.NewReader(c)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != want || !res.Close {
				t.Errorf("%q: %v, %v", head, res, err)
				continue
			}
			io.Copy(io.Discard, res.Body) //nolint:errcheck // as below
			if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
				t.Errorf("%q: the connection does not end: %q, %v", head, b, err)
			}
		}
	}
}

// TestArrivedBody: a refusal of a small body that has come leaves the connection for the next request, which is not what is left of the body.
func TestArrivedBody(t *testing.T) {
	c := serve(t, &Requests{}, refuse)()
	r := bufio.NewReader(c)
	body := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for i := range 3 {
		fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 403 || res.Close {
			t.Fatalf("request %d: %v, %v", i, res, err)
		}
		io.Copy(io.Discard, res.Body) //nolint:errcheck // as above
	}
	if r.Buffered() > 0 {
		t.Error("there are more answers than requests")
	}
}

// TestLateBody: what comes of a body after the refusal is never taken for a request.
func TestLateBody(t *testing.T) {
	c := serve(t, &Requests{}, refuse)()
	r := bufio.NewReader(c)
	late := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(late))
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body) //nolint:errcheck // it is short
	io.WriteString(c, late)       //nolint:errcheck // the server may have hung up
	if b, _ := io.ReadAll(r); bytes.Contains(b, []byte("HTTP/1.1")) {
		t.Errorf("answered a body: %q", b)
	}
}

// TestReadBody: a body that is read is read, and its connection goes on.
func TestReadBody(t *testing.T) {
	c := serve(t, &Requests{}, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Write(b) //nolint:errcheck // the client compares
	})()
	r := bufio.NewReader(c)
	for range 3 {
		fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.Close {
			t.Fatalf("%v, %v", res, err)
		}
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != "hello" {
			t.Fatalf("%q, %v", b, err)
		}
	}
}

// TestCut: whoever takes no bytes is cut off, though the handler sets deadlines of its own; the request that has the others cut off is answered, and so is who comes later.
func TestCut(t *testing.T) {
	g := &Requests{}
	ended, stuck := make(chan error, 2), make(chan struct{}, 1)
	waits, cut := make(chan struct{}), make(chan struct{})
	dial := serve(t, g, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			Spare(r.Context())
			g.Cut()
			io.WriteString(w, strings.Repeat("x", 1<<20)) //nolint:errcheck // the client reads it
			return
		}
		if r.URL.Path == "/busy" { // and begins to write when it is cut off already
			close(waits)
			<-cut
		}
		var err error
		for chunk := make([]byte, 1<<20); err == nil; {
			select {
			case stuck <- struct{}{}:
			default:
			}
			w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(time.Now().Add(time.Hour)) //nolint:errcheck // as a handler that lets a reply go on
			_, err = w.Write(chunk)
		}
		ended <- err
	})
	slow := dial()
	fmt.Fprintf(slow, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") // and reads nothing
	<-stuck
	fmt.Fprintf(dial(), "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
	<-waits
	for i := range 2 {
		c := dial()
		fmt.Fprintf(c, "GET /cut HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); err != nil || len(b) != 1<<20 {
			t.Errorf("request %d that cuts: %d bytes, %v", i, len(b), err)
		}
	}
	close(cut)
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("the stalled reader goes on")
		}
	}
}
