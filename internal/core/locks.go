package core

import (
	"fmt"
	"time"

	"stele/entry"
)

// RetentionError refuses what Object Lock forbids (S3: AccessDenied). Errors.As tells a caller until when.
type RetentionError struct {
	Bucket, Key, VersionID string
	Mode                   string    // GOVERNANCE or COMPLIANCE; empty: a legal hold
	Until                  time.Time // zero for a legal hold
	Hold                   bool
}

// Error names the version and what locks it, until when.
func (e *RetentionError) Error() string {
	if e.Hold && e.Mode == "" {
		return fmt.Sprintf("%s/%s version %s is under a legal hold", e.Bucket, e.Key, e.VersionID)
	}
	return fmt.Sprintf("%s/%s version %s is locked (%s) until %s", e.Bucket, e.Key, e.VersionID, e.Mode, e.Until.UTC().Format(time.RFC3339))
}

// Forbids returns the refusal to hide a version that a lock keeps at a moment; nil: nothing forbids it. The legal hold counts whatever the retention says. It is the one rule: the commit of a primary and
// the judgement of a standby both ask it.
func Forbids(l entry.Lock, now time.Time, bypass bool) *RetentionError {
	switch {
	case l.Keeps(now, bypass):
		return &RetentionError{Mode: l.Mode, Until: l.Until, Hold: l.Hold}
	case l.Hold:
		return &RetentionError{Hold: true}
	}
	return nil
}
