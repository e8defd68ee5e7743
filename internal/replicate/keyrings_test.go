package replicate

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

// writeOnly is a target whose credentials may not read.
type writeOnly struct{ engine.Engine }

func (w writeOnly) Open(ctx context.Context, name string) (engine.File, error) {
	if strings.HasPrefix(name, engine.Keyrings) {
		return nil, fmt.Errorf("%s: %w", name, engine.ErrDenied)
	}
	return w.Engine.Open(ctx, name)
}

// TestKeyringNumberTaken: a keyring of another branch, or junk, under the number of ours keeps nothing from being shipped, and ours is there behind it, once.
func TestKeyringNumberTaken(t *testing.T) {
	const ours = "wrapped keyring" // what saveKeys writes
	for _, c := range []struct {
		name  string
		taken []string // what lies under 000001 and on
		read  bool
		want  string // number under which ours ends
	}{
		{"free", nil, true, "000001"},
		{"ours is there", []string{ours}, true, "000001"},
		{"another length", []string{"of another branch"}, true, "000002"},
		{"the same length", []string{"WRAPPED KEYRING"}, true, "000002"},
		{"several", []string{"junk", "WRAPPED KEYRING", ""}, true, "000004"},
		{"several, no reading", []string{"junk", "more junk"}, false, "000003"},
		{"ours is there, no reading", []string{ours}, false, "000001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustPrimary(t, mustDir(t, vfs.NewMem(), "store"), testKeys(t))
			defer p.mustClose(t)
			p.mustPut(t, "a", random(2000, 1))
			target := mem.New()
			if err := mustConnect(t, p, target).claim(ctx); err != nil { // so that files there are ours
				t.Fatal(err)
			}
			for i, text := range c.taken {
				if err := target.Create(ctx, fmt.Sprintf("%s%06d", engine.Keyrings, i+1), int64(len(text)), strings.NewReader(text)); err != nil {
					t.Fatal(err)
				}
			}
			var e engine.Engine = target
			if !c.read {
				e = writeOnly{target}
			}
			for range 2 { // the second session ships nothing anew
				if err := mustConnect(t, p, e).shipNow(); err != nil {
					t.Fatal(err)
				}
			}
			var last string
			n := 0
			if err := target.List(ctx, engine.Keyrings, func(i engine.Info) error { last = i.Name; n++; return nil }); err != nil {
				t.Fatal(err)
			}
			f, err := target.Open(ctx, last)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			if err != nil || string(b) != ours || last != engine.Keyrings+c.want || fmt.Sprintf("%06d", n) != c.want {
				t.Errorf("%d keyrings, the last is %s: %q, %v; want ours as %s", n, last, b, err, c.want)
			}
		})
	}
}
