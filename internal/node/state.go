package node

import (
	"context"

	"stele"
)

// ClockDoubt returns why the wall clock can't be right, nil if it may be: a program does not run before it was built, and hardly ten years after. It matters when a store is made, since the ledger's clock
// begins with the wall clock then, never goes back, and locks and keep periods are reckoned by it. A day is left for time zones that were mistaken for UTC.
func (n *Node) ClockDoubt() error { return n.rooms.Core.ClockDoubt() }

// KitWritten returns where Create wrote the recovery kit; empty for a store that was opened.
func (n *Node) KitWritten() string { return n.rooms.Core.KitWritten() }

// Outcomes takes note of how work of a kind went: failed holds what did not succeed and why, by what was worked on. Everything else of that kind is well, or is not there any more.
func (n *Node) Outcomes(work string, failed map[string]error) { n.rooms.Core.Outcomes(work, failed) }

// Outcome takes note of how work went of which there is one of its kind.
func (n *Node) Outcome(work string, err error) { n.rooms.Core.Outcome(work, err) }

// FailingWork returns what fails beside requests, in order of what it is.
func (n *Node) FailingWork() []stele.FailingWork { return n.rooms.Core.FailingWork() }

// Witnesses returns how the witnesses stand, in order of name; where no server runs, those of the last one.
func (n *Node) Witnesses() []stele.WitnessStatus { return n.rooms.Core.Witnesses() }

// Space returns free and total bytes of the disk that holds the store, and whether they could be told.
func (n *Node) Space() (free, total uint64, ok bool) { return n.rooms.Core.Space() }

// Disk returns how the disk stands.
func (n *Node) Disk() (d stele.Disk) { return n.rooms.Core.Disk() }

// Supersede ends writing for good, in this process and after it: another primary has begun a later epoch, and by says who told. When it returns, nothing is acknowledged any
// more, and unless it returns an error, a durable mark in the folder says so to every later Open. Reads go on.
//
// A present epoch that is not older is an error, and nothing ends.
func (n *Node) Supersede(epoch uint32, by string) error { return n.rooms.Core.Supersede(epoch, by) }

// Damaged returns the files that are known to be damaged and were not healed, in order of name, also those whose entries are still to be written.
func (n *Node) Damaged() (out []stele.Damage, err error) { return n.rooms.Care.Damaged() }

// FailingFiles returns the files that were healed more than once lately.
func (n *Node) FailingFiles() (out []stele.Failing, err error) { return n.rooms.Care.FailingFiles() }

// ScrubStatus says how far the rolling scrub is.
func (n *Node) ScrubStatus() stele.ScrubStatus { return n.rooms.Care.ScrubStatus() }

// Scrubbed says how far the rolling scrub is, also of a store in which none runs: as its newest entry has it, with the days of the server that wrote that.
func (n *Node) Scrubbed(ctx context.Context) (stele.ScrubStatus, error) {
	return n.rooms.Care.Scrubbed(ctx)
}

// Hydration returns how far the folder is filled; false for a store that is not served from a backup.
func (n *Node) Hydration() (stele.Hydration, bool) { return n.rooms.Over.Hydration() }

// Hydrated returns a channel that is closed when the folder has everything; nil for a store that is not served from a backup.
func (n *Node) Hydrated() <-chan struct{} { return n.rooms.Over.Hydrated() }
