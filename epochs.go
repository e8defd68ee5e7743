package stele

import (
	"stele/internal/epoch"
)

// The epochs of a store: see internal/epoch.
type (
	Promotion   = epoch.Promotion   // what Promote did
	EpochBegin  = epoch.Begin       // with which entry an epoch began
	Reign       = epoch.Reign       // an epoch that has ended, as one that follows the store has to know it
	Succession  = epoch.Succession  // what a store has to show of the epochs that it went through
	StandbyPin  = epoch.Pin         // what a standby holds fast of the store that it follows
	AskHandover = epoch.AskHandover // asks a server for the entry by which its present epoch began
	Asked       = epoch.Asked       // what the targets of a store have said of it, for the promotion that comes next
)

// ErrSuccession: a store does not prove that its epoch is a rightful successor of the one that is pinned.
var ErrSuccession = epoch.ErrSuccession
