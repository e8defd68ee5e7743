package stele

import (
	"context"

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

// Former lists the addresses of the primaries from which this one took over and that do not know it yet.
func (s *Store) Former() []string { return s.epochs.Former() }

// ToldFormer notes that a former primary knows.
func (s *Store) ToldFormer(u string) error { return s.epochs.ToldFormer(u) }

// FollowerProof proves to the primary that whoever has this admin address holds the store's keyring: a standby that was admitted, which alone can take over. Empty: there are no keys here.
func (s *Store) FollowerProof(u string) string { return s.epochs.FollowerProof(u) }

// NoteFollower notes the admin address of a server that follows this one, so that it can be asked at the next start whether it has taken over. proof is its FollowerProof: only epoch.MaxPeers addresses are
// kept, and an access key that may only look must not push out those of admitted standbys, nor name servers that this one is to ask.
func (s *Store) NoteFollower(u, proof string) error { return s.epochs.NoteFollower(u, proof) }

// AskTargets asks the targets how much they have seen, before an epoch begins: one that goes on without entries that a target has would give up what was acknowledged. One that does not answer in
// time is reported in the log.
func (s *Store) AskTargets(ctx context.Context) *epoch.Asked { return s.epochs.AskTargets(ctx) }

// Epoch returns the present epoch.
func (s *Store) Epoch() uint32 { return s.core.Keys.Epoch }

// Epochs returns the epochs of which the store has entries, with the first entry of each, in order.
func (s *Store) Epochs() (epochs []epoch.Begin) { return s.epochs.Epochs() }

// Succession returns the epochs of the store, with the receipts, made now, of the entries that began them.
func (s *Store) Succession(ctx context.Context) (epoch.Succession, error) {
	return s.epochs.Succession(ctx)
}

// Handover returns the entry by which the present epoch began: what an old primary has to be shown. ErrNoKey in the first epoch.
func (s *Store) Handover(ctx context.Context) (at uint64, data map[string]string, err error) {
	return s.epochs.Handover(ctx)
}

// Learn is told of the entry by which a later epoch began elsewhere. If the signer of this epoch has consented to just that, which proves it, this store takes no more writes: see
// Supersede. Nobody's word is believed: tree.ErrHandover.
func (s *Store) Learn(ctx context.Context, at uint64, data map[string]string, by string) error {
	return s.epochs.Learn(ctx, at, data, by)
}
