package entry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrCanonical says that bytes are not what this package would have written.
var ErrCanonical = errors.New("not in canonical form")

// scanner reads canonical JSON whose fields come in a known order. The first thing out of place stops it for good.
// The strings that it returns share one copy of the input.
type scanner struct {
	s       string
	i       int
	at      int  // where it stopped
	bad     bool // it did stop
	escapes bool // there is a backslash somewhere
}

// scan copies b. No canonical text has a raw control character or is not UTF-8: that is checked here, once for all.
func scan(b []byte) scanner {
	p := scanner{s: string(b)}
	var all uint64
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		all |= w
		if (w-' '*ones)&^w&highs != 0 {
			p.fail(i)
			return p
		}
	}
	for ; i < len(b); i++ {
		all |= uint64(b[i])
		if b[i] < ' ' {
			p.fail(i)
			return p
		}
	}
	if all&highs != 0 && !utf8.ValidString(p.s) {
		p.fail(0)
		return p
	}
	p.escapes = strings.IndexByte(p.s, '\\') >= 0
	return p
}

func (p *scanner) fail(at int) {
	if !p.bad {
		p.bad, p.at = true, at
	}
	p.i = len(p.s)
}

// end reports what went wrong, left-over bytes included.
func (p *scanner) end(what string) error {
	if !p.bad && p.i != len(p.s) {
		p.fail(p.i)
	}
	if p.bad {
		return fmt.Errorf("%s, byte %d: %w", what, p.at, ErrCanonical)
	}
	return nil
}

// key moves past k, a quoted name with its colon, if it is next.
func (p *scanner) key(k string) bool {
	if !strings.HasPrefix(p.s[p.i:], k) {
		return false
	}
	p.i += len(k)
	return true
}

func (p *scanner) need(k string) {
	if !p.key(k) {
		p.fail(p.i)
	}
}

// next moves past the comma between two members; before the closing brace there is none.
func (p *scanner) next() {
	rest := p.s[p.i:]
	switch {
	case len(rest) > 1 && rest[0] == ',' && rest[1] == '"':
		p.i++
	case len(rest) > 0 && rest[0] == '}':
	default:
		p.fail(p.i)
	}
}

// text reads the field k, which is left out when empty.
func (p *scanner) text(k string) string {
	if !p.key(k) {
		return ""
	}
	at := p.i
	s := p.str()
	if s == "" {
		p.fail(at)
	}
	p.next()
	return s
}

// str reads a string, which may be empty.
func (p *scanner) str() string {
	p.need(`"`)
	rest := p.s[p.i:]
	n := strings.IndexByte(rest, '"')
	if n < 0 {
		p.fail(p.i)
		return ""
	}
	if p.escapes && strings.IndexByte(rest[:n], '\\') >= 0 {
		return p.unescape()
	}
	p.i += n + 1
	return rest[:n]
}

// unescape reads a string with escapes, up to its closing quote.
func (p *scanner) unescape() string {
	var d []byte
	for {
		rest := p.s[p.i:]
		n := plain(rest)
		d = append(d, rest[:n]...)
		if n == len(rest) {
			p.fail(p.i)
			return ""
		}
		if rest[n] == '"' {
			p.i += n + 1
			return string(d)
		}
		c, size := escape(rest[n:])
		if size == 0 {
			p.fail(p.i + n)
			return ""
		}
		d = append(d, c)
		p.i += n + size
	}
}

// escape reads one escape sequence, only in the one way that appendEscaped writes it; size 0: there is none such.
func escape(s string) (c byte, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\':
		return s[1], 2
	case 'b':
		return '\b', 2
	case 't':
		return '\t', 2
	case 'n':
		return '\n', 2
	case 'f':
		return '\f', 2
	case 'r':
		return '\r', 2
	}
	if !strings.HasPrefix(s, `\u00`) || len(s) < 6 {
		return 0, 0
	}
	c = unhex[s[4]]<<4 | unhex[s[5]]
	if unhex[s[4]] > 1 || unhex[s[5]] > 15 || c == '\b' || c == '\t' || c == '\n' || c == '\f' || c == '\r' {
		return 0, 0
	}
	return c, 6
}

