package durable

import (
	"errors"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
)

// onceMedium is a kernel that reports a lost page once: its first fdatasync fails, those after it, and those that run beside it, succeed.
type onceMedium struct {
	medium
	calls  atomic.Int32
	during func() // runs inside the first fdatasync
}

func (m *onceMedium) writeAt([]byte, int64) error { return nil }

func (m *onceMedium) syncData() error {
	if m.calls.Add(1) > 1 {
		return nil
	}
	m.during()
	return syscall.EIO
}

// TestTwoSyncsOfOneLoss: of two Syncs that cover the same lost bytes both fail, though the kernel tells only one of them.
func TestTwoSyncsOfOneLoss(t *testing.T) {
	m := &onceMedium{}
	f := &File{m: m, name: "f"}
	second := make(chan error, 1)
	m.during = func() {
		go func() { second <- f.Sync() }()
		for range 10000 { // time enough to come in beside us, were it let in
			if m.calls.Load() > 1 {
				break
			}
			runtime.Gosched()
		}
	}
	if _, err := f.Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, ErrSync) || !errors.Is(err, syscall.EIO) {
		t.Errorf("the first Sync = %v, want the failed fsync", err)
	}
	if err := <-second; !errors.Is(err, ErrFailed) {
		t.Errorf("the second Sync = %v, want ErrFailed: its bytes are lost as well", err)
	}
	if n := m.calls.Load(); n != 1 {
		t.Errorf("%d fdatasyncs, want none after the failed one", n)
	}
}
