package core

import (
	"errors"
	"fmt"
	"testing"
	"time"
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
		err := fmt.Errorf("couldn't put: %w", s.RoomFor(c.size))
		if !errors.Is(err, ErrFull) || err.Error() != "couldn't put: "+c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}
