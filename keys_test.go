package stele_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stele"
	"stele/internal/core"
	"stele/internal/storetest"
)

// TestSecretsStayIn: neither an entry nor a receipt hands out the secret of an access key.
func TestSecretsStayIn(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	k, err := s.Keys().Create(ctx, stele.Local(), stele.RoleReadOnly, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := s.Ledger().Size() - 1
	e, err := s.Ledger().Entry(ctx, at)
	if err != nil || e.Private.Access == nil || e.Private.Access.ID != k.ID || e.Private.Access.Secret != "" {
		t.Errorf("%+v %v", e.Private.Access, err)
	}
	if r, err := s.Ledger().Receipt(ctx, at); err != nil || bytes.Contains(r, []byte(k.Secret)) {
		t.Errorf("%q %v", r, err)
	}
	if a, err := s.Keys().Get(ctx, k.ID); err != nil || a.Secret != k.Secret {
		t.Errorf("%v", err)
	}
	if _, err := s.Keys().Revoke(ctx, stele.Local(), k.ID); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Ledger().Receipt(ctx, s.Ledger().Size()-1); err != nil || len(r) == 0 {
		t.Errorf("the receipt of a revocation: %v", err)
	}
}

// TestUsedIsBounded: only keys that are there are remembered as used.
func TestUsedIsBounded(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	k, err := s.Keys().Create(ctx, stele.Local(), stele.RoleReadOnly, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Keys().Used(k.ID)
	s.Keys().Used(s.Keys().Root().ID)
	for i := range 1000 {
		s.Keys().Used(fmt.Sprint("AKIA", i))
	}
	if n := stele.UsedKeys(s); n != 2 {
		t.Errorf("%d keys are remembered", n)
	}
	if list, err := s.Keys().List(ctx); err != nil || len(list) != 1 || list[0].LastUsed.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
}

// TestBeyondTheLedger: an entry that is not there has the same name of error everywhere.
func TestBeyondTheLedger(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	storetest.MakeBucket(t, s, "books", false, stele.Unversioned)
	storetest.Put(t, s, "books", "a", nil)
	far := s.Ledger().Size() + 1000
	for name, err := range map[string]error{
		"Entry":       second(s.Ledger().Entry(ctx, far)),
		"Receipt":     second(s.Ledger().Receipt(ctx, far)),
		"ViewAt":      second(s.ViewAt(ctx, fmt.Sprint("@", far))),
		"Head":        second(s.Head(ctx, stele.Place{Bucket: "books", Key: "a", At: stele.View{Size: far}})),
		"List":        second(s.List(ctx, stele.ListRequest{Bucket: "books", Max: 1, At: stele.View{Size: far}})),
		"Bucket":      second(s.Bucket(ctx, "books", stele.View{Size: far})),
		"Buckets":     second(s.Buckets(ctx, stele.View{Size: far})),
		"Pin":         second(s.Pin(ctx, stele.Local(), "far", stele.View{Size: far})),
		"ParseBucket": third(s.ParseBucket(ctx, fmt.Sprint("books--at-e", far))),
	} {
		if !errors.Is(err, stele.ErrFuture) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

// TestKeyRate: a key causes a minute's worth of entries at once and then as many as its rate says, whatever it asks for; refusals leave no entry, other keys are not held up.
func TestKeyRate(t *testing.T) {
	clock := storetest.NewClock()
	s := storetest.NewMem(t, stele.Options{Clock: clock})
	defer s.Close()
	if _, err := s.CreateBucket(ctx, stele.Local(), "books", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys().Create(ctx, stele.Local(), stele.RoleReadWrite, nil, -1); !errors.Is(err, stele.ErrBadName) {
		t.Errorf("a negative rate: %v", err)
	}
	k, err := s.Keys().Create(ctx, stele.Local(), stele.RoleReadWrite, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string) error {
		_, err := s.Put(ctx, stele.PutRequest{By: stele.Actor{Key: key}, Bucket: "books", Key: "k", Size: 0})
		return err
	}
	for i := range core.BurstSeconds {
		if err := put(k.ID); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	size := s.Ledger().Size()
	if err := put(k.ID); !errors.Is(err, stele.ErrRate) || s.Ledger().Size() != size {
		t.Errorf("beyond the burst: %v, %d entries more", err, s.Ledger().Size()-size)
	}
	if err := put(core.ActorLocal); err != nil {
		t.Errorf("another actor: %v", err)
	}
	clock.Pass(3 * time.Second)
	for i := range 4 {
		if err := put(k.ID); (err == nil) != (i < 3) {
			t.Errorf("put %d three seconds later: %v", i, err)
		}
	}
}

// TestScopesThatMatchNothing: a pattern for a scope is a mistake, and its refusal says what to write.
func TestScopesThatMatchNothing(t *testing.T) {
	s := storetest.NewMem(t, stele.Options{})
	for scope, hint := range map[string]string{
		"photos/*": `write "photos" for the whole bucket`, "photos/2024/*": `write "photos/2024/"`, "photos/2024*": `write "photos/2024"`, "photos/*.jpg": `write "photos" for the whole bucket`,
		"*": "no scope at all is every bucket", "photos-*/x": "name each bucket", "/photos": "BUCKET or BUCKET/PREFIX", "photos/\xff": "UTF-8", "photos/" + strings.Repeat("x", 1025): "matches no key",
	} {
		if _, err := s.Keys().Create(t.Context(), stele.Local(), stele.RoleReadOnly, []string{"fine/", scope}, 0); !errors.Is(err, stele.ErrBadName) || !strings.Contains(err.Error(), hint) {
			t.Errorf("scope %.40q: %v, want a refusal with %q", scope, err, hint)
		}
	}
	for _, scope := range []string{"photos", "photos/", "photos/2024", "photos/2024/", "photos/a?b"} {
		if _, err := s.Keys().Create(t.Context(), stele.Local(), stele.RoleReadOnly, []string{scope}, 0); err != nil {
			t.Errorf("scope %q: %v", scope, err)
		}
	}
}
