// Package care takes care of a store that is open: it finds damage (the rolling scrub, a verification of the whole store, what readers meet), says so until it is healed, heals from proven
// copies, and has checkpoints cosigned by witnesses.
package care

import (
	"context"
	"time"

	"stele/internal/core"
)

// Care takes care of a store that is open: what is damaged is found, said and healed; its checkpoints are cosigned. Its methods may be called concurrently.
type Care struct {
	core *core.Store
	Opt  Options

	heals    heals
	findings findings
	scrub    scrub
	cosign   cosigning
}

// Options say what takes care of a store, and how.
type Options struct {
	Witnesses        []Witness                                  // cosign the checkpoints of receipts
	RequireWitnesses int                                        // how many a receipt must bear
	CosignWait       func(time.Duration) <-chan time.Time       // tests: in place of time.After, between two checkpoints
	ScrubDays        int                                        // within how many days every byte is read again; 0: never
	Full             <-chan struct{}                            // closed when the folder has everything; nil: it has
	Grown            func() <-chan struct{}                     // closed when the ledger has grown
	Refusals         func(ctx context.Context) ([]error, error) // why a server would not open the folder
}

// New takes care of a store, once it is open.
func New(s *core.Store, opt Options) *Care { return &Care{core: s, Opt: opt} }
