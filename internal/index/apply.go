package index

import (
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
	return db.overlay.add(c)
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
	decoded, err := db.commit(changes, size, batch[len(batch)-1].Salt)
	if err == nil {
		err = db.refresh(decoded)
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

// commit writes rows, counters, waiting places and the new size: all of them or none. It returns the keys of changed rows that
// are kept decoded.
func (db *DB) commit(changes []change, size uint64, salt [16]byte) (decoded [][]byte, err error) {
	db.writing.Lock()
	defer db.writing.Unlock()
	b := db.peb.NewBatch()
	defer b.Close()
	db.places.drain(b, queueWorth)
	decoded, totals := db.write(b, changes)
	b.Set(metaApplied, putUint(size), nil)
	b.Set(metaLast, salt[:], nil)
	if err := db.peb.Apply(b, pebble.NoSync); err != nil {
		return nil, err
	}
	db.places.settle()
	db.mu.Lock()
	defer db.mu.Unlock()
	for inc, t := range totals {
		db.totals[inc] = t
	}
	return decoded, nil
}

// write adds the changes' rows to b.
func (db *DB) write(b *pebble.Batch, changes []change) (decoded [][]byte, totals map[uint64]Totals) {
	totals = map[uint64]Totals{}
	for i := range changes {
		c := &changes[i]
		for _, m := range c.mutations {
			switch m.key[0] {
			case famCurrent:
				db.live.add(m.key)
				db.currents.rows = append(db.currents.rows, m)
				continue
			case famHistory:
				db.histories.rows = append(db.histories.rows, m)
				continue
			case famBucket, famAccess:
				decoded = append(decoded, m.key)
			}
			m.writeTo(b)
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
	db.currents.writeTo(b)
	db.histories.writeTo(b)
	for inc, t := range totals {
		b.Set(incKey(famTotals, inc, 0), t.append(nil), nil)
	}
	return decoded, totals
}

// refresh decodes rows that a batch has changed.
func (db *DB) refresh(keys [][]byte) error {
	for _, key := range keys {
		v, err := db.get(key)
		if err != nil {
			return err
		}
		name := string(key[1:])
		if key[0] == famBucket {
			err = refresh(db, db.buckets, name, v)
		} else {
			err = refresh(db, db.keys, name, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func refresh[T any](db *DB, table map[string]*T, name string, row []byte) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if row == nil {
		delete(table, name)
		return nil
	}
	v, err := parseJSON[T](row)
	table[name] = &v
	return err
}
