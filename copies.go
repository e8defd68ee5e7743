package stele

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/dir"
)

// Copy is a copy of the store elsewhere, by which damage here is healed. What it yields is believed only as far as it proves itself.
type Copy = engine.Copy

// FolderCopy is a copy of a store's folder, as cp -r or rsync made it; name is what it is called in entries and in the log.
func FolderCopy(name, folder string) (Copy, error) {
	d, err := dir.Open(vfs.Default, folder, dir.Options{ReadOnly: true})
	if err != nil {
		return Copy{}, fmt.Errorf("couldn't open the copy %s: %w", name, err)
	}
	return engine.Copy{Name: name, Engine: d}, nil
}
