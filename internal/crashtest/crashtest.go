// Package crashtest finds out what a program leaves behind when the power goes at any one of its writes, or when any one of
// its fsyncs fails. It runs a workload again and again on a crashable file system in memory ([FS]), each time with the
// fault one operation later, until the workload gets through without meeting it; after each run the workload's own check
// opens what is left and compares it with what was acknowledged.
//
//	crashtest.Run(t, crashtest.Scenario[oracle]{
//		Work:  func(fs vfs.FS, o *oracle) error { … o.acked = append(o.acked, x) … },
//		Check: func(fs vfs.FS, o *oracle) error { … },
//	})
//
// The workload must end after the fault. Pebble by itself retries background work for ever and calls Logger.Fatalf; package
// index sees to that.
//
// What it shows: an operation that is not followed by the right fsync, an acknowledgement before it, a retried fsync, a
// recovery that trusts what is only in memory, a recovery that itself can't be cut short. What it can't: torn sectors
// below the 4 KiB block except in the write at which the power goes, and what the system's own file system does.
package crashtest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Scenario is a workload and what must hold after it was cut short. O is the oracle: what the workload was told, and so
// what must be found.
type Scenario[O any] struct {
	// Setup, if set, runs first, without a fault and uncounted.
	Setup func(fs vfs.FS, o *O) error
	// Work runs the workload and notes in o what was acknowledged, when it is. It returns the first error; one is
	// expected once a fault was met, and fails the test if none was. It leaves nothing running.
	Work func(fs vfs.FS, o *O) error
	// Check opens what is left, as after a restart, and says what is wrong with it. It may write (recover) and note in o
	// what it has now vouched for: it is called again after a further power cut, which must not take that back.
	// It leaves nothing running.
	Check func(fs vfs.FS, o *O) error

	// Copy copies an oracle, if Check changes what a plain assignment would share (a map).
	Copy func(*O) *O

	// Stride is by how much the fault moves; 0 is 1. The first Dense operations are taken one by one all the same.
	Stride int
	Dense  int
	// Seed makes the choice of what of the unsynced data survives; a failure names it. 0 is 1.
	Seed uint64
	// Clones is how many outcomes of one power cut are checked: the first keeps nothing that was not synced, the second all of
	// it, further ones a random part. 0 is 3.
	Clones int
}

// Failure is a fault that a scenario did not survive.
type Failure struct {
	K       int    // which write or fsync met the fault
	Fault   string // what it was
	Outcome string // what came back after it
	Err     error  // what Check says
}

// Error implements error.
func (f *Failure) Error() string {
	return fmt.Sprintf("k=%d, %s; %s: %v", f.K, f.Fault, f.Outcome, f.Err)
}

// Unwrap returns what Check said.
func (f *Failure) Unwrap() error { return f.Err }

// Run cuts the power at every k-th write-like operation (CutPower) and fails every k-th fsync (FailSyncs).
func Run[O any](t *testing.T, s Scenario[O]) {
	t.Helper()
	t.Run("PowerCut", func(t *testing.T) { report(t, "writes", s.CutPower) })
	t.Run("FailedSync", func(t *testing.T) { report(t, "fsyncs", s.FailSyncs) })
}

func report(t *testing.T, unit string, run func() (int, error)) {
	t.Helper()
	runs, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if runs < 2 {
		t.Fatalf("no fault was ever met: the workload makes no %s", unit)
	}
	t.Logf("%d runs, each with the fault at another one of the %s", runs, unit)
}

// CutPower runs s with the power cut at operation 0, 1, 2, … until one run is not cut, and returns how many runs that
// took, or the first *Failure. In every second run the power goes again in the middle of Check.
func (s Scenario[O]) CutPower() (runs int, err error) {
	return s.each(func(k int, rng *rand.Rand) (met bool, err error) {
		fs, o, err := s.start()
		if err != nil {
			return false, err
		}
		fs.CutPower(k, func(n int) int { return rng.IntN(n + 1) })
		if err := s.work(fs, o); err != nil {
			return false, err
		}
		return fs.Happened() != "", s.afterCut(fs, k, o, rng)
	})
}

