package pack

import (
	"bytes"
	"errors"
	"testing"
)

// TestRebuild: header, places and data make a sealed pack again, byte for byte, wherever its Syncs left pads.
func TestRebuild(t *testing.T) {
	sizes := []int{500, 5000, 40, 70_000, 3000, 1}
	for _, align := range []int{1, 512} {
		for _, syncs := range []map[int]bool{nil, {0: true}, {2: true, 4: true}, {5: true}, {0: true, 1: true, 2: true, 3: true, 4: true, 5: true}} {
			f, chunks, p := write(t, align, syncs, sizes...)
			got, err := Rebuild(testHeader(), p.Size, chunks, func(i int, number uint32, b []byte) error {
				id := chunkID(i)
				SealChunk(b, testSealer(t), &id, 0, number, chunkData(i, sizes[i]))
				return nil
			})
			if err != nil || !bytes.Equal(got, f.b) {
				t.Errorf("align %d, syncs %v: %d bytes, should be %d: %v", align, syncs, len(got), len(f.b), err)
			}
		}
	}
	_, chunks, p := write(t, 1, nil, sizes...)
	if _, err := Rebuild(testHeader(), p.Size, append(chunks[:1:1], Chunk{ID: chunkID(9), Offset: chunks[0].Offset + 1, Length: chunks[0].Length}), func(int, uint32, []byte) error { return nil }); !errors.Is(err, errLayout) {
		t.Errorf("chunks that overlap: %v", err)
	}
}
