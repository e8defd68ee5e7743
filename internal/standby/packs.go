package standby

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stele"
	"stele/internal/engine"
	"stele/internal/follow"
)

// copyKeyrings copies the keyring files that are not here. A standby without keys has no use for them, and only notes how many there are, so that it can wait for the primary's next change.
func (s *Standby) copyKeyrings(ctx context.Context, st stele.ReplicaState) error {
	if s.store.Follow.Pin.Keyless {
		s.keyrings = st.Keyrings
	}
	if st.Keyrings == s.keyrings {
		return nil
	}
	if err := s.fetchKeyrings(ctx); err != nil {
		return err
	}
	s.keyrings = st.Keyrings
	return nil
}

func (s *Standby) fetchKeyrings(ctx context.Context) error {
	files, err := s.primary.ReplicaFiles(ctx, engine.Keyrings)
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, b, err := s.primary.ReplicaRead(ctx, f.Name, 0); err != nil {
			return err
		} else if err := stele.CopyKeyring(ctx, s.opt.Folder, s.opt.Store, f.Name, b); err != nil {
			return local(err)
		}
	}
	return nil
}

// copyPacks brings the packs up to what st says, and makes that durable.
func (s *Standby) copyPacks(ctx context.Context, st stele.ReplicaState) error {
	if !s.listed {
		if err := s.copySealed(ctx); err != nil {
			return err
		}
		s.listed = true
	}
	packs := s.store.Follow.Packs()
	grows := map[string]bool{}
	for _, f := range st.Growing {
		if !strings.HasPrefix(f.Name, engine.Packs) {
			continue
		}
		grows[f.Name] = true
		if err := s.copyPack(ctx, f.Name, f.Size); err != nil {
			return err
		}
	}
	for _, name := range packs.Coming() {
		if !grows[name] && !s.gone[name] {
			if err := s.copyPack(ctx, name, -1); err != nil {
				return err
			}
		}
	}
	return local(s.store.Follow.SyncPacks())
}

// copySealed copies every sealed pack that is not here.
func (s *Standby) copySealed(ctx context.Context) error {
	files, err := s.primary.ReplicaFiles(ctx, engine.Packs)
	if err != nil {
		return err
	}
	for _, f := range files {
		if has, err := s.store.Follow.HasSealed(ctx, f.Name); err != nil {
			return local(err)
		} else if !has {
			if err := s.copyPack(ctx, f.Name, -1); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyPack fetches a pack up to a size, or to its end (below 0), and seals it here if it is sealed there.
func (s *Standby) copyPack(ctx context.Context, name string, upTo int64) error {
	if has, err := s.store.Follow.HasSealed(ctx, name); err != nil || has {
		return local(err)
	}
	packs, again := s.store.Follow.Packs(), true
	for upTo < 0 || packs.Have(name) < upTo {
		f, b, err := s.primary.ReplicaRead(ctx, name, packs.Have(name))
		if errors.Is(err, stele.ErrNoKey) {
			if !slices.Contains(packs.Coming(), name) {
				return nil
			}
			err := packs.Gone(ctx, name)
			s.gone[name] = err == nil && slices.Contains(packs.Coming(), name)
			return local(err)
		}
		if errors.Is(err, stele.ErrBadRange) {
			return s.freeze("rollback", nil, fmt.Errorf("%s is shorter at the primary than what it had made durable: %w", name, err))
		}
		if err != nil {
			return err
		}
		err = packs.Feed(ctx, name, b)
		switch {
		case errors.Is(err, follow.ErrUnproven) && again:
			again = false // the way may have garbled it: once more
			continue
		case errors.Is(err, follow.ErrUnproven):
			return s.freeze("unproven", nil, err)
		case err != nil:
			return local(err)
		case packs.Whole(name):
			return local(s.store.Follow.SealPack(name))
		case len(b) == 0 || !f.Sealed && packs.Have(name) >= f.Size:
			return nil
		}
	}
	return nil
}
