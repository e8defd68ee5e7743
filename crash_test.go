package stele_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/core"
	"stele/internal/crashtest"
	"stele/internal/storetest"
)

// crashWork is a day in the life of a store, twice: it fills several segments and packs, and closes and opens again.
func crashWork(fs vfs.FS, w *storetest.Client) (err error) {
	for reign := range 2 {
		s, err := stele.Open(ctx, storetest.Folder, w.Options(fs))
		if err != nil {
			return err
		}
		if reign == 0 {
			err = w.FirstReign(s)
		} else {
			err = w.SecondReign(s)
		}
		if closed := s.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rebuilds counts checks: each third one rebuilds the index as well.
var rebuilds atomic.Int64

// crashCheck opens what is left, compares it with what was told, and uses it.
func crashCheck(fs vfs.FS, w *storetest.Client) error {
	s, err := stele.Open(ctx, storetest.Folder, w.Options(fs))
	if err != nil {
		return fmt.Errorf("couldn't open what is left: %w", err)
	}
	err = w.Compare(s)
	if err == nil {
		err = vouch(w, s)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	if rebuilds.Add(1)%3 != 0 {
		return nil
	}
	// The index is derived: without it the same is shown.
	if err := fs.RemoveAll(fs.PathJoin(storetest.Folder, core.DirIndex)); err != nil {
		return err
	}
	if s, err = stele.Open(ctx, storetest.Folder, w.Options(fs)); err != nil {
		return fmt.Errorf("couldn't open without the index: %w", err)
	}
	if err = w.Compare(s); err != nil {
		err = fmt.Errorf("with the index rebuilt: %w", err)
	}
	return errors.Join(err, s.Close())
}

// vouch verifies the store, and writes to it as ever.
func vouch(w *storetest.Client, s *stele.Store) error {
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err != nil || !r.OK() {
		return fmt.Errorf("verify: %+v %w", r.Problems, err)
	}
	return w.All(s,
		storetest.Change{Do: "createBucket", Bucket: "after"},
		storetest.Change{Do: "put", Bucket: "after", Key: "new", Content: storetest.Data(fmt.Sprintf("after %d", s.Ledger().Size()), 1500)},
		storetest.Change{Do: "put", Bucket: "after", Key: "large", Content: storetest.Data("large", 60<<10)},
	)
}

func crashScenario(t testing.TB) crashtest.Scenario[storetest.Client] {
	files := storetest.Template(t)
	return crashtest.Scenario[storetest.Client]{
		Setup: func(fs vfs.FS, w *storetest.Client) error {
			n := storetest.NewClient()
			w.Clock, w.Changes, w.Acked, w.Refused, w.Heads = n.Clock, n.Changes, n.Acked, n.Refused, n.Heads
			return storetest.WriteFiles(fs, files)
		},
		Work: crashWork, Check: crashCheck, Copy: (*storetest.Client).Clone,
	}
}

// TestCrash cuts the power at writes, and fails fsyncs, of the whole store at work.
func TestCrash(t *testing.T) {
	s := crashScenario(t)
	switch {
	case testing.Short():
		s.Stride, s.Clones = 97, 1
	case !storetest.Full:
		s.Stride, s.Clones = 29, 2
	}
	crashtest.Run(t, s)
}
