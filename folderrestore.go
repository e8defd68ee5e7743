package stele

import (
	"context"

	"stele/internal/backup"
	"stele/internal/engine"
)

// RestoreOptions say what to restore.
type RestoreOptions struct {
	Options       // FS, Log, Identity (the recovery key); the rest has no effect
	Target        engine.Engine
	Name          string // how the target is named to people: a URL without credentials
	AcceptLacking bool   // finish although packs are missing or damaged on the target
	Progress      func(done, total int64)
}

// Restored is what RestoreFolder did.
type Restored = backup.Restored

// RestoreFolder makes folder, which is missing, empty, or was left by an interrupted RestoreFolder of the same store, a full copy of what a target holds. All of it is verified while it is copied. The
// copy is open for reading only until Promote makes it the primary of a new epoch, from its end or from an earlier moment, or ContinueEpoch that of the old one.
func RestoreFolder(ctx context.Context, folder string, opt RestoreOptions) (Restored, error) {
	opt.ReadOnly = false
	return newStore(folder, opt.Options).backup.RestoreFolder(ctx, backup.RestoreOptions{Target: opt.Target, Name: opt.Name, AcceptLacking: opt.AcceptLacking, Progress: opt.Progress})
}

// ContinueEpoch makes a full copy of a backup the primary of the same epoch: for who knows that the old primary is gone for good. If it is not, two primaries write two histories under one name, and each
// target and standby will refuse one of them; Promote has no such danger.
func ContinueEpoch(ctx context.Context, folder string, opt Options) error {
	opt.ReadOnly = false
	return newStore(folder, opt).backup.ContinueEpoch(ctx)
}
