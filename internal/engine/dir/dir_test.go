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
	enginetest.Run(t, func(t testing.TB) engine.Engine { return open(t, vfs.Default, t.TempDir()) })
}

func TestConformanceMem(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) engine.Engine { return open(t, vfs.NewCrashableMem(), "data/store") })
}
