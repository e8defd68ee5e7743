package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stele/internal/engine"
	"stele/internal/keyring"
	"stele/internal/segment"
)

// Whoever can write into a folder or a target could stop every start, every shipment and every restore by adding a file: one that has no segment's name, or one that has that of a later epoch, which
// would say that another primary has taken over. So a file's name alone proves no epoch. What proves nothing is left out, and named; it is never removed.

// segmentNames lists the files of an engine that have a segment's name, and apart from them those that have none.
func segmentNames(ctx context.Context, e engine.Engine) (names, foreign []string, err error) {
	err = e.List(ctx, engine.Segments, func(i engine.Info) error {
		if _, _, ok := segment.ParseName(i.Name); ok {
			names = append(names, i.Name)
		} else {
			foreign = append(foreign, i.Name)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't list the segments: %w", err)
	}
	return names, foreign, nil
}

// SegmentNames lists the segments of an engine, and apart from them the files that lie among them and are not of the store: they have no segment's name, or that of an epoch which neither the keyring nor
// any file proves. keys is the newest keyring; nil: none is known.
func SegmentNames(ctx context.Context, e engine.Engine, keys *keyring.Keyring) (names, foreign []string, err error) {
	named, foreign, err := segmentNames(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	sieve := Sieve{Keys: keys, Target: e}
	for _, name := range named {
		epoch, _, _ := segment.ParseName(name)
		sieve.Add(name, name, epoch)
	}
	unproven, err := sieve.Unproven(ctx)
	for _, name := range named {
		if unproven[name] {
			foreign = append(foreign, name)
		} else {
			names = append(names, name)
		}
	}
	slices.Sort(foreign)
	return names, foreign, err
}

// Sieve finds the files that bear a segment's name of an epoch of which nothing is proven. An epoch counts with all of its files if the keyring knows it, or one of the files proves to be a segment of it:
// the others may be damaged, which is for the ledger to say. Files of a known epoch are not read.
type Sieve struct {
	Keys   *keyring.Keyring          // a keyring is there before its epoch's first segment is; nil: none is known
	Ours   func(store [16]byte) bool // which stores' segments count, if there is no keyring; nil: all stores'
	Target engine.Engine             // holds the files
	Gone   bool                      // set by Unproven: a file of an epoch that doesn't count was gone, superseded since it was listed; the listing says nothing of that epoch

	files map[uint32][]sieved
}

type sieved struct{ name, as string }

// Add adds a file, and the segment's name that it has or, being a tail on a target, stands for.
func (s *Sieve) Add(name, as string, epoch uint32) {
	if s.files == nil {
		s.files = map[uint32][]sieved{}
	}
	s.files[epoch] = append(s.files[epoch], sieved{name, as})
}

// Unproven returns the files of the epochs that don't count. An error: a file couldn't be read, so that nothing can be said of it.
func (s *Sieve) Unproven(ctx context.Context) (names map[string]bool, err error) {
	names = map[string]bool{}
	for epoch, files := range s.files {
		if s.Keys != nil && epoch > 0 && epoch <= s.Keys.Epoch {
			continue
		}
		counts, gone := false, false
		for i := 0; i < len(files) && !counts; i++ {
			counts, err = s.proves(ctx, files[i])
			if errors.Is(err, engine.ErrNotExist) {
				gone, err = true, nil
			}
			if err != nil {
				return nil, fmt.Errorf("couldn't look at %s: %w", files[i].name, err)
			}
		}
		if counts {
			continue
		}
		s.Gone = s.Gone || gone
		for _, f := range files {
			names[f.name] = true
		}
	}
	return names, nil
}

func (s *Sieve) proves(ctx context.Context, f sieved) (bool, error) {
	file, err := s.Target.Open(ctx, f.name)
	if err != nil {
		return false, err
	}
	is, err := segment.Is(file, file.Size(), f.as, s.ours)
	return is, errors.Join(err, file.Close())
}

func (s *Sieve) ours(store [16]byte) bool {
	if s.Keys != nil {
		return store == s.Keys.StoreID
	}
	return s.Ours == nil || s.Ours(store)
}

// segmentNames is SegmentNames of the ledger's own. What a follower's files make is known beforehand (Options.Ends), not by their names.
func (l *Ledger) segmentNames(ctx context.Context) (names, foreign []string, err error) {
	if l.opt.Ends != nil || l.opt.VKey != "" {
		return segmentNames(ctx, l.opt.Engine)
	}
	return SegmentNames(ctx, l.opt.Engine, l.opt.Keys)
}

// Foreign names the files that lay among the segments when the ledger was opened and are not of it.
func (l *Ledger) Foreign() []string { return l.foreign }
