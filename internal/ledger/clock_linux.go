package ledger

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// SystemClock is the machine's clock.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// Monotonic implements Clock. CLOCK_BOOTTIME, unlike CLOCK_MONOTONIC, counts the time that a machine sleeps.
func (SystemClock) Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(processStart)
	}
	return time.Duration(ts.Nano())
}

// Boot implements Booter: the kernel draws a new id at each start of the machine. A machine that has no /proc, or no CLOCK_BOOTTIME, has none.
func (SystemClock) Boot() string { return bootID() }

var bootID = sync.OnceValue(func() string {
	var ts unix.Timespec
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})

var processStart = time.Now()
