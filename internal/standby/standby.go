// Package standby follows a primary: it fetches what the primary made durable, has it checked and accepted ([follow.Store]), and keeps evidence where it may not be
// accepted. It opens no connection by itself ([Primary]).
//
// One round asks where the primary stands, copies the new bytes of packs, makes them durable, and takes the segments batch by batch. The primary's newest checkpoint must be signed by the pinned key and continue the last one that
// was accepted. A round that meets something that may not be accepted ends following for good: both checkpoints are kept, and the standby
// is frozen until a person has decided which history is the true one.
//
// It trusts the pinned key, and nothing else that the primary says.
package standby

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stele"
	"stele/internal/bug"
	"stele/internal/follow"
	"stele/internal/ledger"
	"stele/internal/retry"
	"stele/tree"
)

// Primary is the store that is followed, over whatever way.
type Primary interface {
	// ReplicaState returns where the store stands. With wait it answers once the ledger is beyond from, another number of keyrings was stored, or a while has passed.
	ReplicaState(ctx context.Context, from uint64, keyrings int, wait bool) (stele.ReplicaState, error)
	// ReplicaFiles lists the sealed files in a folder of the store.
	ReplicaFiles(ctx context.Context, folder string) ([]stele.ReplicaFile, error)
	// ReplicaRead reads what comes next of a file, from byte off on. stele.ErrNoKey: there is no such file.
	ReplicaRead(ctx context.Context, name string, off int64) (stele.ReplicaFile, []byte, error)
	// Succession returns the epochs of the store, with the receipts of the entries that began them.
	Succession(ctx context.Context) (stele.Succession, error)
	// Learn tells of the entry by which a later epoch began elsewhere; nil: the store takes no more writes.
	Learn(ctx context.Context, at uint64, data map[string]string) error
}

// Options say whom to follow, and where to.
type Options struct {
	Folder  string
	Store   stele.Options
	From    string // the primary's address, as it is noted
	VKey    string // the verifier key to pin; empty: the one that the primary shows first is trusted, and kept
	Keyless bool
	Dial    func(ctx context.Context) (Primary, error)
	Log     *slog.Logger
	Tell    func(format string, args ...any) // what a person should see: the recipient, the pinned key
	// AcceptCut is the number of entries with which a person has agreed that a new epoch goes on, though much more was accepted here; 0: none.
	AcceptCut uint64
	// Turned is told of the store that is open from now on, in place of the one before, which is closed: a new epoch is followed. nil: nobody need be told.
	Turned func(*stele.Standby) error
	Now    func() time.Time
	Sleep  func(ctx context.Context, d time.Duration) error // returns early with ctx's error
}

// FrozenError says why following has ended. Evidence is the folder that holds what there is to see.
type FrozenError struct {
	Kind     string // rollback, fork, signature, unproven, refused, cut
	Evidence string
	Why      error
}

// Error says what happened, where the evidence is, and what to do.
func (e *FrozenError) Error() string {
	return fmt.Sprintf("following is frozen (%s): %v. The evidence is in %s. Find out which history is the true one; until then nothing of the primary is accepted", e.Kind, e.Why, e.Evidence)
}

// Unwrap returns Why.
func (e *FrozenError) Unwrap() error { return e.Why }

// Status is where a standby stands.
type Status struct {
	Epoch        uint32    // followed
	Accepted     uint64    // entries accepted
	Primary      uint64    // entries that the primary had when it was last heard
	LastAccepted time.Time // when something was accepted last, or the primary had nothing more
	LastContact  time.Time
	Err          string // why the primary was not reached, or following is frozen; empty: all is well
	Frozen       bool
}

// Standby follows.
type Standby struct {
	opt   Options
	store *stele.Standby // replaced under mu, by the goroutine that follows

	primary  Primary
	keyrings int             // of the primary's process, as it counts them
	listed   bool            // every sealed pack was looked for
	gone     map[string]bool // packs that grow here and that this primary has not got: not asked for again before the next contact
	told     bool            // a person was told that a new epoch's primary has not admitted this standby

	mu     sync.Mutex
	status Status
	grown  chan struct{} // closed when more was accepted
}

// New prepares a standby. It opens nothing.
func New(opt Options) *Standby {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Sleep == nil {
		opt.Sleep = retry.Sleep
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Tell == nil {
		opt.Tell = func(string, ...any) {}
	}
	if opt.Turned == nil {
		opt.Turned = func(*stele.Standby) error { return nil }
	}
	return &Standby{opt: opt, grown: make(chan struct{})}
}

// Store is the store that follows, once Open has returned. Another one takes its place when a new epoch is followed (Options.Turned).
func (s *Standby) Store() *stele.Standby {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store
}

// Status returns where the standby stands.
func (s *Standby) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Standby) note(fn func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.status)
}

// Grown returns a channel that is closed when more is accepted.
func (s *Standby) Grown() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grown
}

