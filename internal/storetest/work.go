package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"stele"
	"stele/entry"
)

// FirstReign is a day in the life of a store: it fills several segments and packs.
func (w *Client) FirstReign(s *stele.Store) error {
	if err := w.All(s,
		Change{Do: "createBucket", Bucket: "plain"},
		Change{Do: "createBucket", Bucket: "kept", On: true},
		Change{Do: "createBucket", Bucket: "brief"},
		Change{Do: "versioning", Bucket: "brief", State: stele.Enabled},
		Change{Do: "put", Bucket: "plain", Key: "a/small", Content: Data("small", 700), Meta: map[string]string{"mtime": "1"}},
		Change{Do: "put", Bucket: "plain", Key: "a/large", Content: Data("large", 60<<10)},
		Change{Do: "put", Bucket: "plain", Key: "empty"},
		Change{Do: "objectLock", Bucket: "kept", Default: stele.Retention{Mode: "GOVERNANCE", Days: 2}},
		Change{Do: "setting", Bucket: "plain", Setting: stele.SettingPolicy, Doc: strings.Repeat("p", 5000)},
	); err != nil {
		return err
	}
	// Several writers share fsyncs. Of those who race for one key, one wins and the others' refusals rest on its entry.
	if err := w.race(4, func(i int) error {
		return w.All(s,
			Change{Do: "put", Bucket: "plain", Key: "raced", Content: Data(fmt.Sprintf("raced %d", i), 900), If: stele.Conditions{NoneMatch: "*"}},
			Change{Do: "put", Bucket: "brief", Key: "same", Content: Data("large", 60<<10)}, // duplicates, perhaps of what is not durable yet
			Change{Do: "put", Bucket: "kept", Key: fmt.Sprintf("k%d", i), Content: Data(fmt.Sprintf("kept %d", i), 3000)},
			Change{Do: "put", Bucket: "brief", Key: fmt.Sprintf("k%d", i), Content: Data("shared", 20<<10)},
		)
	}); err != nil {
		return err
	}
	locked, err := w.Do(s, Change{Do: "put", Bucket: "kept", Key: "locked", Content: Data("locked", 50), Lock: &entry.Lock{Mode: "COMPLIANCE", Until: w.Clock.Now().AddDate(0, 0, 1)}})
	if err != nil {
		return err
	}
	if err := w.All(s,
		Change{Do: "hide", Bucket: "kept", Key: "locked", Version: locked}, // refused, and the refusal is an entry
		Change{Do: "hide", Bucket: "kept", Key: "locked"},                  // a marker
		Change{Do: "retention", Bucket: "kept", Key: "locked", Version: locked, Mode: "COMPLIANCE", Until: w.Clock.Now().AddDate(0, 0, 3)},
		Change{Do: "hold", Bucket: "kept", Key: "k1", On: true},
		Change{Do: "tags", Bucket: "plain", Key: "a/small", Tags: map[string]string{"is": "tagged"}},
		Change{Do: "hide", Bucket: "plain", Key: "empty"},
		Change{Do: "hide", Bucket: "plain", Key: "nothing there"},
		Change{Do: "versioning", Bucket: "plain", State: stele.Enabled},
		Change{Do: "put", Bucket: "plain", Key: "a/small", Content: Data("newer", 800)},
	); err != nil {
		return err
	}
	return w.uploads(s)
}

func (w *Client) uploads(s *stele.Store) error {
	up, err := w.Do(s, Change{Do: "create", Bucket: "plain", Key: "multi", Meta: map[string]string{"is": "multipart"}})
	if err != nil {
		return err
	}
	gone, err := w.Do(s, Change{Do: "create", Bucket: "plain", Key: "aborted"})
	if err != nil {
		return err
	}
	return w.All(s,
		Change{Do: "part", Bucket: "plain", Key: "multi", Upload: up, Number: 1, Content: Data("part", 9000)},
		Change{Do: "part", Bucket: "plain", Key: "aborted", Upload: gone, Number: 7, Content: Data("lost part", 100)},
		Change{Do: "part", Bucket: "plain", Key: "multi", Upload: up, Number: 1, Content: Data("part again", 18<<10)},
		Change{Do: "abort", Bucket: "plain", Key: "aborted", Upload: gone},
		Change{Do: "complete", Bucket: "plain", Key: "multi", Upload: up, Parts: []int{1}},
		Change{Do: "create", Bucket: "plain", Key: "left open"},
	)
}

// SecondReign is another day, two days later, after a restart.
func (w *Client) SecondReign(s *stele.Store) error {
	w.Clock.Pass(50 * time.Hour) // beyond the default retention, within the other
	if err := w.All(s,
		Change{Do: "hide", Bucket: "kept", Key: "k0", Version: w.LastVersion("kept", "k0")},
		Change{Do: "hide", Bucket: "kept", Key: "k1", Version: w.LastVersion("kept", "k1")}, // under a hold
		Change{Do: "hide", Bucket: "kept", Key: "locked", Version: w.LastVersion("kept", "locked")},
		Change{Do: "versioning", Bucket: "plain", State: stele.Suspended},
		Change{Do: "put", Bucket: "plain", Key: "a/small", Content: Data("null", 300)},
		Change{Do: "put", Bucket: "plain", Key: "a/large", Content: Data("large", 60<<10), If: stele.Conditions{Match: Data("large", 60<<10).ETag()}},
		Change{Do: "copy", Bucket: "brief", Key: "copy", SourceKey: "same"},
		Change{Do: "hide", Bucket: "plain", Key: "a/small"},
		Change{Do: "setting", Bucket: "plain", Setting: stele.SettingPolicy},
		Change{Do: "pin", Name: "monday"},
	); err != nil {
		return err
	}
	return w.race(3, func(i int) error {
		return w.All(s,
			Change{Do: "put", Bucket: "plain", Key: fmt.Sprintf("late/%d", i), Content: Data("shared", 20<<10)},
			Change{Do: "put", Bucket: "plain", Key: fmt.Sprintf("late/%d", i), Content: Data(fmt.Sprintf("stream %d", i), 300<<10)},
			Change{Do: "hide", Bucket: "brief", Key: "same"},
		)
	})
}

// LastVersion is the id of the version that the last acknowledged put of a key in a versioned bucket made.
func (w *Client) LastVersion(bucket, key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last uint64
	for request, at := range w.Acked {
		if c := w.Changes[request]; c.Do == "put" && c.Bucket == bucket && c.Key == key {
			last = max(last, at.Entry)
		}
	}
	return (&RefVersion{entry: last}).ID()
}

// race runs fn n times at once and waits for all.
func (w *Client) race(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { errs[i] = fn(i) })
	}
	wait.Wait()
	return errors.Join(errs...)
}
