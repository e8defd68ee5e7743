package entry

import "time"

// Modes of Object Lock, as in S3.
const (
	Governance = "GOVERNANCE" // gives way to who may bypass it
	Compliance = "COMPLIANCE" // gives way to nobody
)

// Active reports whether the retention has not ended at a moment. The legal hold is another matter.
func (l Lock) Active(at time.Time) bool { return l.Mode != "" && l.Until.After(at) }

// Keeps reports whether the retention keeps a version from being hidden at a moment, by somebody who may bypass GOVERNANCE or not. The legal hold is another matter.
func (l Lock) Keeps(at time.Time, bypass bool) bool {
	return l.Active(at) && (l.Mode == Compliance || !bypass)
}

// Lengthens reports whether to may take the place of the retention l without anybody's leave: l has ended, or to is of the same mode and ends no earlier.
func (l Lock) Lengthens(to Lock, at time.Time) bool {
	return !l.Active(at) || to.Mode == l.Mode && !to.Until.Before(l.Until)
}

// Allows reports whether to may take the place of the retention l at a moment: locks only lengthen (DESIGN invariant 8), and a GOVERNANCE retention gives way to who may bypass it. It is the one rule: the
// commit of a primary and the judgement of a standby both ask it.
func (l Lock) Allows(to Lock, at time.Time, bypass bool) bool {
	return l.Lengthens(to, at) || l.Mode == Governance && bypass
}
