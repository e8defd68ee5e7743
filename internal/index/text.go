package index

import (
	"encoding/hex"
	"unsafe"
)

// text makes the strings of a listing's rows out of one block of memory after the other. A string keeps its block alive: two kilobytes, some twenty rows.
type text struct{ free []byte }

const textBlock = 2 << 10

// room returns n bytes that nobody else gets; nil text: memory of their own.
func (t *text) room(n int) []byte {
	if t == nil || n > textBlock/8 {
		return make([]byte, n)
	}
	if n > len(t.free) {
		t.free = make([]byte, textBlock)
	}
	b := t.free[:n:n]
	t.free = t.free[n:]
	return b
}

// string copies b.
func (t *text) string(b []byte) string {
	out := t.room(len(b))
	copy(out, b)
	return unsafe.String(unsafe.SliceData(out), len(out)) // written to no more
}

// hex is b in lower-case hex digits.
func (t *text) hex(b []byte) string {
	out := t.room(hex.EncodedLen(len(b)))
	hex.Encode(out, b)
	return unsafe.String(unsafe.SliceData(out), len(out))
}
