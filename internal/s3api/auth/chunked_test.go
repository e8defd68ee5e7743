package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"stele/internal/s3api/s3err/s3errtest"
)

// unsignedChunks wraps body in a request with an unsigned trailer.
func unsignedChunks(body, trailer string, size any) *http.Request {
	r := request("PUT", "/k", body, "x-amz-content-sha256: "+streamingUnsignedTrailer, fmt.Sprintf("x-amz-decoded-content-length: %v", size))
	if trailer != "" {
		r.Header.Set("X-Amz-Trailer", trailer)
	}
	return r
}

func readChunks(t *testing.T, r *http.Request) (string, *ChunkedReader, error) {
	t.Helper()
	a, err := verify(t, exampleVerifier(), r)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := a.Body(r, r.Header.Get("X-Amz-Trailer"))
	if err != nil {
		return "", nil, err
	}
	got, err := io.ReadAll(body)
	return string(got), body.(*ChunkedReader), err
}

func TestUnsignedChunks(t *testing.T) {
	const crc = "x-amz-checksum-crc64nvme"
	for _, c := range []struct {
		body, trailer string
		size          any
		code, message string
	}{
		{"5\r\nhello\r\n0\r\n\r\n", "", 5, "", ""},
		{"5\r\nhello\r\n0\r\n" + crc + ":M3eFcAZSQlc=\r\n\r\n", crc, 5, "", ""},
		{"5\r\nhello\r\n0\r\n" + crc + ":M3eFcAZSQlc=\n\r\n", crc, 5, "", ""},
		{"5;ext=1\r\nhello\r\n0\r\n\r\n", "", 5, "", ""},
		{"0\r\n\r\n", "", 0, "", ""},
		{"2000\r\n" + strings.Repeat("x", 8192) + "\r\n1\r\ny\r\n0\r\n\r\n", "", 8193, "", ""},

		{"5\r\nhello\r\n0\r\n\r\n", crc, 5, "MalformedTrailerError", ""},
		{"5\r\nhello\r\n0\r\n:M3eFcAZSQlc=\r\n\r\n", crc, 5, "MalformedTrailerError", ""},
		{"5\r\nhello\r\n0\r\n" + crc + ":M3eFcAZSQlc=\r\n\r\n", "", 5, "MalformedTrailerError", ""},
		{"5\r\nhello\r\n0\r\nother:M3eFcAZSQlc=\r\n\r\n", crc, 5, "MalformedTrailerError", ""},
		{"5\r\nhello\r\n0\r\n" + crc + ":M3eFcAZSQlc=\r\n" + crc + ":M3eFcAZSQlc=\r\n\r\n", crc, 5, "MalformedTrailerError", ""},
		{"5\r\nhello\r\n0\r\n" + strings.Repeat(crc+":M\r\n", 200), crc, 5, "MalformedTrailerError", ""},

		{"A\ndummy data\r\n0\r\n\r\n", "", 10, "IncompleteBody", "terminated"},
		{"A\r\ndummy data0\r\n\r\n", "", 10, "IncompleteBody", "terminated"},
		{"A\r\nXYZ\r\ndummy data\r\n0\r\n\r\n", "", 10, "IncompleteBody", "terminated"},
		{"B\r\ndummy data\r\n0\r\n\r\n", "", 11, "IncompleteBody", "terminated"},
		{"A\r\ndummy data\r\n0\r\n", "", 10, "IncompleteBody", "terminated"},
		{"A\r\ndummy data\r\n", "", 10, "IncompleteBody", "terminated"},
		{"A\r\ndummy data\r\n0\r\n" + crc + ":dPVWc2vU1+Q=\r\n", crc, 10, "IncompleteBody", "terminated"},
		{"A\r\n", "", 10, "IncompleteBody", "terminated"},
		{"", "", 10, "IncompleteBody", "terminated"},
		{"nonsense\r\ndummy data\r\n0\r\n\r\n", "", 10, "IncompleteBody", "terminated"},
		{"-1\r\n\r\n", "", 10, "IncompleteBody", "terminated"},
		{"ffffffffffffffff\r\n", "", 10, "IncompleteBody", "terminated"},
		{"0" + strings.Repeat("0", 70000) + "\r\n", "", 0, "IncompleteBody", "terminated"},
		{"5\r\nhello\r\n0\r\n\r\nmore", "", 5, "IncompleteBody", "terminated"},

		{"b\r\nabcdefghijk\r\n0\r\n\r\n", "", 5, "IncompleteBody", "number of bytes"},
		{"b\r\nabcdefghijk\r\n0\r\n\r\n", "", 200, "IncompleteBody", "number of bytes"},
		{"fffffffffffffff\r\n", "", 10, "IncompleteBody", "number of bytes"},
		{"B\r\ndummy data\r\n0\r\n\r\n", "", 10, "IncompleteBody", "terminated"},
		{"B\r\ndummy data", "", 10, "IncompleteBody", "terminated"},
		{"1\r\nx\r\n1\r\ny\r\n0\r\n\r\n", "", 2, "InvalidChunkSizeError", ""},
		{"0\r\n\r\n", "", "", "MissingContentLength", ""},
		{"0\r\n\r\n", "", "x", "MissingContentLength", ""},
		{"0\r\n\r\n", "", -1, "MissingContentLength", ""},
	} {
		_, cr, err := readChunks(t, unsignedChunks(c.body, c.trailer, c.size))
		name := fmt.Sprintf("%.60q", c.body)
		if c.code != "" {
			s3errtest.Want(t, name, err, c.code, c.message)
			if cr != nil {
				if _, again := cr.Read(make([]byte, 1)); !errors.Is(again, err) {
					t.Errorf("%s: a failed reader gave %v", name, again)
				}
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.trailer != "" && cr.Trailer(c.trailer) != "M3eFcAZSQlc=" {
			t.Errorf("%s: trailer %q", name, cr.Trailer(c.trailer))
		}
	}
}

// A change of any byte of a signed body is an error, except in the case of hex digits of a size.
func TestSignedChunkTampering(t *testing.T) {
	for name, example := range map[string]func() *http.Request{"signed": chunkedExample, "trailer": trailerExample} {
		whole, _ := io.ReadAll(example().Body)
		places := []int{0, 5, 30, 88, 5000, 65625, 65640, 65700, 65730}
		for i := len(whole) - 300; i < len(whole); i++ {
			places = append(places, i)
		}
		for _, i := range places {
			broken := append([]byte(nil), whole...)
			broken[i] ^= 1
			r := example()
			r.Body = io.NopCloser(strings.NewReader(string(broken)))
			if _, _, err := readChunks(t, r); err == nil {
				t.Errorf("%s: byte %d (%q) was changed and nobody saw it", name, i, whole[i])
			}
		}
		for cut := 0; cut < len(whole); cut += 97 {
			r := example()
			r.Body = io.NopCloser(strings.NewReader(string(whole[:cut])))
			if _, _, err := readChunks(t, r); err == nil {
				t.Errorf("%s: cut to %d bytes and nobody saw it", name, cut)
			}
		}
	}
}

func TestChunkSourceErrors(t *testing.T) {
	broken := errors.New("broken wire")
	r := unsignedChunks("", "", 5)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("5\r\nhe"), iotest.ErrReader(broken)))
	if _, _, err := readChunks(t, r); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	r = unsignedChunks("", "", 5)
	r.Body = io.NopCloser(iotest.OneByteReader(strings.NewReader("5\r\nhello\r\n0\r\n\r\n")))
	if got, _, err := readChunks(t, r); err != nil || got != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
}

func BenchmarkSignedChunks(b *testing.B) {
	r := chunkedExample()
	whole, _ := io.ReadAll(r.Body)
	a, err := verify(b, exampleVerifier(), r)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(66560)
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(whole))
		body, _, err := a.Body(r, "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			b.Fatal(err)
		}
		body.Close()
	}
}
