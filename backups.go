package stele

import (
	"stele/internal/backup"
)

// Where the copies of a store are, and how they stand: see internal/backup.
type (
	TargetSpec   = backup.TargetSpec   // where copies go, and how
	OpenedTarget = backup.OpenedTarget // a target that Options.OpenTarget has opened
	TargetStatus = backup.TargetStatus // how a target stands
	FailedDrill  = backup.FailedDrill  // the newest drill of a target did not pass
	DrillRequest = backup.DrillRequest // asks for a drill of a target by its name
	Drilled      = backup.Drilled      // a certificate and the signed note that holds it
)

// ErrNoTarget: there is no target of that name.
var ErrNoTarget = backup.ErrNoTarget
