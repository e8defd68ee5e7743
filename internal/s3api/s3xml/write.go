package s3xml

import (
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	// Header is the XML declaration that every document starts with.
	Header     = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	namespace  = "http://s3.amazonaws.com/doc/2006-03-01/"
	timeFormat = "2006-01-02T15:04:05.000Z" // S3's time in XML: UTC, milliseconds
)

// Writer appends XML to a buffer, B. Element names are ours and need no escaping.
type Writer struct{ B []byte }

// Root opens a document in S3's namespace.
func (w *Writer) Root(name string) {
	w.B = append(w.B, Header...)
	w.B = append(w.B, '<')
	w.B = append(w.B, name...)
	w.B = append(w.B, ` xmlns="`+namespace+`">`...)
}

// Open writes a start tag.
func (w *Writer) Open(name string) {
	w.B = append(w.B, '<')
	w.B = append(w.B, name...)
	w.B = append(w.B, '>')
}

// Close writes an end tag.
func (w *Writer) Close(name string) {
	w.B = append(w.B, '<', '/')
	w.B = append(w.B, name...)
	w.B = append(w.B, '>')
}

// Str writes an element with a text, which may be empty.
func (w *Writer) Str(name, value string) {
	w.Open(name)
	w.B = AppendText(w.B, value)
	w.Close(name)
}

// Opt writes an element where it has a text, else nothing.
func (w *Writer) Opt(name, value string) {
	if value != "" {
		w.Str(name, value)
	}
}

// Int writes an element with a number.
func (w *Writer) Int(name string, v int64) {
	w.Open(name)
	w.B = strconv.AppendInt(w.B, v, 10)
	w.Close(name)
}

// Bool writes an element with true or false.
func (w *Writer) Bool(name string, v bool) {
	w.Open(name)
	w.B = strconv.AppendBool(w.B, v)
	w.Close(name)
}

// Time writes an element with a time as S3 writes it: UTC, milliseconds.
func (w *Writer) Time(name string, t time.Time) {
	w.Open(name)
	w.B = AppendTime(w.B, t)
	w.Close(name)
}

// AppendTime is t.UTC().AppendFormat(b, timeFormat), several times faster.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, timeFormat)
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

// AppendText appends s as character data. What XML 1.0 cannot hold, such as NUL, is written as a reference all the same,
// as S3 does: a client that fears it asks for encoding-type=url.
func AppendText(b []byte, s string) []byte {
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
