package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/internal/segment"
)

// Source is a target read as a store: an engine whose segments are the sealed ones, followed by the fewest tails that continue them without a gap,
// and whose packs are the sealed ones and the tails that nothing supersedes, all under the names of a store. Of several epochs it shows the chain of the highest. It shows
// what was there when it was opened or last refreshed. Ledger, body and verify read it like any engine; what it yields is believed only as far as it proves itself.
// Create and Remove are ErrReadOnly. Safe for concurrent use.
type Source struct {
	target engine.Engine
	keys   *keyring.Keyring // which epochs are known; nil: what the files prove counts
	below  uint32           // epochs from this one on are not shown; 0: all are

	mu    sync.RWMutex
	links []link                   // the chain, ascending
	alien map[string]uint32        // by name, their epoch: files that bear the name of a segment and are none of this store
	names map[string]string        // segments and tail packs: name here → name on the target
	tails map[string][]engine.Info // by the pack that grew: its tail packs, as they are named here
}

var (
	_ engine.Engine = (*Source)(nil)
	_ ledger.Holder = (*Source)(nil)
)

// OpenSource reads what a target holds. ErrNone if that is no backup; frame.ErrCorrupt if the newest segment has no footer.
func OpenSource(ctx context.Context, target engine.Engine) (*Source, error) {
	return OpenSourceBelow(ctx, target, 0)
}

// OpenSourceBelow is OpenSource without what was shipped in an epoch from below on: for the primary of that epoch, which has all of it, and for whom later ones are others'. 0: with all.
func OpenSourceBelow(ctx context.Context, target engine.Engine, below uint32) (*Source, error) {
	s := &Source{target: target, below: below}
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	if len(s.links) == 0 {
		return nil, fmt.Errorf("couldn't open the backup: %w: nothing was shipped to this place yet. Check the address", ErrNone)
	}
	return s, nil
}

// refreshes bounds how often a listing that a shipper overtook is begun again.
const refreshes = 8

// Refresh lists the target again and shows what was added since. Files that are open stay open.
func (s *Source) Refresh(ctx context.Context) error {
	changed := errors.New("it changed faster than it could be listed, try again")
	for range refreshes {
		l, err := list(ctx, s.target, s.keys)
		if err != nil {
			return fmt.Errorf("couldn't read the backup: %w", err)
		}
		if s.below > 0 {
			l.links = slices.DeleteFunc(l.links, func(k link) bool { return k.epoch >= s.below })
		}
		links, err := chain(l.links, func(l *link) (uint64, error) { return s.endNamed(ctx, l) })
		if err != nil {
			return fmt.Errorf("couldn't read the backup: %w", err)
		}
		// If the shipper superseded a tail while we were listing, the tail is gone by now, and the file that superseded it may have been created too late to be listed.
		if slices.ContainsFunc(links, func(k link) bool { return !k.sealed && !l.there[k.name] }) {
			continue
		}
		if g, ok := gapOf(links, l.links); ok { // a listing beside a shipper can show a later tail and not one before it, but not for long
			changed = fmt.Errorf("entries %d to %d are missing on the target, later ones are there: use another target, or move the later tails away: %w", g.from, g.to-1, frame.ErrCorrupt)
			continue
		}
		s.show(links, l)
		return nil
	}
	return fmt.Errorf("couldn't read the backup: %w", changed)
}

// Head is the epoch and the number of entries that the chain claims; the ledger opened over the source proves it.
func (s *Source) Head() (epoch uint32, size uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.links) == 0 {
		return 0, 0
	}
	last := s.links[len(s.links)-1]
	return last.epoch, last.end
}

// Foreign names the files that bear the name of a segment and that nothing shows to be one of this store: they are left out.
func (s *Source) Foreign() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.alien))
}

// Miss returns an error if a file that was left out is of an epoch that a keyring knows: then it is no stranger's, but what is left of a segment. newest is the newest keyring that opens.
func (s *Source) Miss(newest *keyring.Keyring) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(s.alien)) {
		if epoch := s.alien[name]; epoch <= newest.Epoch && (s.below == 0 || epoch < s.below) {
			return fmt.Errorf("couldn't read the backup: %s is damaged: no header of a segment is in it, and a keyring knows of its epoch: use another target: %w", name, frame.ErrCorrupt)
		}
	}
	return nil
}