func (s *Standby) grew(size uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Accepted, s.status.LastAccepted = size, s.opt.Now()
	close(s.grown)
	s.grown = make(chan struct{})
}

// Follow follows until ctx ends (nil), or following is frozen (*FrozenError), or the standby's own storage fails. A primary that is not reached is asked again.
func (s *Standby) Follow(ctx context.Context) error {
	if err := s.stillFrozen(); err != nil {
		return err
	}
	wait, failures := false, 0
	for ctx.Err() == nil {
		err := s.round(ctx, wait)
		var frozen *FrozenError
		var local *localError
		switch {
		case err == nil:
			wait, failures = true, 0
			s.note(func(st *Status) { st.Err = "" })
			continue
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &frozen):
			s.note(func(st *Status) { st.Err, st.Frozen = err.Error(), true })
			s.opt.Log.Error("standby frozen", "kind", frozen.Kind, "evidence", frozen.Evidence, "err", frozen.Why)
			return err
		case errors.As(err, &local):
			return local.err
		}
		wait = false
		s.note(func(st *Status) { st.Err = err.Error() })
		s.opt.Log.Warn("couldn't follow, trying again", "err", err)
		s.primary = nil
		failures++
		if s.opt.Sleep(ctx, again.Jittered(failures)) != nil {
			return nil
		}
	}
	return nil
}

// again is when a primary that did not answer is asked again.
var again = retry.Backoff{First: 100 * time.Millisecond, Most: 5 * time.Second}

// localError is an error of the standby's own storage: nobody tries again.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

func local(err error) error {
	if err == nil {
		return nil
	}
	return &localError{err}
}

func (s *Standby) dial(ctx context.Context) error {
	if s.primary != nil {
		return nil
	}
	p, err := s.opt.Dial(ctx)
	if err != nil {
		return err
	}
	s.primary, s.keyrings, s.gone = p, -1, map[string]bool{}
	return nil
}

// round brings the standby up to where the primary is when it is asked.
func (s *Standby) round(ctx context.Context, wait bool) error {
	if err := s.dial(ctx); err != nil {
		return err
	}
	st, err := s.contact(ctx, wait)
	if err != nil {
		return err
	}
	if err := s.copyKeyrings(ctx, st); err != nil {
		return err
	}
	if s.store.Follow.Packs() != nil {
		if err := s.copyPacks(ctx, st); err != nil {
			return err
		}
	}
	if err := s.copySegments(ctx, st); err != nil {
		return err
	}
	s.note(func(x *Status) { x.LastAccepted = s.opt.Now() })
	return nil
}

// contact asks where the primary stands and checks that it goes on from what was accepted.
func (s *Standby) contact(ctx context.Context, wait bool) (stele.ReplicaState, error) {
	from, root, err := s.position(ctx)
	if err != nil {
		return stele.ReplicaState{}, local(err)
	}
	st, err := s.primary.ReplicaState(ctx, from, s.keyrings, wait && s.keyrings >= 0)
	if err != nil {
		return st, err
	}
	s.note(func(x *Status) { x.LastContact, x.Primary = s.opt.Now(), st.Size })
	if of, ours := s.store.Follow.Pin.EpochIn(st.Checkpoint), s.store.Follow.Pin.Epoch(); of > ours {
		if err := s.turn(ctx, st); err != nil {
			return st, err
		}
		return s.contact(ctx, false)
	} else if of > 0 && of < ours {
		return st, s.tellFormer(ctx, st)
	}
	if err := signedAs(s.store.Follow.Pin.VKey, st); err != nil {
		return st, s.freeze("signature", st.Checkpoint, err)
	}
	c, err := tree.ReadCheckpoint(st.Checkpoint)
	switch {
	case err != nil:
		return st, err
	case c.Size < from:
		return st, s.freeze("rollback", st.Checkpoint, fmt.Errorf("%d entries of the ledger were accepted here, the primary has %d: it was rolled back, or lost files", from, c.Size))
	case from == 0 || bug.On(bug.SkipConsistency):
	default:
		if err := tree.CheckConsistency(st.Proof, from, root, c.Size, c.Root); err != nil {
			return st, s.freeze("fork", st.Checkpoint, fmt.Errorf("the primary's ledger of size %d does not go on from the one of size %d that was accepted here: history was rewritten: %w", c.Size, from, err))
		}
	}
	return st, nil
}

// position is the largest size that is held fast here, and its root.
func (s *Standby) position(ctx context.Context) (uint64, tree.Hash, error) {
	c, _ := s.store.Follow.Accepted()
	here := s.store.Follow.Here()
	if here <= c.Size {
		return c.Size, c.Root, nil
	}
	root, err := s.store.Follow.Root(ctx, here) // the crash came before its checkpoint was kept
	return here, root, err
}

// errStuck: the primary has no bytes for entries that it says it has. Asked again, it will.
var errStuck = errors.New("the primary has no further bytes of its newest segment")

