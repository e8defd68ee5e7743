package dir_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
)

// BenchmarkAppendSync is a small durable append, as of a segment's batch: 4 KiB and an fdatasync.
func BenchmarkAppendSync(b *testing.B) {
	for _, prealloc := range []int64{0, 64 << 20} {
		b.Run(fmt.Sprintf("prealloc=%dMiB", prealloc>>20), func(b *testing.B) {
			grown(b, 4<<10, 1, engine.AppendOptions{PreallocateBytes: prealloc})
		})
	}
}

// BenchmarkStream is a large object's way: 1 MiB writes, an fdatasync each 16 MiB.
func BenchmarkStream(b *testing.B) {
	for _, stream := range []bool{false, true} {
		b.Run(fmt.Sprintf("direct=%t", stream), func(b *testing.B) {
			grown(b, 1<<20, 16, engine.AppendOptions{PreallocateBytes: 256 << 20, Stream: stream})
		})
	}
}

// grown appends pieces of n bytes to files of 256 MiB at most and syncs after every few of them.
func grown(b *testing.B, n, syncEvery int, opt engine.AppendOptions) {
	d := open(b, vfs.Default, b.TempDir())
	piece := engine.AlignedBuffer(n)
	for i := range piece {
		piece[i] = byte(i * 7)
	}
	var g engine.Growing
	finish := func() {
		if g == nil {
			return
		}
		if err := g.Publish(); err != nil {
			b.Fatal(err)
		}
		if err := g.Close(); err != nil {
			b.Fatal(err)
		}
		if err := d.Remove(b.Context(), "packs/p"); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(n))
	for i := 0; b.Loop(); i++ {
		if i%(256<<20/n) == 0 {
			finish()
			var err error
			if g, err = d.Append(b.Context(), "packs/p", opt); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := g.Write(piece); err != nil {
			b.Fatal(err)
		}
		if i%syncEvery == syncEvery-1 {
			if err := g.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	finish()
}
