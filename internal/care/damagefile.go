package care

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"stele/internal/core"
	"stele/internal/durable"
)

// LeaveFindings writes what a reader of the folder itself found out beside the engine's folders, for the next one who writes entries. A folder that this process may not write in is left as it is:
// the reader has been told by its own call.
func (s *Care) LeaveFindings() error {
	if s.core.State() != core.Reader {
		return nil
	}
	s.findings.mu.Lock()
	defer s.findings.mu.Unlock()
	if len(s.findings.queue) == 0 {
		return nil
	}
	was, err := s.readFindings()
	if err == nil && sameFindings(was.Files, s.findings.queue) {
		return nil
	}
	f := findingsFile{V: 1, Files: s.findings.queue}
	b, err := json.Marshal(f)
	if err == nil {
		err = durable.Replace(s.core.FS, s.core.Path(core.FileFindings), append(b, '\n'), 0o644)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		s.core.Log.Warn("what was found can't be kept: the folder can't be written in", "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("couldn't keep what was found: %w", err)
	}
	return nil
}

func sameFindings(a, b map[string]finding) bool {
	if len(a) != len(b) {
		return false
	}
	for file, f := range a {
		if g, ok := b[file]; !ok || g.What != f.What {
			return false
		}
	}
	return true
}

func unmarshalFindings(b []byte, f *findingsFile) error {
	if err := json.Unmarshal(b, f); err != nil {
		return fmt.Errorf("%w: %v. Remove it and verify again", core.ErrCorrupt, err)
	}
	if f.V != 1 {
		return fmt.Errorf("%w: it has version %d", core.ErrVersion, f.V)
	}
	return nil
}

// findingsFile is what who only reads leaves behind.
type findingsFile struct {
	V     int                `json:"v"` // 1
	Files map[string]finding `json:"files"`
}

// TakeFindings queues what readers have left.
func (s *Care) TakeFindings() error {
	f, err := s.readFindings()
	if err != nil || len(f.Files) == 0 {
		return err
	}
	s.findings.mu.Lock()
	defer s.findings.mu.Unlock()
	for file, found := range f.Files {
		s.findings.put(file, found)
	}
	s.findings.file = true
	s.core.WakeHousekeeping()
	return nil
}

func (s *Care) readFindings() (f findingsFile, err error) {
	b, err := core.ReadFile(s.core.FS, s.core.Path(core.FileFindings))
	if core.IsNotExist(err) {
		return f, nil
	}
	if err == nil {
		err = unmarshalFindings(b, &f)
	}
	if err != nil {
		err = fmt.Errorf("couldn't read %s, which says what a verification found: %w", s.core.Path(core.FileFindings), err)
	}
	return f, err
}

// removeFindings removes the file of findings, whose entries are durable.
func (s *Care) removeFindings() error {
	if err := s.core.FS.Remove(s.core.Path(core.FileFindings)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("couldn't remove %s, which is in the ledger now: %w", s.core.Path(core.FileFindings), err)
	}
	return nil
}
