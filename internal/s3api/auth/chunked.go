package auth

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// aws-chunked, frozen:
//
//	body    = *chunk last [trailer] CRLF
//	chunk   = hex-size [";chunk-signature=" 64 hex] CRLF  size bytes  CRLF
//	last    = "0" [";chunk-signature=" 64 hex] CRLF
//	trailer = 1*(name ":" value (LF | CRLF)) [[CRLF] "x-amz-trailer-signature:" 64 hex CRLF]
//
// minio-go ends the line of an unsigned trailer with LF and two empty lines, of which AWS wants one; that is accepted.
//
// Each chunk's signature covers the one before it, the first that of the request's headers, so that chunks can be
// neither left out nor reordered.
const (
	maxTrailerBytes = 4 << 10 // all trailer lines, or one chunk header
	minChunkBytes   = 8192    // every chunk but the last
	emptySHA256     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// ChunkedReader takes aws-chunked framing off a body, streaming. A chunk's bytes are given out before its signature has
// been seen: what was read counts only once Read has returned io.EOF. Errors are *s3err.Error or those of the source, and stay.
type ChunkedReader struct {
	src     *bufio.Reader
	size    int64 // declared: x-amz-decoded-content-length
	read    int64 // given out so far
	left    int64 // of this chunk
	chunk   int   // number of this chunk, from 1
	short   int64 // size of the chunk before, when it was under minChunkBytes; 0: none was
	err     error
	trailer map[string]string

	names []string // of the trailers that must follow, lower case
	chain *chain   // nil: unsigned
	want  string   // signature of this chunk
}

// chain is the state of the signature chain.
type chain struct {
	key       *signingKey
	stamp     string
	scope     string
	signature string // the previous one
	hash      hash.Hash
	scratch   []byte
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// Body returns the object's bytes of a request: r.Body itself, or what its aws-chunked framing holds, with size the number
// of bytes that must come out; -1: not declared. trailer is the name of the trailer that may follow, in lower case, which the caller has found announced and takes;
// "": none may. The caller must Close the body.
func (a *Identity) Body(r *http.Request, trailer string) (body io.ReadCloser, size int64, err error) {
	if !a.Payload.Chunked() {
		return r.Body, r.ContentLength, nil
	}
	s := wire.First(r.Header, "X-Amz-Decoded-Content-Length")
	size, err = strconv.ParseInt(s, 10, 64)
	if err != nil || size < 0 {
		return nil, 0, s3err.ErrMissingContentLength
	}
	c := &ChunkedReader{size: size}
	if a.Payload != PayloadSigned && trailer != "" {
		c.names = []string{trailer}
	}
	if a.Payload != PayloadUnsignedTrailer {
		if a.key == nil {
			return nil, 0, s3err.ErrAnonymousContentSHA256
		}
		c.chain = &chain{key: a.key, stamp: a.SignedAt.UTC().Format(isoTime), scope: a.scope, signature: a.signature, hash: sha256.New()}
	}
	c.src = readers.Get().(*bufio.Reader)
	c.src.Reset(r.Body)
	return c, size, nil
}

// Trailer returns a trailer's value, valid after io.EOF.
func (c *ChunkedReader) Trailer(name string) string { return c.trailer[name] }

// Close gives the buffer back. The source is the server's to close.
func (c *ChunkedReader) Close() error {
	if c.src != nil {
		c.src.Reset(nil)
		readers.Put(c.src)
		c.src, c.err = nil, http.ErrBodyReadAfterClose
	}
	return nil
}

// Read gives out the object's bytes.
func (c *ChunkedReader) Read(p []byte) (int, error) {
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	for c.left == 0 {
		if c.err = c.nextChunk(); c.err != nil {
			return 0, c.err
		}
	}
	n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
	if c.chain != nil {
		c.chain.hash.Write(p[:n])
	}
	c.left -= int64(n)
	c.read += int64(n)
	if err == nil && c.left == 0 {
		err = c.endChunk()
	}
	if err != nil {
		c.err = bodyError(err)
	}
	return n, c.err
}

// bodyError says what an early end of the source means.
func bodyError(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return s3err.ErrIncompleteBody
	}
	return err
}

// nextChunk reads a chunk header; after the last chunk it reads the trailer and returns io.EOF.
func (c *ChunkedReader) nextChunk() error {
	line, err := c.line()
	if err != nil {
		return bodyError(err)
	}
	line, crlf := bytes.CutSuffix(line, []byte{'\r'})
	size, ok := c.parseHeader(line)
	if !ok || !crlf {
		return s3err.ErrIncompleteBody
	}
	c.chunk++
	if size == 0 {
		return c.end()
	}
	// An earlier short chunk was not the last one.
	if c.short > 0 {
		return s3err.ErrInvalidChunkSize.With("Chunk", strconv.Itoa(c.chunk-1)).With("BadChunkSize", strconv.FormatInt(c.short, 10))
	}
	if size > c.size-c.read {
		return c.tooLong(size)
	}
	if size < minChunkBytes {
		c.short = size
	}
	c.left = size
	return nil
}

// tooLong says what is wrong with a chunk that goes beyond the declared length: the length, unless the framing is broken
// as well. Of a chunk that is far too long nobody needs to know.
func (c *ChunkedReader) tooLong(size int64) error {
	if size <= int64(c.src.Size()) {
		var crlf [2]byte
		if _, err := c.src.Discard(int(size)); err != nil {
			return bodyError(err)
		}
		if _, err := io.ReadFull(c.src, crlf[:]); err != nil || crlf != [2]byte{'\r', '\n'} {
			return s3err.ErrIncompleteBody
		}
	}
	return s3err.ErrContentLengthMismatch
}

// parseHeader reads "size[;chunk-signature=…]".
func (c *ChunkedReader) parseHeader(line []byte) (size int64, ok bool) {
	digits, ext, _ := bytes.Cut(line, []byte{';'})
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	for _, d := range digits {
		v := wire.HexVal(d)
		if v < 0 {
			return 0, false
		}
		size = size<<4 | int64(v)
	}
	if c.chain == nil {
		return size, true
	}
	sig, found := bytes.CutPrefix(ext, []byte("chunk-signature="))
	c.want = string(sig)
	return size, found && len(sig) == 64
}

// endChunk checks the CRLF and the signature after a chunk's bytes.
func (c *ChunkedReader) endChunk() error {
	var crlf [2]byte
	if _, err := io.ReadFull(c.src, crlf[:]); err != nil {
		return err
	}
	if crlf != [2]byte{'\r', '\n'} {
		return s3err.ErrIncompleteBody
	}
	return c.checkChunk()
}

func (c *ChunkedReader) checkChunk() error {
	if c.chain == nil {
		return nil
	}
	return c.chain.check(c.want)
}

// end checks the last chunk, the trailer, the declared length, and that nothing follows.
func (c *ChunkedReader) end() error {
	if err := c.checkChunk(); err != nil {
		return err
	}
	if err := c.readTrailer(); err != nil {
		return bodyError(err)
	}
	if c.read != c.size {
		return s3err.ErrContentLengthMismatch
	}
	if c.chain == nil && len(c.names) > 0 {
		if next, _ := c.src.Peek(2); string(next) == "\r\n" { // an error stays for the read below
			c.src.Discard(2) //nolint:errcheck // they are in the buffer
		}
	}
	if _, err := c.src.ReadByte(); err == nil {
		return s3err.ErrIncompleteBody
	} else if err != io.EOF {
		return bodyError(err)
	}
	return io.EOF
}

// readTrailer reads lines up to the empty one.
func (c *ChunkedReader) readTrailer() error {
	var signed []byte // what the trailer's signature covers: "name:value\n" each
	signature, total, ended := "", 0, false
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			// Some clients (minio-go) end the trailer itself with an empty line and send its signature after that.
			if c.chain != nil && len(c.trailer) > 0 && signature == "" && !ended {
				ended = true
				continue
			}
			break
		}
		if total += len(line); total > maxTrailerBytes {
			return s3err.ErrMalformedTrailer
		}
		name, value, ok := strings.Cut(string(line), ":")
		name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
		switch {
		case ok && name == "x-amz-trailer-signature" && c.chain != nil && signature == "":
			if signature = value; len(signature) != 64 {
				return s3err.ErrIncompleteBody
			}
		case c.chain != nil && len(c.names) > 0 && len(c.trailer) == len(c.names): // the signature was to come here
			return s3err.ErrIncompleteBody
		case !ok || ended || !slices.Contains(c.names, name) || c.trailer[name] != "" || signature != "":
			return s3err.ErrMalformedTrailer
		default:
			if c.trailer == nil {
				c.trailer = map[string]string{}
			}
			c.trailer[name] = value
			signed = append(append(append(append(signed, name...), ':'), value...), '\n')
		}
	}
	if len(c.trailer) != len(c.names) {
		return s3err.ErrMalformedTrailer
	}
	if c.chain != nil && len(c.names) > 0 {
		return c.chain.checkTrailer(signed, signature)
	}
	return nil
}

