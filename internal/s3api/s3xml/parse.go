// Package s3xml reads and writes the XML of S3: a parser that one hostile document can't make expensive, and a Writer that appends elements to a buffer.
// What the documents say is up to their packages.
package s3xml

import (
	"bytes"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stele/internal/s3api/s3err"
)

// document is a parsed body: a tree in one slice. The parser knows elements, attributes, text, CDATA, comments and the
// five named entities with character references; it refuses DTDs and processing instructions, so that there is nothing to
// expand and nothing to fetch. Namespaces are dropped: S3's clients disagree about them.
type document struct{ nodes []node }

type node struct {
	name string // without prefix
	text string // character data of a leaf
	typ  string // value of an attribute xsi:type
	kid  int32  // first child; 0: none, since the root is nobody's child
	next int32  // next sibling; 0: none
}

// Elem is one element of a document. The zero elem stands for one that is not there: its text is "", it has no children.
type Elem struct {
	d *document
	i int32
}

// Exists tells whether the element is there.
func (e Elem) Exists() bool { return e.d != nil }

// Name is the element's name without prefix. The element must be there.
func (e Elem) Name() string { return e.d.nodes[e.i].name }

// Text is the character data as it was sent.
func (e Elem) Text() string {
	if e.d == nil {
		return ""
	}
	return e.d.nodes[e.i].text
}

// Word is Text without white space around.
func (e Elem) Word() string { return strings.TrimSpace(e.Text()) }

// Type is the value of an attribute xsi:type, or "".
func (e Elem) Type() string {
	if e.d == nil {
		return ""
	}
	return e.d.nodes[e.i].typ
}

// Size is the number of elements in the whole document, for allocating what is made of them once.
func (e Elem) Size() int {
	if e.d == nil {
		return 0
	}
	return len(e.d.nodes)
}

// Children yields the child elements in order.
func (e Elem) Children() iter.Seq[Elem] {
	return func(yield func(Elem) bool) {
		if e.d == nil {
			return
		}
		for i := e.d.nodes[e.i].kid; i != 0; i = e.d.nodes[i].next {
			if !yield(Elem{e.d, i}) {
				return
			}
		}
	}
}

// Child is the first child of that name.
func (e Elem) Child(name string) Elem {
	for c := range e.Children() {
		if c.Name() == name {
			return c
		}
	}
	return Elem{}
}

// Parse parses b and demands a root of that name. Every fault is ErrMalformedXML.
func Parse(b []byte, name string) (Elem, error) {
	d, err := parse(b)
	if err != nil || d.nodes[0].name != name {
		return Elem{}, s3err.ErrMalformedXML
	}
	return Elem{d, 0}, nil
}

var errMalformed = errors.New("malformed XML")

// parser walks over s.
type parser struct {
	s    string
	d    *document
	open [maxDepth]int32  // the elements we are in
	last [maxDepth]int32  // the last child of each; 0: none yet
	tag  [maxDepth]string // their names as written, with prefix
	n    int              // how deep we are
	done bool             // the root has been closed
}

