package index

import (
	"sync"

	"github.com/tidwall/btree"

	"stele/entry"
)

// overlay holds what decided entries do to the rows until the database has it. The sequencer adds and reads, the applier removes.
type overlay struct {
	db *DB

	mu      sync.Mutex
	rows    btree.Map[string, pending]
	changes []change // decided and not yet applied, in ledger order
}

// pending is the value that entry at gave a row; val nil: it deleted it.
type pending struct {
	val []byte
	at  uint64
}

func (o *overlay) init(db *DB) { o.db = db }

// stable: nobody but the sequencer changes what its Reader shows.
func (o *overlay) stable() (source, func() error) { return o, func() error { return nil } }

func (o *overlay) get(key []byte) ([]byte, error) {
	o.mu.Lock()
	p, ok := o.rows.Get(string(key))
	o.mu.Unlock()
	if ok {
		return p.val, nil
	}
	return o.db.get(key)
}

// first merges: rows deleted in the overlay are passed over, rows set in it win. It reads the overlay before the database: a row that is applied in between is then seen in one or in both.
func (o *overlay) first(lo, hi []byte) ([]byte, []byte, error) {
	for {
		var okey string
		var p pending
		o.mu.Lock()
		o.rows.Ascend(string(lo), func(k string, v pending) bool {
			okey, p = k, v
			return false
		})
		o.mu.Unlock()
		if okey != "" && hi != nil && okey >= string(hi) {
			okey = ""
		}
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

func (o *overlay) bucket(name string) (*Bucket, error) {
	o.mu.Lock()
	p, ok := o.rows.Get(string(bucketKey(name)))
	o.mu.Unlock()
	if !ok {
		return o.db.bucket(name)
	}
	if p.val == nil {
		return nil, nil
	}
	b, err := parseJSON[Bucket](p.val)
	return &b, err
}

func (o *overlay) add(c change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range c.mutations {
		if m.end == nil {
			o.rows.Set(string(m.key), pending{m.val, c.entry})
		}
	}
	o.changes = append(o.changes, c)
}

// take removes the changes of a batch from the queue, in order; an entry that was never folded (replay, or one that the ledger wrote by itself) is folded now.
func (o *overlay) take(batch []entry.Entry) ([]change, error) {
	out := make([]change, 0, len(batch))
	for i := range batch {
		o.mu.Lock()
		queued := len(o.changes) > 0 && o.changes[0].entry == batch[i].Index
		o.mu.Unlock()
		if !queued {
			c, err := fold(&batch[i], Reader{o})
			if err != nil {
				return nil, err
			}
			if o.insert(c); len(c.mutations) == 0 {
				continue
			}
		}
		o.mu.Lock()
		out = append(out, o.changes[0])
		o.changes[0] = change{}
		o.changes = o.changes[1:]
		o.mu.Unlock()
	}
	return out, nil
}

// insert puts a change of the applier's own in front of those that the sequencer has queued. Only entries without rows (the ledger's own) meet a non-empty queue,
// so that no row is folded out of order.
func (o *overlay) insert(c change) {
	if len(c.mutations) == 0 {
		return
	}
	o.add(c)
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.changes); n > 1 {
		panic("index: an entry with rows was committed without being folded in order")
	}
}

// drop forgets rows that the database now has, unless a later entry has set them again.
func (o *overlay) drop(applied []change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range applied {
		for _, m := range c.mutations {
			if p, ok := o.rows.Get(string(m.key)); ok && p.at == c.entry {
				o.rows.Delete(string(m.key))
			}
		}
	}
}
