package care

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stele/internal/retry"
	"stele/tree"
)

// Witness is somebody who cosigns the store's checkpoints.
type Witness struct {
	Name string
	// Ask has a checkpoint, a signed note, cosigned, and returns the signature line, checked by the witness' pinned key. prove gives consistency proofs.
	Ask func(ctx context.Context, signed []byte, prove func(ctx context.Context, from, to uint64) ([]tree.Hash, error)) ([]byte, error)
}

// ErrNoWitness: the cosignatures that receipts must bear can't be had now. What the receipt would be of is as durable as ever.
var ErrNoWitness = errors.New("no receipt without its witness")

// Waits for witnesses.
const (
	witnessWait  = 10 * time.Second // for their answers
	witnessPause = time.Second      // between two checkpoints that nobody asked for
	witnessEvery = time.Hour        // the same, where nothing is written
)

// cosigning has checkpoints cosigned: one at a time, and all who wait for a receipt share it.
type cosigning struct {
	mu     sync.Mutex
	newest Cosigned     // borne by as many as are required
	round  *cosignRound // under way; nil: none
}

// Cosigned is a checkpoint with the lines of the witnesses.
type Cosigned struct {
	Size uint64
	Note []byte // with the lines of the witnesses
}

// cosignRound is a checkpoint that the witnesses are asked about.
type cosignRound struct {
	Cosigned
	lines int
	left  int           // witnesses that have not answered
	errs  []error       // of those that did not cosign
	done  chan struct{} // closed when enough have, or all have answered
	// answered is closed when all have answered; errs may be read then.
	answered chan struct{}
	ended    bool // done is closed
}

// required is how many witnesses a receipt must bear, and how many make a checkpoint that is worth keeping.
func (s *Care) required() int { return max(1, s.Opt.RequireWitnesses) }

// CosignedOver is a cosigned checkpoint that covers an entry. nil where none is needed and none is at hand. ErrNoWitness: it is needed, and the witnesses were asked in vain.
func (s *Care) CosignedOver(ctx context.Context, at uint64) (Cosigned, error) {
	if len(s.Opt.Witnesses) == 0 {
		return Cosigned{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, witnessWait)
	defer cancel()
	for {
		c := &s.cosign
		c.mu.Lock()
		if c.newest.Size > at {
			defer c.mu.Unlock()
			return c.newest, nil
		}
		if s.Opt.RequireWitnesses == 0 {
			c.mu.Unlock()
			return Cosigned{}, nil
		}
		r := s.beginRound()
		c.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			return Cosigned{}, fmt.Errorf("%w: %d of %d witnesses must cosign it, and did not answer in time: ask again", ErrNoWitness, s.Opt.RequireWitnesses, len(s.Opt.Witnesses))
		}
		if err := c.verdict(r, at, s.Opt.RequireWitnesses); err != nil {
			return Cosigned{}, s.core.ClosedOr(err)
		}
	}
}

// verdict is nil if a round that ended has brought what covers an entry, or was begun too early to do so.
func (c *cosigning) verdict(r *cosignRound, at uint64, need int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.lines >= need || r.Size <= at {
		return nil
	}
	return fmt.Errorf("%w: %d of the %d cosignatures that it must bear were given. See to the witness, or serve without --require-witness: %w", ErrNoWitness, r.lines, need, errors.Join(r.errs...))
}

// beginRound returns the round under way, or begins one with the newest checkpoint. cosign.mu is held.
func (s *Care) beginRound() *cosignRound {
	c := &s.cosign
	if c.round != nil {
		return c.round
	}
	note := s.core.Ledger().Checkpoint()
	r := &cosignRound{Cosigned: Cosigned{Note: note}, left: len(s.Opt.Witnesses), done: make(chan struct{}), answered: make(chan struct{})}
	if head, err := tree.ReadCheckpoint(note); err == nil {
		r.Size = head.Size
	}
	c.round = r
	for _, w := range s.Opt.Witnesses {
		s.core.Beside(func() {
			ctx, cancel := context.WithTimeout(s.core.Life(), witnessWait)
			defer cancel()
			line, err := w.Ask(ctx, note, s.core.Ledger().Consistency)
			s.answered(r, w, line, err)
		})
	}
	return r
}

// answered notes what a witness said. One that is late adds its line to a checkpoint that is kept already.
func (s *Care) answered(r *cosignRound, w Witness, line []byte, err error) {
	c := &s.cosign
	c.mu.Lock()
	defer c.mu.Unlock()
	r.left--
	s.core.NoteWitness(w.Name, err)
	if err != nil {
		s.core.Log.Warn("a witness did not cosign", "witness", w.Name, "size", r.Size, "err", err)
		r.errs = append(r.errs, fmt.Errorf("%s: %w", w.Name, err))
	} else {
		r.lines++
		r.Note = []byte(string(r.Note) + string(line)) // a copy: who has the note keeps it as it was
	}
	if r.lines >= s.required() && r.Size >= c.newest.Size {
		c.newest = r.Cosigned
	}
	if !r.ended && (r.lines >= s.required() || r.left == 0) {
		r.ended, c.round = true, nil
		close(r.done)
	}
	if r.left == 0 {
		close(r.answered)
	}
}

// KeepCosigned has the newest checkpoint cosigned now and then, so that the witnesses have seen the history, and cosignatures are at hand: as it grows, and else every hour, since a witness
// that is gone is to be known also where nothing is written. What a witness did not cosign it is asked for again.
func (s *Care) KeepCosigned() {
	wait := s.Opt.CosignWait
	if wait == nil {
		wait = time.After
	}
	for failures := 0; ; {
		next := s.Opt.Grown()
		s.cosign.mu.Lock()
		r := s.beginRound()
		s.cosign.mu.Unlock()
		select {
		case <-r.done:
		case <-s.core.Stopping():
			return
		}
		pause, answered := wait(witnessPause), r.answered
		var again <-chan time.Time
		for waiting := true; waiting; {
			select {
			case <-answered: // the last of them, who may be late
				if answered = nil; len(r.errs) == 0 {
					failures = 0
				} else {
					failures++
				}
				again = wait(cosignAgain(failures))
			case <-next:
				waiting = false
			case <-again:
				waiting = false
			case <-s.core.Stopping():
				return
			}
		}
		select {
		case <-pause:
		case <-s.core.Stopping():
			return
		}
	}
}

// cosignAgain is how long after a round that nobody asked for the next one begins, if nothing is written meanwhile.
func cosignAgain(failures int) time.Duration {
	if failures == 0 {
		return witnessEvery
	}
	return retry.Backoff{First: time.Minute, Most: witnessEvery}.Wait(failures)
}
