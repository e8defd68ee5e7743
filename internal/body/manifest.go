package body

import (
	"encoding/binary"
	"fmt"
	"sort"

	"stele/entry"
	"stele/internal/frame"
)

// A manifest is the list of the chunks that make up a body, in order. It is itself a chunk. Frozen with version 1:
//
//	0          8         9        10
//	├"STELEMAN"┼─version─┼─level──┼─uvarint count ‖ count × chunk id (32) ‖ count × varint length─┤
//
// length is the number of the body's bytes that the item stands for, as the difference to the item before it (zigzag
// varint; the first to 0). On level 0 the items are chunks; on level n they are manifests of level n-1.
const (
	manifestMagic   = "STELEMAN"
	manifestVersion = 0
	// manifestItems bounds a manifest, so that it fits in one chunk (pack.MaxData) at 35 to 37 bytes an item.
	manifestItems = 27_000
	maxLevel      = 3
)

// manifest is a parsed one.
type manifest struct {
	level uint8
	ids   []entry.ID
	ends  []int64 // ends[i]: body bytes up to the end of item i
}

func (m *manifest) add(id entry.ID, length int64) {
	m.ids = append(m.ids, id)
	m.ends = append(m.ends, m.size()+length)
}

func (m *manifest) size() int64 {
	if len(m.ends) == 0 {
		return 0
	}
	return m.ends[len(m.ends)-1]
}

func (m *manifest) start(i int) int64 {
	if i == 0 {
		return 0
	}
	return m.ends[i-1]
}

// at is the first item that ends beyond off.
func (m *manifest) at(off int64) int {
	return sort.Search(len(m.ends), func(i int) bool { return m.ends[i] > off })
}

func (m *manifest) appendTo(dst []byte) []byte {
	dst = append(dst, manifestMagic...)
	dst = append(dst, manifestVersion, m.level)
	dst = binary.AppendUvarint(dst, uint64(len(m.ids)))
	for i := range m.ids {
		dst = append(dst, m.ids[i][:]...)
	}
	before := int64(0)
	for i := range m.ends {
		length := m.ends[i] - m.start(i)
		dst = binary.AppendVarint(dst, length-before)
		before = length
	}
	return dst
}

// isManifest says whether b begins as a manifest does.
func isManifest(b []byte) bool { return len(b) >= 10 && string(b[:8]) == manifestMagic }

// parseManifest parses what appendTo makes and nothing else.
func parseManifest(b []byte) (*manifest, error) {
	bad := func(what string) (*manifest, error) {
		return nil, fmt.Errorf("manifest: %s: %w", what, frame.ErrCorrupt)
	}
	if !isManifest(b) {
		return bad("magic")
	}
	if b[8] > manifestVersion {
		return nil, fmt.Errorf("manifest version %d: %w", b[8], frame.ErrVersion)
	}
	m := &manifest{level: b[9]}
	b = b[10:]
	count, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 || m.level > maxLevel || count == 0 || count > manifestItems || count*33 > uint64(len(b)-n) {
		return bad("count")
	}
	b = b[n:]
	m.ids, m.ends = make([]entry.ID, count), make([]int64, count)
	for i := range m.ids {
		m.ids[i] = entry.ID(b[:32])
		b = b[32:]
	}
	length, end := int64(0), int64(0)
	for i := range m.ends {
		d, n := binary.Varint(b)
		if n <= 0 || n > 1 && b[n-1] == 0 {
			return bad("length")
		}
		b = b[n:]
		if length += d; length <= 0 || length > 1<<50 || end > 1<<60 || m.level == 0 && length > maxPlain {
			return bad("length")
		}
		end += length
		m.ends[i] = end
	}
	if len(b) != 0 {
		return bad("bytes after the end")
	}
	return m, nil
}
