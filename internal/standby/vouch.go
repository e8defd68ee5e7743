package standby

import (
	"context"
	"errors"
	"fmt"

	"stele/tree"
)

// ErrOther: a checkpoint is of another history than the one that was accepted here.
var ErrOther = errors.New("another history was accepted here")

// Vouch returns nil if everything that a checkpoint covers was accepted here. What has not come yet is waited for until ctx ends. A standby that is frozen
// vouches for nothing. It may be called beside Follow, once Open has returned.
func (s *Standby) Vouch(ctx context.Context, c tree.Checkpoint) error {
	for {
		grown := s.Grown() // before the size is asked for: else what comes in between is missed
		if st := s.Status(); st.Frozen {
			return fmt.Errorf("this standby vouches for nothing: %s", st.Err)
		}
		accepted, _ := s.Store().Follow.Accepted()
		if c.Size <= accepted.Size {
			return s.sameRoot(ctx, c)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("%d entries of %d were accepted here so far, ask again: %w", accepted.Size, c.Size, ctx.Err())
		}
	}
}

func (s *Standby) sameRoot(ctx context.Context, c tree.Checkpoint) error {
	root, err := s.Store().Follow.Root(ctx, c.Size)
	if err == nil && root != c.Root {
		err = fmt.Errorf("%w: the root of size %d is %s, not %s", ErrOther, c.Size, root, c.Root)
	}
	return err
}
