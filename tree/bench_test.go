package tree

import (
	"os"
	"testing"
)

func BenchmarkFrontier(b *testing.B) {
	var f Frontier
	h := Hash{1}
	b.ReportAllocs()
	for b.Loop() {
		f.Append(h)
	}
}

func BenchmarkRoot(b *testing.B) {
	f := Frontier{size: 1_000_000}
	for b.Loop() {
		f.Root()
	}
}

func BenchmarkSign(b *testing.B) {
	s := signer(b, "4f2a9c/0")
	b.ReportAllocs()
	for b.Loop() {
		s.Sign(1_000_000, Hash{1})
	}
}

func BenchmarkVerify(b *testing.B) {
	s := signer(b, "4f2a9c/0")
	sig := s.Sign(1_000_000, Hash{1})
	for b.Loop() {
		if err := s.Verify(1_000_000, Hash{1}, sig); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInclusion proves one of a million entries, its group's leaves at hand.
func BenchmarkInclusion(b *testing.B) {
	const n = 1_000_000
	hashes := make([]Hash, n)
	var f Frontier
	groups := f.AppendMany(nil, hashes...)
	for name, blocks := range map[string][]Hash{"blocks": BlockHashes(nil, groups), "groups": nil} {
		r := &Reader{Size: n, Groups: groups, Blocks: blocks, Leaves: func(g int64) ([]Hash, error) {
			return hashes[g*GroupSize : min(n, (g+1)*GroupSize)], nil
		}}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Inclusion(123_456, n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReceiptVerify(b *testing.B) {
	file, err := os.ReadFile("testdata/receipt.tlog-proof")
	if err != nil {
		b.Fatal(err)
	}
	vkey := signer(b, "4f2a9c/0").String()
	for b.Loop() {
		r, err := ParseReceipt(file)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Verify(vkey); err != nil {
			b.Fatal(err)
		}
	}
}
