package node

import (
	"context"
	"time"

	"stele"
	"stele/verify"
)

// Copies gives the copies of the store elsewhere: those that Options.Copies knows, then the backup that is served, then the targets, read as sources. It is asked when something here is damaged.
func (n *Node) Copies() (copies []stele.Copy) { return n.rooms.Backups.Copies() }

// DrillTarget drills one of the store's targets. ErrNoTarget.
func (n *Node) DrillTarget(ctx context.Context, by stele.Actor, q stele.DrillRequest) (stele.Drilled, error) {
	return n.rooms.Backups.DrillTarget(ctx, by.Who(), q)
}

// DrillDue drills each target whose newest drill that passed is older than every, and each whose newest did not pass and is to be tried again, one after the other. What could not be tried is joined
// into the error; a failed drill is in its certificate.
func (n *Node) DrillDue(ctx context.Context, every time.Duration) (done []verify.Certificate, err error) {
	return n.rooms.Backups.DrillDue(ctx, every)
}

// FlushTargets lists every target, ships all that is committed now and all that the target has lost, and returns when it can be restored from there, or why it can't. A store that takes no writes ships
// nothing: ErrReadOnly.
func (n *Node) FlushTargets(ctx context.Context) error { return n.rooms.Backups.FlushTargets(ctx) }

// AddTarget adds a target, or changes the settings of one whose URL stays. It is opened and compared with the store first; shipping begins at once. A target that waits for its removal is kept by that.
// A target that is known to have held entries, and holds none, is refused ("the target holds nothing any more"); AddTargetAnew takes it.
func (n *Node) AddTarget(ctx context.Context, by stele.Actor, spec stele.TargetSpec) (stele.Committed, error) {
	return n.rooms.Backups.AddTarget(ctx, by.Who(), spec)
}

// AddTargetAnew is AddTarget for a target that has lost all that it held: a person agrees that it begins anew there. It takes the recovery kit's text, on the machine itself: whoever emptied
// a target must not be able to say that this is well.
func (n *Node) AddTargetAnew(ctx context.Context, by stele.Actor, spec stele.TargetSpec, kit []byte) (stele.Committed, error) {
	return n.rooms.Backups.AddTargetAnew(ctx, by.Who(), spec, kit)
}

// RemoveTarget ends the shipping to a target; what lies there stays. It takes the recovery kit's text, given on the machine itself; or, with kit empty, a keep period of waiting, which Targets shows and
// anyone may cancel (DESIGN section 7). It returns when the target goes: zero: now.
func (n *Node) RemoveTarget(ctx context.Context, by stele.Actor, name string, kit []byte) (time.Time, error) {
	return n.rooms.Backups.RemoveTarget(ctx, by.Who(), name, kit)
}

// CancelRemoval keeps a target that waits for its removal.
func (n *Node) CancelRemoval(ctx context.Context, by stele.Actor, name string) (stele.Committed, error) {
	return n.rooms.Backups.CancelRemoval(ctx, by.Who(), name)
}

// Targets says how every target stands, in order of name. The secret keys are left out. A target to which nothing is being shipped is looked at first: what is said of it is of now. One that doesn't answer
// within 3 s is said not to.
func (n *Node) Targets(ctx context.Context) ([]stele.TargetStatus, error) {
	return n.rooms.Backups.Targets(ctx)
}

// TargetsKnown is Targets without a look at any of them: a target that is shipped to from here is looked at every minute by itself.
func (n *Node) TargetsKnown(ctx context.Context) ([]stele.TargetStatus, error) {
	return n.rooms.Backups.TargetsKnown(ctx)
}
