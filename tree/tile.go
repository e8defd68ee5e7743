package tree

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Tile names a tile of c2sp.org/tlog-tiles.
type Tile struct {
	Level int   // 0 and up; Entries: an entry bundle
	N     int64 // position in its level
	Width int   // 1 to 256 hashes or entries; less than 256: partial
}

// Entries is the Level of an entry bundle.
const Entries = -1

// Path is the tile's path below the ledger's prefix: tile/0/x001/234.p/5, tile/entries/000.
func (t Tile) Path() string {
	path := tlog.Tile{H: tileHeight, L: t.Level, N: t.N, W: t.Width}.Path()
	if rest, ok := strings.CutPrefix(path, "tile/8/data/"); ok {
		return "tile/entries/" + rest
	}
	return "tile/" + strings.TrimPrefix(path, "tile/8/")
}

// ParseTilePath reads what Path writes; all else is ErrFormat.
func ParseTilePath(path string) (Tile, error) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if e, is := strings.CutPrefix(rest, "entries/"); is {
		rest = "data/" + e
	} else if strings.HasPrefix(rest, "data/") {
		ok = false
	}
	t, err := tlog.ParseTilePath("tile/8/" + rest)
	if !ok || err != nil {
		return Tile{}, fmt.Errorf("tile path %q: %w", path, ErrFormat)
	}
	return Tile{Level: t.L, N: t.N, Width: t.W}, nil
}

// Tile returns the hashes of a tile (not of a bundle), 32 bytes each. A partial one is computed like a full one: its
// hashes must be those of complete subtrees within Size.
func (r *Reader) Tile(t Tile) ([]byte, error) {
	// Level 6 would begin with 2^56 leaves: there is no such tree.
	if t.Level < 0 || t.Level > 6 || t.Width < 1 || t.Width > GroupSize || t.N < 0 || t.N > MaxSize>>tileHeight {
		return nil, fmt.Errorf("there is no tile %s", t.Path())
	}
	level, first := t.Level*tileHeight, t.N*GroupSize
	if uint64(first)+uint64(t.Width) > r.Size>>level {
		return nil, fmt.Errorf("tile %s is beyond the ledger of size %d", t.Path(), r.Size)
	}
	b := make([]byte, 0, t.Width*len(Hash{}))
	if level == 0 {
		g, err := r.group(t.N)
		if err != nil {
			return nil, err
		}
		for _, h := range g[0][:t.Width] {
			b = append(b, h[:]...)
		}
		return b, nil
	}
	for n := first; n < first+int64(t.Width); n++ {
		h, err := r.upper(level, n)
		if err != nil {
			return nil, err
		}
		b = append(b, h[:]...)
	}
	return b, nil
}

// NewTiles lists the tiles and bundles, partial ones included, that a tree of size to has and one of size from has not,
// each as wide as it is at size to.
func NewTiles(from, to uint64) []Tile {
	var tiles []Tile
	for level := 0; to>>(level*tileHeight) > 0; level++ {
		first, last := from>>(level*tileHeight), to>>(level*tileHeight)
		if first == last {
			continue
		}
		for n := first / GroupSize; n*GroupSize < last; n++ {
			t := Tile{Level: level, N: int64(n), Width: int(min(GroupSize, last-n*GroupSize))}
			tiles = append(tiles, t)
			if level == 0 {
				t.Level = Entries
				tiles = append(tiles, t)
			}
		}
	}
	return tiles
}

// AppendBundleEntry appends a leaf to an entry bundle: its length, 2 bytes big-endian, and its bytes.
func AppendBundleEntry(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) > 0xffff {
		return nil, fmt.Errorf("a leaf of %d bytes does not fit into an entry bundle", len(leaf))
	}
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...), nil
}

// ParseBundle returns the 1 to 256 leaves of an entry bundle, which alias it. All else is ErrFormat.
func ParseBundle(bundle []byte) ([][]byte, error) {
	var leaves [][]byte
	for rest := bundle; len(rest) > 0; {
		if len(leaves) == GroupSize || len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, fmt.Errorf("entry bundle, entry %d: %w", len(leaves), ErrFormat)
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		leaves = append(leaves, rest[2:n:n])
		rest = rest[n:]
	}
	if leaves == nil {
		return nil, fmt.Errorf("empty entry bundle: %w", ErrFormat)
	}
	return leaves, nil
}
