package follow

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"stele/entry"
	"stele/internal/bug"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/ledger"
	"stele/tree"
)

// Epoch is the epoch of which the next entry will be.
func (b *Store) Epoch() uint32 { return b.follower.NextEpoch() }

// SealTail seals what grows here of the segments. The standby must be closed then. It is what is done before another epoch is pinned.
func (b *Store) SealTail() error { return core.Translate(b.follower.SealTail()) }

// Accepted is the newest checkpoint that was accepted and kept, and its signed note; zero and nil: none yet.
func (b *Store) Accepted() (tree.Checkpoint, []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted, b.note
}

// Here is how many entries are in the files here; less than was accepted if files were lost, and until they have come again.
func (b *Store) Here() uint64 { return b.follower.Size() }

// Consistency proves that the accepted ledger of size to begins with that of size from.
func (b *Store) Consistency(ctx context.Context, from, to uint64) ([]tree.Hash, error) {
	return b.follower.Consistency(ctx, from, to)
}

// Root is the root of the tree of a size that is here.
func (b *Store) Root(ctx context.Context, size uint64) (tree.Hash, error) {
	return b.follower.Root(ctx, size)
}

// TimeOf is the time of an entry that is here, which needs no key.
func (b *Store) TimeOf(ctx context.Context, at uint64) (time.Time, error) {
	bundle, err := b.follower.LeafBundle(ctx, int64(at/tree.GroupSize), int(at%tree.GroupSize)+1)
	if err != nil {
		return time.Time{}, core.Translate(err)
	}
	leaves, err := tree.ParseBundle(bundle)
	if err != nil {
		return time.Time{}, err
	}
	leaf, err := entry.ParseLeaf(leaves[len(leaves)-1])
	return leaf.Time, err
}

// Packs takes the bytes of packs; nil without keys.
func (b *Store) Packs() *Packs { return b.packs }

// HasSealed says whether a sealed file is here.
func (b *Store) HasSealed(ctx context.Context, name string) (bool, error) {
	f, err := b.core.Engine.Open(ctx, name)
	if errors.Is(err, engine.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// SyncPacks makes durable what came of packs.
func (b *Store) SyncPacks() error { return b.packs.Sync() }

// SealPack makes a sealed pack of one that has come whole. Its digest is compared when its pack.seal entry comes.
func (b *Store) SealPack(name string) error {
	p, err := b.packs.Seal(name)
	if err == nil {
		b.sums[name] = p
	}
	return err
}

// Want is the segment to come next: see ledger.Follower.
func (b *Store) Want() (name string, off int64, id string) {
	name, off, file := b.follower.Want()
	if file == (frame.FileID{}) {
		return name, off, ""
	}
	return name, off, hex.EncodeToString(file[:])
}

// Check takes the next bytes of the segment that Want names: see ledger.Follower. limit is the size up to which the packs that came hold what entries name.
func (b *Store) Check(data []byte, limit uint64) (*ledger.Piece, error) {
	return b.follower.Check(data, limit)
}

// Replace checks a whole sealed segment in place of the one that came so far: see ledger.Follower.
func (b *Store) Replace(data []byte) (*ledger.Piece, error) { return b.follower.Replace(data) }

// Shorten takes a sealed segment in place of the one that came so far and reaches further: see ledger.Follower. The standby must be closed then.
func (b *Store) Shorten(ctx context.Context, data []byte) error {
	return b.follower.Shorten(ctx, data)
}

// Forget drops what Check was given and Accept was not.
func (b *Store) Forget() { b.follower.Forget() }

// Accept makes a piece that was judged part of the ledger here: its bytes are fsynced, the checkpoint that covers it is kept durably, then it is shown. Only after that
// may the checkpoint be cosigned. After an error the standby must be opened again.
func (b *Store) Accept(ctx context.Context, p *ledger.Piece) error {
	if err := b.follower.Accept(ctx, p); err != nil { // a crash from here on finds the entries in a tail or a segment: they were judged
		return core.Translate(err)
	}
	if err := b.keep(p); err != nil {
		return err
	}
	b.follower.Show(p)
	if b.Pin.Keyless || len(p.Entries) == 0 {
		return core.Translate(b.follower.Failed())
	}
	if err := b.core.ApplyRows(p.Entries); err != nil {
		return core.Translate(err)
	}
	if p.Sealed {
		b.core.FlushIndex()
	}
	b.shown()
	return core.Translate(b.follower.Failed())
}

// keep keeps the checkpoint of a piece, unless a larger one was accepted before files were lost here.
func (b *Store) keep(p *ledger.Piece) error {
	if p.Size <= b.accepted.Size {
		return nil
	}
	if !bug.On(bug.AcceptUnkept) {
		if err := durable.Replace(b.core.FS, b.core.Path(core.FileAccepted), p.Note, durable.PrivateFile); err != nil {
			return fmt.Errorf("couldn't keep the accepted checkpoint: %w", err)
		}
	}
	c, err := tree.ReadCheckpoint(p.Note)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note, b.accepted = p.Note, c
	return nil
}
