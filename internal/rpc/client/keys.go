package client

import (
	"context"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/rpc"
)

// keys are the access keys of a server's store.
type keys struct{ c *Client }

// Keys are the access keys and the recovery kit of the store that the server holds.
func (c *Client) Keys() Keys { return keys{c} }

// Create makes an access key; rate is the most entries a second that it may cause in the long run, 0: not limited. The secret is in the result and nowhere else in clear.
func (k keys) Create(ctx context.Context, _ stele.Actor, role string, scope []string, rate int) (entry.AccessKey, error) {
	return invoke(ctx, k.c, rpc.CreateKey, rpc.KeyArgs{Role: role, Scope: scope, Rate: rate})
}

// Revoke ends an access key, for requests under way too. stele.ErrNoAccessKey: there is none that lives.
func (k keys) Revoke(ctx context.Context, _ stele.Actor, id string) (stele.Committed, error) {
	return invoke(ctx, k.c, rpc.RevokeKey, rpc.KeyArgs{ID: id})
}

// List returns all access keys but the root key, revoked ones too, without their secrets.
func (k keys) List(ctx context.Context) ([]stele.KeyInfo, error) {
	return ask(ctx, k.c, rpc.Keys)
}

// ConfirmKit has the server check a recovery kit against the keyring, and note in the ledger that someone holds it. stele.ErrBadName: it is no kit, another store's, or an older one than the last key rotation made.
func (k keys) ConfirmKit(ctx context.Context, _ stele.Actor, text []byte) error {
	_, err := invoke(ctx, k.c, rpc.ConfirmKit, text)
	return err
}

// KitConfirmed asks the server, for at most ten seconds.
func (k keys) KitConfirmed() (time.Time, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return ask(ctx, k.c, rpc.KitConfirmed)
}

// NoteShares has the server note that the recovery kit was split. stele.ErrBadName: it is another store's kit, or an older one than the last key rotation made.
func (k keys) NoteShares(ctx context.Context, _ stele.Actor, of stele.ShareOf, verifiers []string) error {
	_, err := invoke(ctx, k.c, rpc.NoteShares, rpc.SharesArgs{Of: of, Verifiers: verifiers})
	return err
}

// ConfirmShare has the server note that a share was read back. The share does not travel: proof shows that it is there. stele.ErrBadName: it is not the share that was split, or another store's.
func (k keys) ConfirmShare(ctx context.Context, _ stele.Actor, of stele.ShareOf, i int, proof string) error {
	_, err := invoke(ctx, k.c, rpc.ConfirmShare, rpc.ShareArgs{Of: of, Index: i, Proof: proof})
	return err
}

// ShareSets asks the server, for at most ten seconds.
func (k keys) ShareSets() ([]stele.ShareSet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return ask(ctx, k.c, rpc.ShareSets)
}
