package storetest

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/core"
)

// ReadFiles reads all files below a folder.
func ReadFiles(t testing.TB, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if core.IsNotExist(err) { // the index of an open store removes what it has merged
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			out[path+"/"] = nil
			maps.Copy(out, ReadFiles(t, fs, path))
			continue
		}
		b, err := core.ReadFile(fs, path)
		if core.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out[path] = b
	}
	return out
}

// WriteFiles writes such files, durably.
func WriteFiles(fs vfs.FS, files map[string][]byte) error {
	dirs := []string{""}
	for path, b := range files {
		dir, isDir := strings.CutSuffix(path, "/")
		if !isDir {
			dir = fs.PathDir(path)
		}
		if err := fs.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if dirs = append(dirs, dir); isDir {
			continue
		}
		f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = f.Write(append([]byte(nil), b...))
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		d, err := fs.OpenDir(dir)
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CopyTree copies a folder to one that is not there.
func CopyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
