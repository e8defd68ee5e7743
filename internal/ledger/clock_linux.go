package ledger

import (
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

var processStart = time.Now()
