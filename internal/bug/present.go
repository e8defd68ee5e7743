//go:build stelebugs

package bug

import (
	"sync"
	"sync/atomic"
)

var (
	planted sync.Map     // Bug: there while it is planted
	count   atomic.Int64 // of them: most of the time 0, and On is asked for each chunk
)

// On says whether a bug is planted.
func On(b Bug) bool {
	if count.Load() == 0 {
		return false
	}
	_, ok := planted.Load(b)
	return ok
}

// Ways is how often a test runs that compares a program without and with a bug.
func Ways() []bool { return []bool{false, true} }

// Plant switches bugs on in the whole process, until pull is called or the test ends. Tests that plant do not run in parallel with others.
func Plant(t T, bugs ...Bug) (pull func()) {
	t.Helper()
	for _, b := range bugs {
		if _, twice := planted.Swap(b, true); twice {
			panic("bug: planted twice: " + string(b))
		}
		count.Add(1)
		t.Log("planted: " + string(b))
	}
	pull = sync.OnceFunc(func() {
		for _, b := range bugs {
			planted.Delete(b)
			count.Add(-1)
		}
	})
	t.Cleanup(pull)
	return pull
}
