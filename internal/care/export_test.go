package care

import (
	"context"
	"time"
)

// What the tests of package care_test see of the inside.

// WitnessPause lies between two checkpoints that nobody asked for.
const WitnessPause = witnessPause

// ScrubRound is a round of the scrub, spread over a period.
func (s *Care) ScrubRound(ctx context.Context, period time.Duration) error {
	return s.scrubRound(ctx, period)
}
