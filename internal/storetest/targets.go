package storetest

import (
	"context"
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/engine"
	"stele/internal/engine/dir"
)

// DirTargets opens targets that are folders.
func DirTargets(ctx context.Context, spec stele.TargetSpec) (stele.OpenedTarget, error) {
	path, ok := strings.CutPrefix(spec.URL, "dir://")
	if !ok {
		return stele.OpenedTarget{}, errors.New("not a folder")
	}
	d, err := dir.Open(vfs.Default, path, dir.Options{})
	return stele.OpenedTarget{Engine: d}, err
}

// ExistingTargets opens targets that are folders as the command line does: a folder is made when its target is added, and never again.
func ExistingTargets(ctx context.Context, spec stele.TargetSpec) (stele.OpenedTarget, error) {
	path := strings.TrimPrefix(spec.URL, "dir://")
	d, err := dir.Open(vfs.Default, path, dir.Options{Existing: !spec.Make, ReadOnly: spec.ReadOnly})
	if errors.Is(err, engine.ErrNotExist) {
		err = engine.ErrGone
	}
	return stele.OpenedTarget{Engine: d}, err
}
