package node

import (
	"context"

	"stele"
)

// Former lists the addresses of the primaries from which this one took over and that do not know it yet.
func (n *Node) Former() []string { return n.rooms.Epochs.Former() }

// ToldFormer notes that a former primary knows.
func (n *Node) ToldFormer(u string) error { return n.rooms.Epochs.ToldFormer(u) }

// FollowerProof proves to the primary that whoever has this admin address holds the store's keyring: a standby that was admitted, which alone can take over. Empty: there are no keys here.
func (n *Node) FollowerProof(u string) string { return n.rooms.Epochs.FollowerProof(u) }

// NoteFollower notes the admin address of a server that follows this one, so that it can be asked at the next start whether it has taken over. proof is its FollowerProof: only a few addresses are
// kept, and an access key that may only look must not push out those of admitted standbys, nor name servers that this one is to ask.
func (n *Node) NoteFollower(u, proof string) error { return n.rooms.Epochs.NoteFollower(u, proof) }

// AskTargets asks the targets how much they have seen, before an epoch begins: one that goes on without entries that a target has would give up what was acknowledged. One that does not answer in
// time is reported in the log.
func (n *Node) AskTargets(ctx context.Context) *stele.Asked { return n.rooms.Epochs.AskTargets(ctx) }

// Handover returns the entry by which the present epoch began: what an old primary has to be shown. ErrNoKey in the first epoch.
func (n *Node) Handover(ctx context.Context) (at uint64, data map[string]string, err error) {
	return n.rooms.Epochs.Handover(ctx)
}

// Learn is told of the entry by which a later epoch began elsewhere. If the signer of this epoch has consented to just that, which proves it, this store takes no more writes: see
// Supersede. Nobody's word is believed: tree.ErrHandover.
func (n *Node) Learn(ctx context.Context, at uint64, data map[string]string, by string) error {
	return n.rooms.Epochs.Learn(ctx, at, data, by)
}
