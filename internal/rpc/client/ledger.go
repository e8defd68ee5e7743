package client

import (
	"context"

	"stele"
	"stele/entry"
	"stele/internal/rpc"
	"stele/tree"
)

// ledger is the ledger of a server's store.
type ledger struct{ c *Client }

// Ledger is the ledger of the store that the server holds.
func (c *Client) Ledger() Ledger { return ledger{c} }

// VKey returns the verifier key, as it was at the time of Dial.
func (l ledger) VKey() string { return l.c.hello.VKey }

// Prove returns the receipt of the entry that wrote a version, and that version with its digests. The server's word for it is not needed: package verify checks it.
func (l ledger) Prove(ctx context.Context, at stele.Place) ([]byte, stele.Version, error) {
	p, err := invoke(ctx, l.c, rpc.Prove, at)
	return p.Receipt, p.Version.Decode(), err
}

// Consistency returns the proof that the tree of size to contains the tree of size from. stele.ErrBadName: the server has no such sizes.
func (l ledger) Consistency(ctx context.Context, from, to uint64) ([]tree.Hash, error) {
	return invoke(ctx, l.c, rpc.Consistency, [2]uint64{from, to})
}

// Log streams the selected entries.
func (l ledger) Log(ctx context.Context, q stele.LogQuery, fn func(*entry.Entry) error) error {
	return lines(ctx, l.c, rpc.Log, q, func(line rpc.EntryLine) error {
		e, err := line.Decode()
		if err != nil {
			return err
		}
		return fn(e)
	})
}

// Succession asks for the epochs that the store went through.
func (l ledger) Succession(ctx context.Context) (stele.Succession, error) { return l.c.Succession(ctx) }