// copySegments takes the segments up to what st says.
func (s *Standby) copySegments(ctx context.Context, st stele.ReplicaState) error {
	again := true
	for s.store.Follow.Here() < st.Size {
		p, err := s.fetchPiece(ctx, st)
		if errors.Is(err, ledger.ErrUnproven) && again {
			again = false // the way may have garbled it: once more
			s.store.Follow.Forget()
			continue
		}
		if err != nil {
			return s.judged(st, err)
		}
		if p == nil {
			return errStuck
		}
		if len(p.Entries) == 0 && p.Size == s.store.Follow.Here() && !p.Sealed {
			continue
		}
		if err := s.judge(ctx, p, st); err != nil {
			return err
		}
		if err := s.store.Follow.Accept(ctx, p); err != nil {
			return local(err)
		}
		again = true
		s.grew(s.store.Follow.Here())
	}
	return nil
}

// fetchPiece fetches what comes next of the ledger and checks it. nil: nothing came.
func (s *Standby) fetchPiece(ctx context.Context, st stele.ReplicaState) (*ledger.Piece, error) {
	name, off, id := s.store.Follow.Want()
	f, b, err := s.primary.ReplicaRead(ctx, name, off)
	if errors.Is(err, stele.ErrBadRange) {
		f, b, err = s.primary.ReplicaRead(ctx, name, 0)
		if err == nil && f.ID == id {
			return nil, s.freeze("rollback", st.Checkpoint, fmt.Errorf("segment %s is shorter at the primary than what it had made durable", name))
		}
	}
	if err != nil {
		return nil, err
	}
	if id != "" && f.ID != id {
		return s.replace(ctx, f)
	}
	p, err := s.store.Follow.Check(b, st.Size)
	if err == nil && len(b) == 0 && len(p.Entries) == 0 && p.Size == s.store.Follow.Here() && !p.Sealed {
		return nil, nil
	}
	return p, err
}

// maxSegment bounds a segment that is fetched whole, in bytes.
const maxSegment = 64 << 20

// replace fetches a segment whole that took the place of the one that came so far.
func (s *Standby) replace(ctx context.Context, f stele.ReplicaFile) (*ledger.Piece, error) {
	if f.Size > maxSegment {
		return nil, fmt.Errorf("segment %s has %d bytes, the limit is %d", f.Name, f.Size, maxSegment)
	}
	var all []byte
	for int64(len(all)) < f.Size {
		g, b, err := s.primary.ReplicaRead(ctx, f.Name, int64(len(all)))
		if err != nil {
			return nil, err
		}
		if g.ID != f.ID || len(b) == 0 {
			return nil, fmt.Errorf("segment %s changed while it was fetched", f.Name)
		}
		all = append(all, b...)
	}
	p, err := s.store.Follow.Replace(all)
	if errors.Is(err, ledger.ErrBehind) { // its checkpoint goes on from what was accepted here: what this file ends before stands in the next one
		return nil, s.shorten(ctx, all)
	}
	return p, err
}

// errShortened: the primary's files were put in the place of what came before; following goes on from where they end.
var errShortened = errors.New("the primary holds the same entries in other files: they are fetched anew")

// shorten puts a segment in the place of a longer one that came from the former primary. Whoever was restored from a backup has the same entries in other files than that one. Until the
// next ones have come, fewer entries are here than were accepted; the checkpoint of those stays what the primary must go on from.
func (s *Standby) shorten(ctx context.Context, segment []byte) error {
	before := s.store.Follow.Here()
	if err := s.store.Follow.Shorten(ctx, segment); err != nil {
		return err
	}
	if err := s.reopen(ctx); err != nil {
		return local(err)
	}
	s.opt.Log.Warn("segments are fetched anew", "accepted", before, "here", s.store.Follow.Here())
	return errShortened
}

// judged freezes on what is wrong with the ledger itself; other errors are the way's.
func (s *Standby) judged(st stele.ReplicaState, err error) error {
	switch {
	case errors.Is(err, ledger.ErrForked):
		return s.freeze("fork", st.Checkpoint, err)
	case errors.Is(err, ledger.ErrBehind):
		return s.freeze("rollback", st.Checkpoint, err)
	case errors.Is(err, ledger.ErrUnproven):
		return s.freeze("unproven", st.Checkpoint, err)
	}
	return err
}

// judge has the meaning of the entries checked. Bytes that are missing are looked for once more, among all packs.
func (s *Standby) judge(ctx context.Context, p *ledger.Piece, st stele.ReplicaState) error {
	err := s.store.Follow.Judge(ctx, p)
	if errors.Is(err, follow.ErrMissingChunk) {
		s.listed = false
		if err := s.copyPacks(ctx, st); err != nil {
			s.store.Follow.Forget()
			return err
		}
		err = s.store.Follow.Judge(ctx, p)
	}
	var refused *follow.RefusedError
	if errors.As(err, &refused) {
		return s.freeze("refused", st.Checkpoint, err)
	}
	return local(err)
}
