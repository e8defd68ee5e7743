package entry

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// ErrTooLarge says that a private part does not fit: what is long belongs into a document.
var ErrTooLarge = errors.New("private part is too large, put what is long into a document")

// MaxKey is the most bytes of an object key.
const MaxKey = 1024

// MaxParts is the highest part number, and so the most parts of an object.
const MaxParts = 10_000

// Validate says whether e can be written: it parses again to the same entry, within all limits.
func (e *Entry) Validate() error {
	if e.Index > MaxInt {
		return fmt.Errorf("index %d is above %d", e.Index, uint64(MaxInt))
	}
	if !slices.Contains(Types, e.Type) {
		return fmt.Errorf("unknown entry type %q", e.Type)
	}
	if e.Time.IsZero() {
		return errors.New("entry without a time")
	}
	if err := validTime("time", e.Time); err != nil {
		return err
	}
	return e.Private.Validate()
}

// Validate says whether p can be written: its encoding parses again to the same p, within all limits. A private part
// over MaxPrivate is ErrTooLarge.
func (p *Private) Validate() error {
	var c check
	c.text("actor", p.Actor)
	c.text("addr", p.Address)
	c.text("bucket", p.Bucket)
	c.text("etag", p.ETag)
	c.text("key", p.Key)
	c.text("name", p.Name)
	c.text("reason", p.Reason)
	c.text("request", p.Request)
	c.text("upload", p.Upload)
	c.text("value", p.Value)
	c.pairs("data", p.Data)
	c.pairs("headers", p.Headers)
	c.pairs("meta", p.Meta)
	c.pairs("tags", p.Tags)
	c.number("inc", p.Inc)
	c.number("target", p.Target)
	c.time("wall", p.Wall)
	c.body("body", p.Body)
	c.body("doc", p.Doc)
	c.secret(p)
	c.groups(p)
	if len(p.Key) > MaxKey {
		c.fail("key of %d bytes, the limit is %d", len(p.Key), MaxKey)
	}
	if p.Part < 0 || p.Part > MaxParts {
		c.fail("part number %d is not within 1 to %d", p.Part, MaxParts)
	}
	if c.err != nil {
		return c.err
	}
	// An escape makes six bytes of one at most, names and numbers stay below fixed.
	const fixed = 1792
	if 6*c.bytes+8*c.fields+fixed <= MaxPrivate {
		return nil
	}
	if n := len(AppendPrivate(nil, p)); n > MaxPrivate {
		return fmt.Errorf("%d bytes, the limit is %d: %w", n, MaxPrivate, ErrTooLarge)
	}
	return nil
}

// check keeps the first thing that is wrong, and counts how long the encoding may become.
type check struct {
	err    error
	bytes  int // of strings
	fields int // of maps and lists
}

func (c *check) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *check) text(name, s string) {
	c.bytes += len(s)
	if !utf8.ValidString(s) {
		c.fail("%s %q is not UTF-8", name, s)
	}
}

func (c *check) pairs(name string, m map[string]string) {
	for k, v := range m {
		c.fields++
		c.text(name, k)
		c.text(name, v)
	}
}

func (c *check) number(name string, n uint64) {
	if n > MaxInt {
		c.fail("%s %d is above %d", name, n, uint64(MaxInt))
	}
}

func (c *check) time(name string, t time.Time) {
	if err := validTime(name, t); err != nil {
		c.fail("%w", err)
	}
}

func validTime(name string, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return fmt.Errorf("%s: year %d is not within 1 to 9999", name, y)
	}
	if t.Nanosecond()%1000 != 0 {
		return fmt.Errorf("%s %s is not in whole microseconds", name, t.Format(time.RFC3339Nano))
	}
	return nil
}

// emptySum is the SHA-256 of nothing.
var emptySum = Hash{
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
}

func (c *check) body(name string, b *Body) {
	if b == nil {
		return
	}
	if err := b.validate(); err != nil {
		c.fail("%s: %w", name, err)
	}
}

func (b *Body) validate() error {
	if b.Size < 0 || b.Size > MaxInt {
		return fmt.Errorf("size %d is not within 0 to %d", b.Size, int64(MaxInt))
	}
	switch b.Kind {
	case BodyEmpty:
		if b.Size != 0 || b.Ref != (ID{}) || b.SHA256 != (Hash{}) && b.SHA256 != emptySum {
			return errors.New("an empty body has bytes")
		}
	case BodyChunk, BodyManifest, BodyParts:
		if b.Ref == (ID{}) || b.SHA256 == (Hash{}) {
			return fmt.Errorf("a body of kind %s needs ref and sha256", b.Kind)
		}
	default:
		return fmt.Errorf("unknown body kind %q", b.Kind)
	}
	return nil
}

func (c *check) groups(p *Private) {
	if k := p.Checksum; k != nil {
		c.text("checksum", k.Algorithm)
		c.text("checksum", k.Kind)
		c.text("checksum", k.Value)
	}
	if k := p.Clock; k != nil {
		c.text("clock boot", k.Boot)
		c.time("clock jumped", k.Jumped)
		c.time("clock run", k.Run)
		c.number("clock mono", k.Mono)
		c.number("clock spent", k.Spent)
		c.number("clock until", k.Until)
	}
	if l := p.Lock; l != nil {
		c.text("lock mode", l.Mode)
		c.time("lock until", l.Until)
	}
	if k := p.Pack; k != nil {
		c.text("pack name", k.Name)
		if k.Size < 0 || k.Size > MaxInt {
			c.fail("pack size %d is not within 0 to %d", k.Size, int64(MaxInt))
		}
	}
	if a := p.Access; a != nil {
		c.text("access key id", a.ID)
		if a.Rate < 0 || a.Rate > MaxInt {
			c.fail("access key rate %d is not within 0 to %d", a.Rate, int64(MaxInt))
		}
		c.text("access key role", a.Role)
		for _, s := range a.Scope {
			c.fields++
			c.text("access key scope", s)
		}
	}
}
