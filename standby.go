package stele

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/bug"
	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/epoch"
	"stele/internal/follow"
	"stele/internal/frame"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/tree"
)

// ErrStandby: the folder is a standby's, which takes no writes. It is ErrReadOnly too.
var ErrStandby = core.ErrStandby

// Standby is a store that follows another one: byte copies of its files, and an index of its own. It reads as any store does and takes no writes. One goroutine
// follows; readers may be beside it.
//
// An entry counts here once it was checked (its leaf, its private part, its place and time; the tree that it makes, and the signature on that; that it shortens no lock; that
// every chunk it names is here and durable), its segment was fsynced and the checkpoint that covers it was kept: in this order.
type Standby struct {
	*Store   // nil without keys
	Pin      StandbyPin
	follower *ledger.Follower
	files    *follow.Files
	packs    *follow.Packs // nil without keys
	sums     map[string]entry.Pack
	folder   *Store // lock, engine and file system, with or without keys

	mu       sync.Mutex
	accepted tree.Checkpoint
	note     []byte
}

// NewStandby makes an empty folder a standby's: its identity, whose recipient the primary is to admit. A folder that is one already keeps it.
func NewStandby(folder string, opt Options) (recipient string, err error) {
	c := folderOf(folder, opt)
	if c.HasIdentity() {
		_, pinned, err := PinOf(folder, opt)
		if err != nil {
			return "", err
		}
		if !pinned && IsStore(folder, opt) {
			return "", fmt.Errorf("%s holds a store of its own: a standby needs an empty or missing folder", c.Dir())
		}
	} else if empty, err := core.IsEmpty(c.FS, c.Dir()); err != nil {
		return "", err
	} else if !empty {
		return "", fmt.Errorf("%s is not empty: a standby needs an empty or missing folder", c.Dir())
	}
	if err := c.MakeFolder(); err != nil {
		return "", err
	}
	id, err := c.MachineIdentity()
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), nil
}

// PinOf returns what a standby's folder holds fast; false: nothing yet.
func PinOf(folder string, opt Options) (pin StandbyPin, ok bool, err error) {
	return epoch.PinIn(folderOf(folder, opt))
}

// SetPin holds fast whom a standby follows. The store and its key never change once they are pinned.
func SetPin(folder string, opt Options, pin StandbyPin) error {
	return epoch.SetPin(folderOf(folder, opt), pin)
}

// CopyKeyring stores a keyring file of the primary's; what is there already is left.
func CopyKeyring(ctx context.Context, folder string, opt Options, name string, content []byte) error {
	c := folderOf(folder, opt)
	d, err := dir.Open(c.FS, c.Dir(), dir.Options{})
	if err != nil {
		return err
	}
	if f, _ := engine.SplitName(name); f != engine.Keyrings {
		return core.BadValue("%q is not the name of a keyring", name)
	}
	if err := d.Create(ctx, name, int64(len(content)), strings.NewReader(string(content))); !errors.Is(err, engine.ErrExist) {
		return err
	}
	return nil
}

// OpenStandby opens a standby's folder, which is pinned. With keys: ErrWrongKey if the newest keyring is not wrapped to it (yet).
func OpenStandby(ctx context.Context, folder string, opt Options) (_ *Standby, err error) {
	pin, ok, err := PinOf(folder, opt)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s is no standby's folder", ErrNotStore, folder)
	}
	s := newStore(folder, opt)
	b := &Standby{Pin: pin, folder: s, sums: map[string]entry.Pack{}}
	defer func() {
		if err != nil {
			err = errors.Join(core.Translate(err), b.Close())
		}
	}()
	if err := s.core.LockFolder(); err != nil {
		return nil, err
	}
	if err := s.core.Sweep(); err != nil {
		return nil, err
	}
	if s.core.Engine, err = dir.Open(s.core.FS, s.core.Dir(), dir.Options{}); err != nil {
		return nil, err
	}
	b.files = follow.NewFiles(s.core.Engine)
	if err := b.loadAccepted(); err != nil {
		return nil, err
	}
	if pin.Keyless {
		return b, b.openKeyless(ctx)
	}
	return b, b.openKeyed(ctx)
}

func (b *Standby) openKeyless(ctx context.Context) (err error) {
	ring := &keyring.Keyring{Epoch: b.Pin.Epoch()}
	for _, r := range b.Pin.Reigns {
		ring.Reigns = append(ring.Reigns, keyring.Reign{Epoch: r.Epoch, End: r.End, VKeys: r.VKeys})
	}
	if n, err := hex.Decode(ring.StoreID[:], []byte(b.Pin.Store)); err != nil || n != len(ring.StoreID) {
		return fmt.Errorf("%w: %q is no store id", ErrCorrupt, b.Pin.Store)
	}
	b.follower, err = ledger.Follow(ctx, ledger.Options{Engine: b.files, Keys: ring, VKey: b.Pin.VKey, Ends: b.Pin.Ends(), SegmentBytes: b.folder.opt.SegmentBytes})
	if err != nil {
		return err
	}
	return b.rebase(ctx)
}

