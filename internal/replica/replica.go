// Package replica is the primary's side of those who follow it: admission, which wraps the keyring to a standby, the state that they wait for, and the bytes of the store's files.
package replica

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
	"stele/tree"
)

// File is a file of the store as one that copies it sees it.
type File struct {
	Name   string `json:"name"`
	ID     string `json:"id,omitempty"` // of a segment: its file id, 64 hex digits. After a crash another file may have the name
	Size   int64  `json:"size"`         // bytes; of a file that grows, those that its last fsync covers
	Sealed bool   `json:"sealed"`
}

// State is where a store stands, for one that follows it. What the growing files hold belongs to entries below Size, or to none yet.
type State struct {
	Size       uint64      `json:"size"`
	Checkpoint []byte      `json:"checkpoint"` // of Size
	From       uint64      `json:"from"`
	Proof      []tree.Hash `json:"proof"`    // that the ledger of Size begins with that of From; none if From is 0 or beyond Size
	Keyrings   int         `json:"keyrings"` // how often the keyring was wrapped anew since this process began
	Growing    []File      `json:"growing"`
}

// changed tells those who wait that the ledger has grown, or that there is a new keyring.
type changed struct {
	mu       sync.Mutex
	ch       chan struct{} // closed by the next change
	keyrings int
}

// Wait returns a channel that the next change closes.
func (c *changed) Wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	return c.ch
}

// Tell lets those who wait look again; keyrings is how many were stored since.
func (c *changed) Tell(keyrings int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keyrings += keyrings
	if c.ch != nil {
		close(c.ch)
		c.ch = nil
	}
}

// Replica is what a store does for those who follow it. Its methods may be called concurrently.
type Replica struct {
	core    *core.Store
	Changed changed // wakes those who wait for a new state

	wrapping   sync.Mutex // one wraps the keyring at a time
	recipients []string   // of the newest keyring; nil: those of core.Keys. Guarded by wrapping
}

// New returns the side of the primary in the store whose core this is.
func New(c *core.Store) *Replica { return &Replica{core: c} }

// State returns where the store stands. With wait it returns once the ledger is beyond from, or the number of keyrings is another one, or ctx ends, whatever comes first: the state is the newest in each
// case. core.ErrClosed: the store was closed meanwhile.
func (s *Replica) State(ctx context.Context, from uint64, keyrings int, wait bool) (State, error) {
	if err := s.core.Enter(); err != nil {
		return State{}, err
	}
	defer s.core.Leave()
	ctx, cancel := s.core.UntilClosed(ctx)
	defer cancel()
	for {
		next := s.Changed.Wait() // taken before the look: a change that comes after the look closes it
		s.Changed.mu.Lock()
		now := s.Changed.keyrings
		s.Changed.mu.Unlock()
		if !wait || s.core.Ledger().Size() > from || now != keyrings {
			break
		}
		select {
		case <-next:
			continue
		case <-ctx.Done():
		}
		wait = false
	}
	if s.core.Closing() {
		return State{}, core.ErrClosed
	}
	return s.state(from)
}

// state looks at the ledger first, then at the packs: so they hold whatever entries below its size name.
func (s *Replica) state(from uint64) (State, error) {
	note, size, growing := s.core.Ledger().Growing()
	st := State{Size: size, Checkpoint: note, From: from}
	for _, g := range growing {
		st.Growing = append(st.Growing, File{Name: g.Name, ID: hex.EncodeToString(g.FileID[:]), Size: g.DurableBytes})
	}
	for _, g := range s.core.Body.Growing() {
		if g.DurableBytes > 0 {
			st.Growing = append(st.Growing, File{Name: g.Name, Size: g.DurableBytes})
		}
	}
	s.Changed.mu.Lock()
	st.Keyrings = s.Changed.keyrings
	s.Changed.mu.Unlock()
	if from > 0 && from <= size {
		var err error
		if st.Proof, err = s.core.Ledger().Consistency(s.core.Life(), from, size); err != nil {
			return st, s.core.ClosedOr(core.Translate(err))
		}
	}
	return st, nil
}

// Files calls fn for each sealed file in a folder of the store, in order of name. core.ErrBadName: it is no folder of a store. An error of fn ends it.
func (s *Replica) Files(ctx context.Context, folder string, fn func(File) error) error {
	if err := s.core.Enter(); err != nil {
		return err
	}
	defer s.core.Leave()
	err := s.core.Engine.List(ctx, folder, func(i engine.Info) error {
		return fn(File{Name: i.Name, Size: i.SizeBytes, Sealed: true})
	})
	if errors.Is(err, engine.ErrName) {
		return core.OfKind(err, core.ErrBadName)
	}
	return core.Translate(err)
}

// Read reads up to n bytes at off of a file, sealed or growing, and says what file that is; fewer only where it ends. core.ErrNoKey: there is no such file.
func (s *Replica) Read(ctx context.Context, name string, off int64, n int) (File, []byte, error) {
	if err := s.core.Enter(); err != nil {
		return File{}, nil, err
	}
	defer s.core.Leave()
	if err := engine.CheckName(name); err != nil || off < 0 || n < 0 {
		return File{}, nil, core.BadValue("there is no file %q from byte %d on for a standby", name, off)
	}
	f, r, release, err := s.open(ctx, name)
	if err != nil {
		return f, nil, err
	}
	defer release()
	if off > f.Size {
		return f, nil, fmt.Errorf("%w: byte %d of %d of %s", core.ErrBadRange, off, f.Size, name)
	}
	if _, _, ok := segment.ParseName(name); ok {
		head := make([]byte, frame.HeaderSize)
		if _, err := r.ReadAt(head, 0); err != nil {
			return f, nil, fmt.Errorf("couldn't read %s: %w", name, err)
		}
		h, err := frame.ParseHeader(head, frame.MagicSegment)
		if err != nil {
			return f, nil, core.Translate(err)
		}
		f.ID = hex.EncodeToString(h.FileID[:])
	}
	b := make([]byte, min(int64(n), f.Size-off))
	if k, err := r.ReadAt(b, off); k < len(b) {
		return f, nil, fmt.Errorf("couldn't read %s: %w", name, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return f, b, nil
}

// open opens a file by its name. It looks among growing files first: one that is sealed between the two looks is then found under its sealed name, and the other way round it would be missed.
func (s *Replica) open(ctx context.Context, name string) (File, io.ReaderAt, func(), error) {
	for _, open := range []func(string) (io.ReaderAt, int64, func(), bool){s.core.Ledger().OpenGrowing, s.core.Body.OpenGrowing} {
		if r, size, release, ok := open(name); ok {
			return File{Name: name, Size: size}, r, release, nil
		}
	}
	f, err := s.core.Engine.Open(ctx, name)
	if errors.Is(err, engine.ErrNotExist) {
		return File{}, nil, nil, fmt.Errorf("%w: file %s", core.ErrNoKey, name)
	}
	if err != nil {
		return File{}, nil, nil, core.Translate(err)
	}
	return File{Name: name, Size: f.Size(), Sealed: true}, f, func() { _ = f.Close() }, nil
}
