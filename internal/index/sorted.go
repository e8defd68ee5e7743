package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// sorter writes the rows of one family in the order of their keys: the memtable takes a sorted batch in a third of the time. Of several changes of one row the last
// still comes last.
type sorter struct {
	rows  []mutation
	order []ranked
}

// ranked is a row's place in the batch, with the eight bytes of its key behind what all keys begin with.
type ranked struct {
	head uint64
	at   int
}

// writeTo empties the sorter into b.
func (s *sorter) writeTo(b *pebble.Batch) {
	if len(s.rows) == 0 {
		return
	}
	shared := len(s.rows[0].key)
	for i := range s.rows[1:] {
		shared = commonLen(s.rows[0].key[:shared], s.rows[i+1].key)
	}
	for i := range s.rows {
		s.order = append(s.order, ranked{head(s.rows[i].key[shared:]), i})
	}
	slices.SortFunc(s.order, func(x, y ranked) int {
		if x.head != y.head {
			return cmp.Compare(x.head, y.head)
		}
		return cmp.Or(bytes.Compare(s.rows[x.at].key, s.rows[y.at].key), cmp.Compare(x.at, y.at))
	})
	for _, r := range s.order {
		s.rows[r.at].writeTo(b)
	}
	clear(s.rows)
	s.rows, s.order = s.rows[:0], s.order[:0]
}

func commonLen(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// head returns the first eight bytes, as if zeros followed: equal heads say nothing, unequal ones are in the order of the bytes.
func head(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var h [8]byte
	copy(h[:], b)
	return binary.BigEndian.Uint64(h[:])
}

func (m *mutation) writeTo(b *pebble.Batch) {
	if m.val == nil {
		b.Delete(m.key, nil)
	} else {
		b.Set(m.key, m.val, nil)
	}
}
