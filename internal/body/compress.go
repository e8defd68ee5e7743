package body

import (
	"fmt"

	"github.com/klauspost/compress/zstd"

	"stele/internal/frame"
	"stele/internal/pack"
)

// maxPlain bounds a chunk's plain bytes.
const maxPlain = pack.MaxData

// Neither zstd's checksum nor its window for streams is needed: a chunk is authenticated, and whole.
var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(maxPlain), zstd.WithLowerEncoderMem(true), zstd.WithAllLitEntropyCompression(true))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxPlain), zstd.WithDecoderLowmem(true))
)

// compress returns data as one zstd frame (in dst's memory, which it may grow) if that saves at least a sixteenth, else nil.
func compress(dst, data []byte) []byte {
	if len(data) < 64 || looksRandom(data) {
		return nil
	}
	z := encoder.EncodeAll(data, dst[:0])
	if len(z) > len(data)-len(data)/16 {
		return nil
	}
	return z
}

// decompress undoes compress, into dst's memory if that is enough.
func decompress(dst, data []byte) ([]byte, error) {
	out, err := decoder.DecodeAll(data, dst[:0])
	if err != nil {
		return nil, fmt.Errorf("couldn't decompress: %v: %w", err, frame.ErrCorrupt)
	}
	return out, nil
}

// looksRandom counts byte values in four samples of 1 KiB (256 bytes up to 16 KiB of data). In random bytes two of n agree
// with a chance of 1/256; with less than 1.25 times that, zstd has nothing to gain. It takes no notice of order: data that repeats random
// runs passes for random, which costs room and nothing else.
func looksRandom(data []byte) bool {
	const samples = 4
	size := 1 << 10
	if len(data) <= 16<<10 {
		size = 256
	}
	if len(data) <= samples*size {
		return collides(data, nil, nil, nil)
	}
	step := (len(data) - size) / (samples - 1)
	return collides(data[:size], data[step:step+size], data[2*step:2*step+size], data[3*step:3*step+size])
}

func collides(samples ...[]byte) bool {
	var counts [256]uint32
	n := uint64(0)
	for _, s := range samples {
		for _, c := range s {
			counts[c]++
		}
		n += uint64(len(s))
	}
	pairs := uint64(0)
	for _, c := range counts {
		pairs += uint64(c) * uint64(c)
	}
	pairs -= n
	// pairs/(n(n-1)) < 1.25/256, with three standard deviations of room for small samples.
	expected := n * (n - 1) / 256
	return pairs < expected+expected/4+96
}
