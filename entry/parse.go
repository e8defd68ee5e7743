package entry

import "fmt"

// MaxPrivate is the most bytes that an encoded private part has. What is longer is a document (Private.Doc).
const MaxPrivate = 32 << 10

// ParsePrivate reads what AppendPrivate wrote, and nothing else: whatever parses, encodes to the same bytes again. All
// else is ErrCanonical. The result does not alias b; its strings share one copy of it, so that who keeps one of them
// for long should clone it.
func ParsePrivate(b []byte) (Private, error) {
	if len(b) > MaxPrivate {
		return Private{}, fmt.Errorf("private part of %d bytes, the limit is %d: %w", len(b), MaxPrivate, ErrCanonical)
	}
	var v Private
	p := scan(b)
	p.private(&v)
	if err := p.end("private part"); err != nil {
		return Private{}, err
	}
	return v, nil
}

func (p *scanner) private(v *Private) {
	p.need("{")
	v.Access = p.access()
	v.Actor = p.text(`"actor":`)
	v.Address = p.text(`"addr":`)
	v.Body = p.body(`"body":`)
	v.Bucket = p.text(`"bucket":`)
	v.Bypass = p.flag(`"bypass":`)
	v.Checksum = p.checksum()
	v.Clock = p.clock()
	v.Data = p.pairs(`"data":`)
	v.Doc = p.body(`"doc":`)
	v.ETag = p.text(`"etag":`)
	v.Headers = p.pairs(`"headers":`)
	v.Inc = p.number(`"inc":`)
	v.Key = p.text(`"key":`)
	v.Lock = p.lock()
	v.Marker = p.flag(`"marker":`)
	v.Meta = p.pairs(`"meta":`)
	v.Name = p.text(`"name":`)
	v.Null = p.flag(`"null":`)
	v.Pack = p.pack()
	v.Part = int(p.number(`"part":`))
	v.Reason = p.text(`"reason":`)
	v.Request = p.text(`"request":`)
	v.Secret = p.text(`"secret":`)
	v.Tags = p.pairs(`"tags":`)
	v.Target = p.number(`"target":`)
	v.Upload = p.text(`"upload":`)
	v.Value = p.text(`"value":`)
	v.Wall = p.time(`"wall":`)
	p.need("}")
}

func (p *scanner) access() *AccessKey {
	if !p.key(`"access":`) {
		return nil
	}
	p.need("{")
	a := &AccessKey{ID: p.text(`"id":`), Rate: int(p.number(`"rate":`)), Role: p.text(`"role":`), Scope: p.scope(), Secret: p.text(`"secret":`)}
	p.need("}")
	p.next()
	return a
}

// scope reads a list of strings, which is left out when empty.
func (p *scanner) scope() []string {
	if !p.key(`"scope":`) {
		return nil
	}
	p.need("[")
	list := []string{p.str()}
	for p.key(",") {
		list = append(list, p.str())
	}
	p.need("]")
	p.next()
	return list
}

func (p *scanner) body(k string) *Body {
	if !p.key(k) {
		return nil
	}
	p.need("{")
	b := &Body{Kind: p.kind()}
	p.hex(`"md5":`, b.MD5[:])
	p.hex(`"ref":`, b.Ref[:])
	p.hex(`"sha256":`, b.SHA256[:])
	b.Size = int64(p.number(`"size":`))
	p.need("}")
	p.next()
	return b
}

// kind returns the constants themselves, which keep no copy of the input alive.
func (p *scanner) kind() BodyKind {
	switch k := BodyKind(p.text(`"kind":`)); k {
	case BodyChunk:
		return BodyChunk
	case BodyManifest:
		return BodyManifest
	default:
		return k
	}
}

func (p *scanner) checksum() *Checksum {
	if !p.key(`"checksum":`) {
		return nil
	}
	p.need("{")
	c := &Checksum{Algorithm: p.text(`"alg":`), Kind: p.text(`"kind":`), Value: p.text(`"value":`)}
	p.need("}")
	p.next()
	return c
}

func (p *scanner) clock() *Clock {
	if !p.key(`"clock":`) {
		return nil
	}
	p.need("{")
	c := &Clock{Boot: p.text(`"boot":`), Jumped: p.time(`"jumped":`), Mono: p.number(`"mono":`), Run: p.time(`"run":`), Spent: p.number(`"spent":`), Until: p.number(`"until":`)}
	p.need("}")
	p.next()
	return c
}

func (p *scanner) lock() *Lock {
	if !p.key(`"lock":`) {
		return nil
	}
	p.need("{")
	l := &Lock{Hold: p.flag(`"hold":`), Mode: p.text(`"mode":`), Until: p.time(`"until":`)}
	p.need("}")
	p.next()
	return l
}

func (p *scanner) pack() *Pack {
	if !p.key(`"pack":`) {
		return nil
	}
	p.need("{")
	k := &Pack{Name: p.text(`"name":`)}
	p.hex(`"sha256":`, k.SHA256[:])
	k.Size = int64(p.number(`"size":`))
	p.need("}")
	p.next()
	return k
}
