package guard

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// sender is a connection that sends without end.
type sender struct {
	net.Conn
	from string
}

func (s sender) Read(p []byte) (int, error) { return len(p), nil }
func (s sender) Close() error               { return nil }
func (s sender) RemoteAddr() net.Addr       { return (&guest{from: s.from}).RemoteAddr() }

// TestHeads: what connections send of requests that they do not end has a bound; one address leaves room for another; and what was counted is free when the request is whole, or the connection ends.
func TestHeads(t *testing.T) {
	var log bytes.Buffer
	c := &Connections{Name: "s3", Limit: 1000, Log: &Repeats{Log: slog.New(slog.NewTextHandler(&log, nil)), After: func(time.Duration, func()) {}}}
	come := crowd{make(chan net.Conn, 1)}
	l := c.Listen(come)
	connect := func(from string) net.Conn {
		come.come <- sender{from: from}
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.State(nc, http.StateNew)
		return nc
	}
	const head = 64 << 10
	send := func(nc net.Conn) error {
		_, err := io.CopyN(io.Discard, nc, head)
		return err
	}
	var greedy []net.Conn
	for range 100 {
		nc := connect("192.0.2.1:1")
		if err := send(nc); err != nil {
			nc.Close()
			continue
		}
		greedy = append(greedy, nc)
	}
	most := int64(maxHeads / 4 * 3)
	if held := int64(len(greedy)) * (head - freeHead); held > most || held < most-2*head {
		t.Errorf("one address holds %d bytes, want three quarters of %d", held, maxHeads)
	}
	if log.Len() == 0 {
		t.Error("nothing is logged")
	}
	other := connect("192.0.2.2:1")
	if err := send(other); err != nil {
		t.Errorf("another address: %v", err)
	}
	for range 100 { // most requests are small
		nc := connect("192.0.2.1:1")
		if _, err := io.CopyN(io.Discard, nc, freeHead); err != nil {
			t.Errorf("a small head of the same address: %v", err)
		}
		nc.Close()
	}
	c.State(other, http.StateActive)
	for range 1000 {
		if err := send(other); err != nil {
			t.Fatalf("the body of a request that is whole: %v", err)
		}
	}
	c.State(other, http.StateIdle)
	if err := send(other); err != nil {
		t.Errorf("the next head: %v", err)
	}
	greedy[0].Close()
	c.State(greedy[1], http.StateActive)
	if err := send(connect("192.0.2.1:1")); err != nil { // one, since the other address has grown
		t.Errorf("the place of two that have ended: %v", err)
	}
	for x := range c.open {
		x.Close()
	}
	if c.heads != 0 || len(c.headsBy) != 0 {
		t.Errorf("%d bytes are counted, by %v, and no connection is open", c.heads, c.headsBy)
	}
}