// FailSyncs runs s with fsync 0, 1, 2, … failing until one run meets no failure. After each run the power goes at once; or
// Check opens the file system as a restarted process finds it, with all that memory still shows, then the power goes, and Check
// must find again what it vouched for. Each run is made twice: with the data lost, and with it persisted in spite of the error.
func (s Scenario[O]) FailSyncs() (runs int, err error) {
	return s.each(func(k int, rng *rand.Rand) (met bool, err error) {
		for _, persist := range []bool{false, true} {
			fs, o, err := s.start()
			if err != nil {
				return false, err
			}
			fs.FailSync(k, persist)
			if err := s.work(fs, o); err != nil {
				return false, err
			}
			met = fs.Happened() != ""
			if err := s.afterCut(fs, k, o, rng); err != nil || !met {
				return met, err
			}
			fault := fs.Happened() + map[bool]string{false: " (data lost)", true: " (data persisted)"}[persist]
			if err := s.Check(fs, o); err != nil {
				return true, &Failure{k, fault, "the process was started anew", err}
			}
			if err := s.Check(fs.Clone(vfs.CrashCloneCfg{}), o); err != nil {
				return true, &Failure{k, fault, "the process was started anew, then the power went", err}
			}
		}
		return met, nil
	})
}

// each moves the fault along until it is not met.
func (s Scenario[O]) each(run func(k int, rng *rand.Rand) (bool, error)) (runs int, err error) {
	stride, seed := max(s.Stride, 1), max(s.Seed, 1)
	for k := 0; ; {
		met, err := run(k, rand.New(rand.NewPCG(seed, uint64(k))))
		runs++
		if err != nil {
			return runs, fmt.Errorf("seed %d: %w", seed, err)
		}
		if !met {
			return runs, nil
		}
		if k++; k > s.Dense {
			k += stride - 1
		}
	}
}

func (s Scenario[O]) start() (*FS, *O, error) {
	fs, o := NewFS(), new(O)
	if s.Setup != nil {
		if err := s.Setup(fs, o); err != nil {
			return nil, nil, fmt.Errorf("setup: %w", err)
		}
	}
	return fs, o, nil
}

func (s Scenario[O]) copy(o *O) *O {
	if s.Copy != nil {
		return s.Copy(o)
	}
	c := *o
	return &c
}

// work returns an error only if the workload failed without having met a fault.
func (s Scenario[O]) work(fs *FS, o *O) error {
	if err := s.Work(fs, o); err != nil && fs.Happened() == "" {
		return fmt.Errorf("the workload failed without a fault: %w", err)
	}
	return nil
}

// afterCut checks the outcomes of a power cut.
func (s Scenario[O]) afterCut(fs *FS, k int, o *O, rng *rand.Rand) error {
	clones := s.Clones
	if clones == 0 {
		clones = 3
	}
	for c := range clones {
		percent := 100
		switch {
		case c == 0:
			percent = 0
		case c > 1:
			percent = 1 + rng.IntN(99)
		}
		seen := s.copy(o) // what one outcome's Check vouches for says nothing about another outcome
		left := fs.Clone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		outcome := fmt.Sprintf("outcome %d: %d%% of the unsynced came back", c, percent)
		if k%2 == 1 {
			// Recovery is cut short as well, and what it left is recovered.
			left.CutPower(rng.IntN(20), func(n int) int { return rng.IntN(n + 1) })
			err := s.Check(left, seen)
			if met := left.Happened(); met != "" {
				outcome += "; " + met
				left = left.Clone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			} else if err != nil {
				return &Failure{k, fs.Happened(), outcome, err}
			}
			left.NoFault()
		}
		if err := s.Check(left, seen); err != nil {
			return &Failure{k, fs.Happened(), outcome, err}
		}
		if err := s.Check(left.Clone(vfs.CrashCloneCfg{}), seen); err != nil {
			return &Failure{k, fs.Happened(), outcome + "; recovered, then the power went again", err}
		}
	}
	return nil
}
