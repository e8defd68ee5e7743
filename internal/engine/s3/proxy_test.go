package s3_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy is a TCP proxy that does a connection harm: the network's faults, at the socket.
type proxy struct {
	url string

	mu   sync.Mutex
	harm func(request []byte) fault
	hurt int // connections that had a fault
}

// fault is what happens to one connection.
type fault int

const (
	none      fault = iota
	loseReply       // the request goes through; instead of the reply the connection ends
	cutUpload       // the connection ends in the middle of the request's body
	mute            // the request goes through; no reply ever comes
	trickle         // the reply comes byte by byte
)

// cutAfter is how much of a request goes through before cutUpload strikes.
const cutAfter = 100 << 10

// newProxy stands before a server. harm sees the first bytes of each connection, and decides.
func newProxy(t *testing.T, url string, harm func(request []byte) fault) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "http://" + l.Addr().String(), harm: harm}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(t.Context(), c, strings.TrimPrefix(url, "http://")) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return p
}

// faults is how many connections had a fault.
func (p *proxy) faults() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hurt
}

func (p *proxy) serve(ctx context.Context, c net.Conn, server string) {
	defer c.Close()
	s, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { // the test's end ends what hangs
		_ = c.Close()
		_ = s.Close()
	})()
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	p.mu.Lock()
	f := p.harm(buf[:n])
	if f != none {
		p.hurt++
	}
	p.mu.Unlock()
	request := io.MultiReader(bytes.NewReader(buf[:n]), c)
	if f == cutUpload {
		go func() { _, _ = io.Copy(c, s) }() // 100 Continue
		_, _ = io.CopyN(s, request, cutAfter)
		return
	}
	go func() { _, _ = io.Copy(s, request) }()
	switch f {
	case loseReply:
		for reply := make([]byte, 1); ; { // 100 Continue is no reply yet
			line, err := readLine(s, reply)
			if err != nil || line != "" && strings.HasPrefix(line, "HTTP/") && !strings.Contains(line, " 100 ") {
				break
			}
			_, _ = io.WriteString(c, line)
		}
	case mute:
		<-ctx.Done()
	case trickle:
		_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{s}, make([]byte, 1))
	default:
		_, _ = io.Copy(c, s)
	}
}

// readLine reads up to a line feed, byte by byte.
func readLine(r io.Reader, one []byte) (string, error) {
	var line strings.Builder
	for {
		if _, err := io.ReadFull(r, one); err != nil {
			return "", err
		}
		line.WriteByte(one[0])
		if one[0] == '\n' {
			return line.String(), nil
		}
	}
}
