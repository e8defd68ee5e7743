package storetest

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stele/internal/keyring"
)

// RecoveryOf is the recovery key in a kit.
func RecoveryOf(b *testing.B, kit string) string {
	b.Helper()
	text, err := os.ReadFile(kit)
	if err != nil {
		b.Fatal(err)
	}
	k, err := keyring.ParseKit(text)
	if err != nil {
		b.Fatal(err)
	}
	return k.RecoveryIdentity
}

// CPUSeconds is how long this process has computed so far.
func CPUSeconds() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}

// BenchN is how many objects a benchmark makes that is about many.
func BenchN(b *testing.B) int {
	v := os.Getenv("STELE_BENCH_N")
	if v == "" {
		return 20_000
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// ResidentMB is the process's resident memory in MB after a collection.
func ResidentMB() float64 {
	runtime.GC()
	debug.FreeOSMemory()
	return MemoryMB("VmRSS:")
}

// MemoryMB is a line of this process' status, in MB; 0 where there is none.
func MemoryMB(what string) float64 {
	raw, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == what {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1000
		}
	}
	return 0
}
