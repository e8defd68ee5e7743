package node

import (
	"context"

	"stele"
)

// AddStandby admits a standby: the keyring is wrapped anew, to it as well as to everybody to whom it was. The entry comes first: nobody holds a key of which the ledger
// does not tell. What a crash in between leaves undone the next start does.
func (n *Node) AddStandby(ctx context.Context, by stele.Actor, name, recipient string) (stele.Committed, error) {
	return n.rooms.Replica.AddStandby(ctx, by.Who(), name, recipient)
}

// RemoveStandby wraps the keyring anew, without a standby. What it has copied it can still read: the data keys are the same until they are rotated.
func (n *Node) RemoveStandby(ctx context.Context, by stele.Actor, name string) (stele.Committed, error) {
	return n.rooms.Replica.RemoveStandby(ctx, by.Who(), name)
}

// Standbys lists the admitted standbys, in order of name.
func (n *Node) Standbys(ctx context.Context) ([]stele.StandbyInfo, error) {
	return n.rooms.Replica.Standbys(ctx)
}

// ReplicaState returns where the store stands. With wait it returns once the ledger is beyond from, or there is another number of keyrings than that, or ctx
// ends, whatever comes first: the state is the newest in each case.
func (n *Node) ReplicaState(ctx context.Context, from uint64, keyrings int, wait bool) (stele.ReplicaState, error) {
	return n.rooms.Replica.State(ctx, from, keyrings, wait)
}

// ReplicaFiles calls fn for each sealed file in a folder of the store, in order of name.
func (n *Node) ReplicaFiles(ctx context.Context, folder string, fn func(stele.ReplicaFile) error) error {
	return n.rooms.Replica.Files(ctx, folder, fn)
}

// ReplicaRead reads up to so many bytes at off of a file, sealed or growing, and says what file that is; fewer only where it ends. ErrNoKey: there is no such file.
func (n *Node) ReplicaRead(ctx context.Context, name string, off int64, bytes int) (stele.ReplicaFile, []byte, error) {
	return n.rooms.Replica.Read(ctx, name, off, bytes)
}
