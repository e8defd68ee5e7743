// Package replicate copies a store: to its targets while it runs, and from a target when it is needed. Backup, restore and serving from
// a backup are one copy with source and destination exchanged. It verifies whatever it copies, and believes a target only as far as the bytes prove themselves.
//
// docs/COPIES.md has the layout of a target and the order in which it is written: packs before the segments that name their chunks, so
// that a target can be restored at any instant. A target is never written to before its head was compared with our ledger.
package replicate

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stele/internal/engine"
	"stele/internal/pack"
)

var (
	// ErrNone: the target holds no backup.
	ErrNone = errors.New("there is no backup")
	// ErrReadOnly: a source takes no writes.
	ErrReadOnly = errors.New("a source is read-only")
	// ErrBelow: a layered engine can't remove what the engine below it holds.
	ErrBelow = errors.New("the file belongs to the layer below")
)

// tailSegment is the name of entries first to end-1 of a segment that grows, sealed as a segment of their own. Frozen.
func tailSegment(epoch uint32, first, end uint64) string {
	return fmt.Sprintf("%s%06d-%020d-%020d.seg", engine.Tails, epoch, first, end)
}

func parseTailSegment(name string) (epoch uint32, first, end uint64, ok bool) {
	base, isTail := strings.CutPrefix(name, engine.Tails)
	base, hasSuffix := strings.CutSuffix(base, ".seg")
	parts := strings.Split(base, "-")
	if !isTail || !hasSuffix || len(parts) != 3 {
		return 0, 0, 0, false
	}
	e, err0 := strconv.ParseUint(parts[0], 10, 32)
	first, err1 := strconv.ParseUint(parts[1], 10, 64)
	end, err2 := strconv.ParseUint(parts[2], 10, 64)
	ok = errors.Join(err0, err1, err2) == nil && first < end && tailSegment(uint32(e), first, end) == name
	return uint32(e), first, end, ok
}

// tailPack is the name of chunks of the growing pack of, sealed as a pack of their own. Frozen.
func tailPack(of, own pack.Name16) string {
	return fmt.Sprintf("%s%x-%x.pack", engine.Tails, of, own)
}

func parseTailPack(name string) (of, own pack.Name16, ok bool) {
	base, isTail := strings.CutPrefix(name, engine.Tails)
	base, hasSuffix := strings.CutSuffix(base, ".pack")
	a, b, hasDash := strings.Cut(base, "-")
	if !isTail || !hasSuffix || !hasDash || len(a) != 32 || len(b) != 32 {
		return of, own, false
	}
	_, err1 := hex.Decode(of[:], []byte(a))
	_, err2 := hex.Decode(own[:], []byte(b))
	return of, own, errors.Join(err1, err2) == nil && tailPack(of, own) == name
}
