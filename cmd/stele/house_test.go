package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"stele/internal/guard"
)

// TestHouseCutsReaders: an exchange does not wait for somebody who takes no bytes, and the handler's own deadlines don't keep him.
func TestHouseCutsReaders(t *testing.T) {
	var g guard.Requests
	inside, ended := make(chan struct{}), make(chan error, 1)
	old := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		var err error
		for chunk := make([]byte, 1<<20); err == nil; {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour)) //nolint:errcheck // as the admin port does before each write
			_, err = w.Write(chunk)
		}
		ended <- err
	})
	x := newHouse(handlers{old, old, old}, g.Cut)
	srv := httptest.NewServer(g.Handler(x.at(true, func(h handlers) http.Handler { return h.port })))
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /ledger/entries HTTP/1.1\r\nHost: x\r\n\r\n") // and reads nothing
	<-inside
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "next") }) //nolint:errcheck // the client reads it
	if err := x.exchange(func() (handlers, error) { return handlers{next, next, next}, nil }); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the reader goes on")
	}
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "next" {
		t.Errorf("after the exchange: %q, %v", b, err)
	}
}

// TestHouseGate: an exchange lets nobody in but the call that promotes, by its exact path, where one can promote. An S3 client chooses its paths.
func TestHouseGate(t *testing.T) {
	came := make(chan string, 10)
	old := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { came <- "old " + r.URL.Path })
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { came <- "next " + r.URL.Path })
	x := newHouse(handlers{old, old, old}, func() {})
	begun, over := make(chan struct{}), make(chan struct{})
	go func() {
		x.exchange(func() (handlers, error) { close(begun); <-over; return handlers{next, next, next}, nil }) //nolint:errcheck // nil
	}()
	<-begun
	door := httptest.NewServer(x.at(false, func(h handlers) http.Handler { return h.door }))
	defer door.Close()
	port := httptest.NewServer(x.at(true, func(h handlers) http.Handler { return h.port }))
	defer port.Close()
	var waiting []*bufio.Reader
	for _, u := range []struct {
		srv  *httptest.Server
		path string
	}{{door, "/v1/PromoteFrom"}, {door, "/bucket/v1/PromoteFrom"}, {port, "/ledger/v1/PromoteFrom"}} {
		c, err := net.Dial("tcp", u.srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", u.path)
		waiting = append(waiting, bufio.NewReader(c))
	}
	if res, err := http.Post(port.URL+"/v1/PromoteFrom", "", nil); err != nil {
		t.Fatal(err)
	} else {
		res.Body.Close()
	}
	if got := <-came; got != "old /v1/PromoteFrom" {
		t.Errorf("the first let in was %q", got)
	}
	close(over)
	for _, r := range waiting {
		if _, err := http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		if got := <-came; got[:4] != "next" {
			t.Errorf("%s was let in during the exchange", got)
		}
	}
}

// TestConnectionLimits: the store keeps a part of the file descriptors, whatever is configured.
func TestConnectionLimits(t *testing.T) {
	for files := uint64(64); files < 1<<40; files *= 2 {
		for _, wanted := range []int{0, 1, 100, 1 << 30} {
			door, port, socket := connectionLimits(files, wanted)
			if sum := uint64(door + port + socket); sum > files-min(reserveFiles, files/2) {
				t.Errorf("of %d files %d are connections (wanted %d)", files, sum, wanted)
			}
			if door < leastOfEach || port < leastOfEach || socket < leastOfEach || wanted > leastOfEach && door > wanted {
				t.Errorf("of %d files, wanted %d: %d, %d, %d", files, wanted, door, port, socket)
			}
		}
	}
}
