package dir_test

import (
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele/internal/crashtest"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/engine/enginetest"
)

func open(t testing.TB, fsys vfs.FS, root string) *dir.Dir {
	t.Helper()
	d, err := dir.Open(fsys, root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformanceOS(t *testing.T) {
	enginetest.RunAppender(t, func(t testing.TB) enginetest.Rig {
		// A real disk neither fails nor fills on demand: the rig in memory does, and TestFullDisk.
		return enginetest.Rig{Engine: open(t, vfs.Default, t.TempDir())}
	})
}

func TestConformanceMem(t *testing.T) {
	enginetest.RunAppender(t, func(t testing.TB) enginetest.Rig {
		mem := crashtest.NewFS()
		var full atomic.Bool
		fsys := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if full.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpFilePreallocate) {
				return syscall.ENOSPC
			}
			return nil
		}))
		return enginetest.Rig{
			Engine:   open(t, fsys, "data/store"),
			PowerCut: func() engine.Appender { return open(t, mem.Clone(vfs.CrashCloneCfg{}), "data/store") },
			FailSync: func() { mem.FailSync(0, false) },
			Fill:     func() { full.Store(true) },
		}
	})
}
