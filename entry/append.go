package entry

import (
	"encoding/hex"
	"slices"
	"strconv"
	"time"
)

// AppendPrivate appends the canonical encoding of p. It writes whatever it is given: what did not pass Validate may
// not parse again.
func AppendPrivate(dst []byte, p *Private) []byte {
	d := append(dst, '{')
	d = appendAccess(d, p.Access)
	d = appendText(d, `"actor":`, p.Actor)
	d = appendText(d, `"addr":`, p.Address)
	d = appendBody(d, `"body":`, p.Body)
	d = appendText(d, `"bucket":`, p.Bucket)
	d = appendTrue(d, `"bypass":`, p.Bypass)
	d = appendChecksum(d, p.Checksum)
	d = appendClock(d, p.Clock)
	d = appendMap(d, `"data":`, p.Data)
	d = appendBody(d, `"doc":`, p.Doc)
	d = appendText(d, `"etag":`, p.ETag)
	d = appendMap(d, `"headers":`, p.Headers)
	d = appendInt(d, `"inc":`, p.Inc)
	d = appendText(d, `"key":`, p.Key)
	d = appendLock(d, p.Lock)
	d = appendTrue(d, `"marker":`, p.Marker)
	d = appendMap(d, `"meta":`, p.Meta)
	d = appendText(d, `"name":`, p.Name)
	d = appendTrue(d, `"null":`, p.Null)
	d = appendPack(d, p.Pack)
	d = appendInt(d, `"part":`, uint64(p.Part))
	d = appendText(d, `"reason":`, p.Reason)
	d = appendText(d, `"request":`, p.Request)
	d = appendText(d, `"secret":`, p.Secret)
	d = appendMap(d, `"tags":`, p.Tags)
	d = appendInt(d, `"target":`, p.Target)
	d = appendText(d, `"upload":`, p.Upload)
	d = appendText(d, `"value":`, p.Value)
	d = appendTime(d, `"wall":`, p.Wall)
	return closeObject(d)
}

func appendAccess(d []byte, a *AccessKey) []byte {
	if a == nil {
		return d
	}
	d = append(d, `"access":{`...)
	d = appendText(d, `"id":`, a.ID)
	d = appendInt(d, `"rate":`, uint64(a.Rate))
	d = appendText(d, `"role":`, a.Role)
	if len(a.Scope) > 0 {
		d = append(d, `"scope":[`...)
		for _, s := range a.Scope {
			d = append(appendString(d, s), ',')
		}
		d[len(d)-1] = ']'
		d = append(d, ',')
	}
	d = appendText(d, `"secret":`, a.Secret)
	return append(closeObject(d), ',')
}

func appendBody(d []byte, name string, b *Body) []byte {
	if b == nil {
		return d
	}
	d = append(append(d, name...), '{')
	d = appendText(d, `"kind":`, string(b.Kind))
	d = appendHex(d, `"md5":`, b.MD5[:])
	d = appendHex(d, `"ref":`, b.Ref[:])
	d = appendHex(d, `"sha256":`, b.SHA256[:])
	d = appendInt(d, `"size":`, uint64(b.Size))
	return append(closeObject(d), ',')
}

func appendChecksum(d []byte, c *Checksum) []byte {
	if c == nil {
		return d
	}
	d = append(d, `"checksum":{`...)
	d = appendText(d, `"alg":`, c.Algorithm)
	d = appendText(d, `"kind":`, c.Kind)
	d = appendText(d, `"value":`, c.Value)
	return append(closeObject(d), ',')
}

func appendClock(d []byte, c *Clock) []byte {
	if c == nil {
		return d
	}
	d = append(d, `"clock":{`...)
	d = appendText(d, `"boot":`, c.Boot)
	d = appendTime(d, `"jumped":`, c.Jumped)
	d = appendInt(d, `"mono":`, c.Mono)
	d = appendTime(d, `"run":`, c.Run)
	d = appendInt(d, `"spent":`, c.Spent)
	d = appendInt(d, `"until":`, c.Until)
	return append(closeObject(d), ',')
}

func appendLock(d []byte, l *Lock) []byte {
	if l == nil {
		return d
	}
	d = append(d, `"lock":{`...)
	d = appendTrue(d, `"hold":`, l.Hold)
	d = appendText(d, `"mode":`, l.Mode)
	d = appendTime(d, `"until":`, l.Until)
	return append(closeObject(d), ',')
}

func appendPack(d []byte, p *Pack) []byte {
	if p == nil {
		return d
	}
	d = append(d, `"pack":{`...)
	d = appendText(d, `"name":`, p.Name)
	d = appendHex(d, `"sha256":`, p.SHA256[:])
	d = appendInt(d, `"size":`, uint64(p.Size))
	return append(closeObject(d), ',')
}

// The field appenders below leave a comma behind each field, which closeObject turns into the brace.

func closeObject(d []byte) []byte {
	if d[len(d)-1] == ',' { // no value ends in a comma
		d[len(d)-1] = '}'
		return d
	}
	return append(d, '}')
}

func appendText(d []byte, name, s string) []byte {
	if s == "" {
		return d
	}
	return append(appendString(append(d, name...), s), ',')
}

func appendTrue(d []byte, name string, v bool) []byte {
	if !v {
		return d
	}
	return append(append(d, name...), "true,"...)
}

func appendInt(d []byte, name string, n uint64) []byte {
	if n == 0 {
		return d
	}
	return append(strconv.AppendUint(append(d, name...), n, 10), ',')
}

func appendHex(d []byte, name string, b []byte) []byte {
	for _, c := range b {
		if c != 0 {
			d = append(append(d, name...), '"')
			return append(hex.AppendEncode(d, b), `",`...)
		}
	}
	return d
}

func appendTime(d []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return d
	}
	d = append(append(d, name...), '"')
	return append(AppendTime(d, t), `",`...)
}

func appendMap(d []byte, name string, m map[string]string) []byte {
	if len(m) == 0 {
		return d
	}
	var few [16]string // keeps the keys of most maps off the heap
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareNames)
	d = append(append(d, name...), '{')
	for _, k := range keys {
		d = append(appendString(d, k), ':')
		d = append(appendString(d, m[k]), ',')
	}
	return append(closeObject(d), ',')
}

// AppendTime appends t as entries write times: UTC, RFC 3339, exactly six decimals (frozen). Years 1 to 9999.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	micro := t.Nanosecond() / 1000
	return append(dst,
		digit(year/1000), digit(year/100), digit(year/10), digit(year), '-',
		digit(int(month)/10), digit(int(month)), '-', digit(day/10), digit(day), 'T',
		digit(hour/10), digit(hour), ':', digit(minute/10), digit(minute), ':', digit(second/10), digit(second), '.',
		digit(micro/100000), digit(micro/10000), digit(micro/1000), digit(micro/100), digit(micro/10), digit(micro), 'Z')
}

func digit(n int) byte { return byte('0' + n%10) }
