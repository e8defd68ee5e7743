package hydrate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/engine"
	"stele/internal/hydrate"
	"stele/internal/logtest"
	"stele/internal/storetest"
)

var ctx = context.Background()

// shaky is a target whose packs can't be opened: each time for the same reason, in which another file is named.
type shaky struct {
	engine.Engine
	n *atomic.Int64 // 0: they can be
}

func (s shaky) Open(ctx context.Context, name string) (engine.File, error) {
	if strings.HasPrefix(name, engine.Packs) && s.n.Load() > 0 {
		return nil, fmt.Errorf("couldn't make room for tmp/%016x-1: no space left", s.n.Add(1))
	}
	return s.Engine.Open(ctx, name)
}

// TestFillingIsToldOnce: the log has it once an hour that a folder can't be filled, although that is tried each minute and the text names another file each time.
func TestFillingIsToldOnce(t *testing.T) {
	x, clock, log, n := storetest.NewBackedUp(t), storetest.NewClock(), new(logtest.Buffer), new(atomic.Int64)
	opt, tries, over := x.Options(vfs.NewMem()), 0, make(chan struct{})
	opt.Log = slog.New(slog.NewTextHandler(log, nil))
	opened := make(chan struct{})
	opt.Clock = storetest.Waiting{Clock: clock, Wait: func(context.Context, time.Duration) error {
		<-opened
		if tries++; tries > 120 {
			close(over)
			return errors.New("enough")
		}
		clock.Pass(time.Minute)
		return nil
	}}
	s, err := stele.OpenFrom(ctx, storetest.Folder, hydrate.From{Target: shaky{x.Target, n}, Name: "mem:///target"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n.Store(1)
	close(opened)
	<-over
	if got := strings.Count(log.String(), "couldn't fill the folder"); got != 2 {
		t.Errorf("after two hours the log has it %d times:\n%s", got, log)
	}
	if h, _ := s.Rooms().Over.Hydration(); h.Err == "" || h.Full {
		t.Errorf("%+v", h)
	}
}
