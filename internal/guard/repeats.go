package guard

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Repeats logs what happens again and again: the first time at once, and what follows of the same kind as one line a minute with a count, as long as there is any. A disk that failed, or a stranger who
// sends nonsense, would write thousands of equal lines a second otherwise.
type Repeats struct {
	Log   *slog.Logger
	After func(time.Duration, func()) // calls a function later; nil: by the system's clock

	mu    sync.Mutex
	kinds map[string]*repeat
}

// repeat is what happened of one kind since its last line.
type repeat struct {
	n     int
	level slog.Level
	msg   string
	args  []any // of the newest
}

const (
	repeatsEvery = time.Minute
	maxKinds     = 64 // more of them are one kind together
)

// Line logs a line of a kind, or counts it. Kinds are few: codes of errors, say, and never what a client sent.
func (r *Repeats) Line(level slog.Level, kind, msg string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds == nil {
		r.kinds = map[string]*repeat{}
	}
	if _, known := r.kinds[kind]; !known && len(r.kinds) >= maxKinds {
		kind = ""
	}
	if k := r.kinds[kind]; k != nil {
		k.n, k.level, k.msg, k.args = k.n+1, level, msg, args
		return
	}
	r.kinds[kind] = &repeat{}
	r.Log.Log(context.Background(), level, msg, args...)
	r.later(kind)
}

func (r *Repeats) later(kind string) {
	after := r.After
	if after == nil {
		after = func(d time.Duration, fn func()) { time.AfterFunc(d, fn) }
	}
	after(repeatsEvery, func() { r.sum(kind) })
}

// sum logs how many more there were, with the newest of them; when there were none, the next is a first one again.
func (r *Repeats) sum(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[kind]
	if k.n == 0 {
		delete(r.kinds, kind)
		return
	}
	r.Log.Log(context.Background(), k.level, k.msg, append(k.args, "times", k.n, "within", repeatsEvery)...)
	r.kinds[kind] = &repeat{}
	r.later(kind)
}