func (b *Standby) openKeyed(ctx context.Context) (err error) {
	s := b.folder
	id, err := s.core.Identity()
	if err != nil {
		return err
	}
	if s.core.Keys, err = keyring.LoadSigner(ctx, s.core.Engine, b.Pin.VKey, id); err != nil { // that of a later epoch may be here, and is not for us yet
		return err
	}
	if err := s.core.OpenRoot(); err != nil {
		return err
	}
	if s.ID() != b.Pin.Store {
		return fmt.Errorf("%w: the keyring is of store %s, the standby follows %s", ErrWrongKey, s.ID(), b.Pin.Store)
	}
	b.follower, err = ledger.Follow(ctx, ledger.Options{Engine: b.files, Keys: s.core.Keys, Ends: b.Pin.Ends(), SegmentBytes: s.opt.SegmentBytes})
	if err != nil {
		return err
	}
	if err := b.rebase(ctx); err != nil {
		return err
	}
	s.core.SetLedger(b.follower.Ledger)
	if err := b.openRows(ctx); err != nil {
		return err
	}
	b.packs = follow.NewPacks(b.files, s.core.Keys.StoreID, s.core.Keys.Sealer, followPlaces{s.core.Index})
	if err := b.packs.Resume(ctx); err != nil {
		return err
	}
	if err := b.learnSealed(ctx); err != nil {
		return err
	}
	s.core.Follow()
	s.core.Body, err = body.Open(ctx, body.Options{Engine: b.files, Keys: core.BodyKeys{Ring: s.core.Keys}, Places: core.BodyPlaces{DB: s.core.Index}, StoreID: s.core.Keys.StoreID, Epoch: s.core.Keys.Epoch, ReadOnly: true})
	b.Store = s
	return err
}

// openRows opens the index and brings it up to the ledger. It has no log of its own: what it knows and the ledger does not was lost here, or is evidence by now.
func (b *Standby) openRows(ctx context.Context) error {
	s, size := b.folder, b.follower.Size()
	if err := s.core.OpenIndex(); err != nil {
		return err
	}
	if have := s.core.Index.Size(); have > size {
		if err := s.core.RenewIndex(fmt.Errorf("it has seen %d entries, of which %d count", have, size)); err != nil {
			return err
		}
	}
	if size == 0 {
		return nil
	}
	if err := s.core.OwnIndex(ctx, b.follower.Ledger); err != nil {
		return err
	}
	return s.core.Replay(ctx, b.follower.Ledger)
}

// learnSealed makes known where the chunks of sealed packs are that the index does not know: their own indexes say so.
func (b *Standby) learnSealed(ctx context.Context) error {
	s := b.folder
	return s.core.Engine.List(ctx, engine.Packs, func(i engine.Info) error {
		name, ok := pack.ParseName(i.Name)
		if !ok || s.core.Index.KnowsPack(name) {
			return nil
		}
		f, err := s.core.Engine.Open(ctx, i.Name)
		if err != nil {
			return err
		}
		defer f.Close()
		chunks, err := pack.ReadIndex(f, f.Size())
		if err != nil {
			return fmt.Errorf("couldn't read the index of %s: %w", i.Name, err)
		}
		p := followPlaces{s.core.Index}
		if err := p.Add(name, chunks); err != nil {
			return err
		}
		return p.KnowPack(name)
	})
}

// followPlaces lets the packs that come keep their places in the index.
type followPlaces struct{ db *index.DB }

func (p followPlaces) Add(name pack.Name16, chunks []pack.Chunk) error {
	ids, at := make([]entry.ID, len(chunks)), make([]index.Place, len(chunks))
	for i, c := range chunks {
		ids[i], at[i] = c.ID, index.Place{Pack: name, Offset: c.Offset, Length: c.Length}
	}
	return p.db.AddPlaces(ids, at)
}

func (p followPlaces) KnowPack(name pack.Name16) error { p.db.KnowPack(name); return nil }

func (p followPlaces) In(id entry.ID) (pack.Name16, bool, error) {
	at, ok, err := p.db.Place(id)
	return at.Pack, ok, err
}

func (b *Standby) loadAccepted() error {
	note, err := core.ReadFile(b.folder.core.FS, b.folder.core.Path(core.FileAccepted))
	if core.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't read %s: %w", core.FileAccepted, err)
	}
	b.accepted, _, err = b.Pin.Open(note)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, b.folder.core.Path(core.FileAccepted), err)
	}
	b.note = note
	return nil
}

// rebase puts what was accepted of an earlier epoch back to where that ended: it is proven, and what came behind it is evidence.
func (b *Standby) rebase(ctx context.Context) error {
	_, epoch := epoch.SplitOrigin(b.accepted.Origin)
	end := b.Pin.EndOf(epoch)
	if b.accepted.Size <= end {
		return nil
	}
	b.note = nil // it says more than what was kept
	b.accepted.Size = min(end, b.follower.Size())
	var err error
	b.accepted.Root, err = b.follower.Root(ctx, b.accepted.Size)
	return err
}

// Epoch is the epoch of which the next entry will be.
func (b *Standby) Epoch() uint32 { return b.follower.NextEpoch() }

