package stele

import (
	"context"

	"stele/internal/care"
)

// Damaged returns the files that are known to be damaged and were not healed, in order of name, also those whose entries are still to be written.
func (s *Store) Damaged() (out []care.Damage, err error) { return s.care.Damaged() }

// FailingFiles returns the files that were healed more than once lately.
func (s *Store) FailingFiles() (out []care.Failing, err error) { return s.care.FailingFiles() }

// ScrubStatus returns it.
func (s *Store) ScrubStatus() care.ScrubStatus { return s.care.ScrubStatus() }

// Scrubbed says how far the rolling scrub is, also of a store in which none runs: as its newest entry has it, with the days of the server that wrote that.
func (s *Store) Scrubbed(ctx context.Context) (care.ScrubStatus, error) { return s.care.Scrubbed(ctx) }
