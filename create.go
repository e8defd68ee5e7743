package stele

import (
	"context"

	"stele/internal/core"
)

// Create makes a store in folder, which is missing or empty, and writes its recovery kit. The format file is written last: a crash before that leaves a folder that holds no data and that Open refuses by name.
func Create(ctx context.Context, folder string, opt Options) (*Store, error) {
	s := newStore(folder, opt)
	if err := s.core.Create(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// KitPath returns where Create writes the recovery kit if nothing is there yet.
func (o Options) KitPath(folder string) string { return core.KitPath(o.Kit, folder) }
