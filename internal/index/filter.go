package index

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// filter is a blocked bloom filter over the keys of rows of family c: 16 bits a key, eight of them set within one
// cache line. Most puts are of new keys, and Pebble's answer that there is no such row costs several microseconds under
// load, because what was written last has no filter of its own.
//
// It is made in the background once a process has asked often enough, and answers from then on. A hidden key stays in it:
// a false positive. It grows by tiers, each four times the one before; a store with more keys than all of them hold goes
// without, at most 43 MB are used.
type filter struct {
	seed  maphash.Seed
	ready atomic.Bool             // every row is in it
	tiers atomic.Pointer[[]*tier] // nil: nothing is added

	mu    sync.Mutex // one adds at a time
	count int        // keys in the last tier
}

const (
	blockWords = 8 // 64 bytes
	bitsPerKey = 16
	firstTier  = 1 << 18 // keys
	mostTiers  = 4
	// missesBefore is how often a row that is not there must have been asked for before the filter is made: a command that
	// puts one file does not read all rows for it.
	missesBefore = 512
)

type tier []uint64

func newTier(keys int) *tier {
	t := make(tier, keys*bitsPerKey/64)
	return &t
}

// block picks the key's cache line and the eight bits in it.
func (t *tier) block(h uint64) ([]uint64, uint64) {
	blocks := uint64(len(*t) / blockWords)
	i := (h >> 32) % blocks * blockWords
	return (*t)[i : i+blockWords : i+blockWords], h * 0x9e3779b97f4a7c15
}

func (t *tier) has(h uint64) bool {
	words, bits := t.block(h)
	for w := range words {
		if atomic.LoadUint64(&words[w])>>(bits>>(8*w)&63)&1 == 0 {
			return false
		}
	}
	return true
}

func (t *tier) add(h uint64) {
	words, bits := t.block(h)
	for w := range words {
		if one := uint64(1) << (bits >> (8 * w) & 63); atomic.LoadUint64(&words[w])&one == 0 {
			atomic.OrUint64(&words[w], one)
		}
	}
}

// absent reports that there is surely no row with this key.
func (f *filter) absent(key []byte) bool {
	return f.ready.Load() && !f.has(maphash.Bytes(f.seed, key))
}

func (f *filter) has(h uint64) bool {
	tiers := f.tiers.Load()
	if tiers == nil {
		return true
	}
	for i := len(*tiers) - 1; i >= 0; i-- {
		if (*tiers)[i].has(h) {
			return true
		}
	}
	return false
}

// add is called before the row can be read. false: the filter is not, or no more, in use.
func (f *filter) add(key []byte) bool {
	if f.tiers.Load() == nil {
		return false
	}
	h := maphash.Bytes(f.seed, key)
	f.mu.Lock()
	defer f.mu.Unlock()
	tiers := f.tiers.Load()
	if tiers == nil {
		return false
	}
	if f.has(h) {
		return true
	}
	last, n := (*tiers)[len(*tiers)-1], len(*tiers)
	if f.count >= len(*last)*64/bitsPerKey {
		if n == mostTiers {
			f.ready.Store(false)
			f.tiers.Store(nil)
			return false
		}
		last, f.count = newTier(f.count*4), 0
		grown := append((*tiers)[:n:n], last)
		f.tiers.Store(&grown)
	}
	f.count++
	last.add(h)
	return true
}

var errStop = errors.New("stop")

// missed counts a look-up in vain and makes the filter when there were many.
func (db *DB) missed() {
	if db.misses.Load() > missesBefore || db.misses.Add(1) != missesBefore+1 {
		return
	}
	if len(db.Missing()) > 0 { // it would fetch every row of a snapshot's tables; asked again after as many more
		db.misses.Store(0)
		return
	}
	db.background.Add(1)
	go func() {
		defer db.background.Done()
		db.makeFilter(firstTier)
	}()
}

// makeFilter brings every row of family c into the filter.
func (db *DB) makeFilter(firstTier int) {
	f := &db.live
	db.writing.Lock() // whoever commits after this adds its rows by itself, all others are seen below
	f.seed = maphash.MakeSeed()
	f.count = 0
	f.tiers.Store(&[]*tier{newTier(firstTier)})
	db.writing.Unlock()
	n := 0
	err := db.each([]byte{famCurrent}, func(k, _ []byte) error {
		if n++; n%1024 == 0 && db.closing.Load() || !f.add(k) {
			return errStop
		}
		return nil
	})
	if err != nil { // too many keys, or a read error: every answer then comes from Pebble, and so does that error
		f.tiers.Store(nil)
		return
	}
	f.ready.Store(true)
}

// bytes is the memory that it takes.
func (f *filter) bytes() (n int) {
	if tiers := f.tiers.Load(); tiers != nil {
		for _, t := range *tiers {
			n += len(*t) * 8
		}
	}
	return n
}
