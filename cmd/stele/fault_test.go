package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"stele/internal/rpc"
)

// command runs a verb in this process on a file system that may have faults.
func command(t *testing.T, fsys vfs.FS, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = (&app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, fs: fsys}).run(args)
	return code, out.String(), errs.String()
}

// TestTooFewFiles: a process that may not have enough open files says which limit to raise, also through a server.
func TestTooFewFiles(t *testing.T) {
	a := &app{}
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE} {
		own := fmt.Errorf("couldn't list packs/: %w", &os.PathError{Op: "open", Path: "packs", Err: errno})
		for _, err := range []error{own, rpc.ErrorOf(own).Err()} {
			if _, hint := a.words(err); !strings.Contains(hint, "ulimit -n") {
				t.Errorf("%v: the next step is %q", err, hint)
			}
		}
	}
}

// TestFaults fails the k-th write, or the k-th fsync, of a put of many files, for each k until none fails any more: the verb must end with its error and next step, and
// whatever it told as put must be there when the store is opened again on a sound disk.
func TestFaults(t *testing.T) {
	for _, fault := range []struct {
		name    string
		op      func(errorfs.OpKind) bool
		errno   syscall.Errno
		message string
	}{
		{"full disk", func(k errorfs.OpKind) bool { return k == errorfs.OpFileWrite || k == errorfs.OpFileWriteAt }, syscall.ENOSPC, "no space left"},
		{"EIO on fsync", func(k errorfs.OpKind) bool {
			return k == errorfs.OpFileSync || k == errorfs.OpFileSyncData || k == errorfs.OpFileSyncTo
		}, syscall.EIO, "input/output error"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			failed := 0
			for k := int32(1); k < 400; k += 3 {
				if !tryFault(t, k, fault.op, fault.errno, fault.message) {
					break
				}
				failed++
			}
			if failed < 3 {
				t.Errorf("only %d faults were met", failed)
			}
		})
	}
}

// tryFault reports whether the fault was met.
func tryFault(t *testing.T, k int32, op func(errorfs.OpKind) bool, errno syscall.Errno, message string) bool {
	dir := t.TempDir()
	data, src := filepath.Join(dir, "data"), filepath.Join(dir, "src")
	if err := os.Mkdir(src, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(src, fmt.Sprint(i)), bytes.Repeat([]byte{byte(i)}, 1000*i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--kit", filepath.Join(dir, "kit")}, {"bucket", "create", "docs"}} {
		if code, _, errs := command(t, nil, append([]string{"--data", data, "--quiet"}, args...)...); code != 0 {
			t.Fatalf("%v: %s", args, errs)
		}
	}
	var armed atomic.Bool
	var left atomic.Int32
	left.Store(k)
	faulty := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(o errorfs.Op) error {
		if op(o.Kind) && left.Add(-1) <= 0 {
			armed.Store(true)
			return errno
		}
		return nil
	}))
	code, out, errs := command(t, faulty, "--data", data, "--json", "put", "-j", "4", "-r", src, "docs")
	if !armed.Load() {
		if code != 0 {
			t.Errorf("no fault, and yet exit %d: %s", code, errs)
		}
		return false
	}
	if code == 0 && strings.Count(out, `"key"`) < 20 {
		t.Errorf("fault %d: exit 0 with %d files in", k, strings.Count(out, `"key"`))
	}
	if code != 0 && (code != exitError || !strings.Contains(errs, `"hint":"`) || !strings.Contains(errs, message)) {
		t.Errorf("fault %d: exit %d: %s", k, code, errs)
	}
	checkThere(t, k, data, out)
	return true
}

// checkThere opens the store on the sound file system and looks for what was told as put.
func checkThere(t *testing.T, k int32, data, told string) {
	t.Helper()
	if code, out, errs := command(t, nil, "--data", data, "--quiet", "verify", "--deep"); code != 0 {
		t.Errorf("fault %d: verify: exit %d: %s%s", k, code, out, errs)
	}
	_, listed, _ := command(t, nil, "--data", data, "--json", "ls", "-r", "docs")
	for line := range strings.Lines(told) {
		_, rest, ok := strings.Cut(line, `"key":"`)
		if !ok {
			continue
		}
		key, _, _ := strings.Cut(rest, `"`)
		if !strings.Contains(listed, `"key":"`+key+`"`) {
			t.Errorf("fault %d: %s was told as put and is lost", k, key)
		}
	}
}
