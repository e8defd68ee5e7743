package admin

import "time"

// SetPatience sets how long a request may stand still, and returns what puts it back.
func SetPatience(d time.Duration) func() {
	old := patience
	patience = d
	return func() { patience = old }
}
