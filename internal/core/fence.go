package core

import (
	"fmt"

	"stele/internal/durable"
	"stele/internal/ledger"
)

// RefuseSuperseded returns ErrSuperseded if the folder is marked with a later epoch than its own.
func (s *Store) RefuseSuperseded() error {
	epoch, err := s.marked()
	if IsNotExist(err) {
		return nil
	}
	if err != nil { // damaged: that it is there says enough
		return fmt.Errorf("%w: couldn't read %s: %v", ErrSuperseded, s.Path(FileSuperseded), err)
	}
	if epoch <= s.Keys.Epoch {
		return nil
	}
	return SupersededError(s.dir, epoch, s.Keys.Epoch)
}

// marked reads the epoch with which the folder is marked.
func (s *Store) marked() (epoch uint32, err error) {
	text, err := ReadFile(s.FS, s.Path(FileSuperseded))
	if err == nil {
		_, err = fmt.Sscanf(string(text), "epoch %d\n", &epoch)
	}
	return epoch, err
}

// SupersededError is the ErrSuperseded of a folder in epoch ours, where epoch has begun elsewhere. It says what may be done with the folder.
func SupersededError(dir string, epoch, ours uint32) error {
	return fmt.Errorf("%w: %s is in epoch %d, and epoch %d has begun elsewhere. Don't promote it: stele standby --from URL, on this folder, makes it a standby of the new primary; or copy from the new primary, or from its target, into an empty folder. What only this folder holds stays readable by the reading verbs", ErrSuperseded, dir, ours, epoch)
}

// Supersede ends writing for good, in this process and after it: another primary has begun a later epoch, and by says who told. When it returns, nothing is acknowledged any
// more, and unless it returns an error, a durable mark in the folder says so to every later Open. Reads go on.
//
// Writing ends in this process first, and the mark follows: so no entry is acknowledged while it is written. A crash between the two leaves a folder without the mark: whoever told it had
// no answer and tells it again, and the next start asks its targets and followers before it writes.
//
// A present epoch that is not older is an error, and nothing ends.
func (s *Store) Supersede(epoch uint32, by string) error {
	if err := s.Enter(); err != nil {
		return err
	}
	defer s.Leave()
	if !s.TakesWrites() {
		return ErrReadOnly
	}
	if epoch <= s.Keys.Epoch {
		return fmt.Errorf("the store is in epoch %d: epoch %d does not end it", s.Keys.Epoch, epoch)
	}
	s.Ledger().Supersede(&ledger.SupersededError{By: by, Epoch: epoch, Known: s.Keys.Epoch})
	s.Log.Error("another primary has taken over: no more writes", "epoch", epoch, "by", by)
	if marked, err := s.marked(); err == nil && marked > epoch {
		return nil
	}
	text := fmt.Sprintf("epoch %d\nknown from %q\n", epoch, by)
	if err := durable.Replace(s.FS, s.Path(FileSuperseded), []byte(text), durable.PrivateFile); err != nil {
		return fmt.Errorf("couldn't write %s: writing has ended in this process only: %w", s.Path(FileSuperseded), err)
	}
	return nil
}
