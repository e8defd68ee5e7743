package index

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"stele/entry"
)

// fuzzRows: no panic, no memory beyond the input's measure, and what parses means the same after it was written again.
func fuzzRows[T any](f *testing.F, parse func([]byte) (T, error), write func(*T) []byte, seeds ...T) {
	for i := range seeds {
		f.Add(write(&seeds[i]))
	}
	f.Add([]byte{})
	f.Add(binary.AppendUvarint([]byte{0xFF, 0xFF, 1, 1, 1}, 1<<62))
	f.Add(append(binary.AppendUvarint([]byte{0, flagMore, 1, 0, 0, 0, 0}, 1<<40), bytes.Repeat([]byte{0}, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		if err != nil {
			return
		}
		again, err := parse(write(&v))
		if err != nil {
			t.Fatalf("%+v is written as what does not parse: %v", v, err)
		}
		if !reflect.DeepEqual(again, v) {
			t.Fatalf("written as\n%+v, was\n%+v", again, v)
		}
	})
}

func someRecord() Record {
	return Record{Entry: 5, Time: began, Type: entry.ObjectPut, Null: true, Size: 9, ETag: "0123456789abcdef0123456789abcdef-3", Parts: 3,
		Body:     entry.Body{Kind: entry.BodyParts, Ref: digest(1, 1), Size: 9},
		Checksum: &entry.Checksum{Algorithm: "CRC32C", Kind: "COMPOSITE", Value: "AAAAAA==-3"},
		Lock:     entry.Lock{Hold: true, Mode: "COMPLIANCE", Until: time.Unix(0, 0).UTC()},
		Headers:  map[string]string{"content-type": "a/b"}, Meta: map[string]string{"": "", "é": "\x00"}, Tags: map[string]string{"a": "b"}}
}

func FuzzParseCurrent(f *testing.F) {
	fuzzRows(f, parseCurrent, func(r *Current) []byte { return r.append(nil) },
		Current{Entry: 1, Time: began, Size: 4096, ETag: strings.Repeat("0f", 16), Attrs: true, Checksum: "SHA256", Kind: "FULL_OBJECT"},
		Current{Entry: 1 << 52, Time: time.Unix(-1, 0).UTC(), Null: true, Marker: true},
		Current{Time: began, ETag: strings.Repeat("0F", 16), Class: "STANDARD_IA"})
}

func FuzzParseRecord(f *testing.F) {
	put := someRecord()
	small := Record{Entry: 5, Time: began, Type: entry.ObjectPut, Size: 1, ETag: strings.Repeat("0f", 16), Body: entry.Body{Kind: entry.BodyChunk, Ref: digest(2, 2), Size: 1}}
	fuzzRows(f, func(b []byte) (Record, error) { return parseRecord(5, b) }, func(r *Record) []byte { return r.append(nil) },
		put, small, Record{Entry: 5, Time: began, Type: entry.ObjectPut, Body: entry.Body{Kind: entry.BodyEmpty}},
		Record{Entry: 5, Time: began, Type: entry.ObjectHide, Marker: true}, Record{Entry: 5, Time: began, Type: entry.ObjectHide, Target: 3, Null: true})
}

func FuzzParseAttrs(f *testing.F) {
	fuzzRows(f, parseAttrs, func(a *Attrs) []byte { return a.append(nil) },
		Attrs{Type: entry.ObjectTags, Tags: map[string]string{"a": "b"}}, Attrs{Lock: someRecord().Lock, Type: entry.ObjectHold})
}

func FuzzParsePart(f *testing.F) {
	fuzzRows(f, parsePart, func(p *Part) []byte { return p.append(nil) },
		Part{Entry: 5, Time: began, ETag: strings.Repeat("0f", 16), Body: entry.Body{Kind: entry.BodyManifest, Ref: digest(1, 1), SHA256: digest(2, 2), Size: 5 << 20}},
		Part{Entry: 5, Time: began, ETag: "x", Body: entry.Body{Kind: entry.BodyEmpty}, Checksum: someRecord().Checksum})
}

func FuzzParseTotals(f *testing.F) {
	fuzzRows(f, parseTotals, func(t *Totals) []byte { return t.append(nil) }, Totals{}, Totals{1, -2, 3 << 40, 4, 5})
}

// FuzzParsePlace: as other rows, and a pack's number that was never given is damage.
func FuzzParsePlace(f *testing.F) {
	p := &places{packs: [][16]byte{{1}, {2}, {3}}}
	write := func(at *Place) []byte { return appendPlace(nil, uint64(at.Pack[0])-1, *at) }
	fuzzRows(f, p.parse, write, Place{Pack: p.packs[0]}, Place{Pack: p.packs[2], Offset: 1 << 40, Length: 1 << 31})
}

// FuzzCutEscaped: what is cut off and put back is what was there; and order is the order of the strings.
func FuzzCutEscaped(f *testing.F) {
	for _, k := range someKeys {
		f.Add(appendEscaped(nil, k))
		f.Add(append(appendEscaped(nil, k), 1, 2, 3))
	}
	f.Add([]byte{0})
	f.Add([]byte{0, 0xFF})
	f.Add([]byte{'a', 0, 2, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, ok := cutEscaped(b)
		if ok {
			if again := append(appendEscaped(nil, s), rest...); !bytes.Equal(again, b) {
				t.Fatalf("%q and %q make %q, not %q", s, rest, again, b)
			}
		}
		for _, k := range someKeys {
			if got, want := bytes.Compare(appendEscaped(nil, string(b)), appendEscaped(nil, k)), strings.Compare(string(b), k); got != want {
				t.Fatalf("order of %q and %q: %d, want %d", b, k, got, want)
			}
		}
	})
}

// TestLengthsDoNotAllocate: a length that the row cannot hold is damage, found before memory is taken for it.
func TestLengthsDoNotAllocate(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<40)
	for name, parse := range map[string]func() error{
		"etag":  func() error { _, err := parseCurrent(append([]byte{0, 1, 1, 1}, huge...)); return err },
		"table": func() error { c := cursor{b: append(huge, make([]byte, 64)...)}; c.table(); return c.done() },
		"sixty thousand pairs": func() error {
			c := cursor{b: append(binary.AppendUvarint(nil, 60_000), make([]byte, 64)...)}
			c.table()
			return c.done()
		},
		"kind": func() error {
			_, err := parseRecord(1, append([]byte{recordPut, 0, 1, 1, 0, 0xFF}, huge...))
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := parse()
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}
