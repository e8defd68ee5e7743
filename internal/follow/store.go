package follow

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/epoch"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/tree"
)

// Store is a store that follows another one: byte copies of its files, and an index of its own, in a folder that is locked. It takes no writes but those that the primary has made. One goroutine follows;
// readers may be beside it.
//
// An entry counts here once it was checked (its leaf, its private part, its place and time; the tree that it makes, and the signature on that; that it shortens no lock; that
// every chunk it names is here and durable), its segment was fsynced and the checkpoint that covers it was kept: in this order.
type Store struct {
	Pin      epoch.Pin
	core     *core.Store
	shown    func() // tells those who wait that more is shown
	follower *ledger.Follower
	files    *Files
	packs    *Packs // nil without keys
	sums     map[string]entry.Pack

	mu       sync.Mutex
	accepted tree.Checkpoint
	note     []byte
}

// Open opens a standby's folder, which follows pin. With keys c is opened for reading, and shown is called after each piece that has come. core.ErrWrongKey: the newest keyring is not wrapped to this
// folder's identity (yet).
func Open(ctx context.Context, c *core.Store, pin epoch.Pin, shown func()) (_ *Store, err error) {
	b := &Store{Pin: pin, core: c, shown: shown, sums: map[string]entry.Pack{}}
	defer func() {
		if err != nil {
			err = errors.Join(core.Translate(err), b.Close())
		}
	}()
	if err := c.LockFolder(); err != nil {
		return nil, err
	}
	if err := c.Sweep(); err != nil {
		return nil, err
	}
	if c.Engine, err = dir.Open(c.FS, c.Dir(), dir.Options{}); err != nil {
		return nil, err
	}
	b.files = NewFiles(c.Engine)
	if err := b.loadAccepted(); err != nil {
		return nil, err
	}
	if pin.Keyless {
		return b, b.openKeyless(ctx)
	}
	return b, b.openKeyed(ctx)
}

func (b *Store) openKeyless(ctx context.Context) error {
	ring, err := pinnedRing(b.Pin)
	if err != nil {
		return err
	}
	for _, r := range b.Pin.Reigns {
		ring.Reigns = append(ring.Reigns, keyring.Reign{Epoch: r.Epoch, End: r.End, VKeys: r.VKeys})
	}
	if err := b.openLedger(ctx, ring, b.Pin.VKey); err != nil {
		return err
	}
	return b.rebase(ctx)
}

// pinnedRing is what a keyring has of the pinned store and epoch that needs no secret.
func pinnedRing(pin epoch.Pin) (*keyring.Keyring, error) {
	ring := &keyring.Keyring{Epoch: pin.Epoch()}
	if n, err := hex.Decode(ring.StoreID[:], []byte(pin.Store)); err != nil || n != len(ring.StoreID) {
		return nil, fmt.Errorf("%w: %q is no store id", core.ErrCorrupt, pin.Store)
	}
	return ring, nil
}

// openLedger opens the ledger as one that is followed; vkey is empty where the keyring has the keys.
func (b *Store) openLedger(ctx context.Context, ring *keyring.Keyring, vkey string) (err error) {
	b.follower, err = ledger.Follow(ctx, ledger.Options{Engine: b.files, Keys: ring, VKey: vkey, Ends: b.Pin.Ends(), SegmentBytes: b.core.LedgerOptions().SegmentBytes})
	return err
}

func (b *Store) openKeyed(ctx context.Context) error {
	c := b.core
	id, err := c.Identity()
	if err != nil {
		return err
	}
	if c.Keys, err = keyring.LoadSigner(ctx, c.Engine, b.Pin.VKey, id); err != nil { // that of a later epoch may be here, and is not for us yet
		return err
	}
	if err := c.OpenRoot(); err != nil {
		return err
	}
	if c.ID() != b.Pin.Store {
		return fmt.Errorf("%w: the keyring is of store %s, the standby follows %s", core.ErrWrongKey, c.ID(), b.Pin.Store)
	}
	if err := b.openLedger(ctx, c.Keys, ""); err != nil {
		return err
	}
	if err := b.rebase(ctx); err != nil {
		return err
	}
	c.SetLedger(b.follower.Ledger)
	if err := b.openRows(ctx); err != nil {
		return err
	}
	b.packs = NewPacks(b.files, c.Keys.StoreID, c.Keys.Sealer, indexPlaces{c.Index})
	if err := b.packs.Resume(ctx); err != nil {
		return err
	}
	if err := b.learnSealed(ctx); err != nil {
		return err
	}
	c.Follow()
	c.Body, err = body.Open(ctx, body.Options{Engine: b.files, Keys: core.BodyKeys{Ring: c.Keys}, Places: core.BodyPlaces{DB: c.Index}, StoreID: c.Keys.StoreID, Epoch: c.Keys.Epoch, ReadOnly: true})
	return err
}

