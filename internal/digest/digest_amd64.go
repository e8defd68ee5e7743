package digest

import (
	"crypto/md5"
	"crypto/sha256"

	"github.com/klauspost/cpuid/v2"
)

// Together says that both cost about what MD5 alone does. The processor is tried, not only asked.
var Together = cpuid.CPU.Supports(cpuid.SSSE3, cpuid.SHA) && right()

func right() bool {
	var p [192]byte
	for i := range p {
		p[i] = byte(i * 7)
	}
	h := Hash{}
	h.reset()
	h.Write(p[:])
	md, sha := h.Sums()
	return md == md5.Sum(p[:]) && sha == sha256.Sum256(p[:])
}

// blocks brings both states over n blocks of 64 bytes at p; n is at least 1.
//
//go:noescape
func blocks(md *[4]uint32, sha *[8]uint32, p *byte, n int)
