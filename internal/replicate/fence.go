package replicate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"stele/internal/engine"
	"stele/internal/segment"
)

// fenceEvery is how often, while it ships, a shipper looks for an epoch that another primary has begun on the target.
const fenceEvery = 5 * time.Second

// supersededMeanwhile reports whether another primary has shipped a later epoch since the target was listed. So a primary that is still shipping learns of its successor within seconds, and not only at its next start. What such
// a file proves is decided by the comparison of a new session; a file that an earlier comparison found to prove nothing is not looked at again. A primary ships its keyring before anything else. So if all keyrings on the target are
// ours, which one listing tells, nothing else has to be listed.
func (s *session) supersededMeanwhile(ctx context.Context, now time.Time) (came bool, err error) {
	if now.Sub(s.fenced) < fenceEvery {
		return false, nil
	}
	s.fenced = now
	strange := false
	err = s.target.List(ctx, engine.Keyrings, func(i engine.Info) error {
		strange = strange || !s.rings[i.Name]
		return nil
	})
	if err == nil && strange {
		err = s.target.List(ctx, engine.Tails, func(i engine.Info) error {
			epoch, _, _, ok := parseTailSegment(i.Name)
			came = came || ok && epoch > s.o.Keys.Epoch && !s.isAlien(i.Name)
			return nil
		})
	}
	if err == nil && strange && !came {
		err = s.target.List(ctx, engine.Segments, func(i engine.Info) error {
			epoch, _, ok := segment.ParseName(i.Name)
			came = came || ok && epoch > s.o.Keys.Epoch && !s.isAlien(i.Name)
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("couldn't look for other primaries: %w", err)
	}
	return came, nil
}

// isAlien says whether a file was seen when the target was listed, and proved nothing.
func (s *session) isAlien(name string) bool {
	_, ok := s.alien[name]
	return ok
}

func (s *session) alienNames() []string { return slices.Sorted(maps.Keys(s.alien)) }
