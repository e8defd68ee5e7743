package engine_test

import (
	"errors"
	"strings"
	"testing"

	"stele/internal/engine"
	"stele/internal/engine/mem"
)

func TestWithout(t *testing.T) {
	e := mem.New()
	for _, name := range []string{"keyring/000001", "keyring/999999", "segments/000001-a.seg", "segments/000099-a.seg"} {
		if err := e.Create(t.Context(), name, 1, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	w, err := engine.Without(e, "keyring/999999", "segments/000099-*")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, folder := range []string{engine.Keyrings, engine.Segments} {
		if err := w.List(t.Context(), folder, func(i engine.Info) error { names = append(names, i.Name); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(names, " "); got != "keyring/000001 segments/000001-a.seg" {
		t.Errorf("listed %s", got)
	}
	if _, err := w.Open(t.Context(), "keyring/999999"); !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("Open of what is left out: %v", err)
	}
	if f, err := w.Open(t.Context(), "keyring/000001"); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
	for _, bad := range []string{"", "keyring/[", "all"} {
		if _, err := engine.Without(e, bad); !errors.Is(err, engine.ErrName) {
			t.Errorf("pattern %q: %v", bad, err)
		}
	}
}