// flag reads the field k, which is left out when false.
func (p *scanner) flag(k string) bool {
	if !p.key(k) {
		return false
	}
	p.need("true")
	p.next()
	return true
}

// MaxInt is the largest integer in an entry, 2^53 - 1: the largest that every JSON reader reads exactly.
const MaxInt = 1<<53 - 1

// number reads the field k, which is left out when 0.
func (p *scanner) number(k string) uint64 {
	if !p.key(k) {
		return 0
	}
	at := p.i
	n := p.digits()
	if n == 0 {
		p.fail(at)
	}
	p.next()
	return n
}

// digits reads an integer of 0 to MaxInt without leading zeros.
func (p *scanner) digits() uint64 {
	var n uint64
	at := p.i
	for p.i < len(p.s) && p.s[p.i]-'0' <= 9 {
		n = n*10 + uint64(p.s[p.i]-'0')
		p.i++
		if n > MaxInt {
			p.fail(at)
			return 0
		}
	}
	if p.i == at || p.i > at+1 && p.s[at] == '0' {
		p.fail(at)
		return 0
	}
	return n
}

// hex reads the field k, which is left out when all zero, into b.
func (p *scanner) hex(k string, b []byte) {
	if !p.key(k) {
		return
	}
	at := p.i
	p.hexValue(b)
	for _, c := range b {
		if c != 0 {
			p.next()
			return
		}
	}
	p.fail(at)
}

func (p *scanner) hexValue(b []byte) {
	p.need(`"`)
	rest := p.s[p.i:]
	if len(rest) < 2*len(b)+1 || rest[2*len(b)] != '"' {
		p.fail(p.i)
		return
	}
	var wrong byte
	for i := range b {
		high, low := unhex[rest[2*i]], unhex[rest[2*i+1]]
		wrong |= high | low
		b[i] = high<<4 | low
	}
	if wrong > 15 {
		p.fail(p.i)
		return
	}
	p.i += 2*len(b) + 1
}

// unhex maps a lower-case hex digit to its value, all else to 255.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range hexDigits {
		t[hexDigits[i]] = byte(i)
	}
	return t
}()

// time reads the field k, which is left out when zero.
func (p *scanner) time(k string) time.Time {
	if !p.key(k) {
		return time.Time{}
	}
	at := p.i
	t := p.timeValue()
	if t.IsZero() {
		p.fail(at)
	}
	p.next()
	return t
}

const timeForm = `"dddd-dd-ddTdd:dd:dd.ddddddZ"`

func (p *scanner) timeValue() time.Time {
	rest := p.s[p.i:]
	if len(rest) < len(timeForm) {
		p.fail(p.i)
		return time.Time{}
	}
	for i := range len(timeForm) {
		c, want := rest[i], timeForm[i]
		if want == 'd' && c-'0' <= 9 || want != 'd' && c == want {
			continue
		}
		p.fail(p.i)
		return time.Time{}
	}
	num := func(i, n int) (v int) {
		for _, c := range []byte(rest[i : i+n]) {
			v = v*10 + int(c-'0')
		}
		return v
	}
	year, month, day := num(1, 4), num(6, 2), num(9, 2)
	hour, minute, second := num(12, 2), num(15, 2), num(18, 2)
	t := time.Date(year, time.Month(month), day, hour, minute, second, num(21, 6)*1000, time.UTC)
	// Date carries over what is out of range, the 30th of February for one: then the time is not the one written.
	if y, m, d := t.Date(); year == 0 || y != year || int(m) != month || d != day || hour > 23 || minute > 59 || second > 59 {
		p.fail(p.i)
		return time.Time{}
	}
	p.i += len(timeForm)
	return t
}

// pairs reads the field k, an object of strings with names in order, which is left out when empty.
func (p *scanner) pairs(k string) map[string]string {
	if !p.key(k) {
		return nil
	}
	p.need("{")
	m := make(map[string]string)
	last, first := "", true
	for !p.bad && (first || !strings.HasPrefix(p.s[p.i:], "}")) {
		at := p.i
		name := p.str()
		p.need(":")
		if !first && compareNames(last, name) >= 0 {
			p.fail(at)
		}
		m[name] = p.str()
		last, first = name, false
		p.next()
	}
	p.need("}")
	p.next()
	return m
}
