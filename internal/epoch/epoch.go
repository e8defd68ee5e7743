// Package epoch knows of the epochs of a store, each the reign of one primary: it begins one (promotion), proves how one came after the other (succession), learns that another primary has taken over, and
// keeps the addresses of those whom to tell and whom to ask. docs/STANDBY.md, docs/adr/003 and docs/adr/006 have the protocol, docs/COMMIT.md what a crash in a promotion leaves.
package epoch

import (
	"context"
	"sync"
	"time"

	"stele/internal/core"
	"stele/internal/hydrate"
	"stele/internal/ledger"
)

// Epochs knows of the epochs of a store: it begins one, proves how one came after the other, and keeps in mind whom to tell, and whom to ask. Its methods may be called concurrently.
type Epochs struct {
	core *core.Store
	over *hydrate.Store
	opt  Options

	peersMu   sync.Mutex // guards the files of addresses
	followers []string   // as in the file; nil: not read yet
}

// Options say whom to ask.
type Options struct {
	AskHandover AskHandover                             // asks one who follows the store whether it has taken over; nil: nobody is asked
	Seen        func(ctx context.Context) []ledger.Seen // what the targets have seen of the ledger
	SeenWait    time.Duration                           // for how long all of them together are waited for, at a start
}

// New is for the store whose core and filling these are.
func New(c *core.Store, over *hydrate.Store, opt Options) *Epochs {
	return &Epochs{core: c, over: over, opt: opt}
}
