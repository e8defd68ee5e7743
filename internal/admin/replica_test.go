package admin_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"stele"
	"stele/internal/rpc/client"
)

// TestReplicaSigned: whatever a standby says of itself, what it asks is signed as the port reads it.
func TestReplicaSigned(t *testing.T) {
	s := newStore(t)
	c, err := client.Dial(t.Context(), port(t, s).URL, s.Keys().Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, me := range []string{"", "https://[::1]:9001"} {
		for _, keyrings := range []int{-1, 0} {
			for _, wait := range []bool{false, true} {
				c.Me = func() (string, string) { return me, s.FollowerProof(me) }
				if st, err := c.ReplicaState(t.Context(), 0, keyrings, wait); err != nil || st.Size != s.Ledger().Size() {
					t.Errorf("me %q, keyrings %d, wait %v: size %d, %v; want %d", me, keyrings, wait, st.Size, err, s.Ledger().Size())
				}
			}
		}
	}
	if _, err := c.Succession(t.Context()); err != nil {
		t.Error(err)
	}
	files, err := c.ReplicaFiles(t.Context(), "keyring/")
	if err != nil || len(files) != 1 {
		t.Fatalf("%d keyrings, %v", len(files), err)
	}
	if _, b, err := c.ReplicaRead(t.Context(), files[0].Name, 0); err != nil || len(b) == 0 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestOnlyAdmittedFollowers: an auditor's key has no address noted of which it can't prove that a standby which was admitted is there.
func TestOnlyAdmittedFollowers(t *testing.T) {
	s := newStore(t)
	k, err := s.Keys().Create(t.Context(), stele.Local(), stele.RoleAuditor, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), port(t, s).URL, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	proof := "0123"
	c.Me = func() (string, string) { return "http://198.51.100.7:9001", proof }
	if _, err := c.ReplicaState(t.Context(), 0, -1, false); !errors.Is(err, stele.ErrBadState) {
		t.Errorf("with a made-up proof: %v", err)
	}
	proof = "" // what a standby says before it is admitted
	if _, err := c.ReplicaState(t.Context(), 0, -1, false); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(s.Dir(), "followers")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody was noted: %s, %v", b, err)
	}
}
