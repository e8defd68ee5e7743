package s3api

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bodies are read whole before they are parsed, so their size is what one request can cost. AWS's own caps where it names one.
const (
	MaxConfigBytes   = 512 << 10 // any bucket or object setting in XML
	MaxDeleteBytes   = 4 << 20   // DeleteObjects: 1,000 keys of 1,024 bytes, escaped
	MaxCompleteBytes = 4 << 20   // CompleteMultipartUpload: 10,000 parts with ETag and checksum
	MaxPolicyBytes   = 20 << 10  // a bucket policy

	maxXMLDepth = 16
	maxXMLNodes = 150_000 // 64 bytes each
)

// readSized reads a body of at most limit bytes, which says that it has size bytes (below 0: it doesn't say), so that they are allocated once. A longer one is
// ErrMaxMessageLengthExceeded, and nothing beyond the limit is kept.
func readSized(r io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(size, 0), limit)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, ErrMaxMessageLengthExceeded.With("MaxMessageLengthBytes", strconv.FormatInt(limit, 10))
	}
	return b.Bytes(), nil
}

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

// elem is one element of a document. The zero elem stands for one that is not there: its text is "", it has no children.
type elem struct {
	d *document
	i int32
}

func (e elem) exists() bool { return e.d != nil }

func (e elem) name() string { return e.d.nodes[e.i].name }

// text is the character data as it was sent; word is it without white space around.
func (e elem) text() string {
	if e.d == nil {
		return ""
	}
	return e.d.nodes[e.i].text
}

func (e elem) word() string { return strings.TrimSpace(e.text()) }

// children yields the child elements in order.
func (e elem) children() iter.Seq[elem] {
	return func(yield func(elem) bool) {
		if e.d == nil {
			return
		}
		for i := e.d.nodes[e.i].kid; i != 0; i = e.d.nodes[i].next {
			if !yield(elem{e.d, i}) {
				return
			}
		}
	}
}

// child is the first child of that name.
func (e elem) child(name string) elem {
	for c := range e.children() {
		if c.name() == name {
			return c
		}
	}
	return elem{}
}

// parseRoot parses b and demands a root of that name. Every fault is ErrMalformedXML.
func parseRoot(b []byte, name string) (elem, error) {
	d, err := parseXML(b)
	if err != nil || d.nodes[0].name != name {
		return elem{}, ErrMalformedXML
	}
	return elem{d, 0}, nil
}

var errXML = errors.New("malformed XML")

// xmlParser walks over s.
type xmlParser struct {
	s    string
	d    *document
	open [maxXMLDepth]int32  // the elements we are in
	last [maxXMLDepth]int32  // the last child of each; 0: none yet
	tag  [maxXMLDepth]string // their names as written, with prefix
	n    int                 // how deep we are
	done bool                // the root has been closed
}

func parseXML(b []byte) (*document, error) {
	if !utf8.Valid(b) {
		return nil, errXML
	}
	elements := min((bytes.Count(b, []byte{'<'})+1)/2, maxXMLNodes)
	p := xmlParser{s: strings.TrimPrefix(string(b), "\uFEFF"), d: &document{nodes: make([]node, 0, elements)}}
	if err := p.prolog(); err != nil {
		return nil, err
	}
	for p.s != "" {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if !p.done {
		return nil, errXML
	}
	return p.d, nil
}

// prolog takes an XML declaration off.
func (p *xmlParser) prolog() error {
	rest, ok := strings.CutPrefix(p.s, "<?xml")
	if !ok {
		return nil
	}
	decl, rest, ok := strings.Cut(rest, "?>")
	if !ok || strings.ContainsAny(decl, "<>") {
		return errXML
	}
	if _, enc, ok := strings.Cut(decl, "encoding"); ok {
		enc = strings.ToLower(strings.Trim(enc, " \t\r\n=\"'"))
		if !strings.HasPrefix(enc, "utf-8") && !strings.HasPrefix(enc, "us-ascii") {
			return errXML
		}
	}
	p.s = rest
	return nil
}

// step takes one piece of markup or text.
func (p *xmlParser) step() error {
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
			return errXML
		}
		return p.addText(normalEnds(data))
	case strings.HasPrefix(p.s, "</"):
		return p.endTag()
	case strings.HasPrefix(p.s, "<!"), strings.HasPrefix(p.s, "<?"):
		return errXML
	}
	return p.startTag()
}

func orMalformed(ok bool) error {
	if !ok {
		return errXML
	}
	return nil
}

func (p *xmlParser) text() error {
	i := strings.IndexByte(p.s, '<')
	if i < 0 {
		i = len(p.s)
	}
	raw := p.s[:i]
	p.s = p.s[i:]
	t, ok := unescapeXML(raw)
	if !ok {
		return errXML
	}
	return p.addText(t)
}

// addText adds to the element we are in; outside the root only white space may stand.
func (p *xmlParser) addText(t string) error {
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

func (p *xmlParser) endTag() error {
	name, rest, ok := strings.Cut(p.s[2:], ">")
	if !ok || p.n == 0 || strings.TrimRight(name, " \t\r\n") != p.tag[p.n-1] {
		return errXML
	}
	p.s = rest
	p.pop()
	return nil
}

func (p *xmlParser) pop() {
	p.n--
	p.done = p.n == 0
}

// startTag reads "<name attributes>" or "<name attributes/>".
func (p *xmlParser) startTag() error {
	i := 1
	for i < len(p.s) && nameByte(p.s[i]) {
		i++
	}
	name := p.s[1:i]
	p.s = p.s[i:]
	if name == "" || p.done || p.n == maxXMLDepth || len(p.d.nodes) == maxXMLNodes {
		return errXML
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
			return errXML
		}
		if err := p.attribute(); err != nil {
			return err
		}
	}
}

// push adds an element as the last child of the one we are in.
func (p *xmlParser) push(tag string) {
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

func (p *xmlParser) attribute() error {
	name, rest, ok := strings.Cut(p.s, "=")
	name = strings.TrimRight(name, " \t\r\n")
	if !ok || name == "" || strings.IndexFunc(name, func(r rune) bool { return r > 0x7f || !nameByte(byte(r)) }) >= 0 {
		return errXML
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return errXML
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 0 {
		return errXML
	}
	value, ok := unescapeXML(rest[1 : 1+end])
	if !ok || strings.Contains(rest[1:1+end], "<") {
		return errXML
	}
	if local(name) == "type" {
		p.d.nodes[p.open[p.n-1]].typ = value
	}
	p.s = rest[end+2:]
	return nil
}

func (p *xmlParser) skipSpace() bool {
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

var xmlEntities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": "\"", "apos": "'"}

// unescapeXML resolves references. Character references may name any Unicode scalar, also those that XML 1.0 forbids: keys hold them.
func unescapeXML(s string) (string, bool) {
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
		if e, ok := xmlEntities[name]; ok {
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
