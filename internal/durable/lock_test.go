//go:build unix

package durable_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"stele/internal/durable"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	hold := func(take func(string) (*durable.Lock, error)) *durable.Lock {
		t.Helper()
		l, err := take(dir)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	refused := func(what string, take func(string) (*durable.Lock, error)) {
		t.Helper()
		if _, err := take(dir); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("%s = %v, want ErrLocked", what, err)
		}
	}
	reader1, reader2 := hold(durable.LockShared), hold(durable.LockShared)
	refused("a writer beside two readers", durable.LockExclusive)
	_ = reader1.Close()
	refused("a writer beside a reader", durable.LockExclusive)
	_ = reader2.Close()

	writer := hold(durable.LockExclusive)
	refused("a second writer", durable.LockExclusive)
	refused("a reader beside a writer", durable.LockShared)
	if _, err := durable.LockShared(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("the refusal doesn't name the writer: %v", err)
	}
	_ = writer.Close()
	_ = hold(durable.LockExclusive).Close()
	_ = hold(durable.LockShared).Close()
}

// TestLockOfADeadProcess: the lock goes with its holder, however that ended, and it holds against another process.
func TestLockOfADeadProcess(t *testing.T) {
	if dir := os.Getenv("DURABLE_TEST_LOCK"); dir != "" {
		if _, err := durable.LockExclusive(dir); err != nil {
			fmt.Println("refused:", err)
			return
		}
		fmt.Println("locked")
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		t.Fatal(err) // not reached
	}
	dir := t.TempDir()
	child := func() string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLockOfADeadProcess$")
		cmd.Env = append(os.Environ(), "DURABLE_TEST_LOCK="+dir)
		out, _ := cmd.Output() // it is killed, or prints why not
		return string(out)
	}
	if out := child(); !strings.HasPrefix(out, "locked\n") {
		t.Fatalf("another process said %q, want it to lock the free folder", out)
	}
	l, err := durable.LockExclusive(dir)
	if err != nil {
		t.Fatalf("after its holder was killed: %v", err)
	}
	if out := child(); !strings.HasPrefix(out, "refused: ") {
		t.Errorf("another process said %q, want it to be refused", out)
	}
	_ = l.Close()
}