func (s *Source) show(links []link, l listing) {
	names, tails := map[string]string{}, map[string][]engine.Info{}
	for i := range links {
		names[links[i].as()] = links[i].name
	}
	for _, p := range l.packs {
		names[pack.Name(p.own)] = p.name
		of := pack.Name(p.of)
		tails[of] = append(tails[of], engine.Info{Name: pack.Name(p.own), SizeBytes: p.size})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links, s.names, s.tails, s.alien = links, names, tails, l.alien
}

// endOf reads where a sealed segment ends. Its errors don't name the segment.
func (s *Source) endOf(ctx context.Context, l *link) (uint64, error) {
	f, err := s.target.Open(ctx, l.name)
	if err != nil {
		return 0, err
	}
	h, foot, err := segment.ReadFooter(f, f.Size())
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if h.Epoch != l.epoch || h.First != l.first {
		return 0, fmt.Errorf("it holds entry %d of epoch %d: %w", h.First, h.Epoch, frame.ErrCorrupt)
	}
	return foot.Commit.Size, nil
}

// endNamed is endOf, with errors that name the segment.
func (s *Source) endNamed(ctx context.Context, l *link) (uint64, error) {
	end, err := s.endOf(ctx, l)
	if err != nil {
		err = fmt.Errorf("segment %s: %w", l.name, err)
	}
	return end, err
}

// packTail is a tail pack.
type packTail struct {
	name    string
	of, own pack.Name16
	size    int64
}

// listing is what lies on a target, but for the packs.
type listing struct {
	links []link
	packs []packTail
	there map[string]bool   // names of tail segments that were there at the end
	alien map[string]uint32 // files that bear a segment's name and are none of this store, and the epoch that they claim
}

// list lists segments and tails, again where all that it showed of an epoch was superseded before it could be looked at: else that epoch would seem to be a stranger's.
func list(ctx context.Context, target engine.Engine, keys *keyring.Keyring) (l listing, err error) {
	for range refreshes {
		var gone bool
		if l, err = listOnce(ctx, target); err == nil {
			gone, err = l.sift(ctx, target, keys)
		}
		if err != nil || !gone {
			break
		}
	}
	return l, err
}

// listOnce lists all that has the name of a segment or a tail. Tails come first and last: a shipper removes a tail after it made what supersedes it, so that a tail which is there at the end hid nothing; and it makes
// packs before segments, so that the packs listed last have the chunks of every entry.
func listOnce(ctx context.Context, target engine.Engine) (listing, error) {
	l := listing{there: map[string]bool{}}
	err := target.List(ctx, engine.Tails, func(i engine.Info) error {
		if epoch, first, end, ok := parseTailSegment(i.Name); ok {
			l.links = append(l.links, link{name: i.Name, epoch: epoch, first: first, end: end, size: i.SizeBytes})
		}
		return nil
	})
	if err == nil {
		err = target.List(ctx, engine.Segments, func(i engine.Info) error {
			epoch, first, ok := segment.ParseName(i.Name)
			if ok { // else not a backup's, whoever put it there
				l.links = append(l.links, link{name: i.Name, epoch: epoch, first: first, size: i.SizeBytes, sealed: true})
			}
			return nil
		})
	}
	if err == nil {
		err = target.List(ctx, engine.Tails, func(i engine.Info) error {
			if of, own, ok := parseTailPack(i.Name); ok {
				l.packs = append(l.packs, packTail{i.Name, of, own, i.SizeBytes})
			} else {
				l.there[i.Name] = true
			}
			return nil
		})
	}
	return l, err
}

// sift leaves out what bears the name of a segment of an epoch that nothing proves: whoever can add a file to a target could otherwise end shipping and restoring. See ledger.Sieve. keys, if known, tell which epochs have
// begun. gone: a file of such an epoch was superseded since it was listed.
func (l *listing) sift(ctx context.Context, target engine.Engine, keys *keyring.Keyring) (gone bool, err error) {
	sieve := ledger.Sieve{Keys: keys, Target: target}
	if keys == nil {
		owners, err := ownersOf(ctx, target)
		if err != nil {
			return false, err
		}
		sieve.Ours = func(store [16]byte) bool { return len(owners) == 0 || owners[ownerFile(store)] }
	}
	for i := range l.links {
		sieve.Add(l.links[i].name, l.links[i].as(), l.links[i].epoch)
	}
	unproven, err := sieve.Unproven(ctx)
	l.alien = map[string]uint32{}
	l.links = slices.DeleteFunc(l.links, func(k link) bool {
		if unproven[k.name] {
			l.alien[k.name] = k.epoch
		}
		return unproven[k.name]
	})
	return sieve.Gone, err
}

// ownersOf are the files by which a target says whose copy it is.
func ownersOf(ctx context.Context, target engine.Engine) (map[string]bool, error) {
	owners := map[string]bool{}
	err := target.List(ctx, engine.Meta, func(i engine.Info) error {
		if strings.HasPrefix(i.Name, engine.Meta+"store-") {
			owners[i.Name] = true
		}
		return nil
	})
	return owners, err
}

// Create implements engine.Engine.
func (s *Source) Create(context.Context, string, int64, io.Reader) error { return ErrReadOnly }

// Remove implements engine.Engine.
func (s *Source) Remove(context.Context, string) error { return ErrReadOnly }

// Open implements engine.Engine. What is opened is the very file that was listed. A tail that was superseded since is gone, engine.ErrNotExist: refresh, or for entries OpenHolder. The chunks of a tail pack
// are in a pack of another name by then.
func (s *Source) Open(ctx context.Context, name string) (engine.File, error) {
	if err := engine.CheckName(name); err != nil {
		return nil, err
	}
	folder, _ := engine.SplitName(name)
	switch folder {
	case engine.Tails:
		return nil, fmt.Errorf("couldn't open %s: %w", name, engine.ErrNotExist)
	case engine.Packs:
		if there, ok := s.lookup(name); ok {
			return s.target.Open(ctx, there)
		}
		return s.target.Open(ctx, name)
	case engine.Segments:
		return s.openExact(ctx, name)
	}
	return s.target.Open(ctx, name)
}

func (s *Source) lookup(name string) (string, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	there, ok := s.names[name]
	return there, ok
}

// openExact opens the very file that the source shows under a segment's name.
func (s *Source) openExact(ctx context.Context, name string) (engine.File, error) {
	there, ok := s.lookup(name)
	if !ok {
		return nil, fmt.Errorf("couldn't open %s: %w", name, engine.ErrNotExist)
	}
	return s.target.Open(ctx, there)
}

// OpenHolder implements ledger.Holder.
func (s *Source) OpenHolder(ctx context.Context, epoch uint32, first, end uint64) (engine.File, error) {
	none := fmt.Errorf("couldn't open a file of entries %d to %d of epoch %d: %w", first, end-1, epoch, engine.ErrNotExist)
	for range refreshes { // what holds them may be merged before it is opened
		name, err := s.holder(ctx, epoch, first, end)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, none
		}
		f, err := s.target.Open(ctx, name)
		if !errors.Is(err, engine.ErrNotExist) {
			return f, err
		}
	}
	return nil, none
}