// SealTail seals what grows here of the segments. The standby must be closed then. It is what is done before another epoch is pinned.
func (b *Standby) SealTail() error { return core.Translate(b.follower.SealTail()) }

// Accepted is the newest checkpoint that was accepted and kept, and its signed note; zero and nil: none yet.
func (b *Standby) Accepted() (tree.Checkpoint, []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted, b.note
}

// Here is how many entries are in the files here; less than was accepted if files were lost, and until they have come again.
func (b *Standby) Here() uint64 { return b.follower.Size() }

// Consistency proves that the accepted ledger of size to begins with that of size from.
func (b *Standby) Consistency(ctx context.Context, from, to uint64) ([]tree.Hash, error) {
	return b.follower.Consistency(ctx, from, to)
}

// Root is the root of the tree of a size that is here.
func (b *Standby) Root(ctx context.Context, size uint64) (tree.Hash, error) {
	return b.follower.Root(ctx, size)
}

// TimeOf is the time of an entry that is here, which needs no key.
func (b *Standby) TimeOf(ctx context.Context, at uint64) (time.Time, error) {
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
func (b *Standby) Packs() *follow.Packs { return b.packs }

// HasSealed says whether a sealed file is here.
func (b *Standby) HasSealed(ctx context.Context, name string) (bool, error) {
	f, err := b.folder.core.Engine.Open(ctx, name)
	if errors.Is(err, engine.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// SyncPacks makes durable what came of packs.
func (b *Standby) SyncPacks() error { return b.packs.Sync() }

// SealPack makes a sealed pack of one that has come whole. Its digest is compared when its pack.seal entry comes.
func (b *Standby) SealPack(name string) error {
	p, err := b.packs.Seal(name)
	if err == nil {
		b.sums[name] = p
	}
	return err
}

// Want is the segment to come next: see ledger.Follower.
func (b *Standby) Want() (name string, off int64, id string) {
	name, off, file := b.follower.Want()
	if file == (frame.FileID{}) {
		return name, off, ""
	}
	return name, off, hex.EncodeToString(file[:])
}

// Check takes the next bytes of the segment that Want names: see ledger.Follower. limit is the size up to which the packs that came hold what entries name.
func (b *Standby) Check(data []byte, limit uint64) (*ledger.Piece, error) {
	return b.follower.Check(data, limit)
}

// Replace checks a whole sealed segment in place of the one that came so far: see ledger.Follower.
func (b *Standby) Replace(data []byte) (*ledger.Piece, error) { return b.follower.Replace(data) }

// Shorten takes a sealed segment in place of the one that came so far and reaches further: see ledger.Follower. The standby must be closed then.
func (b *Standby) Shorten(ctx context.Context, data []byte) error {
	return b.follower.Shorten(ctx, data)
}

// Forget drops what Check was given and Accept was not.
func (b *Standby) Forget() { b.follower.Forget() }

// Accept makes a piece that was judged part of the ledger here: its bytes are fsynced, the checkpoint that covers it is kept durably, then it is shown. Only after that
// may the checkpoint be cosigned. After an error the standby must be opened again.
func (b *Standby) Accept(ctx context.Context, p *ledger.Piece) error {
	if err := b.follower.Accept(ctx, p); err != nil { // a crash from here on finds the entries in a tail or a segment: they were judged
		return core.Translate(err)
	}
	if err := b.keep(p); err != nil {
		return err
	}
	b.follower.Show(p)
	if b.Store == nil || len(p.Entries) == 0 {
		return core.Translate(b.follower.Failed())
	}
	if err := b.core.ApplyRows(p.Entries); err != nil {
		return core.Translate(err)
	}
	if p.Sealed {
		b.core.FlushIndex()
	}
	b.replica.Changed.Tell(0)
	return core.Translate(b.follower.Failed())
}

// keep keeps the checkpoint of a piece, unless a larger one was accepted before files were lost here.
func (b *Standby) keep(p *ledger.Piece) error {
	if p.Size <= b.accepted.Size {
		return nil
	}
	if !bug.On(bug.AcceptUnkept) {
		if err := durable.Replace(b.folder.core.FS, b.folder.core.Path(core.FileAccepted), p.Note, durable.PrivateFile); err != nil {
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

// Dir is the standby's folder.
func (b *Standby) Dir() string { return b.folder.core.Dir() }

// Close ends following and reading, and gives the folder back. What grew here stays as tails.
func (b *Standby) Close() error {
	var errs []error
	s := b.folder
	first := false
	s.core.Closed.Do(func() { first = true })
	if !first {
		return nil
	}
	s.core.Shut()
	s.core.EndReaders()
	close(s.core.Stop)
	if s.core.Body != nil {
		errs = append(errs, s.core.Body.Close())
	}
	if b.packs != nil {
		errs = append(errs, b.packs.Close())
	}
	if b.follower != nil {
		errs = append(errs, b.follower.Close())
	}
	if s.core.Index != nil {
		errs = append(errs, s.core.Index.Close())
	}
	return core.Translate(errors.Join(append(errs, s.core.Unlock())...))
}
