package index

import (
	"encoding/json"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"stele/entry"
)

// Fold takes a decided entry into account for the decisions after it. Sequencer only, in ledger order. An error means
// that the entry makes no sense (an object.put without a body) and must not be written to the ledger.
func (db *DB) Fold(e *entry.Entry) error {
	c, err := fold(e, db.Pending())
	if err != nil {
		return err
	}
	db.overlay.add(c)
	return nil
}

// Apply brings the rows from batch[0].Index to the size after batch, in one Pebble batch. The entries are durable in the
// ledger: what a crash takes away here is folded again at the next start. After an error the index takes no more.
func (db *DB) Apply(batch []entry.Entry) error {
	if len(batch) == 0 {
		return nil
	}
	if err := db.Failed(); err != nil {
		return fmt.Errorf("couldn't write the index: %w", err)
	}
	if first := batch[0].Index; first != db.Size() {
		return fmt.Errorf("couldn't apply entry %d to an index at size %d: entries must be applied in order", first, db.Size())
	}
	changes, err := db.overlay.take(batch)
	if err != nil {
		db.gate.fail(err)
		return err
	}
	size := batch[len(batch)-1].Index + 1
	buckets, err := db.commit(changes, size)
	if err == nil {
		err = db.refresh(buckets)
	}
	if err != nil {
		err = fmt.Errorf("couldn't write the index: %w", err)
		db.gate.fail(err)
		return err
	}
	db.applied.Store(size)
	db.overlay.drop(changes)
	return nil
}

// commit writes rows, counters, waiting places and the new size: all of them or none.
func (db *DB) commit(changes []change, size uint64) (buckets []string, err error) {
	db.writing.Lock()
	defer db.writing.Unlock()
	b := db.peb.NewBatch()
	defer b.Close()
	if err := db.places.drain(b); err != nil {
		return nil, err
	}
	buckets, totals := db.write(b, changes)
	b.Set(metaApplied, putUint(size), nil)
	if err := db.peb.Apply(b, pebble.NoSync); err != nil {
		return nil, err
	}
	db.places.settle()
	db.mu.Lock()
	defer db.mu.Unlock()
	for inc, t := range totals {
		db.totals[inc] = t
	}
	return buckets, nil
}

// write adds the changes' rows to b and returns the buckets that they touch and their new counters.
func (db *DB) write(b *pebble.Batch, changes []change) (buckets []string, totals map[uint64]Totals) {
	totals = map[uint64]Totals{}
	for _, c := range changes {
		for _, m := range c.mutations {
			switch {
			case m.end != nil:
				b.DeleteRange(m.key, m.end, nil)
			case m.val == nil:
				b.Delete(m.key, nil)
			default:
				b.Set(m.key, m.val, nil)
			}
			if m.key[0] == famBucket {
				buckets = append(buckets, string(m.key[1:]))
			}
		}
		if c.totals == (Totals{}) {
			continue
		}
		t, ok := totals[c.inc]
		if !ok {
			t = db.Totals(c.inc)
		}
		t.add(c.totals)
		totals[c.inc] = t
	}
	for inc, t := range totals {
		b.Set(incKey(famTotals, inc, 0), t.append(nil), nil)
	}
	return buckets, totals
}

// refresh decodes the buckets that a batch has changed.
func (db *DB) refresh(names []string) error {
	for _, name := range names {
		v, err := db.get(bucketKey(name))
		if err != nil {
			return err
		}
		db.mu.Lock()
		if delete(db.buckets, name); v != nil {
			var b Bucket
			if err = json.Unmarshal(v, &b); err == nil {
				db.buckets[name] = &b
			}
		}
		db.mu.Unlock()
		if err != nil {
			return fmt.Errorf("bucket %s: %w", name, errRow)
		}
	}
	return nil
}
