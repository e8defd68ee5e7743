package engine

import (
	"context"
	"fmt"
	"path"
	"slices"
)

// Without is e for reading, without the files whose names match one of the patterns (path.Match: segments/000099-*): where somebody who may only create put files beside a
// store's own, and nobody may remove them. What is left proves itself as ever; a file of the store's own that is left out is missing. An error says which pattern is none.
func Without(e Engine, patterns ...string) (Engine, error) {
	for _, p := range patterns {
		folder, _ := SplitName(p)
		if _, err := path.Match(p, ""); err != nil || folder == "" {
			return nil, fmt.Errorf("%w: %q is no name of a file on a target and no pattern of such: write keyring/000007 or segments/000099-*", ErrName, p)
		}
	}
	if len(patterns) == 0 {
		return e, nil
	}
	return without{e, patterns}, nil
}

type without struct {
	Engine
	patterns []string
}

func (w without) hides(name string) bool {
	return slices.ContainsFunc(w.patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok })
}

// Open implements Engine.
func (w without) Open(ctx context.Context, name string) (File, error) {
	if w.hides(name) {
		return nil, fmt.Errorf("couldn't open %s, which is left out: %w", name, ErrNotExist)
	}
	return w.Engine.Open(ctx, name)
}

// List implements Engine.
func (w without) List(ctx context.Context, prefix string, fn func(Info) error) error {
	return w.Engine.List(ctx, prefix, func(i Info) error {
		if w.hides(i.Name) {
			return nil
		}
		return fn(i)
	})
}
