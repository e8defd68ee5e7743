package standby

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/durable"
	"stele/internal/keyring"
	"stele/tree"
)

// Open makes the folder a standby's, or opens what it holds. Without keys here it waits until the primary has admitted it; then what it holds is readable, whether the
// primary can be reached or not.
func (s *Standby) Open(ctx context.Context) error {
	recipient := ""
	if !s.opt.Keyless {
		err := s.rejoin(ctx)
		if err != nil {
			return err
		}
		if recipient, err = stele.NewStandby(s.opt.Folder, s.opt.Store); err != nil {
			return err
		}
	}
	told := false
	for failures := 1; ; failures++ {
		err := s.tryOpen(ctx)
		if err == nil {
			size := s.store.Follow.Here()
			s.note(func(st *Status) { st.Accepted, st.Epoch = size, s.store.Follow.Pin.Epoch() })
			return nil
		}
		var final *localError
		if ctx.Err() != nil || errors.As(err, &final) {
			return err
		}
		if errors.Is(err, errNotAdmitted) {
			if !told {
				told = true
				s.opt.Tell("this standby's recipient is\n\n    %s\n\nadmit it on the primary: stele standby add NAME %s", recipient, recipient)
			}
			if err = s.waitForKeys(ctx); err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.opt.Log.Warn("couldn't begin to follow, trying again", "err", err)
		s.primary = nil
		if err := s.opt.Sleep(ctx, again.Jittered(failures)); err != nil {
			return err
		}
	}
}

// rejoin makes a standby's folder of a former primary's, if it is one and the primary that is to be followed shows that it has taken over. It asks until that answers.
func (s *Standby) rejoin(ctx context.Context) error {
	if _, ok, err := stele.PinOf(s.opt.Folder, s.opt.Store); err != nil || ok || !stele.IsStore(s.opt.Folder, s.opt.Store) {
		return err
	}
	for failures := 1; ; failures++ {
		err := s.dial(ctx)
		var u stele.Succession
		if err == nil {
			u, err = s.primary.Succession(ctx)
		}
		if err == nil {
			if err := stele.Rejoin(ctx, s.opt.Folder, s.opt.Store, s.opt.From, u); err != nil {
				return err
			}
			s.opt.Tell("this folder was a primary's, from which the one at %s has taken over: it follows that one now. What it has beyond the cut stays, as evidence", s.opt.From)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.opt.Log.Warn("couldn't ask the primary whether it has taken over from this folder's, trying again", "err", err)
		s.primary = nil
		if err := s.opt.Sleep(ctx, again.Jittered(failures)); err != nil {
			return err
		}
	}
}

// errNotAdmitted: no keyring is wrapped to this standby.
var errNotAdmitted = errors.New("the primary has not admitted this standby")

// tryOpen opens the folder; where it holds too little for that, the primary is asked.
func (s *Standby) tryOpen(ctx context.Context) error {
	pin, ok, err := stele.PinOf(s.opt.Folder, s.opt.Store)
	if err != nil {
		return local(err)
	}
	if !ok {
		if pin, err = s.pin(ctx); err != nil {
			return err
		}
	} else if err := s.samePin(pin); err != nil {
		return local(err)
	}
	if s.store, err = stele.OpenStandby(ctx, s.opt.Folder, s.opt.Store); err == nil {
		return nil
	}
	if pin.Keyless || !errors.Is(err, stele.ErrWrongKey) && !errors.Is(err, keyring.ErrNone) {
		return local(err)
	}
	if err := s.dial(ctx); err != nil {
		return err
	}
	if err := s.fetchKeyrings(ctx); err != nil {
		return err
	}
	if s.store, err = stele.OpenStandby(ctx, s.opt.Folder, s.opt.Store); errors.Is(err, stele.ErrWrongKey) {
		return errNotAdmitted
	}
	return local(err)
}

// pin holds fast whom we follow. A store that went through several epochs shows how they followed from each other.
func (s *Standby) pin(ctx context.Context) (stele.StandbyPin, error) {
	if err := s.dial(ctx); err != nil {
		return stele.StandbyPin{}, err
	}
	u, err := s.primary.Succession(ctx)
	if err != nil {
		return stele.StandbyPin{}, err
	}
	st, err := s.primary.ReplicaState(ctx, 0, -1, false)
	if err != nil {
		return stele.StandbyPin{}, err
	}
	c, err := tree.ReadCheckpoint(st.Checkpoint)
	if err != nil {
		return stele.StandbyPin{}, err
	}
	store, _, _ := strings.Cut(c.Origin, "/")
	pin := stele.StandbyPin{Store: store, VKey: u.First(), From: s.opt.From, Keyless: s.opt.Keyless}
	if len(u.Reigns) > 0 {
		if pin, _, err = pin.Succeed(u); err != nil {
			return pin, local(fmt.Errorf("the server at %s does not show how its epochs followed from each other: %w", s.opt.From, err))
		}
	}
	if s.opt.VKey != "" && !knows(&pin, s.opt.VKey) {
		return pin, local(fmt.Errorf("the server at %s signs with %s, not with the key that was given, %s", s.opt.From, pin.VKey, s.opt.VKey))
	}
	if err := signedAs(pin.VKey, st); err != nil {
		return pin, local(fmt.Errorf("the server at %s shows a checkpoint that its own key has not signed: %w", s.opt.From, err))
	}
	if s.opt.VKey == "" {
		s.opt.Tell("following store %s, whose key is trusted from now on:\n\n    %s\n\ncompare it with `stele version --vkey` on the primary", pin.Store, pin.VKey)
	}
	return pin, local(stele.SetPin(s.opt.Folder, s.opt.Store, pin))
}

// samePin refuses another store or key than the pinned ones. The key of a later epoch is judged when that is met.
func (s *Standby) samePin(pin stele.StandbyPin) error {
	given := stele.StandbyPin{Store: pin.Store, VKey: s.opt.VKey}
	if s.opt.VKey != "" && !knows(&pin, s.opt.VKey) && given.Epoch() <= pin.Epoch() {
		return fmt.Errorf("this standby has pinned the key %s, not %s: a standby of another store needs a folder of its own", pin.VKey, s.opt.VKey)
	}
	if s.opt.Keyless != pin.Keyless {
		return errors.New("a standby begun with --keyless stays without keys, and one with keys keeps them: use another folder")
	}
	if pin.From == s.opt.From {
		return nil
	}
	pin.From = s.opt.From // the same store at another address, or the primary that took over
	return stele.SetPin(s.opt.Folder, s.opt.Store, pin)
}

// waitForKeys returns when the primary may have wrapped its keyring anew.
func (s *Standby) waitForKeys(ctx context.Context) error {
	st, err := s.primary.ReplicaState(ctx, 0, -1, false)
	if err != nil {
		return err
	}
	if err := s.fetchKeyrings(ctx); err != nil { // it may have come before we asked for the number
		return err
	}
	if pinned, err := stele.OpenStandby(ctx, s.opt.Folder, s.opt.Store); err == nil {
		return pinned.Close()
	}
	_, err = s.primary.ReplicaState(ctx, tree.MaxSize, st.Keyrings, true)
	return err
}

// Files of the evidence folder.
const (
	evidenceFolder = "evidence"
	frozenFile     = "frozen"
)

// freeze keeps what there is to see, and ends following: here and at every later start.
func (s *Standby) freeze(kind string, offered []byte, why error) error {
	fsys := s.fs()
	at, err := s.evidence(kind, offered, map[string][]byte{"reason.txt": []byte(why.Error() + "\n")})
	if err == nil {
		text := fmt.Sprintf("%s\n%s\n%s\n", kind, at, why)
		err = durable.Replace(fsys, fsys.PathJoin(s.opt.Folder, evidenceFolder, frozenFile), []byte(text), durable.PrivateFile)
	}
	if err != nil {
		why = fmt.Errorf("%w (and the evidence could not be kept whole: %w)", why, err)
	}
	return &FrozenError{Kind: kind, Evidence: at, Why: why}
}

// evidence keeps files in a folder of their own, with the checkpoint that was accepted and the one that was offered.
func (s *Standby) evidence(kind string, offered []byte, files map[string][]byte) (at string, err error) {
	fsys := s.fs()
	at = fsys.PathJoin(s.opt.Folder, evidenceFolder, s.opt.Now().UTC().Format("20060102t150405.000000z")+"-"+kind)
	if err := durable.MkdirAll(fsys, at); err != nil {
		return at, err
	}
	_, files["accepted.note"] = s.store.Follow.Accepted()
	files["offered.note"] = offered
	for name, b := range files {
		if err == nil && len(b) > 0 {
			err = durable.WriteFile(fsys, fsys.PathJoin(at, name), b, durable.PrivateFile)
		}
	}
	return at, err
}

// stillFrozen is the freeze of an earlier process.
func (s *Standby) stillFrozen() error {
	fsys := s.fs()
	f, err := fsys.Open(fsys.PathJoin(s.opt.Folder, evidenceFolder, frozenFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	n, _ := f.Read(b)
	kind, rest, _ := strings.Cut(string(b[:n]), "\n")
	if kind == "cut" && s.opt.AcceptCut > 0 { // a person has decided; what was agreed to is compared again
		if err := durable.Remove(fsys, fsys.PathJoin(s.opt.Folder, evidenceFolder, frozenFile)); err != nil {
			return err
		}
		return nil
	}
	at, why, _ := strings.Cut(rest, "\n")
	e := &FrozenError{Kind: kind, Evidence: at, Why: errors.New(strings.TrimSpace(why) + " (seen by an earlier process; remove " + fsys.PathJoin(evidenceFolder, frozenFile) + " to follow again)")}
	s.note(func(st *Status) { st.Err, st.Frozen = e.Error(), true })
	return e
}

func (s *Standby) fs() vfs.FS {
	if s.opt.Store.FS != nil {
		return s.opt.Store.FS
	}
	return vfs.Default
}

// Close ends the standby. Follow must have returned.
func (s *Standby) Close() error {
	if store := s.Store(); store != nil {
		return store.Close()
	}
	return nil
}
