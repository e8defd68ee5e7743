package dir_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

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
		return enginetest.Rig{Engine: open(t, vfs.Default, t.TempDir())}
	})
}

func TestConformanceMem(t *testing.T) {
	enginetest.RunAppender(t, func(t testing.TB) enginetest.Rig {
		m := vfs.NewCrashableMem()
		return enginetest.Rig{
			Engine: open(t, m, "data/store"),
			PowerCut: func() engine.Appender {
				return open(t, m.CrashClone(vfs.CrashCloneCfg{}), "data/store")
			},
		}
	})
}
