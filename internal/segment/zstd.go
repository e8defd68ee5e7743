package segment

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"stele/internal/frame"
)

// Encoders and decoders are pooled: one is hundreds of kilobytes, and each works on one goroutine.
var (
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("segment: zstd encoder: " + err.Error()) // the options are constants
		}
		return e
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxRaw))
		if err != nil {
			panic("segment: zstd decoder: " + err.Error())
		}
		return d
	}}
)

// compress appends raw to dst, compressed if that makes it shorter, and says whether it is.
func compress(dst, raw []byte) ([]byte, bool) {
	e := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(e)
	start := len(dst)
	dst = e.EncodeAll(raw, dst)
	if len(dst)-start < len(raw) {
		return dst, true
	}
	return append(dst[:start], raw...), false
}

// decompress returns what compress was given. The result is in dst[:0] if that is long enough, or aliases stored.
func decompress(dst, stored []byte, isZstd bool) ([]byte, error) {
	if !isZstd {
		return stored, nil
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	raw, err := d.DecodeAll(stored, dst[:0])
	if err != nil {
		return nil, fmt.Errorf("couldn't decompress: %v: %w", err, frame.ErrCorrupt)
	}
	return raw, nil
}