func parse(b []byte) (*document, error) {
	if !utf8.Valid(b) {
		return nil, errMalformed
	}
	elements := min((bytes.Count(b, []byte{'<'})+1)/2, maxNodes)
	p := parser{s: strings.TrimPrefix(string(b), "\uFEFF"), d: &document{nodes: make([]node, 0, elements)}}
	if err := p.prolog(); err != nil {
		return nil, err
	}
	for p.s != "" {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if !p.done {
		return nil, errMalformed
	}
	return p.d, nil
}

// prolog takes an XML declaration off.
func (p *parser) prolog() error {
	rest, ok := strings.CutPrefix(p.s, "<?xml")
	if !ok {
		return nil
	}
	decl, rest, ok := strings.Cut(rest, "?>")
	if !ok || strings.ContainsAny(decl, "<>") {
		return errMalformed
	}
	if _, enc, ok := strings.Cut(decl, "encoding"); ok {
		enc = strings.ToLower(strings.Trim(enc, " \t\r\n=\"'"))
		if !strings.HasPrefix(enc, "utf-8") && !strings.HasPrefix(enc, "us-ascii") {
			return errMalformed
		}
	}
	p.s = rest
	return nil
}

// step takes one piece of markup or text.
func (p *parser) step() error {
	switch {
	case p.s[0] != '<':
		return p.text()
	case strings.HasPrefix(p.s, "<!--"):
		_, rest, ok := strings.Cut(p.s[4:], "-->")
		p.s = rest
		return orMalformed(ok)
	case strings.HasPrefix(p.s, "<![CDATA["):
		data, rest, ok := strings.Cut(p.s[9:], "]]>")
		p.s = rest
		if !ok {
			return errMalformed
		}
		return p.addText(normalEnds(data))
	case strings.HasPrefix(p.s, "</"):
		return p.endTag()
	case strings.HasPrefix(p.s, "<!"), strings.HasPrefix(p.s, "<?"):
		return errMalformed
	}
	return p.startTag()
}

func orMalformed(ok bool) error {
	if !ok {
		return errMalformed
	}
	return nil
}

func (p *parser) text() error {
	i := strings.IndexByte(p.s, '<')
	if i < 0 {
		i = len(p.s)
	}
	raw := p.s[:i]
	p.s = p.s[i:]
	t, ok := unescape(raw)
	if !ok {
		return errMalformed
	}
	return p.addText(t)
}

// addText adds to the element we are in; outside the root only white space may stand.
func (p *parser) addText(t string) error {
	if p.n == 0 {
		return orMalformed(strings.TrimSpace(t) == "")
	}
	n := &p.d.nodes[p.open[p.n-1]]
	if n.text == "" {
		n.text = t
	} else if t != "" {
		n.text += t
	}
	return nil
}

func (p *parser) endTag() error {
	name, rest, ok := strings.Cut(p.s[2:], ">")
	if !ok || p.n == 0 || strings.TrimRight(name, " \t\r\n") != p.tag[p.n-1] {
		return errMalformed
	}
	p.s = rest
	p.pop()
	return nil
}

func (p *parser) pop() {
	p.n--
	p.done = p.n == 0
}

// startTag reads "<name attributes>" or "<name attributes/>".
func (p *parser) startTag() error {
	i := 1
	for i < len(p.s) && nameByte(p.s[i]) {
		i++
	}
	name := p.s[1:i]
	p.s = p.s[i:]
	if name == "" || p.done || p.n == maxDepth || len(p.d.nodes) == maxNodes {
		return errMalformed
	}
	p.push(name)
	for {
		spaced := p.skipSpace()
		switch {
		case strings.HasPrefix(p.s, "/>"):
			p.s = p.s[2:]
			p.pop()
			return nil
		case strings.HasPrefix(p.s, ">"):
			p.s = p.s[1:]
			return nil
		case !spaced:
			return errMalformed
		}
		if err := p.attribute(); err != nil {
			return err
		}
	}
}

// push adds an element as the last child of the one we are in.
func (p *parser) push(tag string) {
	i := int32(len(p.d.nodes))
	p.d.nodes = append(p.d.nodes, node{name: local(tag)})
	if p.n > 0 {
		if l := p.last[p.n-1]; l != 0 {
			p.d.nodes[l].next = i
		} else {
			p.d.nodes[p.open[p.n-1]].kid = i
		}
		p.last[p.n-1] = i
	}
	p.open[p.n], p.last[p.n], p.tag[p.n] = i, 0, tag
	p.n++
}

func (p *parser) attribute() error {
	name, rest, ok := strings.Cut(p.s, "=")
	name = strings.TrimRight(name, " \t\r\n")
	if !ok || name == "" || strings.IndexFunc(name, func(r rune) bool { return r > 0x7f || !nameByte(byte(r)) }) >= 0 {
		return errMalformed
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return errMalformed
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 0 {
		return errMalformed
	}
	value, ok := unescape(rest[1 : 1+end])
	if !ok || strings.Contains(rest[1:1+end], "<") {
		return errMalformed
	}
	if local(name) == "type" {
		p.d.nodes[p.open[p.n-1]].typ = value
	}
	p.s = rest[end+2:]
	return nil
}

func (p *parser) skipSpace() bool {
	t := strings.TrimLeft(p.s, " \t\r\n")
	skipped := len(t) < len(p.s)
	p.s = t
	return skipped
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.' || c == ':'
}

func local(name string) string {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		return name[i+1:]
	}
	return name
}

var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": "\"", "apos": "'"}

// unescape resolves references. Character references may name any Unicode scalar, also those that XML 1.0 forbids: keys hold them.
func unescape(s string) (string, bool) {
	if !strings.ContainsAny(s, "&\r") {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s)) // no reference is shorter than what it stands for
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			b.WriteString(normalEnds(s))
			return b.String(), true
		}
		b.WriteString(normalEnds(s[:i]))
		s = s[i+1:]
		end := strings.IndexByte(s[:min(len(s), 12)], ';')
		if end < 0 {
			return "", false
		}
		name := s[:end]
		s = s[end+1:]
		if e, ok := entities[name]; ok {
			b.WriteString(e)
			continue
		}
		r, ok := charRef(name)
		if !ok {
			return "", false
		}
		b.WriteRune(r)
	}
}

func charRef(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	base := 10
	if h, hex := strings.CutPrefix(digits, "x"); hex {
		digits, base = h, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return rune(n), ok && err == nil && n <= utf8.MaxRune && utf8.ValidRune(rune(n))
}

// normalEnds makes line ends LF, as XML demands of what is not a reference.
func normalEnds(s string) string {
	if !strings.Contains(s, "\r") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// ParseTime reads a time as S3's clients write it.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t, err = time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s)
	}
	return t.UTC(), err
}

const (
	maxDepth = 16
	maxNodes = 150_000 // 64 bytes each
)
