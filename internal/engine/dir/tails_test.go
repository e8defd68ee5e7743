package dir_test

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
)

// afterList calls a function once, when a folder of growing files has been listed.
type afterList struct {
	vfs.FS
	then func()
}

func (a *afterList) List(dir string) ([]string, error) {
	names, err := a.FS.List(dir)
	if then := a.then; then != nil && strings.HasSuffix(dir, "open") {
		a.then = nil
		then()
	}
	return names, err
}

// TestTailsWhileOneIsPublished: a file that is published while the tails are listed is none of them, and no error.
func TestTailsWhileOneIsPublished(t *testing.T) {
	fs := &afterList{FS: vfs.NewMem()}
	d := open(t, fs, "store")
	const name = engine.Segments + "000001-00000000000000000001.seg"
	g, err := d.Append(t.Context(), name, engine.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write([]byte("what grows")); err != nil {
		t.Fatal(err)
	}
	fs.then = func() {
		if err := g.Publish(); err != nil {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	tails, err := d.Tails(t.Context())
	if err != nil || len(tails) != 0 || fs.then != nil {
		t.Errorf("%v %v", tails, err)
	}
}
