package core

import (
	"context"
	"time"
)

// What the tests of package core_test see of the inside.

// Of denials.go and rates.go.
const (
	DenialBurst    = denialBurst
	MaxDenialClaim = maxDenialClaim
	MaxDenialKinds = maxDenialKinds
)

// Built is a moment before which this program did not exist.
var Built = built

// AppendDenials writes what is counted of refusals.
func (s *Store) AppendDenials(ctx context.Context) error { return s.appendDenials(ctx) }

// Round does chores and returns those that failed.
func (s *Store) Round(ctx context.Context, chores []Chore) (failed []Chore) {
	return s.round(ctx, chores)
}

// WokenChores are done as soon as there is something to do.
func (s *Store) WokenChores() []Chore { return s.wokenChores() }

// MinuteChores are done each minute.
func (s *Store) MinuteChores() []Chore { return s.minuteChores() }

// AskSpaceAgain has the disk asked at the next look, however short ago it was asked.
func (s *Store) AskSpaceAgain() {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	s.space.asked, s.space.probed = time.Time{}, time.Time{}
}
