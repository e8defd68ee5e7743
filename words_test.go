package stele

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/heal"
)

// A full disk says what is free, what is reserved, and what helps; that it is full is an ErrFull, whoever wraps it.
func TestWordsOfAFullDisk(t *testing.T) {
	s := &Store{dir: "/srv/stele"}
	s.space.known, s.space.asked = true, time.Now().Add(time.Hour)
	const mib = 1 << 20
	for _, c := range []struct {
		free uint64
		size int64
		want string
	}{
		{50 * mib, 1, "the disk is full: 50 MiB are free, and the last 64 MiB are reserved for the ledger. Make room on the disk that holds /srv/stele, or move the folder to a larger one; meanwhile reads and deletes work"},
		{100 * mib, 80 * mib, "the disk is full: 36 MiB are free beside the 64 MiB that are reserved for the ledger, and this write needs 80 MiB. Make room on the disk that holds /srv/stele, or move the folder to a larger one; meanwhile reads and deletes work"},
	} {
		s.space.free, s.space.total = c.free, 1000*mib
		err := fmt.Errorf("couldn't put: %w", s.roomFor(c.size))
		if !errors.Is(err, ErrFull) || err.Error() != "couldn't put: "+c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// A pack that can't be brought names the pack, each copy with what is wrong with it, and what to do.
func TestWordsOfAPackThatIsLacking(t *testing.T) {
	vault := fmt.Errorf("couldn't create packs/69b8.pack: %w", fmt.Errorf("its SHA-256 is not the one in its pack.seal entry: %w", frame.ErrCorrupt))
	nas := fmt.Errorf("couldn't open packs/69b8.pack: %w", engine.ErrNotExist)
	one := fmt.Errorf("packs/69b8.pack could not be brought: %w", heal.Joined([]error{heal.OfCopy("vault", vault), heal.OfCopy("nas", nas)}))
	got := lacks([]error{one}).Error()
	want := "packs/69b8.pack could not be brought: the one on vault is damaged (its SHA-256 is not the one in its pack.seal entry); nas hasn't got it. The filling goes on by itself once a target has it: "
	if !strings.HasPrefix(got, want) {
		t.Errorf("%s\nwant %s…", got, want)
	}
	if got := lacks([]error{one, one}).Error(); !strings.HasPrefix(got, "2 packs could not be brought; the first: packs/69b8.pack could not") || !errors.Is(lacks([]error{one}), frame.ErrCorrupt) {
		t.Error(got)
	}
	if err := lacks([]error{fmt.Errorf("x: %w", engine.ErrFull)}); strings.Contains(err.Error(), "target") {
		t.Errorf("the disk here is full, and it says: %v", err)
	}
}
