package stele_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/core"
	"stele/internal/storetest"
)

// bootingClock is a partedClock whose machine may be started anew.
type bootingClock struct {
	*storetest.PartedClock
	boot int
}

func (c *bootingClock) Boot() string { return fmt.Sprint("run ", c.boot) }

// TestLockAcrossRestarts: no number of restarts, of the process or of the machine, with the wall clock set ahead in between, ends a 30-day COMPLIANCE lock by more than seven days early. Neither does
// the loss of any file beside the ledger's.
func TestLockAcrossRestarts(t *testing.T) {
	for name, reboot := range map[string]bool{"restarts of the process": false, "restarts of the machine": true} {
		t.Run(name, func(t *testing.T) {
			clock := &bootingClock{PartedClock: storetest.NewPartedClock()}
			mem := vfs.NewMem()
			opt := stele.Options{FS: mem, Clock: clock, Kit: "kit"}
			s, err := stele.Create(ctx, "data", opt)
			if err != nil {
				t.Fatal(err)
			}
			storetest.MakeBucket(t, s, "vault", true, stele.Enabled)
			v := storetest.Put(t, s, "vault", "ledger", []byte("to be kept"))
			at := stele.Place{Bucket: "vault", Key: "ledger", VersionID: v.ID}
			made := s.Rooms().Core.Ledger().Now()
			if _, err := s.SetRetention(ctx, stele.Local(), at, "COMPLIANCE", made.Add(30*24*time.Hour)); err != nil {
				t.Fatal(err)
			}
			for range 6 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				clock.Set(156 * time.Hour)
				clock.Pass(time.Second)
				if reboot {
					clock.boot++
				}
				for _, lost := range []string{core.FilePublished, core.DirIndex} {
					if err := mem.RemoveAll("data/" + lost); err != nil {
						t.Fatal(err)
					}
				}
				if s, err = stele.Open(ctx, "data", opt); err != nil {
					t.Fatal(err)
				}
				storetest.Put(t, s, "vault", "other", []byte("x"))
				var re *stele.RetentionError
				if _, err := s.Hide(ctx, stele.HideRequest{By: stele.Local(), Bucket: "vault", Key: "ledger", VersionID: v.ID}); !errors.As(err, &re) {
					t.Fatalf("the locked version was hidden: %v", err)
				}
			}
			went, most := s.Rooms().Core.Ledger().Now().Sub(made), 11*time.Minute
			if reboot {
				most += 7 * 24 * time.Hour
			}
			if went > most {
				t.Errorf("the ledger's clock went %s ahead", went)
			}
			st, err := s.Stats(ctx)
			if err != nil || !st.Clock.Held || st.Clock.Wall.Sub(st.Clock.Ledger) < 24*time.Hour {
				t.Errorf("the stats say of the clock: %+v, %v", st.Clock, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestHeldClockGoesOn: while the clock is held reads and writes go on, entries carry the wall time, and once the wall clock agrees again so do the times of entries.
func TestHeldClockGoesOn(t *testing.T) {
	clock := &bootingClock{PartedClock: storetest.NewPartedClock()}
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	clock.Set(20 * 365 * 24 * time.Hour)
	v := storetest.Put(t, s, "books", "one", []byte("x"))
	if got := storetest.Read(t, s, stele.Place{Bucket: "books", Key: "one"}); string(got) != "x" {
		t.Errorf("read %q", got)
	}
	e, _, _, err := s.Rooms().Core.Ledger().Entry(ctx, v.Entry)
	if err != nil || e.Private.Wall.Sub(e.Time) < 7000*24*time.Hour {
		t.Errorf("the entry of %s carries the wall time %s, %v", e.Time, e.Private.Wall, err)
	}
	clock.Set(-20 * 365 * 24 * time.Hour)
	clock.Pass(time.Hour)
	v = storetest.Put(t, s, "books", "two", []byte("x"))
	if e, _, _, err = s.Rooms().Core.Ledger().Entry(ctx, v.Entry); err != nil || !e.Time.Equal(clock.Now()) || !e.Private.Wall.IsZero() || strings.Contains(string(e.Type), "drift") {
		t.Errorf("with the clock set right: %+v, %v", e, err)
	}
}
