package stele

import (
	"context"

	"stele/internal/replica"
)

// What a store is for those who follow it: see internal/replica.
type (
	StandbyInfo  = replica.StandbyInfo // an admitted standby
	ReplicaFile  = replica.File        // a file of the store as one that copies it sees it
	ReplicaState = replica.State       // where the store stands
)

// ErrNoStandby: no standby of that name is admitted.
var ErrNoStandby = replica.ErrNoStandby

// AddStandby admits a standby: the keyring is wrapped anew, to it as well as to everybody to whom it was. The entry comes first: nobody holds a key of which the ledger
// does not tell. What a crash in between leaves undone the next start does.
func (s *Store) AddStandby(ctx context.Context, by Actor, name, recipient string) (Committed, error) {
	return s.replica.AddStandby(ctx, by.who(), name, recipient)
}

// RemoveStandby wraps the keyring anew, without a standby. What it has copied it can still read: the data keys are the same until they are rotated.
func (s *Store) RemoveStandby(ctx context.Context, by Actor, name string) (Committed, error) {
	return s.replica.RemoveStandby(ctx, by.who(), name)
}

// Standbys lists the admitted standbys, in order of name.
func (s *Store) Standbys(ctx context.Context) ([]replica.StandbyInfo, error) {
	return s.replica.Standbys(ctx)
}

// ReplicaState returns where the store stands. With wait it returns once the ledger is beyond from, or there is another number of keyrings than that, or ctx
// ends, whatever comes first: the state is the newest in each case.
func (s *Store) ReplicaState(ctx context.Context, from uint64, keyrings int, wait bool) (replica.State, error) {
	return s.replica.State(ctx, from, keyrings, wait)
}

// ReplicaFiles calls fn for each sealed file in a folder of the store, in order of name.
func (s *Store) ReplicaFiles(ctx context.Context, folder string, fn func(replica.File) error) error {
	return s.replica.Files(ctx, folder, fn)
}

// ReplicaRead reads up to n bytes at off of a file, sealed or growing, and says what file that is; fewer only where it ends. ErrNoKey: there is no such file.
func (s *Store) ReplicaRead(ctx context.Context, name string, off int64, n int) (replica.File, []byte, error) {
	return s.replica.Read(ctx, name, off, n)
}
