package care_test

import (
	"strings"
	"testing"

	"stele"
	"stele/entry"
	"stele/internal/fsck"
	"stele/internal/index"
	"stele/internal/ledger"
	"stele/internal/storetest"
)

// deep verifies all and returns what is wrong.
func deep(t *testing.T, s *stele.Store) (fsck.Report, string) {
	t.Helper()
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, p := range r.Problems {
		out.WriteString(p.Where + ": " + p.What + "\n")
	}
	return r, out.String()
}

// TestDeepProvesEachDigest: that a chunk is well says nothing yet of an entry that names it.
func TestDeepProvesEachDigest(t *testing.T) {
	s := storetest.New(t, stele.Options{})
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	v := storetest.Put(t, s, "bucket", "right", []byte("what was written"))
	if r, wrong := deep(t, s); wrong != "" || r.Bodies != 1 {
		t.Fatalf("%d bodies, want 1; wrong: %s", r.Bodies, wrong)
	}
	lie := func(key string, change func(b *entry.Body)) {
		t.Helper()
		b := v.Body
		change(&b)
		if _, err := s.Rooms().Core.Record(ctx, stele.Local().Who(), func(index.Reader, ledger.Slot) (ledger.Draft, error) {
			return ledger.Draft{Type: entry.ObjectPut, Private: entry.Private{Bucket: "bucket", Inc: v.Inc, Key: key, Null: true, Body: &b}}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	lie("other-digest", func(b *entry.Body) { b.SHA256[31] ^= 1 })
	lie("shorter", func(b *entry.Body) { b.Size-- })
	lie("longer", func(b *entry.Body) { b.Size++ })
	lie("other-chunk", func(b *entry.Body) { b.Ref[31] ^= 1 })
	r, wrong := deep(t, s)
	for _, key := range []string{"other-digest", "shorter", "longer", "other-chunk"} {
		if !strings.Contains(wrong, "bucket/"+key) {
			t.Errorf("an entry whose body is not what it says is found to be well: %s", key)
		}
	}
	if len(r.Problems) != 4 || r.Bodies != 1 {
		t.Errorf("%d bodies, %d problems, want 1 and 4: %s", r.Bodies, len(r.Problems), wrong)
	}
}

// TestDeepReadsWhereReadersAreLed: a chunk that is well in its pack, and is looked for elsewhere, can't be read.
func TestDeepReadsWhereReadersAreLed(t *testing.T) {
	s := storetest.New(t, stele.Options{})
	if _, err := s.CreateBucket(ctx, stele.Local(), "bucket", false); err != nil {
		t.Fatal(err)
	}
	v := storetest.Put(t, s, "bucket", "lost", []byte("well, and not to be found"))
	storetest.Put(t, s, "bucket", "there", []byte("well"))
	if _, wrong := deep(t, s); wrong != "" {
		t.Fatal(wrong)
	}
	at, ok, err := s.Rooms().Core.Index.Place(v.Body.Ref)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for what, place := range map[string]index.Place{
		"offset": {Pack: at.Pack, Offset: at.Offset + 1, Length: at.Length},
		"length": {Pack: at.Pack, Offset: at.Offset, Length: at.Length + 1},
		"pack":   {Pack: [16]byte{1}, Offset: at.Offset, Length: at.Length},
	} {
		if err := s.Rooms().Core.Index.AddPlaces([]entry.ID{v.Body.Ref}, []index.Place{place}); err != nil {
			t.Fatal(err)
		}
		if r, wrong := deep(t, s); !strings.Contains(wrong, "bucket/lost") || len(r.Problems) != 1 {
			t.Errorf("another %s: %q", what, wrong)
		}
	}
	if err := s.Rooms().Core.Index.AddPlaces([]entry.ID{v.Body.Ref}, []index.Place{at}); err != nil {
		t.Fatal(err)
	}
	if _, wrong := deep(t, s); wrong != "" {
		t.Fatal(wrong)
	}
}
