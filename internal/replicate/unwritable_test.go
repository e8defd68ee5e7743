package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"

	"stele/internal/durable"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/logtest"
)

// stubborn is a target that can be read and takes nothing.
type stubborn struct {
	engine.Engine
	mu  sync.Mutex
	why error  // nil: it takes what comes
	at  func() // called when a file is refused
}

func (s *stubborn) refuse(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = why
}

func (s *stubborn) Create(ctx context.Context, name string, size int64, r io.Reader) error {
	s.mu.Lock()
	why, at := s.why, s.at
	s.mu.Unlock()
	if f, err := s.Open(ctx, name); err == nil {
		f.Close()
		return fmt.Errorf("%s: %w", name, engine.ErrExist)
	}
	if why != nil {
		at()
		return fmt.Errorf("couldn't create %s: %w", name, why)
	}
	return s.Engine.Create(ctx, name, size, r)
}

// TestUnwritableTarget: a target that can be listed and takes nothing, since it is full or read-only, is not called well between two tries; the reason is said with its next step, since when it holds is
// kept, and none of it is taken for the store's own disk. It ends when something was shipped.
func TestUnwritableTarget(t *testing.T) {
	for name, c := range map[string]struct {
		why  error
		want string
	}{
		"full":       {fmt.Errorf("%w: write /mnt/nas/tmp/1: %w", engine.ErrFull, syscall.ENOSPC), "the target is full (no space left on device). Make room there"},
		"quota":      {fmt.Errorf("%w: s3://b: free some room (%w)", engine.ErrFull, errors.New("raise the bucket's quota.")), "the target is full (raise the bucket's quota). Make room there"},
		"read-only":  {&fs.PathError{Op: "open", Path: "/mnt/nas/tmp/1", Err: syscall.EROFS}, "the target takes no writes (read-only file system). Look at its disk"},
		"permission": {&fs.PathError{Op: "open", Path: "/mnt/nas/tmp/1", Err: syscall.EACCES}, "the target takes no writes (permission denied). Let the user"},
		"failing":    {fmt.Errorf("%w: %w", durable.ErrSync, syscall.EIO), "the target's disk fails (input/output error). Look at it"},
	} {
		t.Run(name, func(t *testing.T) { testUnwritable(t, c.why, c.want) })
	}
}

func testUnwritable(t *testing.T, why error, want string) {
	p, _, _, _, _ := lossRig(t)
	clock, target, log := newHandClock(), &stubborn{Engine: mem.New(), at: func() {}}, new(logtest.Buffer)
	s := NewShipper(p.origin(), Options{Name: "nas", Clock: clock, Log: slog.New(slog.NewTextHandler(log, nil)), Open: func(context.Context) (engine.Engine, error) { return target, nil }})
	runShipper(t, s)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	held := s.Status().Size
	target.refuse(why)
	p.mustPut(t, "more", random(3000, 99))
	err := s.Flush(ctx)
	if !errors.Is(err, ErrUnwritable) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("it says %q, want %q", err, want)
	}
	for _, own := range []error{engine.ErrFull, engine.ErrFailed, durable.ErrSync, syscall.ENOSPC, syscall.EIO, fs.ErrPermission} {
		if errors.Is(err, own) {
			t.Errorf("it is taken for a fault of the store's own disk: %v", own)
		}
	}
	since := s.Status().ErrSince
	known := func() {
		if st := s.Status(); st.Err == nil || !st.ErrSince.Equal(since) || !st.Connected || st.Size != held || st.Refused {
			t.Errorf("status = %+v; want an error since %v, and %d entries held", st, since, held)
		}
	}
	target.mu.Lock()
	target.at = known // it was listed anew, and is being tried
	target.mu.Unlock()
	for range 3 {
		clock.advance(again.Most)
		if err := s.Flush(ctx); err == nil {
			t.Fatal("it took something")
		}
		known()
	}
	target.refuse(nil)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Err != nil || !st.Connected || st.Size != p.led.Size() {
		t.Errorf("with room again: %+v", st)
	}
	if n := strings.Count(log.String(), "is reached again"); n != 1 {
		t.Errorf("the log has said %d times that it is well again:\n%s", n, log)
	}
}

// TestUnwritableAtOpen: a bucket is written to on trial when it is opened. One that is full is no fault of the store's own disk either, and what it holds is known as long as it was listed before.
func TestUnwritableAtOpen(t *testing.T) {
	p, _, _, _, _ := lossRig(t)
	clock, target := newHandClock(), mem.New()
	var mu sync.Mutex
	var why error
	s := NewShipper(p.origin(), Options{Name: "nas", Clock: clock, Open: func(context.Context) (engine.Engine, error) {
		mu.Lock()
		defer mu.Unlock()
		return target, why
	}})
	mu.Lock()
	why = fmt.Errorf("couldn't use it: %w: s3://b (%w)", engine.ErrFull, errors.New("the disk of the server is full."))
	mu.Unlock()
	runShipper(t, s)
	err := s.Flush(ctx)
	if want := "the target is full (the disk of the server is full). Make room there"; !errors.Is(err, ErrUnwritable) || errors.Is(err, engine.ErrFull) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("it says %q, want %q", err, want)
	}
	if st := s.Status(); st.Connected || st.Err == nil {
		t.Errorf("nothing is known of it, and the status is %+v", st)
	}
	mu.Lock()
	why = nil
	mu.Unlock()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}
