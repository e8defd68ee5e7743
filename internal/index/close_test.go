package index

import (
	"testing"
	"time"

	"stele/entry"
	"stele/internal/crashtest"
)

// TestCloseEnds cuts the power at every write, or fails every fsync, of an index that is opened, filled and closed: each of the three must return. A flush whose manifest could not be
// written was once tried again for ever, and Close waited for it.
func TestCloseEnds(t *testing.T) {
	for run := range 6 {
		rows := run / 2
		for k := 0; ; k++ {
			fs := crashtest.NewFS()
			if run%2 == 0 {
				fs.CutPower(k, nil)
			} else {
				fs.FailSync(k, false)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				db, err := Open("index", Options{FS: fs, CacheBytes: 1 << 20})
				if err != nil {
					return
				}
				for i := range rows {
					e := entry.Entry{Index: uint64(i), Time: time.Unix(1, 0).UTC(), Type: entry.ConfigSet, Private: entry.Private{Name: "n", Value: "v"}}
					if db.Apply([]entry.Entry{e}) == nil {
						_ = db.Flush()
					}
				}
				_ = db.Close()
			}()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatalf("%d rows: the index does not close after %s", rows, fs.Happened())
			}
			if fs.Happened() == "" {
				break
			}
		}
	}
}
