package ledger

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"stele/internal/engine"
)

// substitutes is the engine of a ledger that is opened read-only while some of its files are damaged or missing. It writes nothing, and reads a proven copy in the place of each such file.
type substitutes struct {
	engine.Engine
	mu     sync.RWMutex
	copies map[string]engine.Engine // by the file's name
	sizes  map[string]int64
}

func withSubstitutes(e engine.Engine) *substitutes {
	return &substitutes{Engine: e, copies: map[string]engine.Engine{}, sizes: map[string]int64{}}
}

// substitute has a file read from a copy from now on.
func (a *substitutes) substitute(name string, from engine.Engine, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.copies[name], a.sizes[name] = from, size
}

// Open implements engine.Engine.
func (a *substitutes) Open(ctx context.Context, name string) (engine.File, error) {
	a.mu.RLock()
	from := a.copies[name]
	a.mu.RUnlock()
	if from != nil {
		return from.Open(ctx, name)
	}
	return a.Engine.Open(ctx, name)
}

// List implements engine.Engine.
func (a *substitutes) List(ctx context.Context, prefix string, fn func(engine.Info) error) error {
	var infos []engine.Info
	a.mu.RLock()
	for name, size := range a.sizes {
		if folder, _ := engine.SplitName(name); folder == prefix {
			infos = append(infos, engine.Info{Name: name, SizeBytes: size})
		}
	}
	a.mu.RUnlock()
	err := a.Engine.List(ctx, prefix, func(i engine.Info) error {
		if !slices.ContainsFunc(infos, func(k engine.Info) bool { return k.Name == i.Name }) {
			infos = append(infos, i)
		}
		return nil
	})
	slices.SortFunc(infos, func(x, y engine.Info) int { return cmp.Compare(x.Name, y.Name) })
	for i := 0; i < len(infos) && err == nil; i++ {
		err = fn(infos[i])
	}
	return err
}

// Tails lists what a crash left.
func (a *substitutes) Tails(ctx context.Context) ([]engine.Tail, error) {
	if e, ok := a.Engine.(interface {
		Tails(context.Context) ([]engine.Tail, error)
	}); ok {
		return e.Tails(ctx)
	}
	return nil, nil
}
