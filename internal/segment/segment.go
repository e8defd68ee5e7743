// Package segment is the file format of the ledger: batches of entries, each committed by a signed tree head.
//
// A segment is a frame file (package frame). Behind the header come batches, behind the last batch the footer and its trailer. Frozen:
//
//	header │ batch │ batch │ … │ footer frame │ trailer
//	batch:  (leaves frame │ privates frame)+ │ commit frame
//
//	leaves, in clear                          privates, sealed; AD = kind ‖ first ‖ count ‖ SHA-256(leaves body)
//	 0       8       12                        0        4      20
//	 ├─first─┼─count─┼─(u16 length, leaf)…─┤   ├─length─┼─salt─┼─private part─┤ …
//
//	commit, 124 bytes
//	 0       8      16     48         52          116    124
//	 ├─first─┼─size─┼─root─┼─key hash─┼─signature─┼─time─┤
//
// A leaves frame and the privates frame behind it are a pair; a batch has one or more pairs. In a privates frame length counts salt
// and private part; 0 says that a lawful erasure dropped both. With FlagZstd what follows count in a leaves frame, and all that
// a privates frame seals, is one zstd frame. The key hash and signature are those of the signed note
// that the tree head (size, root) makes under the origin <store id>/<epoch>. Times are microseconds since 1970.
//
// The package knows no tree, no entry and no key but the file's own. Its callers verify roots and signatures.
package segment

import (
	"fmt"
	"strconv"
	"strings"

	"stele/internal/engine"
)

// Bounds of what is written. A reader takes any count that fits its limits (maxRaw).
const (
	BatchEntries = 4096    // most entries under one commit
	BatchBytes   = 4 << 20 // about how many bytes of leaves and privates one commit covers
	PairEntries  = 256     // most entries of a pair: what the read of one entry decodes
)

// maxRaw bounds in bytes what a reader lets a compressed body grow to.
const maxRaw = 64 << 20

// Name is the name of the segment of an epoch that begins with entry first.
func Name(epoch uint32, first uint64) string {
	return fmt.Sprintf("%s%06d-%020d.seg", engine.Segments, epoch, first)
}

// ParseName undoes Name.
func ParseName(name string) (epoch uint32, first uint64, ok bool) {
	base, isSegment := strings.CutPrefix(name, engine.Segments)
	base, hasSuffix := strings.CutSuffix(base, ".seg")
	e, f, hasDash := strings.Cut(base, "-")
	if !isSegment || !hasSuffix || !hasDash {
		return 0, 0, false
	}
	e64, errE := strconv.ParseUint(e, 10, 32)
	first, errF := strconv.ParseUint(f, 10, 64)
	return uint32(e64), first, errE == nil && errF == nil && Name(uint32(e64), first) == name
}

// Item is one entry as a segment stores it.
type Item struct {
	Leaf    []byte
	Salt    [16]byte
	Private []byte
	Erased  bool // a lawful erasure dropped salt and private part
}

// Batch is what one commit covers.
type Batch struct {
	Pairs  []Pair
	Commit Commit
}
