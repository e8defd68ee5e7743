package index

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"time"

	"stele/entry"
)

// errRow: an index row does not parse. The index is derived: delete the folder and it is made anew.
var errRow = errors.New("damaged index row: stop the server and delete the index folder, it will be rebuilt from the ledger")

// Current is what a listing shows of a version: the row of families c and v.
type Current struct {
	Entry    uint64
	Time     time.Time
	Size     int64
	ETag     string
	Null     bool
	Marker   bool
	Attrs    bool // family a has rows for it
	Checksum string
	Kind     string // of the checksum
}

const (
	flagNull   = 1 << iota
	flagMarker // also: row of a marker
	flagAttrs
	flagMD5      // the ETag is 16 raw bytes
	flagChecksum // checksum algorithm and kind follow
	flagLock
	flagMore // headers, meta, tags, parts follow
)

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendMap(dst []byte, m map[string]string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		dst = appendString(appendString(dst, k), m[k])
	}
	return dst
}

func appendETag(dst []byte, etag string) ([]byte, bool) {
	if len(etag) == 32 {
		if raw, err := hex.DecodeString(etag); err == nil && hex.EncodeToString(raw) == etag {
			return append(dst, raw...), true
		}
	}
	return appendString(dst, etag), false
}

// cursor reads what the appenders wrote; the first mistake sticks.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) bytes(n int) []byte {
	if c.bad || n < 0 || n > len(c.b) {
		c.bad = true
		return make([]byte, max(0, min(n, 64)))
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte     { return c.bytes(1)[0] }
func (c *cursor) string() string { return string(c.bytes(int(c.uint()))) }

func (c *cursor) etag(raw bool) string {
	if raw {
		return hex.EncodeToString(c.bytes(16))
	}
	return c.string()
}

func (c *cursor) table() map[string]string {
	n := c.uint()
	if n == 0 || n > 1<<16 {
		c.bad = c.bad || n > 1<<16
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := c.string()
		m[k] = c.string()
		if c.bad {
			return nil
		}
	}
	return m
}

func (c *cursor) done() error {
	if c.bad || len(c.b) != 0 {
		return errRow
	}
	return nil
}

func micros(t time.Time) uint64     { return uint64(t.UnixMicro()) }
func fromMicros(u uint64) time.Time { return time.UnixMicro(int64(u)).UTC() }

func (r *Current) append(dst []byte) []byte {
	flags := byte(0)
	set := func(on bool, f byte) {
		if on {
			flags |= f
		}
	}
	set(r.Null, flagNull)
	set(r.Marker, flagMarker)
	set(r.Attrs, flagAttrs)
	set(r.Checksum != "", flagChecksum)
	start := len(dst)
	dst = append(dst, 0)
	dst = binary.AppendUvarint(dst, r.Entry)
	dst = binary.AppendUvarint(dst, micros(r.Time))
	if !r.Marker {
		dst = binary.AppendUvarint(dst, uint64(r.Size))
		var raw bool
		dst, raw = appendETag(dst, r.ETag)
		set(raw, flagMD5)
		if r.Checksum != "" {
			dst = appendString(appendString(dst, r.Checksum), r.Kind)
		}
	}
	dst[start] = flags
	return dst
}

func parseCurrent(b []byte) (r Current, err error) {
	c := cursor{b: b}
	flags := c.byte()
	r.Null, r.Marker, r.Attrs = flags&flagNull != 0, flags&flagMarker != 0, flags&flagAttrs != 0
	r.Entry, r.Time = c.uint(), fromMicros(c.uint())
	if !r.Marker {
		r.Size, r.ETag = int64(c.uint()), c.etag(flags&flagMD5 != 0)
		if flags&flagChecksum != 0 {
			r.Checksum, r.Kind = c.string(), c.string()
		}
	}
	return r, c.done()
}

// Record is a row of the history of a key.
type Record struct {
	Entry  uint64
	Time   time.Time
	Type   entry.Type // object.put or object.hide
	Marker bool       // object.hide that added a delete marker
	Target uint64     // object.hide of a version: which
	Null   bool

	Size     int64
	ETag     string
	Body     entry.Body // SHA256 is not kept here
	Parts    int
	Checksum *entry.Checksum
	Lock     entry.Lock // as given with the put
	Headers  map[string]string
	Meta     map[string]string
	Tags     map[string]string
}

const (
	recordPut = iota
	recordMarker
	recordHide
)

var bodyKinds = []entry.BodyKind{entry.BodyEmpty, entry.BodyChunk, entry.BodyManifest, entry.BodyParts}

func (r *Record) append(dst []byte) []byte {
	kind := byte(recordPut)
	switch {
	case r.Marker:
		kind = recordMarker
	case r.Type == entry.ObjectHide:
		kind = recordHide
	}
	dst = append(dst, kind, 0)
	at := len(dst) - 1
	flags := byte(0)
	if r.Null {
		flags |= flagNull
	}
	dst = binary.AppendUvarint(dst, micros(r.Time))
	switch kind {
	case recordHide:
		dst = binary.AppendUvarint(dst, r.Target)
	case recordPut:
		dst = binary.AppendUvarint(dst, uint64(r.Size))
		var raw bool
		if dst, raw = appendETag(dst, r.ETag); raw {
			flags |= flagMD5
		}
		dst = append(dst, byte(slices.Index(bodyKinds, r.Body.Kind)))
		if r.Body.Kind != entry.BodyEmpty {
			dst = append(dst, r.Body.Ref[:]...)
		}
		if r.Checksum != nil {
			flags |= flagChecksum
			dst = appendString(appendString(appendString(dst, r.Checksum.Algorithm), r.Checksum.Kind), r.Checksum.Value)
		}
		if r.Lock != (entry.Lock{}) {
			flags |= flagLock
			dst = appendLock(dst, r.Lock)
		}
		if r.Parts != 0 || len(r.Headers)+len(r.Meta)+len(r.Tags) != 0 {
			flags |= flagMore
			dst = binary.AppendUvarint(dst, uint64(r.Parts))
			dst = appendMap(appendMap(appendMap(dst, r.Headers), r.Meta), r.Tags)
		}
	}
	dst[at] = flags
	return dst
}

func parseRecord(at uint64, b []byte) (r Record, err error) {
	c := cursor{b: b}
	kind, flags := c.byte(), c.byte()
	r.Entry, r.Null, r.Time = at, flags&flagNull != 0, fromMicros(c.uint())
	r.Type = entry.ObjectHide
	switch kind {
	case recordMarker:
		r.Marker = true
	case recordHide:
		r.Target = c.uint()
	case recordPut:
		r.Type = entry.ObjectPut
		r.Size, r.ETag = int64(c.uint()), c.etag(flags&flagMD5 != 0)
		if k := int(c.byte()); k < len(bodyKinds) {
			r.Body.Kind = bodyKinds[k]
		} else {
			c.bad = true
		}
		if r.Body.Size = r.Size; r.Body.Kind != entry.BodyEmpty {
			copy(r.Body.Ref[:], c.bytes(32))
		}
		if flags&flagChecksum != 0 {
			r.Checksum = &entry.Checksum{Algorithm: c.string(), Kind: c.string(), Value: c.string()}
		}
		if flags&flagLock != 0 {
			r.Lock = c.lock()
		}
		if flags&flagMore != 0 {
			r.Parts = int(c.uint())
			r.Headers, r.Meta, r.Tags = c.table(), c.table(), c.table()
		}
	default:
		c.bad = true
	}
	return r, c.done()
}

func appendLock(dst []byte, l entry.Lock) []byte {
	hold, until := byte(0), uint64(0)
	if l.Hold {
		hold = 1
	}
	if !l.Until.IsZero() {
		until = micros(l.Until)
	}
	return binary.AppendUvarint(appendString(append(dst, hold), l.Mode), until)
}

func (c *cursor) lock() (l entry.Lock) {
	l.Hold, l.Mode = c.byte() == 1, c.string()
	if u := c.uint(); u != 0 {
		l.Until = fromMicros(u)
	}
	return l
}

// Attrs are the parts of a version that later entries may change.
type Attrs struct {
	Lock entry.Lock
	Tags map[string]string
	Type entry.Type // what the entry that wrote this row changed
}

func (a *Attrs) append(dst []byte) []byte {
	return appendString(appendMap(appendLock(dst, a.Lock), a.Tags), string(a.Type))
}

func parseAttrs(b []byte) (a Attrs, err error) {
	c := cursor{b: b}
	a.Lock, a.Tags, a.Type = c.lock(), c.table(), entry.Type(c.string())
	return a, c.done()
}
