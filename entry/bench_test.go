package entry

import "testing"

func BenchmarkEncode(b *testing.B) {
	p := put()
	var private, leaf []byte
	b.ReportAllocs()
	for b.Loop() {
		private = AppendPrivate(private[:0], &p)
		leaf = AppendLeaf(leaf[:0], 123456, epoch, ObjectPut, Commitment([16]byte{1}, private))
		LeafHash(leaf)
	}
	b.SetBytes(int64(len(private) + len(leaf)))
}

func BenchmarkValidate(b *testing.B) {
	p := put()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePrivate(b *testing.B) {
	p := put()
	private := AppendPrivate(nil, &p)
	b.SetBytes(int64(len(private)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePrivate(private); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseLeaf(b *testing.B) {
	leaf := AppendLeaf(nil, 123456, epoch, ObjectPut, sum(1))
	b.SetBytes(int64(len(leaf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseLeaf(leaf); err != nil {
			b.Fatal(err)
		}
	}
}
