package replicate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/keyring"
	"stele/internal/segment"
)

// findLost notes what was on the target and is gone. It knows what was there from an earlier session of this process, and from the ledger: packs are shipped before the segments that hold their
// pack.seal entries, so a target that holds such an entry was given the pack.
func (s *session) findLost(ctx context.Context, former *session, held uint64) error {
	if s.at > 0 && s.o.SealedBefore != nil {
		if err := s.o.SealedBefore(s.at, s.wanted(former)); err != nil {
			return err
		}
	}
	if err := s.lostKeyrings(ctx); err != nil {
		return err
	}
	if former != nil {
		var changed error
		former.remembered(func(name string, size int64) {
			_, sealed := s.have[name]
			now, tail := s.listed[name]
			switch {
			case !sealed && !tail:
				s.lost[name] = true
			case tail && size > 0 && now != size:
				changed = altered(name, fmt.Errorf("it has %d bytes, and was shipped with %d: %w", now, size, frame.ErrCorrupt))
			}
		})
		if changed != nil {
			return changed
		}
	}
	s.lostSegments()
	if s.at < held && len(s.lost) == 0 {
		s.lost[fmt.Sprintf("entries %d to %d", s.at, held-1)] = true
	}
	return nil
}

// lostKeyrings takes the keyrings for lost if the target holds entries and no keyring, because keyrings are shipped first.
func (s *session) lostKeyrings(ctx context.Context) error {
	for name := range s.have {
		if _, ok := keyring.Number(name); ok {
			return nil
		}
	}
	if s.at == 0 {
		return nil
	}
	return s.o.Engine.List(ctx, engine.Keyrings, func(i engine.Info) error { s.lost[i.Name] = true; return nil })
}

// wanted takes a missing pack for lost, unless that pack is damaged here and was therefore never shipped.
func (s *session) wanted(former *session) func(name string) {
	return func(name string) {
		_, there := s.have[name]
		if !there && (former == nil || former.lacking[name] == nil) {
			s.lost[name] = true
		}
	}
}

// remembered calls fn for each file that the session shipped, or found, and that nothing superseded, with its length in bytes; 0: not known.
func (s *session) remembered(fn func(name string, size int64)) {
	for name, size := range s.have {
		fn(name, size)
	}
	for _, t := range s.tails {
		fn(tailSegment(s.o.Keys.Epoch, t.first, t.end), t.bytes)
	}
	for _, q := range s.packs {
		for _, p := range q.tails {
			fn(p.name, p.bytes)
		}
	}
}

// lostSegments takes a sealed segment of this epoch for lost if the target reaches further, and has its entries neither in it nor in tails.
func (s *session) lostSegments() {
	for _, f := range s.o.Ledger.Segments() {
		epoch, _, _ := segment.ParseName(f.Name)
		if _, there := s.have[f.Name]; there || !f.Sealed || epoch != s.o.Keys.Epoch || f.End > s.at {
			continue
		}
		if !slices.ContainsFunc(s.tails, func(t tailSeg) bool { return t.first <= f.First && f.First < t.end }) {
			s.lost[f.Name] = true
		}
	}
}

// noteGap notes that a tail is gone though later ones are there. Shipping goes on from before the gap: what is behind it is shipped again.
func (s *session) noteGap(shown, all []link) {
	if g, ok := gapOf(shown, all); ok && shown[len(shown)-1].epoch == s.o.Keys.Epoch {
		s.lost[fmt.Sprintf("entries %d to %d", g.from, g.to-1)] = true
	}
}

// again compares the target anew with the ledger and with what this session knows of it. It returns the session itself if nothing is gone, else one that ships what is.
func (s *session) again(ctx context.Context, held uint64) (*session, error) {
	now, err := connect(ctx, s.o, s.target, max(held, s.at), s)
	if err != nil {
		return nil, err
	}
	s.alien = now.alien // remembers which strange files were looked at; otherwise each would cause another listing, again and again
	if len(now.lost) == 0 && now.at == s.at {
		if len(s.lacking) > 0 { // what was damaged here may be healed by now
			s.next, s.retry = 0, true
		}
		return s, nil
	}
	now.limit, now.bytes, now.renewed = s.limit, s.bytes, s.renewed
	return now, nil
}

// lostNames names what is lost, in order.
func (s *session) lostNames() []string { return slices.Sorted(maps.Keys(s.lost)) }
