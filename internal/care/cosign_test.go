package care_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/internal/care"
	"stele/internal/core"
	"stele/internal/storetest"
	"stele/internal/witness"
	"stele/tree"
)

var ctx = context.Background()

// honest is a witness in this process.
func honest(t *testing.T, name, vkey string) (care.Witness, *tree.Cosignature) {
	t.Helper()
	w, err := witness.Open(witness.Options{FS: vfs.NewMem(), Key: "key-" + name, Folder: "logs-" + name, Logs: []string{vkey}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := tree.NewCosignature(w.VKey())
	if err != nil {
		t.Fatal(err)
	}
	return care.Witness{Name: name, Ask: func(ctx context.Context, signed []byte, prove func(ctx context.Context, from, to uint64) ([]tree.Hash, error)) ([]byte, error) {
		line, err := w.AddCheckpoint(0, nil, signed)
		var size *witness.SizeError
		if errors.As(err, &size) {
			c, cerr := tree.ReadCheckpoint(signed)
			if cerr != nil {
				return nil, cerr
			}
			var proof []tree.Hash
			if size.Kept < c.Size {
				if proof, err = prove(ctx, size.Kept, c.Size); err != nil {
					return nil, err
				}
			}
			line, err = w.AddCheckpoint(size.Kept, proof, signed)
		}
		return line, err
	}}, key
}

// cosigns counts whose cosignatures a receipt bears, and wants it to prove its entry.
func cosigns(t *testing.T, receipt []byte, vkey string, keys ...*tree.Cosignature) (n int) {
	t.Helper()
	r, err := tree.ParseReceipt(receipt)
	if err == nil {
		_, err = r.Verify(vkey)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if _, _, err := k.Check(r.Checkpoint); err == nil {
			n++
		}
	}
	return n
}

// TestRequireWitness: a receipt bears as many cosignatures as are required, and is not given without them, whatever a witness does: it refuses, lies, or says nothing. What is not required is
// borne when it is at hand. Writes are never held up.
func TestRequireWitness(t *testing.T) {
	fs := vfs.NewMem()
	s, err := stele.Create(ctx, "a", stele.Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	storetest.MakeBucket(t, s, "bkt", false, stele.Unversioned)
	vkey := s.Ledger().VKey()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	one, oneKey := honest(t, "one", vkey)
	two, twoKey := honest(t, "two", vkey)
	refuses := care.Witness{Name: "refuses", Ask: func(context.Context, []byte, func(context.Context, uint64, uint64) ([]tree.Hash, error)) ([]byte, error) {
		return nil, errors.New("no")
	}}
	silent := care.Witness{Name: "silent", Ask: func(ctx context.Context, _ []byte, _ func(context.Context, uint64, uint64) ([]tree.Hash, error)) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	for i, c := range []struct {
		witnesses []care.Witness
		need      int
		least     int // cosignatures that the receipt bears at least
		given     bool
	}{
		{nil, 0, 0, true},
		{[]care.Witness{one}, 0, 0, true},
		{[]care.Witness{one}, 1, 1, true},
		{[]care.Witness{one, two}, 1, 1, true},
		{[]care.Witness{one, two}, 2, 2, true},
		{[]care.Witness{refuses}, 0, 0, true},
		{[]care.Witness{refuses}, 1, 0, false},
		{[]care.Witness{one, refuses}, 1, 1, true},
		{[]care.Witness{one, refuses}, 2, 0, false},
		{[]care.Witness{one, silent}, 1, 1, true},
		{[]care.Witness{silent, one, two}, 2, 2, true},
		{[]care.Witness{refuses, silent, one, two}, 2, 2, true},
		{[]care.Witness{silent}, 0, 0, true},
	} {
		s, err := stele.Open(ctx, "a", stele.Options{FS: fs, Witnesses: c.witnesses, RequireWitnesses: c.need})
		if err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			v := storetest.Put(t, s, "bkt", fmt.Sprintf("k%d/%d", i, j), []byte("x"))
			receipt, err := s.Ledger().Receipt(ctx, v.Entry)
			if (err == nil) != c.given || err != nil && !errors.Is(err, care.ErrNoWitness) {
				t.Errorf("case %d: %v", i, err)
			}
			if err == nil {
				if n := cosigns(t, receipt, vkey, oneKey, twoKey); n < c.least {
					t.Errorf("case %d: %d cosignatures, not %d", i, n, c.least)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSilentWitness: a receipt that waits for a witness ends with its request, and with the store.
func TestSilentWitness(t *testing.T) {
	asked := make(chan bool, 100)
	silent := care.Witness{Name: "silent", Ask: func(ctx context.Context, _ []byte, _ func(context.Context, uint64, uint64) ([]tree.Hash, error)) ([]byte, error) {
		asked <- true
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	s, err := stele.Create(ctx, "a", stele.Options{FS: vfs.NewMem(), Kit: "kit.txt", Witnesses: []care.Witness{silent}, RequireWitnesses: 1})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	ended, end := context.WithCancel(ctx)
	end()
	if _, err := s.Ledger().Receipt(ended, 0); !errors.Is(err, care.ErrNoWitness) {
		t.Errorf("with a request that has ended: %v", err)
	}
	got := make(chan error)
	begun := make(chan bool)
	go func() {
		close(begun)
		_, err := s.Ledger().Receipt(ctx, 0)
		got <- err
	}()
	<-begun
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, stele.ErrClosed) {
		t.Errorf("in a store that is closed: %v", err)
	}
}

// TestForkedWitness: a witness that has seen another history does not cosign this one, though the store's own key has signed both, and no receipt of it is given.
func TestForkedWitness(t *testing.T) {
	fs := vfs.NewMem()
	s, err := stele.Create(ctx, "a", stele.Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	w, key := honest(t, "one", s.Ledger().VKey())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if ok, err := vfs.Clone(fs, fs, "a", "thief"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	write := func(folder, bucket string) ([]byte, error) {
		s, err := stele.Open(ctx, folder, stele.Options{FS: fs, Witnesses: []care.Witness{w}, RequireWitnesses: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		storetest.MakeBucket(t, s, bucket, false, stele.Unversioned)
		v := storetest.Put(t, s, bucket, "k", []byte(bucket))
		receipt, err := s.Ledger().Receipt(ctx, v.Entry)
		if err == nil && cosigns(t, receipt, s.Ledger().VKey(), key) != 1 {
			t.Error("a receipt without its cosignature")
		}
		return receipt, err
	}
	if _, err := write("a", "true"); err != nil {
		t.Fatal(err)
	}
	if receipt, err := write("thief", "forged"); !errors.Is(err, care.ErrNoWitness) {
		t.Fatalf("a receipt of a rewritten history: %v, %s", err, receipt)
	}
}

// TestWitnessOptions: a requirement that can't be met is an error at once.
func TestWitnessOptions(t *testing.T) {
	fs := vfs.NewMem()
	s, err := stele.Create(ctx, "a", stele.Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := care.Witness{Name: "one"}
	for what, opt := range map[string]stele.Options{"more than there are": {Witnesses: []care.Witness{w}, RequireWitnesses: 2}, "one twice": {Witnesses: []care.Witness{w, w}, RequireWitnesses: 2},
		"fewer than none": {RequireWitnesses: -1}} {
		opt.FS = fs
		if s, err := stele.Open(ctx, "a", opt); !errors.Is(err, stele.ErrBadName) {
			t.Errorf("%s: %v, %v", what, s, err)
		}
	}
}

// TestWitnessStatus: each witness' last cosignature is known, also after a restart; one that refuses is named with why, is asked again where nothing is written, and is forgotten when nobody asks it any more.
func TestWitnessStatus(t *testing.T) {
	fs := vfs.NewMem()
	s, err := stele.Create(ctx, "a", stele.Options{FS: fs, Kit: "kit.txt"})
	if err != nil {
		t.Fatal(err)
	}
	vkey := s.Ledger().VKey()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	one, _ := honest(t, "one", vkey)
	asked := make(chan struct{}, 100)
	refuses := care.Witness{Name: "two", Ask: func(context.Context, []byte, func(context.Context, uint64, uint64) ([]tree.Hash, error)) ([]byte, error) {
		asked <- struct{}{}
		return nil, errors.New("I will not")
	}}
	waits := make(chan time.Duration, 100)
	soon := func(d time.Duration) <-chan time.Time {
		if d != care.WitnessPause {
			waits <- d
		}
		c := make(chan time.Time, 1)
		c <- time.Time{}
		return c
	}
	if s, err = stele.Open(ctx, "a", stele.Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	s.Rooms().Care.Opt.Witnesses, s.Rooms().Care.Opt.CosignWait = []care.Witness{one, refuses}, soon // and what an opening with witnesses begins
	s.Rooms().Core.KnowWitnesses([]string{"one", "two"})
	s.Rooms().Core.Beside(s.Rooms().Care.KeepCosigned)
	for i := range 3 { // though nothing is written
		<-asked
		if d := <-waits; d != time.Minute<<i {
			t.Errorf("round %d: the next one after %s", i, d)
		}
	}
	is := func(all []core.WitnessStatus) {
		t.Helper()
		if len(all) != 2 || all[0].Cosigned.IsZero() || all[0].Error != "" || !all[1].Cosigned.IsZero() || all[1].Asked.IsZero() || all[1].Error != "I will not" {
			t.Fatalf("%+v", all)
		}
	}
	is(s.Rooms().Core.Witnesses())
	first := s.Rooms().Core.Witnesses()[1].Asked
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, "a", stele.Options{FS: fs}); err != nil { // a verb
		t.Fatal(err)
	}
	is(s.Rooms().Core.Witnesses())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, "a", stele.Options{FS: fs, Witnesses: []care.Witness{refuses}}); err != nil {
		t.Fatal(err)
	}
	if all := s.Rooms().Core.Witnesses(); len(all) != 1 || !all[0].Asked.Equal(first) {
		t.Errorf("%+v", all)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, "a", stele.Options{FS: fs, Witnesses: []care.Witness{}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if all := s.Rooms().Core.Witnesses(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}
