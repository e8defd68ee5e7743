package digest

import (
	"testing"

	"github.com/klauspost/cpuid/v2"
)

// TestTogether: where the processor can do it, it is done, and the trial at the start did not find it wrong.
func TestTogether(t *testing.T) {
	if has := cpuid.CPU.Supports(cpuid.SSSE3, cpuid.SHA); has != Together {
		t.Errorf("the processor has SHA extensions: %t, they are used: %t", has, Together)
	}
}