// openRows opens the index and brings it up to the ledger. It has no log of its own: what it knows and the ledger does not was lost here, or is evidence by now.
func (b *Store) openRows(ctx context.Context) error {
	size := b.follower.Size()
	if err := b.core.OpenIndex(); err != nil {
		return err
	}
	if have := b.core.Index.Size(); have > size {
		if err := b.core.RenewIndex(fmt.Errorf("it has seen %d entries, of which %d count", have, size)); err != nil {
			return err
		}
	}
	if size == 0 {
		return nil
	}
	if err := b.core.OwnIndex(ctx, b.follower.Ledger); err != nil {
		return err
	}
	return b.core.Replay(ctx, b.follower.Ledger)
}

// learnSealed makes known where the chunks of sealed packs are that the index does not know: their own indexes say so.
func (b *Store) learnSealed(ctx context.Context) error {
	return b.core.Engine.List(ctx, engine.Packs, func(i engine.Info) error {
		name, ok := pack.ParseName(i.Name)
		if !ok || b.core.Index.KnowsPack(name) {
			return nil
		}
		f, err := b.core.Engine.Open(ctx, i.Name)
		if err != nil {
			return err
		}
		defer f.Close()
		chunks, err := pack.ReadIndex(f, f.Size())
		if err != nil {
			return fmt.Errorf("couldn't read the index of %s: %w", i.Name, err)
		}
		p := indexPlaces{b.core.Index}
		if err := p.Add(name, chunks); err != nil {
			return err
		}
		return p.KnowPack(name)
	})
}

// indexPlaces lets the packs that come keep their places in the index.
type indexPlaces struct{ db *index.DB }

func (p indexPlaces) Add(name pack.Name16, chunks []pack.Chunk) error {
	ids, at := make([]entry.ID, len(chunks)), make([]index.Place, len(chunks))
	for i, c := range chunks {
		ids[i], at[i] = c.ID, index.Place{Pack: name, Offset: c.Offset, Length: c.Length}
	}
	return p.db.AddPlaces(ids, at)
}

func (p indexPlaces) KnowPack(name pack.Name16) error { p.db.KnowPack(name); return nil }

func (p indexPlaces) In(id entry.ID) (pack.Name16, bool, error) {
	at, ok, err := p.db.Place(id)
	return at.Pack, ok, err
}

// loadAccepted reads the checkpoint that was accepted last, if there is one.
func (b *Store) loadAccepted() error {
	note, err := core.ReadFile(b.core.FS, b.core.Path(core.FileAccepted))
	if core.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", core.FileAccepted, err)
	}
	b.accepted, _, err = b.Pin.Open(note)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", core.ErrCorrupt, b.core.Path(core.FileAccepted), err)
	}
	b.note = note
	return nil
}

// rebase puts what was accepted of an earlier epoch back to where that ended: it is proven, and what came behind it is evidence.
func (b *Store) rebase(ctx context.Context) error {
	_, of := epoch.SplitOrigin(b.accepted.Origin)
	end := b.Pin.EndOf(of)
	if b.accepted.Size <= end {
		return nil
	}
	b.note = nil // it says more than what was kept
	b.accepted.Size = min(end, b.follower.Size())
	var err error
	b.accepted.Root, err = b.follower.Root(ctx, b.accepted.Size)
	return err
}

// Dir is the standby's folder.
func (b *Store) Dir() string { return b.core.Dir() }

// Close ends following and reading, and gives the folder back. What grew here stays as tails.
func (b *Store) Close() error { return b.core.CloseBy(b.closeFiles) }

// closeFiles closes each before what it reads or writes.
func (b *Store) closeFiles() error {
	var errs []error
	if b.core.Body != nil {
		errs = append(errs, b.core.Body.Close())
	}
	if b.packs != nil {
		errs = append(errs, b.packs.Close())
	}
	if b.follower != nil {
		errs = append(errs, b.follower.Close())
	}
	if b.core.Index != nil {
		errs = append(errs, b.core.Index.Close())
	}
	return core.Translate(errors.Join(append(errs, b.core.Unlock())...))
}
