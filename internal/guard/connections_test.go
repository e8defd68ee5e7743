package guard

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// crowd is a listener to which as many connect as a test says, from addresses of its choice.
type crowd struct{ come chan net.Conn }

func (c crowd) Accept() (net.Conn, error) {
	if nc := <-c.come; nc != nil {
		return nc, nil
	}
	return nil, io.EOF
}
func (c crowd) Close() error   { return nil }
func (c crowd) Addr() net.Addr { return &net.TCPAddr{} }

// guest is one that connects.
type guest struct {
	net.Conn
	from   string
	closed bool
}

func (g *guest) RemoteAddr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", g.from)
	if err != nil {
		panic(err)
	}
	return a
}
func (g *guest) Close() error { g.closed = true; return nil }

// TestConnections: the limit holds, one address gets three quarters, whoever rests makes room, and each refusal is counted and told once.
func TestConnections(t *testing.T) {
	var log bytes.Buffer
	c := &Connections{Name: "s3", Limit: 16, Log: &Repeats{Log: slog.New(slog.NewTextHandler(&log, nil)), After: func(time.Duration, func()) {}}}
	come := crowd{make(chan net.Conn, 1000)}
	l := c.Listen(come)
	// connect lets so many come from an address, and returns those that are let in.
	connect := func(n int, host string) (in []net.Conn) {
		for i := range n {
			come.come <- &guest{from: fmt.Sprintf("%s:%d", host, 1000+i)}
		}
		come.come <- nil
		for {
			nc, err := l.Accept()
			if err != nil {
				return in
			}
			c.State(nc, http.StateNew)
			c.State(nc, http.StateActive)
			in = append(in, nc)
		}
	}
	greedy := connect(100, "192.0.2.1")
	if len(greedy) != 12 || c.Open() != 12 || c.Refused() != 88 {
		t.Fatalf("one address holds %d of 16, %d were refused", len(greedy), c.Refused())
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "limit=16") {
		t.Errorf("%d lines for 88 refusals:\n%s", lines, log.String())
	}
	if in := connect(1, "192.0.2.2"); len(in) != 1 {
		t.Error("another address is not let in")
	}
	c.State(greedy[3], http.StateIdle)
	c.State(greedy[5], http.StateIdle)
	if in := connect(1, "192.0.2.1"); len(in) != 1 || !greedy[3].(*conn).Conn.(*guest).closed || greedy[5].(*conn).Conn.(*guest).closed {
		t.Error("the one that has rested longest was to make room")
	}
	before := c.Open()
	greedy[5].Close()
	greedy[5].Close()
	if c.Open() != before-1 {
		t.Errorf("%d are open, want %d", c.Open(), before-1)
	}
	c2 := &Connections{Name: "s3", Limit: 16, Log: c.Log}
	c, l = c2, c2.Listen(come)
	in := 0
	for i := range 100 { // whoever has an IPv6 address has its whole /64
		in += len(connect(1, fmt.Sprintf("[2001:db8::%x]", i+1)))
	}
	if in != 12 {
		t.Errorf("one /64 holds %d of 16, want 12", in)
	}
	if len(connect(1, "[2001:db8:0:1::1]")) != 1 {
		t.Error("another /64 is not let in")
	}
	for i := range 50 { // from so many addresses
		connect(1, fmt.Sprint("192.0.2.", 100+i))
	}
	if c.Open() > 16 {
		t.Errorf("%d are open, the limit is 16", c.Open())
	}
}
