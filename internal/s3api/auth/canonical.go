package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"stele/internal/s3api/wire"
)

// canonicalPath gives the path as the specification signs it, and the path as it was sent.
func canonicalPath(q *wire.Target) (spec, raw string) {
	decoded, ok := wire.Unescape(q.Path, false)
	if !ok {
		return q.Path, q.Path
	}
	if decoded == q.Path && wire.PlainPath(decoded) {
		return q.Path, q.Path
	}
	return string(wire.AppendEscaped(make([]byte, 0, len(q.Path)+16), decoded, true)), q.Path
}

// appendCanonical appends the canonical request:
//
//	method \n path \n query \n header:value \n … \n signed headers \n payload hash
func appendCanonical(b []byte, r *http.Request, q *wire.Target, c *credential, path, sum string) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = append(b, path...)
	b = append(b, '\n')
	b = appendCanonicalQuery(b, q.Query)
	b = append(b, '\n')
	for rest := c.signed; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeaderValue(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, c.signed...)
	b = append(b, '\n')
	return append(b, sum...)
}

// appendCanonicalQuery appends the parameters, encoded and sorted, without the signature itself.
func appendCanonicalQuery(b []byte, q wire.Query) []byte {
	if len(q) == 0 {
		return b
	}
	type span struct{ start, name, end int } // "name=value" in enc is [start:end), the name ends at name
	var spanArray [24]span
	var encArray [512]byte
	spans, enc := spanArray[:0], encArray[:0]
	for i := range q {
		if q[i].Name == "X-Amz-Signature" {
			continue
		}
		s := span{start: len(enc)}
		enc = wire.AppendEscaped(enc, q[i].Name, false)
		s.name = len(enc)
		enc = append(enc, '=')
		enc = wire.AppendEscaped(enc, q[i].Value, false)
		s.end = len(enc)
		spans = append(spans, s)
	}
	// By name, then by value: comparing "name=value" whole would put "a-b" before "a", since '-' sorts before '='.
	slices.SortStableFunc(spans, func(x, y span) int {
		if d := bytes.Compare(enc[x.start:x.name], enc[y.start:y.name]); d != 0 {
			return d
		}
		return bytes.Compare(enc[x.name:x.end], enc[y.name:y.end])
	})
	for i, s := range spans {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, enc[s.start:s.end]...)
	}
	return b
}

// canonicalNames saves the common signed headers a conversion each.
var canonicalNames = func() map[string]string {
	m := map[string]string{}
	for _, n := range strings.Fields(`accept-encoding amz-sdk-invocation-id amz-sdk-request authorization cache-control content-disposition
		content-encoding content-language content-length content-md5 content-type date expect expires if-match if-modified-since
		if-none-match if-unmodified-since range user-agent x-amz-acl x-amz-bucket-object-lock-enabled
		x-amz-bypass-governance-retention x-amz-checksum-algorithm x-amz-checksum-crc32 x-amz-checksum-crc32c
		x-amz-checksum-crc64nvme x-amz-checksum-mode x-amz-checksum-sha1 x-amz-checksum-sha256 x-amz-checksum-type
		x-amz-content-sha256 x-amz-copy-source x-amz-copy-source-range x-amz-date x-amz-decoded-content-length
		x-amz-expected-bucket-owner x-amz-metadata-directive x-amz-object-lock-legal-hold x-amz-object-lock-mode
		x-amz-object-lock-retain-until-date x-amz-object-attributes x-amz-sdk-checksum-algorithm x-amz-security-token
		x-amz-server-side-encryption x-amz-storage-class x-amz-tagging x-amz-tagging-directive x-amz-trailer x-amz-user-agent`) {
		m[n] = textproto.CanonicalMIMEHeaderKey(n)
	}
	return m
}()

// lowerNames is the other way round.
var lowerNames = func() map[string]string {
	m := map[string]string{}
	for lower, n := range canonicalNames {
		m[n] = lower
	}
	return m
}()

func lowerName(n string) string {
	if l, ok := lowerNames[n]; ok {
		return l
	}
	return strings.ToLower(n)
}

// appendHeaderValue appends the canonical value of a signed header: trimmed, runs of spaces made one, several values
// joined by commas. net/http keeps a few headers elsewhere.
func appendHeaderValue(b []byte, r *http.Request, name string) []byte {
	switch name {
	case "host":
		return append(b, r.Host...)
	case "content-length":
		if r.ContentLength >= 0 {
			return strconv.AppendInt(b, r.ContentLength, 10)
		}
	case "transfer-encoding":
		return append(b, strings.Join(r.TransferEncoding, ",")...)
	}
	key, ok := canonicalNames[name]
	if !ok {
		key = textproto.CanonicalMIMEHeaderKey(name)
	}
	for i, v := range r.Header[key] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b
}

func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	for i := 0; i < len(v); i++ {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return b
}

// appendToSign appends the string to sign of a canonical request.
func appendToSign(b []byte, stamp, scope string, canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	b = append(b, AlgorithmV4...)
	b = append(b, '\n')
	b = append(b, stamp...)
	b = append(b, '\n')
	b = append(b, scope...)
	b = append(b, '\n')
	return hex.AppendEncode(b, sum[:])
}

func joinSorted(s []string) string {
	slices.Sort(s)
	return strings.Join(s, ", ")
}
