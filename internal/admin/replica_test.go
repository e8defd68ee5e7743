package admin_test

import (
	"testing"

	"stele/internal/admin"
)

// TestReplicaSigned: whatever a standby says of itself, what it asks is signed as the port reads it.
func TestReplicaSigned(t *testing.T) {
	s := newStore(t)
	c, err := admin.Dial(t.Context(), port(t, s).URL, s.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, me := range []string{"", "https://[::1]:9001"} {
		for _, keyrings := range []int{-1, 0} {
			for _, wait := range []bool{false, true} {
				c.Me = me
				if st, err := c.ReplicaState(t.Context(), 0, keyrings, wait); err != nil || st.Size != s.Size() {
					t.Errorf("me %q, keyrings %d, wait %v: size %d, %v; want %d", me, keyrings, wait, st.Size, err, s.Size())
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
