package guard

import (
	"errors"
	"log/slog"
)

// Bounds of the heads that are on their way. net/http keeps each line of a head as a header of its own, at some twenty times the bytes of the shortest ones, and limits only how long one head
// is: ten thousand connections with unfinished heads would have a server hold gigabytes.
const (
	freeHead = 2 << 10 // bytes of a connection that are not counted: more than most heads have
	maxHeads = 4 << 20 // bytes that are counted, of all connections of a listener; an address has its share of them, as of connections
)

var errHeads = errors.New("too many bytes of unfinished requests")

// Read counts what comes before a request is whole, a TLS handshake too. Whoever sends much of it without end has his connection closed.
func (x *conn) Read(p []byte) (int, error) {
	n, err := x.Conn.Read(p)
	if n > 0 && x.waits.Load() && !x.of.mayHold(x, int64(n)) {
		x.of.Log.Line(slog.LevelWarn, "heads "+x.of.Name, "too many large requests were sent in part and not ended: one connection was closed", "listener", x.of.Name, "from", x.RemoteAddr().String())
		return 0, errHeads
	}
	return n, err
}

// mayHold tells whether a connection that waits for its request may have so many bytes more of it.
func (c *Connections) mayHold(x *conn, more int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.head += more
	need := max(0, x.head-freeHead) - x.counted
	if need <= 0 || !c.open[x] {
		return true
	}
	if left := maxHeads - c.heads - need; c.headsBy[x.address]+need > perFree*left {
		return false
	}
	x.counted += need
	c.heads += need
	c.headsBy[x.address] += need
	return true
}

// begin notes whether a connection waits for a request from now on; what was counted of the one before is free. c.mu is held.
func (c *Connections) begin(x *conn, waits bool) {
	x.waits.Store(waits)
	c.heads -= x.counted
	if c.headsBy[x.address] -= x.counted; c.headsBy[x.address] == 0 {
		delete(c.headsBy, x.address)
	}
	x.head, x.counted = 0, 0
}
