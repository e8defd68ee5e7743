package index

import (
	"encoding/binary"
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
	Class    string // storage class as it was asked for; empty: STANDARD
}

// HeaderClass is the kept header that says the storage class; listings show it, so that their rows have it too.
const HeaderClass = "x-amz-storage-class"

const (
	flagNull   = 1 << iota
	flagMarker // also: row of a marker
	flagAttrs
	flagMD5      // the ETag is 16 raw bytes
	flagChecksum // checksum algorithm and kind follow
	flagLock
	flagMore // headers, meta, tags, parts follow
	flagClass
)

// of a lock
const (
	lockHold = 1 << iota
	lockUntil
	lockReleased
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

// appendETag writes an ETag; raw says that it is 32 hex digits and takes half as many bytes.
func appendETag(dst []byte, etag string) (_ []byte, raw bool) {
	if len(etag) != 32 {
		return appendString(dst, etag), false
	}
	start := len(dst)
	for i := 0; i < len(etag); i += 2 {
		hi, lo := nibble(etag[i]), nibble(etag[i+1])
		if hi|lo > 15 {
			return appendString(dst[:start], etag), false
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, true
}

// nibble returns the value of a lower-case hex digit, above 15 for anything else.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0xFF
}

// cursor reads what the appenders wrote; the first mistake sticks.
type cursor struct {
	b    []byte
	bad  bool
	text *text // where strings are made; may be nil
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
func (c *cursor) string() string { return c.text.string(c.bytes(int(c.uint()))) }

func (c *cursor) etag(raw bool) string {
	if raw {
		return c.text.hex(c.bytes(16))
	}
	return c.string()
}

func (c *cursor) table() map[string]string {
	n := c.uint()
	if n == 0 || n > uint64(len(c.b))/2 { // a pair takes two bytes at least
		c.bad = c.bad || n != 0
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

func bit(on bool, f byte) byte {
	if on {
		return f
	}
	return 0
}

// size is about how long the row becomes.
func (r *Current) size() int { return 56 + len(r.Checksum) + len(r.Kind) + len(r.Class) }

func (r *Current) append(dst []byte) []byte {
	flags := bit(r.Null, flagNull) | bit(r.Marker, flagMarker) | bit(r.Attrs, flagAttrs) | bit(r.Checksum != "", flagChecksum) | bit(r.Class != "" && !r.Marker, flagClass)
	start := len(dst)
	dst = append(dst, 0)
	dst = binary.AppendUvarint(dst, r.Entry)
	dst = binary.AppendUvarint(dst, micros(r.Time))
	if !r.Marker {
		dst = binary.AppendUvarint(dst, uint64(r.Size))
		var raw bool
		dst, raw = appendETag(dst, r.ETag)
		flags |= bit(raw, flagMD5)
		if r.Checksum != "" {
			dst = appendString(appendString(dst, r.Checksum), r.Kind)
		}
		if r.Class != "" {
			dst = appendString(dst, r.Class)
		}
	}
	dst[start] = flags
	return dst
}

func parseCurrent(b []byte) (r Current, err error) { return parseCurrentIn(b, nil) }

func parseCurrentIn(b []byte, t *text) (r Current, err error) {
	c := cursor{b: b, text: t}
	flags := c.byte()
	r.Null, r.Marker, r.Attrs = flags&flagNull != 0, flags&flagMarker != 0, flags&flagAttrs != 0
	r.Entry, r.Time = c.uint(), fromMicros(c.uint())
	if !r.Marker {
		r.Size, r.ETag = int64(c.uint()), c.etag(flags&flagMD5 != 0)
		if flags&flagChecksum != 0 {
			r.Checksum, r.Kind = c.string(), c.string()
		}
		if flags&flagClass != 0 {
			r.Class = c.string()
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
	Body     entry.Body // Kind, Ref and Size; the digests are in the entry
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

// appendBody writes where a body's bytes begin; size and digests stand elsewhere.
func appendBody(dst []byte, b *entry.Body) []byte {
	dst = append(dst, byte(slices.Index(bodyKinds, b.Kind)))
	if b.Kind == entry.BodyEmpty {
		return dst
	}
	return append(dst, b.Ref[:]...)
}

func (c *cursor) body(size int64) (b entry.Body) {
	k := int(c.byte())
	if k >= len(bodyKinds) {
		c.bad = true
		return b
	}
	if b.Kind, b.Size = bodyKinds[k], size; b.Kind != entry.BodyEmpty {
		copy(b.Ref[:], c.bytes(len(b.Ref)))
	}
	return b
}

func (c *cursor) checksum(on bool) *entry.Checksum {
	if !on {
		return nil
	}
	return &entry.Checksum{Algorithm: c.string(), Kind: c.string(), Value: c.string()}
}

func appendChecksum(dst []byte, k *entry.Checksum) []byte {
	return appendString(appendString(appendString(dst, k.Algorithm), k.Kind), k.Value)
}

func (r *Record) size() int {
	if r.Checksum == nil {
		return 96
	}
	return 96 + len(r.Checksum.Algorithm) + len(r.Checksum.Kind) + len(r.Checksum.Value)
}

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
	flags := bit(r.Null, flagNull)
	dst = binary.AppendUvarint(dst, micros(r.Time))
	switch kind {
	case recordHide:
		dst = binary.AppendUvarint(dst, r.Target)
	case recordPut:
		dst = binary.AppendUvarint(dst, uint64(r.Size))
		var raw bool
		dst, raw = appendETag(dst, r.ETag)
		flags |= bit(raw, flagMD5)
		dst = appendBody(dst, &r.Body)
		if r.Checksum != nil {
			flags |= flagChecksum
			dst = appendChecksum(dst, r.Checksum)
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
		r.Body = c.body(r.Size)
		r.Checksum = c.checksum(flags&flagChecksum != 0)
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
	flags := bit(l.Hold, lockHold) | bit(!l.Until.IsZero(), lockUntil)
	dst = appendString(append(dst, flags), l.Mode)
	if flags&lockUntil != 0 {
		dst = binary.AppendUvarint(dst, micros(l.Until))
	}
	return dst
}

func (c *cursor) lock() (l entry.Lock) {
	flags := c.byte()
	l.Hold, l.Mode = flags&lockHold != 0, c.string()
	if flags&lockUntil != 0 {
		l.Until = fromMicros(c.uint())
	}
	return l
}

// Attrs are the parts of a version that later entries may change.
type Attrs struct {
	Lock     entry.Lock
	Tags     map[string]string
	Type     entry.Type // what the entry that wrote this row changed
	Released bool       // a legal hold was set to OFF, which is something else than one that was never set
}

func (a *Attrs) append(dst []byte) []byte {
	at := len(dst)
	dst = appendString(appendMap(appendLock(dst, a.Lock), a.Tags), string(a.Type))
	dst[at] |= bit(a.Released, lockReleased)
	return dst
}

func parseAttrs(b []byte) (a Attrs, err error) {
	c := cursor{b: b}
	a.Released = len(b) > 0 && b[0]&lockReleased != 0
	a.Lock, a.Tags, a.Type = c.lock(), c.table(), entry.Type(c.string())
	return a, c.done()
}

func (p *Part) append(dst []byte) []byte {
	start := len(dst)
	dst = binary.AppendUvarint(append(dst, 0), p.Entry)
	dst = binary.AppendUvarint(dst, micros(p.Time))
	dst = binary.AppendUvarint(dst, uint64(p.Body.Size))
	dst, raw := appendETag(dst, p.ETag)
	dst = appendBody(dst, &p.Body)
	dst = append(append(dst, p.Body.MD5[:]...), p.Body.SHA256[:]...)
	if raw {
		dst[start] |= flagMD5
	}
	if p.Checksum != nil {
		dst[start] |= flagChecksum
		dst = appendChecksum(dst, p.Checksum)
	}
	return dst
}

func parsePart(b []byte) (p Part, err error) {
	c := cursor{b: b}
	flags := c.byte()
	p.Entry, p.Time = c.uint(), fromMicros(c.uint())
	size := int64(c.uint())
	p.ETag = c.etag(flags&flagMD5 != 0)
	p.Body = c.body(size)
	copy(p.Body.MD5[:], c.bytes(len(p.Body.MD5)))
	copy(p.Body.SHA256[:], c.bytes(len(p.Body.SHA256)))
	p.Checksum = c.checksum(flags&flagChecksum != 0)
	return p, c.done()
}

func (t *Totals) append(dst []byte) []byte {
	for _, n := range []int64{t.Objects, t.Bytes, t.Versions, t.PutBytes, t.HiddenBytes} {
		dst = binary.AppendVarint(dst, n)
	}
	return dst
}

func parseTotals(b []byte) (t Totals, err error) {
	for _, n := range []*int64{&t.Objects, &t.Bytes, &t.Versions, &t.PutBytes, &t.HiddenBytes} {
		size := 0
		if *n, size = binary.Varint(b); size <= 0 {
			return Totals{}, errRow
		}
		b = b[size:]
	}
	if len(b) != 0 {
		return Totals{}, errRow
	}
	return t, nil
}

// touch returns the row of family U: the entry that last changed an upload, and a bit for each part that it has. part 0 adds none.
func touch(row []byte, at uint64, part int) []byte {
	out := append(putUint(at), row[min(8, len(row)):]...)
	for len(out) <= 8+part/8 && part > 0 {
		out = append(out, 0)
	}
	if part > 0 {
		out[8+part/8] |= 1 << (part % 8)
	}
	return out
}

// touchedParts returns the numbers of the parts in a row of family U.
func touchedParts(row []byte) (parts []int) {
	for i := 8; i < len(row); i++ {
		for bit := range 8 {
			if row[i]>>bit&1 == 1 {
				parts = append(parts, (i-8)*8+bit)
			}
		}
	}
	return parts
}
