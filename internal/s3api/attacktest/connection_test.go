package attacktest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stele/internal/s3api/doortest"
)

// loris are connections whose request never ends: a byte now and then.
type loris struct {
	start time.Time
	ends  chan time.Duration
	n     int
}

func (v *victim) startLoris(t *testing.T) *loris {
	l := &loris{start: time.Now(), n: 200, ends: make(chan time.Duration, 200)}
	for i := range l.n {
		c := v.dial(t)
		go func() {
			fmt.Fprintf(c, "GET /box HTTP/1.1\r\nHost: %s\r\n", v.Host)
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				for b := make([]byte, 1024); ; {
					if _, err := c.Read(b); err != nil {
						return
					}
				}
			}()
			for tick := time.NewTicker(time.Duration(500+i) * time.Millisecond); ; {
				select {
				case <-closed:
					tick.Stop()
					l.ends <- time.Since(l.start)
					return
				case <-tick.C:
					fmt.Fprintf(c, "X-%d: y\r\n", i)
				}
			}
		}()
	}
	return l
}

// ended fails unless the server has hung up on all of them, after some 15 seconds.
func (l *loris) ended(t *testing.T) {
	longest := time.Duration(0)
	limit := time.After(time.Until(l.start.Add(90 * time.Second)))
	for range l.n {
		select {
		case d := <-l.ends:
			longest = max(longest, d)
		case <-limit:
			t.Fatal("the server listens to slow headers for ever")
		}
	}
	t.Logf("the last of %d slow heads was cut off after %v", l.n, longest.Round(time.Second))
	if longest > 45*time.Second {
		t.Errorf("slow heads were listened to for %v", longest)
	}
}

// idle opens 10,000 connections, asks once on each, and leaves them open.
func idle(t *testing.T, v *victim) {
	n := 10_000
	if testing.Short() {
		n = 1000
	}
	raiseFiles(t, uint64(n+500))
	conns := make([]net.Conn, n)
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				c, err := net.Dial("tcp", v.Host)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = c
				fmt.Fprintf(c, "HEAD /box HTTP/1.1\r\nHost: %s\r\n\r\n", v.Host)
				if res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "HEAD"}); err != nil || res.StatusCode != 403 {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	start := time.Now()
	v.alive(t)
	now, _ := v.Memory(t)
	t.Logf("with %d connections: %d MiB, a PUT and a GET in %v, %v goroutines", n, now>>20, time.Since(start).Round(time.Millisecond), v.Metric(t, "go_goroutines"))
	if g := v.Metric(t, "go_goroutines"); g < float64(n) {
		t.Errorf("only %v goroutines: the connections aren't open, the test shows nothing", g)
	}
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
	v.settled(t)
}

func raiseFiles(t *testing.T, n uint64) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur >= n {
		return
	}
	l.Cur = max(n, l.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatalf("couldn't raise the limit of open files to %d: %v", n, err)
	}
}

// unfinishedHeads sends requests of very many headers, all but their end, on many connections at once.
func unfinishedHeads(t *testing.T, v *victim) {
	n := 2000
	if testing.Short() {
		n = 800
	}
	raiseFiles(t, uint64(n+500))
	var head bytes.Buffer
	fmt.Fprintf(&head, "GET /box HTTP/1.1\r\nHost: %s\r\n", v.Host)
	for i := 0; head.Len() < 60<<10; i++ {
		head.WriteString(strconv.FormatInt(int64(i), 36) + ":\r\n")
	}
	var all sync.WaitGroup
	conns := make([]net.Conn, n)
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				conns[i] = v.dial(t)
				conns[i].Write(head.Bytes()) //nolint:errcheck // it may have had enough
			}
		})
	}
	all.Wait()
	v.alive(t)
	now, _ := v.Memory(t)
	t.Logf("with %d unfinished heads: %d MiB", n, now>>20)
	for _, c := range conns {
		c.Close()
	}
}

// garbage writes what no protocol knows, on many connections at once.
func garbage(t *testing.T, v *victim) {
	words := []string{"GET ", "PUT ", "/box", " HTTP/1.1\r\n", "Host: x\r\n", "Content-Length: ", "99999999999999999999", "\r\n\r\n", "Transfer-Encoding: chunked\r\n", "ffffffff\r\n", "\x16\x03\x01\x02\x00\x01\x00", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"Expect: 100-continue\r\n", "Connection: upgrade\r\nUpgrade: h2c\r\n", "Authorization: AWS4-HMAC-SHA256 ", "Range: bytes=0-,1-,2-\r\n", "%", "%00", "?versions", "?X-Amz-Signature=", strings.Repeat("A", 5000)}
	var all sync.WaitGroup
	for w := range 32 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for range 40 {
				var b []byte
				for range 1 + rng.IntN(30) {
					if rng.IntN(4) == 0 {
						for range rng.IntN(200) {
							b = append(b, byte(rng.Uint32()))
						}
						continue
					}
					b = append(b, words[rng.IntN(len(words))]...)
				}
				c, err := net.Dial("tcp", v.Host)
				if err != nil {
					t.Errorf("the server takes no connections: %v", err)
					return
				}
				c.SetDeadline(time.Now().Add(2 * time.Second)) //nolint:errcheck // a TCP connection takes one
				c.Write(b)                                     //nolint:errcheck // it may hang up
				c.(*net.TCPConn).CloseWrite()                  //nolint:errcheck // as above
				answer := make([]byte, 64<<10)
				n, err := c.Read(answer)
				if strings.HasPrefix(string(answer[:n]), "HTTP/1.1 500") {
					t.Errorf("InternalError for %q", b)
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("no answer and no end for %q", b)
				}
				c.Close()
			}
		})
	}
	all.Wait()
}

// deniedFlood is refused thousands of times: the ledger grows by minutes, not by refusals.
func deniedFlood(t *testing.T, v *victim) {
	start := time.Now()
	before := v.Metric(t, "stele_ledger_size")
	const n = 4000
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				k := doortest.Key{ID: fmt.Sprint("GUESS", i), Secret: "guess"} // each another name
				if i%2 == 0 {
					k.ID = doortest.AccessKey
				}
				res, err := doortest.Send(client, v.NewRequest(k, "PUT", "/box/stolen/flood", nil))
				if err != nil || res.Status != 403 {
					t.Errorf("want 403, got %v, %v", res, err)
					return
				}
			}
		})
	}
	all.Wait()
	grown := v.Metric(t, "stele_ledger_size") - before
	t.Logf("%d refusals in %v made %v entries", n, time.Since(start).Round(time.Millisecond), grown)
	if limit := 3 + 2*time.Since(start).Minutes(); grown > limit {
		t.Errorf("%d refusals made %v entries, want at most %.0f", n, grown, limit)
	}
}
