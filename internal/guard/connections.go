package guard

import (
	"container/list"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// Connections bounds those of one listener, since each costs a file descriptor, and a process that has none left can't go on writing. One more is let in at the cost of one that rests between two requests, the
// one that has rested longest; where none does it is closed at once. An address has its share: it may hold three for each one that is free, so that one alone gets three quarters, and whoever comes from
// another address is let in.
type Connections struct {
	Name  string // of the listener, for the log
	Limit int
	Log   *Repeats

	refused atomic.Int64

	mu   sync.Mutex
	open map[*conn]bool
	by   map[string]int // open ones, by address (Neighbours)
	rest list.List      // of *conn that rest, the one that has rested longest first

	heads   int64            // bytes of requests that are not whole yet, beyond freeHead of each
	headsBy map[string]int64 // the same by address
}

// perFree is how many connections an address may hold for each that is free.
const perFree = 3

// conn is an open connection.
type conn struct {
	net.Conn
	of      *Connections
	address string        // or the network that counts as one (Neighbours)
	resting *list.Element // guarded by of.mu; nil: a request is under way
	waits   atomic.Bool   // for a request, or the rest of one
	head    int64         // bytes of it that came; guarded by of.mu, like counted
	counted int64         // of them, in of.heads
	closing sync.Once
	closed  error
}

// Listen bounds the connections of a listener. State must be told of them.
func (c *Connections) Listen(l net.Listener) net.Listener {
	c.open, c.by, c.headsBy = map[*conn]bool{}, map[string]int{}, map[string]int64{}
	return &listener{l, c}
}

type listener struct {
	net.Listener
	of *Connections
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if own := l.of.admit(nc); own != nil {
			return own, nil
		}
		l.of.refused.Add(1)
		l.of.Log.Line(slog.LevelWarn, "connections "+l.of.Name, "too many connections: one more was closed. max-connections, or the limit of open files (ulimit -n), bounds them",
			"listener", l.of.Name, "limit", l.of.Limit, "from", nc.RemoteAddr().String())
		nc.Close() //nolint:errcheck // nobody has used it
	}
}

// admit makes room for a connection if it can, and takes it; nil: there is no room.
func (c *Connections) admit(nc net.Conn) *conn {
	address, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		address = "" // a unix socket's
	}
	own := &conn{Conn: nc, of: c, address: Neighbours(address)}
	if c.take(own) {
		return own
	}
	if v := c.victim(address); v != nil {
		v.Close() //nolint:errcheck // it rested
		if c.take(own) {
			return own
		}
	}
	return nil
}

// take takes the connection if there is room for one more of its address.
func (c *Connections) take(own *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[own.address] >= perFree*(c.Limit-len(c.open)) {
		return false
	}
	c.open[own] = true
	c.by[own.address]++
	own.waits.Store(true)
	return true
}

// victim is the connection that goes for one more of an address: the one that has rested longest, and of that address if it has its share. nil: none rests.
func (c *Connections) victim(address string) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := c.by[address] >= perFree*max(1, c.Limit-len(c.open))
	for e := c.rest.Front(); e != nil; e = e.Next() {
		if x := e.Value.(*conn); !own || x.address == address {
			return x
		}
	}
	return nil
}

// State is for http.Server.ConnState.
func (c *Connections) State(nc net.Conn, s http.ConnState) {
	x, ok := nc.(*conn)
	if t, above := nc.(interface{ NetConn() net.Conn }); above && !ok {
		x, ok = t.NetConn().(*conn) // beneath TLS
	}
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open[x] {
		return
	}
	if x.resting != nil {
		c.rest.Remove(x.resting)
		x.resting = nil
	}
	waits := s == http.StateNew || s == http.StateIdle // net/http says that a connection is active when the head has come
	if waits {
		x.resting = c.rest.PushBack(x)
	}
	if s != http.StateNew { // what has come of the first head may have been counted already
		c.begin(x, waits)
	}
}

func (x *conn) Close() error {
	x.closing.Do(func() {
		x.closed = x.Conn.Close()
		c := x.of
		c.mu.Lock()
		defer c.mu.Unlock()
		c.begin(x, false)
		delete(c.open, x)
		if c.by[x.address]--; c.by[x.address] == 0 {
			delete(c.by, x.address)
		}
		if x.resting != nil {
			c.rest.Remove(x.resting)
			x.resting = nil
		}
	})
	return x.closed
}

// NetConn is the connection itself, for who asks the system about it.
func (x *conn) NetConn() net.Conn { return x.Conn }

// CloseWrite lets net/http end a connection without cutting off what the client has not read yet.
func (x *conn) CloseWrite() error {
	if w, ok := x.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Open is how many there are now, and Refused how many were closed at once since the start.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// Refused is how many connections were closed at once since the start.
func (c *Connections) Refused() int64 { return c.refused.Load() }
