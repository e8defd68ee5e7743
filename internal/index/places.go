package index

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"stele/entry"
)

// Place is where a chunk lies: its frame in a pack. Derived from the packs' footers.
type Place struct {
	Pack   [16]byte
	Offset int64
	Length uint32
}

// places are the chunk rows. A place may be looked up as soon as it is added; it is written with the next batch. Losing it in a crash costs nothing: a pack that is not marked known is
// read again at the next start, and the mark is written after the places.
type places struct {
	db *DB

	mu      sync.RWMutex
	fresh   map[entry.ID]Place // added, not yet in Pebble
	queue   []mutation         // what the next batch writes
	ids     []entry.ID         // chunks in the queue
	numbers map[[16]byte]packState
	packs   [][16]byte // by number: a row names its pack by a small number
}

type packState struct {
	number uint64
	known  bool
}

// queueLimit is the number of queued rows beyond which they are written without waiting for an entry.
const queueLimit = 16 << 10

func (p *places) init(db *DB) {
	p.db, p.fresh, p.numbers = db, map[entry.ID]Place{}, map[[16]byte]packState{}
}

func (p *places) load() error {
	return p.db.each([]byte{famPack}, func(k, v []byte) error {
		n, size := binary.Uvarint(v)
		if size <= 0 || len(k) != 17 || len(v) != size+1 {
			return errRow
		}
		var id [16]byte
		copy(id[:], k[1:])
		for uint64(len(p.packs)) <= n {
			p.packs = append(p.packs, [16]byte{})
		}
		p.packs[n], p.numbers[id] = id, packState{n, v[size] == 1}
		return nil
	})
}

// AddPlace records where durable chunks lie.
func (db *DB) AddPlaces(ids []entry.ID, at []Place) error {
	p := &db.places
	p.mu.Lock()
	for i, id := range ids {
		st := p.number(at[i].Pack)
		row := binary.AppendUvarint(make([]byte, 0, 12), st.number)
		row = binary.AppendUvarint(row, uint64(at[i].Offset))
		row = binary.AppendUvarint(row, uint64(at[i].Length))
		p.fresh[id] = at[i]
		p.ids = append(p.ids, id)
		p.queue = append(p.queue, mutation{key: placeKey(id), val: row})
	}
	full := len(p.queue) > queueLimit
	p.mu.Unlock()
	if full {
		return p.flush()
	}
	return nil
}

func (p *places) number(pack [16]byte) packState {
	st, ok := p.numbers[pack]
	if !ok {
		st = packState{number: uint64(len(p.packs))}
		p.packs = append(p.packs, pack)
		p.numbers[pack] = st
		p.queuePack(pack, st)
	}
	return st
}

func (p *places) queuePack(pack [16]byte, st packState) {
	row := append(binary.AppendUvarint(nil, st.number), 0)
	if st.known {
		row[len(row)-1] = 1
	}
	p.queue = append(p.queue, mutation{key: append([]byte{famPack}, pack[:]...), val: row})
}

// KnowPack marks a sealed pack: all its chunks were added.
func (db *DB) KnowPack(pack [16]byte) {
	p := &db.places
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.number(pack)
	st.known = true
	p.numbers[pack] = st
	p.queuePack(pack, st)
}

// KnowsPack reports whether KnowPack was called and has survived.
func (db *DB) KnowsPack(pack [16]byte) bool {
	db.places.mu.RLock()
	defer db.places.mu.RUnlock()
	return db.places.numbers[pack].known
}

// Place looks a chunk up.
func (db *DB) Place(id entry.ID) (Place, bool, error) {
	p := &db.places
	p.mu.RLock()
	at, ok := p.fresh[id]
	p.mu.RUnlock()
	if ok {
		return at, true, nil
	}
	v, closer, err := db.peb.Get(placeKey(id))
	if err == pebble.ErrNotFound {
		return Place{}, false, nil
	}
	if err != nil {
		return Place{}, false, fmt.Errorf("couldn't read the index: %w", err)
	}
	at, err = p.parse(v)
	closer.Close()
	return at, err == nil, err
}

func (p *places) parse(v []byte) (at Place, err error) {
	c := cursor{b: v}
	n, off, length := c.uint(), c.uint(), c.uint()
	p.mu.RLock()
	defer p.mu.RUnlock()
	if n >= uint64(len(p.packs)) {
		c.bad = true
	} else {
		at = Place{Pack: p.packs[n], Offset: int64(off), Length: uint32(length)}
	}
	return at, c.done()
}

// EachPlace calls fn for every chunk that Pebble has, in no meaningful order.
func (db *DB) EachPlace(fn func(id entry.ID, at Place) error) error {
	return db.each([]byte{famPlace}, func(k, v []byte) error {
		at, err := db.places.parse(v)
		if err != nil || len(k) != 33 {
			return errRow
		}
		return fn(entry.ID(k[1:33]), at)
	})
}

// drain adds the queued rows to b and returns the chunks whose places are then in Pebble.
func (p *places) drain(b *pebble.Batch) []entry.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.queue {
		b.Set(m.key, m.val, nil)
	}
	ids := p.ids
	p.queue, p.ids = p.queue[:0], nil
	return ids
}

// settle drops places from RAM that a written batch holds.
func (p *places) settle(ids []entry.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.fresh, id)
	}
}

// flush writes the queue in a batch of its own.
func (p *places) flush() error {
	b := p.db.peb.NewBatch()
	defer b.Close()
	ids := p.drain(b)
	if b.Empty() {
		return nil
	}
	if err := p.db.peb.Apply(b, pebble.NoSync); err != nil {
		return fmt.Errorf("couldn't write the index: %w", err)
	}
	p.settle(ids)
	return nil
}