// line reads up to LF, which it takes off. Its result is valid until the next read.
func (c *ChunkedReader) line() ([]byte, error) {
	line, err := c.src.ReadSlice('\n')
	if err == bufio.ErrBufferFull || len(line) > maxTrailerBytes { // the buffer holds more than any line may
		return nil, s3err.ErrIncompleteBody
	}
	if err != nil {
		return nil, err
	}
	return line[:len(line)-1], nil
}

// check compares the signature of the chunk hashed so far and moves the chain on.
func (k *chain) check(want string) error {
	var sum [sha256.Size]byte
	k.scratch = append(k.scratch[:0], "AWS4-HMAC-SHA256-PAYLOAD\n"...)
	k.prefix()
	k.scratch = append(k.scratch, emptySHA256...)
	k.scratch = append(k.scratch, '\n')
	k.scratch = hex.AppendEncode(k.scratch, k.hash.Sum(sum[:0]))
	k.hash.Reset()
	return k.compare(want)
}

func (k *chain) checkTrailer(lines []byte, want string) error {
	sum := sha256.Sum256(lines)
	k.scratch = append(k.scratch[:0], "AWS4-HMAC-SHA256-TRAILER\n"...)
	k.prefix()
	k.scratch = hex.AppendEncode(k.scratch, sum[:])
	return k.compare(want)
}

// prefix appends time, scope and the previous signature.
func (k *chain) prefix() {
	for _, s := range [...]string{k.stamp, k.scope, k.signature} {
		k.scratch = append(k.scratch, s...)
		k.scratch = append(k.scratch, '\n')
	}
}

func (k *chain) compare(want string) error {
	if !k.key.signs(k.scratch, want) {
		return s3err.ErrSignatureDoesNotMatch.With("StringToSign", string(k.scratch)).With("SignatureProvided", want)
	}
	k.signature = want
	return nil
}
