package core_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele"
	"stele/internal/core"
)

// TestCreateWhereTheKitHasNoRoom: a Create that can't write the recovery kit, or that finds the disk full at any other moment before that, leaves nothing in the folder, and the same command works once there is room.
func TestCreateWhereTheKitHasNoRoom(t *testing.T) {
	mem := vfs.NewMem()
	if err := mem.MkdirAll("stick", 0o755); err != nil {
		t.Fatal(err)
	}
	full := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasPrefix(op.Path, "stick/") && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFileWriteAt) {
			return syscall.ENOSPC
		}
		return nil
	}))
	if _, err := stele.Create(ctx, "data", stele.Options{FS: full, Kit: "stick/kit"}); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, stele.ErrFull) || !strings.Contains(err.Error(), "stick/kit") {
		t.Errorf("create: %v", err)
	}
	if empty, err := core.IsEmpty(mem, "data"); err != nil || !empty {
		names, _ := mem.List("data")
		t.Errorf("it left %v, %v", names, err)
	}
	if names, err := mem.List("stick"); err != nil || len(names) > 0 {
		t.Errorf("it left %v beside the kit, %v", names, err)
	}
	s, err := stele.Create(ctx, "data", stele.Options{FS: mem, Kit: "stick/kit"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestClockDoubt: who makes a store under a clock that can't be right is told so, in the log and by ClockDoubt.
func TestClockDoubt(t *testing.T) {
	for name, c := range map[string]struct {
		at     time.Time
		doubts bool
	}{
		"as it was built": {core.Built(), false}, "the day before": {core.Built().Add(-23 * time.Hour), false}, "1970": {time.Unix(0, 0), true}, "nine years on": {core.Built().AddDate(9, 0, 0), false},
		"twenty years on": {core.Built().AddDate(20, 0, 0), true},
	} {
		var log bytes.Buffer
		s, err := stele.Create(ctx, "data", stele.Options{FS: vfs.NewMem(), Kit: "kit", Clock: clockAt(c.at), Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if doubt := s.Rooms().Core.ClockDoubt(); (doubt != nil) != c.doubts || strings.Contains(log.String(), "not to be believed") != c.doubts {
			t.Errorf("%s: %v; log: %s", name, doubt, log.String())
		}
		s.Close()
	}
}

// clockAt stands still.
type clockAt time.Time

func (c clockAt) Now() time.Time { return time.Time(c) }

func (c clockAt) Monotonic() time.Duration { return 0 }
