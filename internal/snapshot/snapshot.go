// Package snapshot writes and reads snapshots of the index on a target: the files of the index as they were at one ledger size, encrypted in chunks, so that any
// range of them can be read and authenticated without fetching the rest. Serving from a backup opens the index over them and needs no rebuild.
//
// A file of the index is one pack (package pack), snapshots/<32 hex>.pack: chunk i, of ChunkBytes and the last one of what is left, is frame i, stored as it
// is, without pads. So a chunk's place is a matter of arithmetic, and no footer is read. The pack's file id is not drawn but derived, under the dedup key, from
// the file's content. So a file that is in two snapshots is one pack on the target and is shipped once, and no key and nonce ever meet two contents.
//
// A list names the files of a snapshot: the body of a [Document], sealed under a random file id in snapshots/<size, 20 digits>-<entry, 20 digits>.idx, which is a pack too. The backup.index entry of that
// index names the same document by its SHA-256. Packs come first, then the entry, then the list. A list counts only if its entry says the same.
//
// A target is not trusted. Lists and chunks are authenticated by GCM under the store's key, a chunk's place by its frame's number and its file's
// derived key, and the list by its entry. An old snapshot is as good as a new one: the entries after it are folded by the reader.
package snapshot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/zeebo/blake3"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/pack"
)

const (
	// ChunkBytes is the length of every chunk but a file's last one. Frozen with version 1.
	ChunkBytes = 64 << 10
	// Version is the newest version of the document that this program reads and the one that it writes.
	Version = 0

	packSuffix = ".pack"
	listSuffix = ".idx"
	// derivation is what a pack's file id is derived under. Frozen: another layout of the chunks needs another one.
	derivation = "stele index file v0"
	// maxList bounds a list, in bytes: 64 thousand files.
	maxList = 16 << 20
)

// Keys gives the keys of the store's files.
type Keys interface {
	// Current is the data key for new files.
	Current() (keyID uint32)
	// Sealer makes the sealer of a file.
	Sealer(keyID uint32, file frame.FileID) (*frame.Sealer, error)
	// DedupKey keys chunk ids, and the file ids of the index's files.
	DedupKey(keyID uint32) [32]byte
}

// Document lists the files of a snapshot. Its JSON is frozen with version 1: these keys in this order, no space.
type Document struct {
	V      int    `json:"v"`
	Size   uint64 `json:"size"`   // the ledger size that the rows stand for
	Format string `json:"format"` // of the rows
	Key    uint32 `json:"key"`    // the data key under which the files are sealed
	Files  []File `json:"files"`  // in ascending order of name
}

// File is one file of the index. An empty one has no pack.
type File struct {
	Name       string `json:"name"`
	SizeBytes  int64  `json:"size"`
	SHA256     string `json:"sha256"` // of the file, hex
	Pack       string `json:"pack,omitempty"`
	PackSHA256 string `json:"packsha256,omitempty"`
	PackBytes  int64  `json:"packsize,omitempty"`
}

func (d *Document) encode() ([]byte, error) { return json.Marshal(d) }

// parse parses what encode makes and nothing else.
func parse(b []byte) (d Document, err error) {
	var version struct{ V int }
	if err := json.Unmarshal(b, &version); err == nil && version.V > Version {
		return d, fmt.Errorf("snapshot document version %d, this program reads up to %d: %w", version.V, Version, frame.ErrVersion)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("snapshot document: %v: %w", err, frame.ErrCorrupt)
	}
	again, err := d.encode()
	if err != nil || string(again) != string(b) || d.V != Version {
		return d, fmt.Errorf("snapshot document: not as it is written: %w", frame.ErrCorrupt)
	}
	last := ""
	for i := range d.Files {
		f := &d.Files[i]
		if f.Name <= last || strings.ContainsAny(f.Name, "/\\") || f.Name[0] == '.' && strings.Trim(f.Name, ".") == "" || !f.whole() {
			return d, fmt.Errorf("snapshot document: file %q: %w", f.Name, frame.ErrCorrupt)
		}
		last = f.Name
	}
	return d, nil
}

// whole reports whether a row says all that it must.
func (f *File) whole() bool {
	if _, ok := digest(f.SHA256); !ok || f.SizeBytes < 0 || f.chunks() > pack.MaxChunks {
		return false
	}
	if f.SizeBytes == 0 {
		return f.Pack == "" && f.PackSHA256 == "" && f.PackBytes == 0
	}
	_, ok := digest(f.PackSHA256)
	return ok && f.PackBytes > f.at(f.chunks()) && f.PackBytes < 2*f.SizeBytes+1<<20
}

func digest(s string) (h entry.Hash, ok bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != s {
		return h, false
	}
	return entry.Hash(b), true
}

// chunks returns how many chunks the file has.
func (f *File) chunks() int64 { return (f.SizeBytes + ChunkBytes - 1) / ChunkBytes }

// at returns where the frame of chunk i begins in the pack, or ends if i is the number of chunks.
func (f *File) at(i int64) int64 {
	return frame.HeaderSize + i*int64(pack.Overhead) + min(i*ChunkBytes, f.SizeBytes)
}

// fileID derives the file id of the pack that holds a file: a function of its content that only who holds the key can compute.
func fileID(dedup [32]byte, sum entry.Hash, size int64) (id frame.FileID) {
	mac := hmac.New(sha256.New, dedup[:])
	mac.Write([]byte(derivation))
	mac.Write(sum[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	mac.Sum(id[:0])
	return id
}

// fileIDOf derives the file id for a row of a document.
func (f *File) fileID(dedup [32]byte) frame.FileID {
	sum, _ := digest(f.SHA256) // checked by whole
	return fileID(dedup, sum, f.SizeBytes)
}

func packName(id frame.FileID) string {
	short := pack.Short(id)
	return engine.Snapshots + hex.EncodeToString(short[:]) + packSuffix
}

// chunkID names a chunk as every pack of the store does.
func chunkID(dedup [32]byte, data []byte) (id entry.ID) {
	h, err := blake3.NewKeyed(dedup[:])
	if err != nil {
		panic("snapshot: a key of 32 bytes is one of 32 bytes: " + err.Error())
	}
	h.Write(data)
	h.Sum(id[:0])
	return id
}

// listName is the engine's name of the list that the entry with that index stands for.
func listName(size, at uint64) string {
	return fmt.Sprintf("%s%020d-%020d%s", engine.Snapshots, size, at, listSuffix)
}

// parseListName takes listName back.
func parseListName(name string) (size, at uint64, ok bool) {
	n, err := fmt.Sscanf(name, engine.Snapshots+"%020d-%020d"+listSuffix, &size, &at)
	return size, at, err == nil && n == 2 && listName(size, at) == name
}
