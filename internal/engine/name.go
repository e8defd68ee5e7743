package engine

import (
	"fmt"
	"strings"
)

// MaxNameBytes bounds a file's name, so that a directory engine can put its own marks beside it.
const MaxNameBytes = 200

// Folders lists the folders of a store, in ascending order.
func Folders() []string { return []string{Keyrings, Meta, Packs, Segments, Snapshots, Tails} }

// Removable says whether Remove may remove a file: a pack, or what a newer file supersedes on a target. Segments, keyrings and meta files stay for ever.
func Removable(name string) bool {
	folder, _ := SplitName(name)
	return folder == Packs || folder == Tails || folder == Snapshots
}

// Replaceable says whether Replace may put a proven copy in the place of a file: a pack or a segment.
func Replaceable(name string) bool {
	folder, _ := SplitName(name)
	return folder == Packs || folder == Segments
}

// CheckName returns ErrName unless name is one of the folders followed by a base of [a-z0-9.-] that does not start with a dot.
func CheckName(name string) error {
	folder, base := SplitName(name)
	if folder == "" || base == "" || base[0] == '.' || len(name) > MaxNameBytes || !validBase(base) {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// CheckPrefix returns ErrName unless prefix is one of the folders with or without the beginning of a base.
func CheckPrefix(prefix string) error {
	folder, base := SplitName(prefix)
	if folder == "" || !validBase(base) {
		return fmt.Errorf("%w: prefix %q", ErrName, prefix)
	}
	return nil
}

// SplitName parts a name into its folder (with the slash; "" if it is none of ours) and the rest.
func SplitName(name string) (folder, base string) {
	for _, folder := range Folders() {
		if base, ok := strings.CutPrefix(name, folder); ok {
			return folder, base
		}
	}
	return "", name
}

func validBase(base string) bool {
	for _, c := range []byte(base) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
