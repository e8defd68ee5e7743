package stele

import (
	"context"
	"slices"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/tree"
)

// Ledger is the store's Merkle tree of entries, one for each change, and its proofs. It is a log as C2SP tlog-tiles has it: tiles and bundles of entries under a signed checkpoint, which anybody can follow and check.
// An entry is named by its index, from 0 on; a size counts the entries before it, so that a View of size n shows what entries 0 to n-1 made.
//
// A Ledger is one pointer: ask the store for it wherever it is needed.
type Ledger struct{ s *Store }

// Ledger returns the ledger of the store.
func (s *Store) Ledger() Ledger { return Ledger{s} }

// Size returns the ledger size: the number of durable, applied entries.
func (l Ledger) Size() uint64 { return l.s.core.Size() }

// Receipt returns a self-contained proof (C2SP tlog-proof) that an entry is in the ledger. Anyone can check it offline with VKey (verify.Receipt). It holds the entry's private part, in which secrets are sealed.
// ErrBadState: the entry is from before they were, and has one in clear. ErrFuture: no such entry. ErrNoWitness: it must be cosigned, and is not (Options.RequireWitnesses).
func (l Ledger) Receipt(ctx context.Context, at uint64) ([]byte, error) {
	if err := l.s.core.Enter(); err != nil {
		return nil, err
	}
	defer l.s.core.Leave()
	e, _, _, err := l.s.core.Ledger().Entry(ctx, at)
	if err != nil {
		return nil, core.Translate(err)
	}
	if shown := e; WithoutSecret(&shown) {
		return nil, core.BadState("entry %d is from before secrets were sealed, and its receipt would hand out the one that it has in clear. Make that key anew, and ask for the receipt of the new entry", at)
	}
	var parts []byte
	if b := e.Private.Body; b != nil && b.Kind == entry.BodyParts {
		list, err := l.s.core.Body.PartsOf(ctx, *b)
		if err != nil {
			return nil, core.Translate(err)
		}
		parts = entry.AppendParts(nil, list)
	}
	head, err := l.s.care.CosignedOver(ctx, at)
	if err != nil {
		return nil, err
	}
	if head.Size == 0 {
		r, err := l.s.core.Ledger().ReceiptParts(ctx, at, parts)
		return r, core.Translate(err)
	}
	r, err := l.s.core.Ledger().ReceiptUnder(ctx, at, head.Size, head.Note, parts)
	return r, core.Translate(err)
}

// Prove returns the receipt of the entry that wrote the version at a place, and that version with its digests. Errors are those of Store.Head and of Receipt.
func (l Ledger) Prove(ctx context.Context, at Place) ([]byte, Version, error) {
	if err := l.s.core.Enter(); err != nil {
		return nil, Version{}, err
	}
	defer l.s.core.Leave()
	v, err := l.s.Head(ctx, at)
	if err != nil {
		return nil, v, err
	}
	if err := l.s.Describe(ctx, &v); err != nil {
		return nil, v, err
	}
	r, err := l.Receipt(ctx, v.Entry)
	return r, v, err
}

// VKey returns the verifier key for checkpoints and receipts (c2sp.org/signed-note). Who checks them must have it from somebody else than who shows them.
func (l Ledger) VKey() string { return l.s.core.Ledger().VKey() }

// Origin returns the ledger's name in its checkpoints (c2sp.org/tlog-checkpoint).
func (l Ledger) Origin() string { return l.s.core.Ledger().Origin() }

// Entry returns one entry; ErrFuture: there is none yet. Secrets are sealed in it.
func (l Ledger) Entry(ctx context.Context, at uint64) (*entry.Entry, error) {
	if err := l.s.core.Enter(); err != nil {
		return nil, err
	}
	defer l.s.core.Leave()
	e, _, _, err := l.s.core.Ledger().Entry(ctx, at)
	WithoutSecret(&e)
	return &e, core.Translate(err)
}

// LogQuery selects entries; zero fields select all.
type LogQuery struct {
	Types          []entry.Type // exact types, or a family such as "object.*"
	Bucket, Prefix string
	Actor          string    // "local" is the command line, whoever ran it
	Since, Until   time.Time // Until is not included
	From, To       uint64    // entry indexes, To not included; 0: to the end
}