// holder looks for a file that holds entries first to end-1: a merged tail, else the sealed segment that begins nearest before them.
func (s *Source) holder(ctx context.Context, epoch uint32, first, end uint64) (string, error) {
	l, err := list(ctx, s.target, s.keys)
	if err != nil {
		return "", err
	}
	var sealed *link
	for i := range l.links {
		switch k := &l.links[i]; {
		case k.epoch != epoch || k.first > first:
		case k.sealed:
			sealed = k
		case k.end >= end:
			return k.name, nil
		}
	}
	if sealed == nil {
		return "", nil
	}
	if to, err := s.endNamed(ctx, sealed); err != nil || to < end {
		return "", err
	}
	return sealed.name, nil
}

// Pieces names the tail packs that hold chunks of a pack, as they are named here.
func (s *Source) Pieces(of string) (names []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, i := range s.tails[of] {
		names = append(names, i.Name)
	}
	return names
}

// List implements engine.Engine.
func (s *Source) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	if err := engine.CheckPrefix(prefix); err != nil {
		return err
	}
	folder, _ := engine.SplitName(prefix)
	var infos []engine.Info
	switch folder {
	case engine.Tails:
		return nil
	case engine.Segments:
		infos = s.segments()
	case engine.Packs:
		var err error
		if infos, err = s.packs(ctx); err != nil {
			return err
		}
	default:
		return s.target.List(ctx, prefix, fn)
	}
	for _, i := range infos {
		if !strings.HasPrefix(i.Name, prefix) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) segments() []engine.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	infos := make([]engine.Info, len(s.links))
	for i := range s.links {
		infos[i] = engine.Info{Name: s.links[i].as(), SizeBytes: s.links[i].size}
	}
	return infos
}

// packs lists the sealed packs and the tails of those that are not sealed. A tail that was restored is a pack of its own name in the next primary, which may have shipped it as that: it is
// listed once.
func (s *Source) packs(ctx context.Context) ([]engine.Info, error) {
	s.mu.RLock()
	tails := maps.Clone(s.tails)
	s.mu.RUnlock()
	var infos []engine.Info
	sealed := map[string]bool{}
	err := s.target.List(ctx, engine.Packs, func(i engine.Info) error {
		if _, ok := pack.ParseName(i.Name); !ok {
			return nil // not a backup's, whoever put it there
		}
		infos = append(infos, i)
		sealed[i.Name] = true
		delete(tails, i.Name)
		return nil
	})
	for _, of := range tails {
		for _, t := range of {
			if !sealed[t.Name] {
				infos = append(infos, t)
			}
		}
	}
	slices.SortFunc(infos, func(a, b engine.Info) int { return cmp.Compare(a.Name, b.Name) })
	return infos, err
}
