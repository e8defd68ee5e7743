package epoch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/epoch"
)

var ctx = context.Background()

// TestAsksFollowers: at its start a primary asks those who followed it whether one of them has taken over (DESIGN invariant 5), and takes no writes if its own signer has consented to that. Those
// that don't answer, know nothing or lie change nothing.
func TestAsksFollowers(t *testing.T) {
	fs := vfs.NewMem()
	s, err := stele.Create(ctx, "a", stele.Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{"ftp://one", "http://", "http://me:pw@one", "x"} {
		if err := s.Rooms().Epochs.NoteFollower(u, s.Rooms().Epochs.FollowerProof(u)); !errors.Is(err, stele.ErrBadName) {
			t.Errorf("%q is taken for an address: %v", u, err)
		}
	}
	for i := range epoch.MaxPeers + 2 {
		u := fmt.Sprintf("http://old-%d", i)
		if err := s.Rooms().Epochs.NoteFollower(u, s.Rooms().Epochs.FollowerProof(u)); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range []string{"http://dead", "http://same", "http://liar", "http://other", "http://liar"} {
		if err := s.Rooms().Epochs.NoteFollower(u, s.Rooms().Epochs.FollowerProof(u)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range epoch.MaxPeers { // somebody who has an auditor's key, and not the keyring
		u := fmt.Sprintf("http://stranger-%d", i)
		for _, proof := range []string{"", "x", s.Rooms().Epochs.FollowerProof("http://other")} {
			if err := s.Rooms().Epochs.NoteFollower(u, proof); !errors.Is(err, stele.ErrBadState) {
				t.Errorf("%q is noted by the word of a stranger: %v", u, err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if ok, err := vfs.Clone(fs, fs, "a", "b"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, err := stele.Promote(ctx, "b", stele.PromoteOptions{Options: stele.Options{FS: fs}}); err != nil {
		t.Fatal(err)
	}
	b, err := stele.Open(ctx, "b", stele.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	at, data, err := b.Rooms().Epochs.Handover(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	tookOver := false
	ask := func(_ context.Context, u string) (uint64, map[string]string, error) {
		switch u {
		case "http://dead":
			return 0, nil, errors.New("no answer")
		case "http://liar":
			forged := map[string]string{}
			for k, v := range data {
				forged[k] = v
			}
			forged["epoch"] = "7"
			return at, forged, nil
		case "http://other":
			if tookOver {
				return at, data, nil
			}
		}
		return 0, nil, nil
	}
	open := func() (*stele.Store, error) {
		answers := make(chan string, 2*epoch.MaxPeers)
		s, err := stele.Open(ctx, "a", stele.Options{FS: fs, AskHandover: func(ctx context.Context, u string) (uint64, map[string]string, error) {
			answers <- u
			return ask(ctx, u)
		}})
		for len(answers) > 0 {
			asked = append(asked, <-answers)
		}
		return s, err
	}
	s, err = open()
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != epoch.MaxPeers || slices.Contains(asked, "http://old-1") || !slices.Contains(asked, "http://dead") {
		t.Errorf("asked were %v", asked)
	}
	if _, err := s.CreateBucket(ctx, stele.Local(), "bkt", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tookOver = true
	if p, err := stele.Promote(ctx, "a", stele.PromoteOptions{Options: stele.Options{FS: fs, AskHandover: ask}}); !errors.Is(err, stele.ErrSuperseded) {
		t.Fatalf("another has taken over, and it begins epoch %d: %v", p.To, err)
	}
	for range 2 {
		if _, err := open(); !errors.Is(err, stele.ErrSuperseded) {
			t.Fatalf("another has taken over, and it opens: %v", err)
		}
	}
}
