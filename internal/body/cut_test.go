package body

import (
	"bytes"
	"testing"

	"stele/entry"
	"stele/internal/engine/mem"
)

func cuts(g *gear, c *class, data []byte) (ends []int) {
	for at := 0; at < len(data); {
		at += g.cut(c, data[at:], true)
		ends = append(ends, at)
	}
	return ends
}

func TestChunkSizes(t *testing.T) {
	g := newGear([32]byte{1})
	data := random(64<<20, 7)
	for _, c := range []*class{&small, &medium, &large} {
		ends := cuts(g, c, data)
		before := 0
		for i, end := range ends {
			if n := end - before; n > c.max || n < c.min && i < len(ends)-1 {
				t.Fatalf("a chunk of %d bytes, of at least %d and at most %d", n, c.min, c.max)
			}
			before = end
		}
		if mean := len(data) / len(ends); mean < c.avg*9/10 || mean > c.avg*5/4 {
			t.Fatalf("%d bytes on average, should be about %d", mean, c.avg)
		}
	}
	for name, data := range map[string][]byte{"zeros": make([]byte, 1<<20), "a pattern": bytes.Repeat([]byte("abc"), 1<<19)} {
		for _, end := range cuts(g, &small, data)[:10] {
			if end == 0 {
				t.Fatalf("%s: no progress", name)
			}
		}
	}
}

func TestCutsComeBackAfterAChange(t *testing.T) {
	g := newGear([32]byte{1})
	data := random(8<<20, 8)
	changed := append(append(bytes.Clone(data[:1<<20]), "seventeen further"...), data[1<<20:]...)
	seen := map[int]bool{}
	for _, end := range cuts(g, &medium, data) {
		seen[end] = true
	}
	lost := 0
	for _, end := range cuts(g, &medium, changed) {
		if end > 1<<20 && !seen[end-17] {
			lost++
		}
	}
	if lost > 8 {
		t.Fatalf("%d cuts differ behind an insertion", lost)
	}
}

func TestAnotherKeyCutsElsewhere(t *testing.T) {
	data := random(4<<20, 9)
	seen := map[int]bool{}
	for _, end := range cuts(newGear([32]byte{1}), &small, data) {
		seen[end] = true
	}
	same := 0
	for _, end := range cuts(newGear([32]byte{2}), &small, data) {
		if seen[end] {
			same++
		}
	}
	if same > 5 {
		t.Fatalf("%d cuts are the same under another key: sizes of chunks give content away", same)
	}
}

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		at, size int64
		want     *class
	}{
		{0, 1 << 20, &small}, {0, 4 << 20, &small}, {0, 4<<20 + 1, &medium}, {0, 1 << 30, &large},
		{0, -1, &small}, {5 << 20, -1, &medium}, {1 << 30, -1, &large},
	} {
		if got := classAt(c.at, c.size); got != c.want {
			t.Fatalf("at %d of %d: chunks of %d", c.at, c.size, got.avg)
		}
	}
}

// TestVersionsThatDifferALittle: 1,000 versions of 1 MiB that differ in 1 KiB each take less than 40 MB.
func TestVersionsThatDifferALittle(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	versions := 1000
	if testing.Short() {
		versions = 200
	}
	data := random(1<<20, 1)
	for i := range versions {
		at := int(random(4, uint64(i))[0])<<12 | int(random(4, uint64(i))[1])<<4
		copy(data[at:], random(1024, uint64(i)+1000))
		put(t, s, data, int64(len(data)))
	}
	stored := s.Stats().StoredBytes
	t.Logf("%d versions take %.1f MB", versions, float64(stored)/1e6)
	if limit := int64(versions)*38_500 + 1<<20; stored > limit {
		t.Fatalf("%d versions take %d bytes, should take at most %d", versions, stored, limit)
	}
}

func TestFilter(t *testing.T) {
	f := newFilter()
	const n = 300_000 // three tiers
	id := func(i int) (id entry.ID) {
		copy(id[:], random(32, uint64(i)))
		id[31], id[30], id[29] = byte(i), byte(i>>8), byte(i>>16)
		for j := range 16 { // random's seeds repeat after 2^24
			id[j] ^= id[31-j%3] * byte(j+1)
		}
		return id
	}
	for i := range n {
		x := id(i)
		f.add(&x)
	}
	for i := range n {
		if x := id(i); !f.has(&x) {
			t.Fatalf("id %d was added and is not there", i)
		}
	}
	false_ := 0
	for i := range 100_000 {
		if x := id(n + i); f.has(&x) {
			false_++
		}
	}
	t.Logf("%d of 100,000 false positives, %d KiB", false_, f.bytes()>>10)
	if false_ > 1000 {
		t.Fatalf("%d of 100,000 false positives", false_)
	}
}

func TestCompressOnlyWhatGains(t *testing.T) {
	text := bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog. "), maxPlain/40)
	base64 := make([]byte, maxPlain)
	for i, c := range random(len(base64), 1) {
		base64[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[c&63]
	}
	for _, n := range []int{1, 63, 100, 1000, 4096, 5000, 20_000, 64 << 10, maxPlain} {
		if z := compress(nil, random(n, 2)); z != nil {
			t.Errorf("%d random bytes became %d", n, len(z))
		}
		if n > 100 {
			for name, data := range map[string][]byte{"text": text[:n], "base64": base64[:n]} {
				z := compress(nil, data)
				if z == nil && (name == "text" || n > 4096) {
					t.Errorf("%d bytes of %s were not compressed", n, name)
				} else if z != nil {
					back, err := decompress(nil, z)
					if err != nil || !bytes.Equal(back, data) {
						t.Errorf("%d bytes of %s: %v", n, name, err)
					}
				}
			}
		}
	}
}
