package index

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/tidwall/btree"

	"stele/entry"
)

// overlay holds what decided entries do to the rows until the database has it. The sequencer adds and reads, the applier removes.
type overlay struct {
	db *DB

	mu      sync.Mutex
	rows    map[string]pending
	sorted  btree.Set[string] // the keys among rows that are asked for in order
	changes []change          // decided and not yet applied, in ledger order
	last    answer
}

// pending is the value that entry at gave a row; val nil: it deleted it.
type pending struct {
	val []byte
	at  uint64
}

// manyRows is the number of rows from which clearing the map is cheaper than deleting them one by one.
const manyRows = 1024

// answer is what the database said of a row of family c. A decision asks for it, and then the fold of what was decided: the second time it need not be looked
// up. It is forgotten as soon as an entry is added.
type answer struct {
	key, val []byte
}

func (o *overlay) init(db *DB) {
	o.db, o.rows = db, map[string]pending{}
}

// ordered reports whether first is asked of a family.
func ordered(fam byte) bool { return fam == famVersion || fam == famAttr }

func (o *overlay) get(key []byte) ([]byte, error) {
	o.mu.Lock()
	p, ok := o.rows[string(key)]
	known := !ok && o.last.key != nil && bytes.Equal(o.last.key, key)
	if known {
		p.val = o.last.val
	}
	o.mu.Unlock()
	if ok || known {
		return p.val, nil
	}
	v, err := o.db.get(key)
	if err == nil && key[0] == famCurrent {
		o.mu.Lock()
		o.last = answer{key, v}
		o.mu.Unlock()
	}
	return v, err
}

// first merges: rows deleted in the overlay are passed over, rows set in it win. It reads the overlay before the database: a row that is applied in between is then seen in one or in both.
func (o *overlay) first(lo, hi []byte) ([]byte, []byte, error) {
	for {
		var okey string
		var p pending
		o.mu.Lock()
		o.sorted.Ascend(string(lo), func(k string) bool {
			if k < string(hi) {
				okey, p = k, o.rows[k]
			}
			return false
		})
		o.mu.Unlock()
		k, v, err := o.db.first(lo, hi)
		switch {
		case err != nil:
			return nil, nil, err
		case okey == "" || k != nil && string(k) < okey:
			return k, v, nil
		case p.val != nil:
			return []byte(okey), p.val, nil
		}
		lo = next([]byte(okey))
	}
}

// any reads the overlay before the database, as first does, and is seldom asked.
func (o *overlay) any(lo, hi []byte) (found bool, err error) {
	deleted := map[string]bool{}
	o.mu.Lock()
	for k, p := range o.rows {
		if k >= string(lo) && k < string(hi) {
			deleted[k] = p.val == nil
			found = found || p.val != nil
		}
	}
	o.mu.Unlock()
	if found {
		return true, nil
	}
	it, err := o.db.iter(lo, hi)
	if err != nil {
		return false, err
	}
	for ok := it.First(); ok && !found; ok = it.Next() {
		found = !deleted[string(it.Key())]
	}
	return found, readError(it.Close())
}

// stable: nobody but the sequencer changes what its Reader shows.
func (o *overlay) stable() (source, func() error) { return o, func() error { return nil } }

func (o *overlay) bucket(name string) (*Bucket, error) {
	return pendingOr(o, bucketKey(name), func() (*Bucket, error) { return o.db.bucket(name) })
}

func (o *overlay) access(id string) (*Access, error) {
	return pendingOr(o, named(famAccess, id), func() (*Access, error) { return o.db.access(id) })
}

// pendingOr decodes a row of the overlay, or returns what the database has decoded already.
func pendingOr[T any](o *overlay, key []byte, below func() (*T, error)) (*T, error) {
	o.mu.Lock()
	p, ok := o.rows[string(key)]
	o.mu.Unlock()
	if !ok {
		return below()
	}
	if p.val == nil {
		return nil, nil
	}
	v, err := parseJSON[T](p.val)
	return &v, err
}

// add puts a change behind those that wait.
func (o *overlay) add(c change) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.changes); n > 0 && o.changes[n-1].entry >= c.entry {
		return fmt.Errorf("entry %d was folded already, and entries after it count on that", c.entry)
	}
	for _, m := range c.mutations {
		if m.unseen {
			continue
		}
		k := m.name()
		o.rows[k] = pending{m.val, c.entry}
		if ordered(m.key[0]) {
			o.sorted.Insert(k)
		}
	}
	o.changes = append(o.changes, c)
	o.last = answer{}
	return nil
}

// take removes the changes of a batch from the queue, in order; an entry that was never folded (replay, or one that the ledger wrote by itself) is folded now.
func (o *overlay) take(batch []entry.Entry) ([]change, error) {
	out := make([]change, 0, len(batch))
	for i := range batch {
		c, ok := o.pop(batch[i].Index)
		if !ok {
			var err error
			if c = (change{entry: batch[i].Index}); !erased(&batch[i].Private) {
				c, err = fold(&batch[i], Reader{o})
			}
			if err != nil {
				return nil, err
			}
			if err := o.late(c); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func (o *overlay) pop(at uint64) (c change, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.changes) == 0 || o.changes[0].entry != at {
		return change{}, false
	}
	c = o.changes[0]
	o.changes[0] = change{}
	o.changes = o.changes[1:]
	return c, true
}

// late shows the rest of the batch what an entry did that was not folded before. Only entries without rows (the ledger's own) may come between those that were
// decided: a row must not be folded out of order.
func (o *overlay) late(c change) error {
	if len(c.mutations) == 0 {
		return nil
	}
	o.mu.Lock()
	waiting := len(o.changes)
	o.mu.Unlock()
	if waiting > 0 {
		return fmt.Errorf("entry %d changes rows and was not folded when it was decided", c.entry)
	}
	if err := o.add(c); err != nil {
		return err
	}
	o.pop(c.entry)
	return nil
}

// drop forgets rows that the database now has, unless a later entry has set them again.
func (o *overlay) drop(applied []change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.changes) == 0 && len(o.rows) >= manyRows { // nothing waits: all rows are of applied entries
		clear(o.rows)
		o.sorted.Clear()
		return
	}
	for _, c := range applied {
		for _, m := range c.mutations {
			k := m.name()
			if p, ok := o.rows[k]; !ok || p.at != c.entry || m.unseen {
				continue
			}
			if delete(o.rows, k); ordered(m.key[0]) {
				o.sorted.Delete(k)
			}
		}
	}
}
