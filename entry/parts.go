package entry

import "fmt"

// Part is one part of a multipart object.
type Part struct {
	Body     Body   // the bytes; their fields stand in the part itself
	Checksum string // "checksum": base64, of the object's checksum algorithm; empty: none
	Number   int    // "part": 1 to 10,000
}

// Parts is the parts document of a multipart object: its parts, numbers ascending. Body.SHA256 of the object is the
// SHA-256 of this document's canonical encoding.
//
//	[{"kind":"chunk","md5":"…","part":1,"ref":"…","sha256":"…","size":5242880},…]
type Parts []Part

// MaxPartsDocument is the most bytes that an encoded parts document has.
const MaxPartsDocument = 8 << 20

// AppendParts appends the canonical encoding of a parts document. What did not pass Validate may not parse again.
func AppendParts(dst []byte, parts Parts) []byte {
	d := append(dst, '[')
	for i := range parts {
		b := &parts[i].Body
		d = append(d, '{')
		d = appendText(d, `"checksum":`, parts[i].Checksum)
		d = appendText(d, `"kind":`, string(b.Kind))
		d = appendHex(d, `"md5":`, b.MD5[:])
		d = appendInt(d, `"part":`, uint64(parts[i].Number))
		d = appendHex(d, `"ref":`, b.Ref[:])
		d = appendHex(d, `"sha256":`, b.SHA256[:])
		d = appendInt(d, `"size":`, uint64(b.Size))
		d = append(closeObject(d), ',')
	}
	if len(parts) == 0 {
		return append(d, ']')
	}
	d[len(d)-1] = ']'
	return d
}

// ParseParts reads what AppendParts wrote for a valid document, and nothing else. What is not in canonical form is
// ErrCanonical.
func ParseParts(b []byte) (Parts, error) {
	if len(b) > MaxPartsDocument {
		return nil, fmt.Errorf("parts document of %d bytes, the limit is %d: %w", len(b), MaxPartsDocument, ErrCanonical)
	}
	var parts Parts
	p := scan(b)
	p.need("[")
	for !p.bad && len(parts) < MaxParts {
		parts = append(parts, p.part())
		if !p.key(",") {
			break
		}
	}
	p.need("]")
	if err := p.end("parts document"); err != nil {
		return nil, err
	}
	if err := parts.Validate(); err != nil {
		return nil, err
	}
	return parts, nil
}

func (p *scanner) part() (v Part) {
	p.need("{")
	v.Checksum = p.text(`"checksum":`)
	v.Body.Kind = p.kind()
	p.hex(`"md5":`, v.Body.MD5[:])
	v.Number = int(p.number(`"part":`))
	p.hex(`"ref":`, v.Body.Ref[:])
	p.hex(`"sha256":`, v.Body.SHA256[:])
	v.Body.Size = int64(p.number(`"size":`))
	p.need("}")
	return v
}

// Size is the sum of the parts' sizes.
func (parts Parts) Size() int64 {
	var n int64
	for i := range parts {
		n += parts[i].Body.Size
	}
	return n
}

// Validate says whether the document can be written: 1 to 10,000 parts, numbers ascending, bodies that are bytes.
func (parts Parts) Validate() error {
	if len(parts) == 0 || len(parts) > MaxParts {
		return fmt.Errorf("%d parts are not within 1 to %d", len(parts), MaxParts)
	}
	var c check
	last := 0
	for i := range parts {
		b, n := &parts[i].Body, parts[i].Number
		if n <= last || n > MaxParts {
			c.fail("part number %d after %d: numbers ascend to at most %d", n, last, MaxParts)
		}
		last = n
		if b.Kind == BodyParts {
			c.fail("part %d is made of parts", n)
		}
		if len(parts[i].Checksum) > maxChecksum {
			c.fail("part %d has a checksum of %d bytes", n, len(parts[i].Checksum))
		}
		c.body(fmt.Sprintf("part %d", n), b)
		c.text("checksum", parts[i].Checksum)
		if c.err != nil {
			return c.err
		}
	}
	if parts.Size() > MaxInt {
		return fmt.Errorf("the parts have more than %d bytes", int64(MaxInt))
	}
	return nil
}

const maxChecksum = 64 // bytes of a part's checksum: base64 of SHA-256 is 44
