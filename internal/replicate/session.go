package replicate

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/internal/segment"
)

var (
	// ErrForeign: the target holds files of another store, or of nobody's.
	ErrForeign = errors.New("the target is not this store's")
	// ErrForked: the target holds another history of this store.
	ErrForked = errors.New("the target holds another history of this store")
	// ErrBehind: the target has seen more of our own epoch than we hold: we were rolled back.
	ErrBehind = errors.New("the target has seen more than this store holds")
	// ErrSuperseded: the target has a higher epoch: another primary was promoted.
	ErrSuperseded = errors.New("another primary was promoted")
	// ErrAltered: a file on the target is not what was shipped.
	ErrAltered = errors.New("the target was altered")
	// ErrEmptied: the target held entries, and holds none.
	ErrEmptied = errors.New("the target holds nothing any more")
)

// Refused says whether shipping ended because nothing may be written over what a target holds: no retry helps, somebody has to look.
func Refused(err error) bool {
	for _, e := range []error{ErrForeign, ErrForked, ErrBehind, ErrSuperseded, ErrAltered, ErrEmptied, engine.ErrGone} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Origin is the store that is shipped.
type Origin struct {
	Engine engine.Engine
	Ledger *ledger.Ledger
	Body   *body.Store
	Keys   *keyring.Keyring
	Format string // content of meta/store.format
	// Heal, if set, heals a file that is damaged here (packs, sealed segments): nil, if it is whole now.
	Heal func(ctx context.Context, name string, why error) error
	// Sealed returns what the pack.seal entry of a pack says; false if there is none yet.
	Sealed func(ctx context.Context, name string) (entry.Pack, bool, error)
	// SealedBefore, if set, calls fn for each pack whose pack.seal entry is among the first size entries.
	SealedBefore func(size uint64, fn func(name string)) error
}

const formatFile = engine.Meta + "store.format"

// ownerFile is the name by which a target says whose copy it is.
func ownerFile(id [16]byte) string { return engine.Meta + "store-" + hex.EncodeToString(id[:]) }

// session is what is known of a target between two errors: it is listed once, then remembered.
type session struct {
	o      *Origin
	target engine.Engine
	limit  *rate.Limiter // nil: none
	fanIn  int           // how many tails are merged into one
	begun  bool          // something was shipped
	retry  bool          // what could not be shipped is tried again, also where nothing is new

	sealFrom int64 // see the constant

	rings    map[string]bool          // keyrings of ours that are there, by their names here
	have     map[string]int64         // sealed files that are there, and their length in bytes
	next     int                      // of the origin's sealed packs: where Body.Packs goes on
	at       uint64                   // entries that can be restored
	beyond   uint64                   // entries of former epochs past where the next one began
	tails    []tailSeg                // that go on from the last sealed segment to at
	packs    map[pack.Name16]*packSeq // tails of packs that grow
	lacking  map[string]error         // packs that are damaged here and so could not be shipped
	lost     map[string]bool          // files that were on the target and are gone; shipping brings them again
	alien    map[string]uint32        // files that bear a segment's name of an epoch of which nothing is proven, and the epoch: left alone
	listed   map[string]int64         // tails that the listing showed, and their length in bytes
	oldTails []string                 // tail packs of an earlier session: superseded once this one has shipped once
	junk     []string                 // superseded
	rest     int                      // rounds until removing is tried again
	renewed  time.Time                // when the locks were looked at
	fenced   time.Time                // when other primaries were looked for
	bytes    func(n int64)            // told of bytes shipped; may be nil
}

// Check compares a target with the ledger, as a shipper does first, and writes nothing. held is how many entries the target is known to have held. Its errors: those for which Refused is
// true, and the engine's.
func Check(ctx context.Context, o *Origin, target engine.Engine, held uint64) error {
	_, err := look(ctx, o, target, held)
	return err
}

// connect compares the target with the ledger before anything is written to it, and marks it as ours. former is what was known of the target before, nil: nothing.
func connect(ctx context.Context, o *Origin, target engine.Engine, held uint64, former *session) (*session, error) {
	s, err := look(ctx, o, target, held)
	if err == nil {
		err = s.findLost(ctx, former, held)
	}
	if err == nil {
		err = s.claim(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// look reads what the target holds and compares it with the ledger.
func look(ctx context.Context, o *Origin, target engine.Engine, held uint64) (*session, error) {
	s := &session{o: o, target: target, have: map[string]int64{}, rings: map[string]bool{}, packs: map[pack.Name16]*packSeq{}, lacking: map[string]error{}, lost: map[string]bool{}, listed: map[string]int64{}, fanIn: fanIn, sealFrom: sealFrom}
	owned, err := s.owner(ctx)
	if err != nil {
		return nil, err
	}
	l, err := list(ctx, target, o.Keys)
	if err != nil {
		return nil, fmt.Errorf("couldn't list the target: %w", err)
	}
	for _, folder := range []string{engine.Packs, engine.Keyrings} {
		if err := target.List(ctx, folder, func(i engine.Info) error { s.have[i.Name] = i.SizeBytes; return nil }); err != nil {
			return nil, fmt.Errorf("couldn't list the target: %w", err)
		}
	}
	files := len(s.have) + len(l.links) + len(l.packs)
	if files == 0 && held > 0 {
		return nil, &EmptiedError{held}
	}
	s.alien = l.alien
	if !owned && files+len(l.alien) > 0 {
		return nil, fmt.Errorf("%w: it holds files, and none that says whose. Name an empty place", ErrForeign)
	}
	for _, k := range l.links {
		if k.sealed {
			s.have[k.name] = k.size
		} else {
			s.listed[k.name] = k.size
		}
	}
	for _, p := range l.packs {
		s.listed[p.name] = p.size
	}
	if err := s.compare(ctx, l.links); err != nil {
		return nil, err
	}
	if err := s.unaltered(ctx); err != nil {
		return nil, err
	}
	s.beyond = s.evidence(ctx, l.links)
	return s, s.adoptTails(ctx, l)
}

// owner looks whose the target is; false if nobody's.
func (s *session) owner(ctx context.Context) (bool, error) {
	owned := false
	err := s.target.List(ctx, engine.Meta, func(i engine.Info) error {
		switch {
		case i.Name == ownerFile(s.o.Keys.StoreID):
			owned = true
		case strings.HasPrefix(i.Name, engine.Meta+"store-"):
			return fmt.Errorf("%w: it belongs to store %s. Name another place", ErrForeign, strings.TrimPrefix(i.Name, engine.Meta+"store-"))
		}
		s.have[i.Name] = i.SizeBytes
		return nil
	})
	if err != nil && !errors.Is(err, ErrForeign) {
		err = fmt.Errorf("couldn't list the target: %w", err)
	}
	for name := range s.have {
		delete(s.have, name) // meta files of other kinds say nothing of whose it is
	}
	return owned, err
}

// claim marks the target as ours.
func (s *session) claim(ctx context.Context) error {
	for _, f := range []struct{ name, text string }{
		{ownerFile(s.o.Keys.StoreID), fmt.Sprintf("copy of stele store %x\n", s.o.Keys.StoreID)}, {formatFile, s.o.Format},
	} {
		err := s.target.Create(ctx, f.name, int64(len(f.text)), strings.NewReader(f.text))
		if err != nil && !errors.Is(err, engine.ErrExist) {
			return notTaken(f.name, err)
		}
	}
	return nil
}

// compare compares the target's head with the ledger, and sets where shipping goes on.
func (s *session) compare(ctx context.Context, links []link) error {
	links, err := s.chain(ctx, links)
	if err != nil {
		return err
	}
	if len(links) == 0 {
		return nil
	}
	last := links[len(links)-1]
	own := s.o.Keys.Epoch
	if last.epoch > own {
		i := slices.IndexFunc(links, func(l link) bool { return l.epoch == last.epoch })
		return &SupersededError{last.epoch, own, s.provenBegin(ctx, &links[i])}
	}
	if last.epoch < own {
		return s.compareParent(ctx, links)
	}
	c, err := s.headOf(ctx, &last)
	if err != nil {
		return err
	}
	if err := s.o.Ledger.VerifyHead(last.epoch, c); err != nil {
		return altered(last.name, err)
	}
	if size := s.o.Ledger.Size(); c.Size > size {
		return &BehindError{c.Size, size}
	}
	s.at = c.Size
	return s.sameRoot(ctx, c)
}

// BehindError is ErrBehind with the sizes.
type BehindError struct{ Saw, Have uint64 }

// Error implements error.
func (e *BehindError) Error() string {
	return fmt.Sprintf("%v: it holds %d entries, the store %d. The store was rolled back; restore from the target", ErrBehind, e.Saw, e.Have)
}

// Unwrap returns ErrBehind.
func (e *BehindError) Unwrap() error { return ErrBehind }

// EmptiedError is ErrEmptied with the number of entries that the target is known to have held.
type EmptiedError struct{ Held uint64 }

// Error implements error.
func (e *EmptiedError) Error() string {
	return fmt.Sprintf("%v: it has held at least %d entries of this store. Its disk may not be mounted, or somebody emptied it. Bring it back; or, if it is to begin anew there, run `stele target add NAME URL --anew --recovery-key FILE`", ErrEmptied, e.Held)
}

// Unwrap returns ErrEmptied.
func (e *EmptiedError) Unwrap() error { return ErrEmptied }

// SupersededError is ErrSuperseded with the epochs.
type SupersededError struct {
	Epoch, Own uint32
	Proven     bool // whoever began it holds this store's data key; else a target may have made it up
}

// Error implements error.
func (e *SupersededError) Error() string {
	return fmt.Sprintf("%v: the target is at epoch %d, this store at %d", ErrSuperseded, e.Epoch, e.Own)
}

// Unwrap returns ErrSuperseded.
func (e *SupersededError) Unwrap() error { return ErrSuperseded }

// provenBegin says whether the first batch of a later epoch was sealed with a data key of ours and holds its epoch.begin.
func (s *session) provenBegin(ctx context.Context, l *link) bool {
	f, err := s.target.Open(ctx, l.name)
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := segment.NewScanner(f, f.Size(), l.first, s.o.Keys.Sealer).Next()
	return err == nil && ledger.Begins(&b)
}

// compareParent compares a target that knows only epochs before ours: up to where ours began both must have the same roots. What it has beyond is the cut-off tail.
func (s *session) compareParent(ctx context.Context, links []link) error {
	began := s.o.Ledger.Size()
	for _, f := range s.o.Ledger.Segments() {
		if epoch, first, ok := segment.ParseName(f.Name); ok && epoch > links[len(links)-1].epoch {
			began = first
			break
		}
	}
	for _, l := range slices.Backward(links) {
		if l.first >= began {
			continue
		}
		c, ok, err := s.commitWithin(ctx, &l, began)
		if err != nil {
			return err
		}
		if ok {
			s.at = c.Size
			return s.sameRoot(ctx, c)
		}
	}
	return nil
}

// commitWithin returns the last commit of a file whose size is at most limit.
func (s *session) commitWithin(ctx context.Context, l *link, limit uint64) (c segment.Commit, ok bool, err error) {
	if l.end <= limit {
		c, err = s.headOf(ctx, l)
		return c, err == nil, err
	}
	f, err := s.target.Open(ctx, l.name)
	if err != nil {
		return c, false, err
	}
	defer f.Close()
	sc := segment.NewScanner(f, f.Size(), l.first, nil)
	for {
		b, err := sc.Next()
		if err == io.EOF || err == nil && b.Commit.Size > limit {
			return c, ok, nil
		}
		if err != nil {
			return c, false, altered(l.name, err)
		}
		c, ok = b.Commit, true
	}
}

// chain is what makes the longest ledger of the highest epoch on the target.
func (s *session) chain(ctx context.Context, links []link) ([]link, error) {
	src := &Source{target: s.target}
	return chain(links, func(l *link) (uint64, error) {
		end, err := src.endOf(ctx, l)
		return end, altered(l.name, err)
	})
}

// headOf reads the tree head of a file.
func (s *session) headOf(ctx context.Context, l *link) (segment.Commit, error) {
	f, err := s.target.Open(ctx, l.name)
	if err != nil {
		return segment.Commit{}, err
	}
	defer f.Close()
	h, foot, err := segment.ReadFooter(f, f.Size())
	if err == nil && (h.StoreID != s.o.Keys.StoreID || h.Epoch != l.epoch || h.First != l.first || !l.sealed && foot.Commit.Size != l.end) {
		err = fmt.Errorf("its header or its footer is of another file: %w", frame.ErrCorrupt)
	}
	if err != nil {
		return segment.Commit{}, altered(l.name, err)
	}
	return foot.Commit, nil
}

func (s *session) sameRoot(ctx context.Context, c segment.Commit) error {
	root, err := s.o.Ledger.Root(ctx, c.Size)
	if err != nil {
		return err
	}
	if root != c.Root {
		return fmt.Errorf("%w: at size %d its root is %x, ours %s. Nothing was touched; keep it as evidence and name another place", ErrForked, c.Size, c.Root, root)
	}
	return nil
}

// unaltered compares the lengths of packs and segments that are here and there. An older epoch's last segment may have gone on on the target beyond our cut.
func (s *session) unaltered(ctx context.Context) error {
	for _, folder := range []string{engine.Packs, engine.Segments} {
		err := s.o.Engine.List(ctx, folder, func(i engine.Info) error {
			there, ok := s.have[i.Name]
			if epoch, _, isSegment := segment.ParseName(i.Name); isSegment && epoch != s.o.Keys.Epoch {
				return nil
			}
			if ok && there != i.SizeBytes && !s.shortHere(ctx, i, there) {
				return altered(i.Name, fmt.Errorf("it has %d bytes there and %d here: %w", there, i.SizeBytes, frame.ErrCorrupt))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// adoptTails takes over the tails that an earlier session left.
func (s *session) adoptTails(ctx context.Context, l listing) error {
	own := s.o.Keys.Epoch
	links, err := s.chain(ctx, l.links)
	if err != nil {
		return err
	}
	s.noteGap(links, l.links)
	inChain := map[string]bool{}
	for _, k := range links {
		if inChain[k.name] = true; !k.sealed && k.epoch == own {
			s.tails = append(s.tails, tailSeg{k.first, k.end, tierOf(k.end - k.first), k.size})
		}
	}
	for _, k := range l.links {
		if !k.sealed && k.epoch == own && !inChain[k.name] && k.end <= s.at {
			s.junk = append(s.junk, k.name)
		}
	}
	for _, p := range l.packs {
		ours, err := s.ownTail(ctx, &p)
		if err != nil {
			return err
		}
		if ours {
			s.oldTails = append(s.oldTails, p.name)
		}
	}
	return nil
}

// ownTail says whether a tail pack may go once all sealed packs and the tails of this session are there: one of a former epoch may hold what was cut off, and stays as evidence.
func (s *session) ownTail(ctx context.Context, p *packTail) (bool, error) {
	for _, name := range []pack.Name16{p.of, p.own} {
		if _, ok := s.have[pack.Name(name)]; ok {
			return true, nil
		}
	}
	f, err := s.target.Open(ctx, p.name)
	if errors.Is(err, engine.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h, err := pack.ReadHeader(f, p.own)
	if err != nil {
		return false, altered(p.name, err)
	}
	return h.Epoch == s.o.Keys.Epoch, nil
}

// same says whether the target's file holds exactly these bytes: after a Create that found the name taken, perhaps by its own lost reply.
func (s *session) same(ctx context.Context, name string, size int64, r io.ReaderAt) (bool, error) {
	f, err := s.target.Open(ctx, name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if f.Size() != size {
		return false, nil
	}
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(a)) {
		n := int(min(int64(len(a)), size-off))
		if _, err := f.ReadAt(a[:n], off); err != nil && !(err == io.EOF && off+int64(n) == size) {
			return false, err
		}
		if _, err := r.ReadAt(b[:n], off); err != nil && !(err == io.EOF && off+int64(n) == size) {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
	}
	return true, nil
}
