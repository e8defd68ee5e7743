package body

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"stele/entry"
)

// filter is a blocked bloom filter over the ids of durable chunks: 16 bits an id, eight of them set within one cache
// line, so that a miss costs one memory access instead of a look into the index. It never misses an id that was
// added; it is right to ask it only when ready.
//
// It is filled in the background once the index was asked for enough chunks that do not exist, so that a process which only reads does not pay for it.
//
// It grows by layers, each four times the one before. An id of a chunk that was erased stays: a false positive.
type filter struct {
	ready atomic.Bool // every durable chunk is in it
	tiers atomic.Pointer[[]*tier]

	mu    sync.Mutex // guards growing and count
	count uint64     // ids in the last tier
}

const (
	blockWords   = 8 // 64 bytes
	bitsPerID    = 16
	firstTierIDs = 1 << 16
)

// missesBefore is how many chunks are asked for in vain before the filter is filled. Fewer in tests, so that all of them meet the filter.
var missesBefore int64 = 512

type tier struct {
	ids   uint64 // for how many it was made
	words []uint64
}

func newTier(ids uint64) *tier {
	return &tier{ids: ids, words: make([]uint64, ids*bitsPerID/64)}
}

func newFilter() *filter {
	f := new(filter)
	f.tiers.Store(&[]*tier{newTier(firstTierIDs)})
	return f
}

// block picks the id's cache line and the eight bits in it. The id is a keyed hash: its bytes are as good as random.
func (t *tier) block(id *entry.ID) ([]uint64, uint64) {
	blocks := uint64(len(t.words) / blockWords)
	i := binary.LittleEndian.Uint64(id[0:]) % blocks * blockWords
	return t.words[i : i+blockWords : i+blockWords], binary.LittleEndian.Uint64(id[8:])
}

func (t *tier) has(id *entry.ID) bool {
	words, bits := t.block(id)
	for w := range words {
		if atomic.LoadUint64(&words[w])>>(bits>>(8*w)&63)&1 == 0 {
			return false
		}
	}
	return true
}

func (t *tier) add(id *entry.ID) {
	words, bits := t.block(id)
	for w := range words {
		if bit := uint64(1) << (bits >> (8 * w) & 63); atomic.LoadUint64(&words[w])&bit == 0 {
			atomic.OrUint64(&words[w], bit)
		}
	}
}

// has reports whether the id may have been added. Safe beside add.
func (f *filter) has(id *entry.ID) bool {
	tiers := *f.tiers.Load()
	for i := len(tiers) - 1; i >= 0; i-- {
		if tiers[i].has(id) {
			return true
		}
	}
	return false
}

func (f *filter) add(id *entry.ID) {
	if f.has(id) {
		return
	}
	f.mu.Lock()
	tiers := *f.tiers.Load()
	last := tiers[len(tiers)-1]
	if f.count >= last.ids {
		last, f.count = newTier(last.ids*4), 0
		grown := append(append([]*tier(nil), tiers...), last)
		f.tiers.Store(&grown)
	}
	f.count++
	f.mu.Unlock()
	last.add(id)
}

// bytes is the memory that it takes.
func (f *filter) bytes() (n int64) {
	for _, t := range *f.tiers.Load() {
		n += int64(len(t.words)) * 8
	}
	return n
}
