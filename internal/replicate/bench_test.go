package replicate

import (
	"fmt"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// benchStore is a store of 256 MiB that do not compress, on the disk.
func benchStore(b *testing.B) *primary {
	p, err := openPrimarySized(mustDir(b, vfs.Default, b.TempDir()), testKeys(b), 16<<20, 64<<20)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 64 {
		p.mustPut(b, fmt.Sprint(i), random(4<<20, uint64(i)))
	}
	p.mustClose(b)
	if p, err = openPrimarySized(p.eng, p.keys, 16<<20, 64<<20); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.mustClose(b) })
	return p
}

func tempDir(b *testing.B) string {
	b.Helper()
	d, err := os.MkdirTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func BenchmarkFirstShipment(b *testing.B) {
	p := benchStore(b)
	b.SetBytes(256 << 20)
	for b.Loop() {
		if err := mustConnect(b, p, mustDir(b, vfs.Default, tempDir(b))).shipNow(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore(b *testing.B) {
	p := benchStore(b)
	target := mustDir(b, vfs.Default, tempDir(b))
	if err := mustConnect(b, p, target).shipNow(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(256 << 20)
	for b.Loop() {
		if _, err := restoreInto(mustDir(b, vfs.Default, tempDir(b)), target, p.keys); err != nil {
			b.Fatal(err)
		}
	}
}
