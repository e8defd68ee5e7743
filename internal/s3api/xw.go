package s3api

import (
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	xmlHeader = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
	xmlTime   = "2006-01-02T15:04:05.000Z" // S3's time in XML: UTC, milliseconds
)

// xw appends XML to a buffer. Element names are ours and need no escaping.
type xw struct{ b []byte }

// root opens a document in S3's namespace.
func (w *xw) root(name string) {
	w.b = append(w.b, xmlHeader...)
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	w.b = append(w.b, ` xmlns="`+namespace+`">`...)
}

func (w *xw) open(name string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

func (w *xw) close(name string) {
	w.b = append(w.b, '<', '/')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

// str writes an element always, opt only where it has a value.
func (w *xw) str(name, value string) {
	w.open(name)
	w.b = appendText(w.b, value)
	w.close(name)
}

func (w *xw) opt(name, value string) {
	if value != "" {
		w.str(name, value)
	}
}

func (w *xw) int(name string, v int64) {
	w.open(name)
	w.b = strconv.AppendInt(w.b, v, 10)
	w.close(name)
}

func (w *xw) bool(name string, v bool) {
	w.open(name)
	w.b = strconv.AppendBool(w.b, v)
	w.close(name)
}

func (w *xw) time(name string, t time.Time) {
	w.open(name)
	w.b = appendXMLTime(w.b, t)
	w.close(name)
}

// appendXMLTime is t.UTC().AppendFormat(b, xmlTime), several times faster.
func appendXMLTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, xmlTime)
	}
	hour, minute, sec := t.Clock()
	b = append(b, byte('0'+year/1000), byte('0'+year/100%10))
	b = appendTwo(b, year%100)
	b = append(b, '-')
	b = appendTwo(b, int(month))
	b = append(b, '-')
	b = appendTwo(b, day)
	b = append(b, 'T')
	b = appendTwo(b, hour)
	b = append(b, ':')
	b = appendTwo(b, minute)
	b = append(b, ':')
	b = appendTwo(b, sec)
	ms := t.Nanosecond() / 1e6
	b = append(b, '.', byte('0'+ms/100))
	return append(appendTwo(b, ms%100), 'Z')
}

func appendTwo(b []byte, v int) []byte { return append(b, byte('0'+v/10), byte('0'+v%10)) }

// plain marks the bytes of text that stand for themselves.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = true
	}
	for _, c := range `<>&"'` {
		t[c] = false
	}
	t['\t'], t[0x7f] = true, true
	return t
}()

// appendText appends s as character data. What XML 1.0 cannot hold, such as NUL, is written as a reference all the same,
// as S3 does: a client that fears it asks for encoding-type=url.
func appendText(b []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		size := 1
		var esc string
		switch c {
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '&':
			esc = "&amp;"
		case '"':
			esc = "&quot;"
		case '\'':
			esc = "&#39;"
		default:
			if c >= utf8.RuneSelf {
				r, n := utf8.DecodeRuneInString(s[i:])
				if r != utf8.RuneError || n > 1 {
					if r == 0xFFFE || r == 0xFFFF {
						esc, size = "&#x"+strconv.FormatInt(int64(r), 16)+";", n
						break
					}
					i += n
					continue
				}
				esc = "\uFFFD"
				break
			}
			esc = "&#x" + strconv.FormatInt(int64(c), 16) + ";"
		}
		b = append(b, s[start:i]...)
		b = append(b, esc...)
		i += size
		start = i
	}
	return append(b, s[start:]...)
}
