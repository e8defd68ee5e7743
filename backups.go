package stele

import (
	"context"
	"time"

	"stele/internal/backup"
	"stele/verify"
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

// Copies gives the copies of the store elsewhere: those that Options.Copies knows, then the backup that is served, then the targets, read as sources. It is asked when something here is damaged.
func (s *Store) Copies() (copies []Copy) { return s.backup.Copies() }

// DrillTarget drills one of the store's targets. ErrNoTarget.
func (s *Store) DrillTarget(ctx context.Context, by Actor, q backup.DrillRequest) (backup.Drilled, error) {
	return s.backup.DrillTarget(ctx, by.who(), q)
}

// DrillDue drills each target whose newest drill that passed is older than every, and each whose newest did not pass and is to be tried again, one after the other. What could not be tried is joined
// into the error; a failed drill is in its certificate.
func (s *Store) DrillDue(ctx context.Context, every time.Duration) (done []verify.Certificate, err error) {
	return s.backup.DrillDue(ctx, every)
}

// FlushTargets lists every target, ships all that is committed now and all that the target has lost, and returns when it can be restored from there, or why it can't. A store that takes no writes ships
// nothing: ErrReadOnly.
func (s *Store) FlushTargets(ctx context.Context) error { return s.backup.FlushTargets(ctx) }

// AddTarget adds a target, or changes the settings of one whose URL stays. It is opened and compared with the store first; shipping begins at once. A target that waits for its removal is kept by that.
// A target that is known to have held entries, and holds none, is refused (replicate.ErrEmptied); AddTargetAnew takes it.
func (s *Store) AddTarget(ctx context.Context, by Actor, spec backup.TargetSpec) (Committed, error) {
	c, err := s.backup.AddTarget(ctx, by.who(), spec)
	return c, err
}

// AddTargetAnew is AddTarget for a target that has lost all that it held: a person agrees that it begins anew there. It takes the recovery kit's text, on the machine itself: whoever emptied
// a target must not be able to say that this is well.
func (s *Store) AddTargetAnew(ctx context.Context, by Actor, spec backup.TargetSpec, kit []byte) (Committed, error) {
	c, err := s.backup.AddTargetAnew(ctx, by.who(), spec, kit)
	return c, err
}

// RemoveTarget ends the shipping to a target; what lies there stays. It takes the recovery kit's text, given on the machine itself; or, with kit empty, a keep period of waiting, which Targets shows and
// anyone may cancel (DESIGN section 7). It returns when the target goes: zero: now.
func (s *Store) RemoveTarget(ctx context.Context, by Actor, name string, kit []byte) (time.Time, error) {
	return s.backup.RemoveTarget(ctx, by.who(), name, kit)
}

// CancelRemoval keeps a target that waits for its removal.
func (s *Store) CancelRemoval(ctx context.Context, by Actor, name string) (Committed, error) {
	c, err := s.backup.CancelRemoval(ctx, by.who(), name)
	return c, err
}

// Targets says how every target stands, in order of name. The secret keys are left out. A target to which nothing is being shipped is looked at first: what is said of it is of now. One that doesn't answer
// within 3 s is said not to.
func (s *Store) Targets(ctx context.Context) ([]backup.TargetStatus, error) {
	return s.backup.Targets(ctx)
}

// TargetsKnown is Targets without a look at any of them: a target that is shipped to from here is looked at every minute by itself.
func (s *Store) TargetsKnown(ctx context.Context) ([]backup.TargetStatus, error) {
	return s.backup.TargetsKnown(ctx)
}