// Log calls fn for each selected entry, in order, until fn returns an error, which Log returns. Secrets are sealed in it. An entry is fn's only until it returns.
func (l Ledger) Log(ctx context.Context, q LogQuery, fn func(*entry.Entry) error) error {
	if err := l.s.core.Enter(); err != nil {
		return err
	}
	defer l.s.core.Leave()
	from, to := q.From, l.Size()
	if q.To != 0 {
		to = min(to, q.To)
	}
	if !q.Since.IsZero() {
		n, err := l.s.core.Ledger().SizeAt(ctx, q.Since.Add(-time.Microsecond))
		if err != nil {
			return core.Translate(err)
		}
		from = max(from, n)
	}
	if !q.Until.IsZero() {
		n, err := l.s.core.Ledger().SizeAt(ctx, q.Until.Add(-time.Microsecond))
		if err != nil {
			return core.Translate(err)
		}
		to = min(to, n)
	}
	if from >= to {
		return nil
	}
	err := l.s.core.Ledger().Entries(ctx, from, to, func(e *entry.Entry) error {
		if l.s.core.Closing() {
			return ErrClosed
		}
		if !q.selects(e) {
			return nil
		}
		WithoutSecret(e)
		return fn(e)
	})
	return core.Translate(err)
}

func (q *LogQuery) selects(e *entry.Entry) bool {
	p := &e.Private
	if len(q.Types) > 0 && !slices.ContainsFunc(q.Types, func(t entry.Type) bool {
		family, wild := strings.CutSuffix(string(t), "*")
		return t == e.Type || wild && strings.HasPrefix(string(e.Type), family)
	}) {
		return false
	}
	return (q.Bucket == "" || p.Bucket == q.Bucket) && (q.Prefix == "" || p.Key != "" && strings.HasPrefix(p.Key, q.Prefix)) && (q.Actor == "" || isActor(p.Actor, q.Actor))
}

// Checkpoint returns the signed note of the newest durable ledger size (c2sp.org/tlog-checkpoint).
func (l Ledger) Checkpoint() []byte { return l.s.core.Ledger().Checkpoint() }

// Published returns the published checkpoint, which moves at most once a second.
func (l Ledger) Published() []byte { return l.s.core.Ledger().Published() }

// TreeHead returns size and root of the durable ledger.
func (l Ledger) TreeHead() (uint64, tree.Hash) { return l.s.core.Ledger().Head() }

// Tile returns tile n of a level, of width hashes, 1 to 256 (c2sp.org/tlog-tiles). Partial tiles are computed on request. It is an error if the ledger has not reached it.
func (l Ledger) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	if err := l.s.core.Enter(); err != nil {
		return nil, err
	}
	defer l.s.core.Leave()
	b, err := l.s.core.Ledger().Tile(ctx, level, n, width)
	return b, core.Translate(err)
}

// Bundle returns bundle n, of width entries, 1 to 256 (c2sp.org/tlog-tiles): the leaves of a level 0 tile. ErrFuture: the ledger has not reached it.
func (l Ledger) Bundle(ctx context.Context, n int64, width int) ([]byte, error) {
	if err := l.s.core.Enter(); err != nil {
		return nil, err
	}
	defer l.s.core.Leave()
	b, err := l.s.core.Ledger().LeafBundle(ctx, n, width)
	return b, core.Translate(err)
}

// Inclusion returns the proof that the tree of a size contains the entry of an index (RFC 6962, section 2.1.1).
func (l Ledger) Inclusion(ctx context.Context, index, size uint64) ([]tree.Hash, error) {
	if err := l.s.core.Enter(); err != nil {
		return nil, err
	}
	defer l.s.core.Leave()
	p, err := l.s.core.Ledger().Inclusion(ctx, index, size)
	return p, core.Translate(err)
}

// Consistency returns the proof that the tree of size to contains the tree of size from (RFC 6962, section 2.1.2).
func (l Ledger) Consistency(ctx context.Context, from, to uint64) ([]tree.Hash, error) {
	if err := l.s.core.Enter(); err != nil {
		return nil, err
	}
	defer l.s.core.Leave()
	p, err := l.s.core.Ledger().Consistency(ctx, from, to)
	return p, core.Translate(err)
}

// Epoch returns the present epoch: 1 in a new store; it grows with each promotion.
func (l Ledger) Epoch() uint32 { return l.s.core.Keys.Epoch }

// Epochs returns the epochs of which the store has entries, with the first entry of each, in order.
func (l Ledger) Epochs() (epochs []EpochBegin) { return l.s.epochs.Epochs() }

// Succession returns the epochs of the store, with the receipts, made now, of the entries that began them.
func (l Ledger) Succession(ctx context.Context) (Succession, error) {
	return l.s.epochs.Succession(ctx)
}
