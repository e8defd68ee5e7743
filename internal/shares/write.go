package shares

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/durable"
	"stele/internal/keyring"
)

// FileName is the file of a share in its folder. It says all that a person needs to tell it from others once it was carried away.
func FileName(s *keyring.Share) string {
	return fmt.Sprintf("stele-share-%s-%d-of-%d.txt", s.SetID()[:8], s.Index, s.Shares)
}

// Write stores the shares in a new folder, mode 0700, each in a file of mode 0600, and returns the files. A crash or a full disk leaves all of them or none under the folder's name: shares of a set that is not whole
// would be taken for one. durable.ErrExist: there is something of that name.
func Write(fsys vfs.FS, folder string, of []keyring.Share) (files []string, err error) {
	content := make([]durable.NamedFile, 0, len(of))
	for i := range of {
		name := FileName(&of[i])
		content = append(content, durable.NamedFile{Name: name, Data: of[i].Text()})
		files = append(files, fsys.PathJoin(folder, name))
	}
	return files, durable.WriteFolder(fsys, folder, content, 0o600)
}
