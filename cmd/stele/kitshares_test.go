package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele"
)

// TestSplitOnAFullDisk: a disk that takes no k-th file, write, fsync or name leaves no share and no folder behind, and the same command works once there is room; so does combining.
func TestSplitOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	kit, none := filepath.Join(dir, "kit.txt"), filepath.Join(dir, "none")
	if code, _, errs := command(t, nil, "--data", filepath.Join(dir, "data"), "init", "--kit", kit); code != 0 {
		t.Fatal(errs)
	}
	failing := func(k int) (vfs.FS, *int) {
		left := k
		return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(o errorfs.Op) error {
			switch o.Kind {
			case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpMkdirAll, errorfs.OpRename, errorfs.OpLink:
				if left--; left == 0 {
					return syscall.ENOSPC
				}
			}
			return nil
		})), &left
	}
	there := func(pattern string) []string {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	try := func(want int, made string, args ...string) {
		t.Helper()
		faults := 0
		for k := 1; ; k++ {
			fsys, left := failing(k)
			code, _, errs := command(t, fsys, append([]string{"--data", none, "--quiet"}, args...)...)
			if *left > 0 { // no fault was met
				if code != 0 {
					t.Fatalf("fault %d: exit %d: %s", k, code, errs)
				}
				break
			}
			faults++
			if found := there(made + "*"); code != exitError || !strings.Contains(errs, "next: make room on that disk") || len(found) > 0 {
				t.Fatalf("fault %d: exit %d, left behind %v: %s", k, code, found, errs)
			}
		}
		if faults < want {
			t.Errorf("only %d faults were met", faults)
		}
	}
	try(8, "set", "kit", "split", "--shares", "3", "--threshold", "2", kit, "-o", filepath.Join(dir, "set"))
	files := there("set/*.txt")
	if len(files) != 3 {
		t.Fatalf("made %v", files)
	}
	try(3, "again", "kit", "combine", files[0], files[2], "-o", filepath.Join(dir, "again.txt"))
	want, err := os.ReadFile(kit)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "again.txt")); err != nil || string(got) != string(want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSharesState(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 23, 0, 0, 0, time.UTC) }
	for want, set := range map[string]stele.ShareSet{
		"set 00112233, 3 shares, any 2: 1-3 never proven: `stele kit check FILE`":                                            {Proven: make([]time.Time, 3)},
		"set 00112233, 4 shares, any 2: 1, 3 proven 2026-11-02; 2 proven 2026-11-09; 4 never proven: `stele kit check FILE`": {Proven: []time.Time{day(2), day(9), day(2), {}}},
		"set 00112233, 2 shares, any 2: 1, 2 proven 2026-11-02":                                                              {Proven: []time.Time{day(2), day(2)}},
	} {
		set.Set, set.Any, set.Opens = "0011223344556677", 2, true
		if got := sharesState(&set); got != want {
			t.Errorf("%s\nis wanted, and is\n%s", want, got)
		}
		set.Opens = false
		if got := sharesState(&set); got != want+". They open the copies made before the last rotation of keys only: split the newer kit too" {
			t.Error(got)
		}
	}
}
