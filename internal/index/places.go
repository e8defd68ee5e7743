package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
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

// places are the chunk rows. A place may be looked up as soon as it is added; it is written with a later batch, sorted among a few thousand others. Losing
// it in a crash costs nothing: a pack that is not marked known is read again at the next start, and Pebble gets the mark
// in the same batch as the places or in a later one (DB.writing), so that no crash keeps the mark alone.
type places struct {
	db *DB

	mu      sync.RWMutex
	fresh   map[entry.ID]Place // added, rows in queue
	writing map[entry.ID]Place // in the batch that is being written
	queue   sorter             // rows of places
	marks   []mutation         // rows of packs
	numbers map[[16]byte]packState
	packs   [][16]byte // by number: a row names its pack by a small number
}

type packState struct {
	number uint64
	known  bool
}

const (
	// queueWorth is the number of places that are worth a share in a batch of entries.
	queueWorth = 2048
	// queueLimit is the number from which they are written without waiting for one.
	queueLimit = 16 << 10
)

func (p *places) init(db *DB) {
	p.db, p.fresh, p.numbers = db, map[entry.ID]Place{}, map[[16]byte]packState{}
}

func (p *places) load() error {
	err := p.db.each([]byte{famPack}, func(k, v []byte) error {
		c := cursor{b: v}
		n, known := c.uint(), c.byte()
		if c.done() != nil || len(k) != 17 {
			return errRow
		}
		p.numbers[[16]byte(k[1:])] = packState{n, known == 1}
		return nil
	})
	p.packs = make([][16]byte, len(p.numbers))
	for id, st := range p.numbers { // numbers are given in order and never taken back
		if st.number >= uint64(len(p.packs)) || p.packs[st.number] != ([16]byte{}) {
			return errors.Join(err, errRow)
		}
		p.packs[st.number] = id
	}
	return err
}

// AddPlaces records where durable chunks lie. As many as a pack's footer holds are written before it returns; fewer wait for a batch that has room for them.
func (db *DB) AddPlaces(ids []entry.ID, at []Place) error {
	p := &db.places
	many := len(ids) >= queueWorth
	const key, most = 33, 33 + 3*binary.MaxVarintLen64
	room := make([]byte, 0, len(ids)*(key+12)) // a row seldom takes more
	p.mu.Lock()
	for i, id := range ids {
		st := p.number(at[i].Pack)
		if !many {
			p.fresh[id] = at[i]
		}
		if cap(room)-len(room) < most {
			room = make([]byte, 0, (len(ids)-i)*(key+12)+most)
		}
		row := append(append(room[len(room):], famPlace), id[:]...)
		row = appendPlace(row, st.number, at[i])
		room = room[:len(room)+len(row)]
		p.queue.rows = append(p.queue.rows, mutation{key: row[:key:key], val: row[key:len(row):len(row)]})
	}
	full := many || len(p.queue.rows) >= queueLimit
	p.mu.Unlock()
	if full {
		return p.flush()
	}
	return nil
}

func appendPlace(dst []byte, pack uint64, at Place) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, pack), uint64(at.Offset))
	return binary.AppendUvarint(dst, uint64(at.Length))
}

func (p *places) number(pack [16]byte) packState {
	st, ok := p.numbers[pack]
	if !ok {
		st = packState{number: uint64(len(p.packs))}
		p.packs = append(p.packs, pack)
		p.numbers[pack] = st
		p.mark(pack, st)
	}
	return st
}

func (p *places) mark(pack [16]byte, st packState) {
	row := append(binary.AppendUvarint(nil, st.number), 0)
	if st.known {
		row[len(row)-1] = 1
	}
	p.marks = append(p.marks, mutation{key: append([]byte{famPack}, pack[:]...), val: row})
}

// KnowPack marks a sealed pack: all its chunks were added.
func (db *DB) KnowPack(pack [16]byte) {
	p := &db.places
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.number(pack)
	st.known = true
	p.numbers[pack] = st
	p.mark(pack, st)
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
	if !ok {
		at, ok = p.writing[id]
	}
	p.mu.RUnlock()
	if ok {
		return at, true, nil
	}
	v, closer, err := db.peb.Get(placeKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return Place{}, false, nil
	}
	if err != nil {
		return Place{}, false, readError(err)
	}
	at, err = p.parse(v)
	return at, err == nil, errors.Join(err, closer.Close())
}

func (p *places) parse(v []byte) (at Place, err error) {
	c := cursor{b: v}
	n, off, length := c.uint(), c.uint(), c.uint()
	if int64(off) < 0 || length != uint64(uint32(length)) {
		return Place{}, errRow
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if n >= uint64(len(p.packs)) {
		return Place{}, errRow
	}
	return Place{Pack: p.packs[n], Offset: int64(off), Length: uint32(length)}, c.done()
}

// EachPlace calls fn for every chunk, in no meaningful order.
func (db *DB) EachPlace(fn func(id entry.ID, at Place) error) error {
	p := &db.places
	p.mu.RLock()
	waiting := maps.Clone(p.writing)
	if waiting == nil {
		waiting = map[entry.ID]Place{}
	}
	maps.Copy(waiting, p.fresh)
	p.mu.RUnlock()
	for id, at := range waiting {
		if err := fn(id, at); err != nil {
			return err
		}
	}
	return db.each([]byte{famPlace}, func(k, v []byte) error {
		at, err := p.parse(v)
		if err != nil || len(k) != 33 {
			return errRow
		}
		id := entry.ID(k[1:33])
		if _, newer := waiting[id]; newer {
			return nil
		}
		return fn(id, at)
	})
}

// drain adds the queued rows to b if there are at least worth of them. DB.writing is held until settle.
func (p *places) drain(b *pebble.Batch, worth int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue.rows) < worth {
		return
	}
	p.queue.writeTo(b)
	for i := range p.marks {
		p.marks[i].writeTo(b)
	}
	p.marks, p.writing, p.fresh = nil, p.fresh, map[entry.ID]Place{}
}

// settle drops from RAM the places that a written batch holds.
func (p *places) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = nil
}

// flush writes the queue in a batch of its own.
func (p *places) flush() error {
	p.db.writing.Lock()
	defer p.db.writing.Unlock()
	b := p.db.peb.NewBatch()
	defer b.Close()
	if p.drain(b, 0); b.Empty() {
		return nil
	}
	if err := p.db.peb.Apply(b, pebble.NoSync); err != nil {
		return fmt.Errorf("couldn't write the index: %w", err)
	}
	p.settle()
	return nil
}
