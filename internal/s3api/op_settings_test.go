package s3api

import (
	"testing"
	"time"
)

func TestExpirationHeader(t *testing.T) {
	at := time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)
	if got := expirationHeader(at, "so on"); got != `expiry-date="Thu, 05 Nov 2026 00:00:00 GMT", rule-id="so%20on"` {
		t.Error(got)
	}
}
