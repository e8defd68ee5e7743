package stele_test

import (
	"errors"
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/storetest"
)

// TestLocalUser: a name from the operating system can't be long, can't move a cursor, and can't take the place of another actor.
func TestLocalUser(t *testing.T) {
	for _, c := range []struct{ uid, name, key string }{
		{"1000", "alice", "local:alice"},
		{"1000", "", "local:1000"},
		{"1001", `CORP\bob smith`, "local:CORP_bob_smith"},
		{"1002", "\x1b[2Jroot\n", "local:__2Jroot_"},
		{"1003", "Zoë", "local:Zo_"},
		{"1004", strings.Repeat("x", 5000), "local:" + strings.Repeat("x", 64)},
	} {
		a := stele.LocalUser(c.uid, c.name)
		if a.Key != c.key || a.Address != "uid "+c.uid || strings.ContainsAny(a.Key, "ë\x1b\n ") {
			t.Errorf("LocalUser(%s, %q) = %+v, want %s", c.uid, c.name, a, c.key)
		}
	}
}

// TestLocalIsNoName: the recovery key counts for the command line on the machine itself, by which user ever, and for no access key that is called so; such a key is judged like any other.
func TestLocalIsNoName(t *testing.T) {
	ctx := t.Context()
	s := storetest.New(t, stele.Options{})
	for _, called := range []stele.Actor{{Key: "local:alice"}, {Key: "local:alice", Address: "uid 1000"}} {
		if _, err := s.CreateBucket(ctx, called, "books", false); !errors.Is(err, stele.ErrKeyRevoked) {
			t.Errorf("a change by an access key called %s: %v, want ErrKeyRevoked", called.Key, err)
		}
	}
	for _, called := range []stele.Actor{{Key: "local"}, {Key: "local:alice"}} {
		if _, err := s.Rooms().Backups.RemoveTarget(ctx, called.Who(), "nas", []byte("kit")); !errors.Is(err, stele.ErrBadState) || !strings.Contains(err.Error(), "machine itself") {
			t.Errorf("the recovery kit in the hands of an access key called %s: %v", called.Key, err)
		}
		if _, err := s.Rooms().Backups.DrillTarget(ctx, called.Who(), stele.DrillRequest{Recovery: "key"}); !errors.Is(err, stele.ErrBadState) || !strings.Contains(err.Error(), "machine itself") {
			t.Errorf("the recovery key in the hands of an access key called %s: %v", called.Key, err)
		}
	}
	alice, bob := stele.LocalUser("1000", "alice"), stele.LocalUser("1001", "bob")
	if _, err := s.CreateBucket(ctx, alice, "books", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(ctx, bob, "films", false); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{"local": "books films", "local:alice": "books", "local:bob": "films", "local:": "", "loc": ""} {
		var got []string
		if err := s.Ledger().Log(ctx, stele.LogQuery{Actor: asked, Types: []entry.Type{entry.BucketCreate}}, func(e *entry.Entry) error {
			got = append(got, e.Private.Bucket)
			return nil
		}); err != nil || strings.Join(got, " ") != want {
			t.Errorf("log of actor %q: %v, %v, want %s", asked, got, err, want)
		}
	}
}
