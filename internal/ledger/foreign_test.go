package ledger

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
)

func create(t testing.TB, e engine.Engine, name string, b []byte) {
	t.Helper()
	if err := e.Create(ctx, name, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
}

// spoiled damages the header of a segment, and with both its end as well.
func spoiled(b []byte, both bool) []byte {
	b = bytes.Clone(b)
	b[20] ^= 1
	if both {
		b[len(b)-10] ^= 1
	}
	return b
}

// TestForeignEpoch: a file that bears the name of a segment of a later epoch and proves nothing stops no start. It is named, and stays as it is.
func TestForeignEpoch(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	manyBatches(t, opt, 3)
	own := readAll(t, opt.Engine, segment.Name(1, 0))
	other := testOptions(testEngine(t, vfs.NewMem()))
	keys := *opt.Keys
	keys.StoreID[0] ^= 1
	other.Keys = &keys
	manyBatches(t, other, 3)
	for name, junk := range map[string][]byte{"garbage": []byte("garbage"), "nothing": nil, "zeros": make([]byte, 4096), "of another store": readAll(t, other.Engine, segment.Name(1, 0)), "renamed": own, "a copy with a damaged end": own[:len(own)-1]} {
		one := opt
		one.Engine = testEngine(t, vfs.NewMem())
		copyInto(t, opt.Engine, one.Engine)
		for _, as := range []string{segment.Name(2, 0), segment.Name(99, 0), segment.Name(99, 5), segment.Name(0, 0)} {
			create(t, one.Engine, as, junk)
		}
		want := []string{segment.Name(0, 0), segment.Name(2, 0), segment.Name(99, 0), segment.Name(99, 5)}
		if epoch, err := NewestEpoch(ctx, one.Engine, one.Keys); err != nil || epoch != 1 {
			t.Errorf("%s: the newest epoch is %d, %v", name, epoch, err)
		}
		l, err := Open(ctx, one)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		mustPut(t, l, "more")
		if err := checkAll(l); err != nil || !slices.Equal(l.Foreign(), want) {
			t.Errorf("%s: foreign are %v, %v", name, l.Foreign(), err)
		}
		mustClose(t, l)
		if !bytes.Equal(readAll(t, one.Engine, segment.Name(99, 5)), junk) {
			t.Errorf("%s: it was altered", name)
		}
	}
}

// TestLaterEpochIsNoticed: a later epoch counts as long as anything proves it: the header of its one segment, its footer if the header is damaged, another segment, or the keyring if the file is damaged at both ends.
func TestLaterEpochIsNoticed(t *testing.T) {
	opt := testOptions(testEngine(t, vfs.NewMem()))
	opt.SegmentBytes = 3 << 10
	manyBatches(t, opt, 3)
	later := mustBegin(t, opt, 0)
	l, err := Open(ctx, later)
	if err != nil {
		t.Fatal(err)
	}
	begin := l.Size() - 1
	mustPut(t, l, "a")
	mustClose(t, l)
	var files []string
	for _, name := range names(t, later.Engine) {
		if epoch, _, ok := segment.ParseName(name); ok && epoch == 2 {
			files = append(files, name)
		}
	}
	if len(files) < 2 {
		t.Fatalf("epoch 2 has %v", files)
	}
	with := func(change map[string][]byte) Options {
		one := opt
		one.Engine = testEngine(t, vfs.NewMem())
		for _, name := range names(t, later.Engine) {
			b, changed := change[name]
			if !changed {
				b = readAll(t, later.Engine, name)
			}
			if b != nil {
				create(t, one.Engine, name, b)
			}
		}
		return one
	}
	first := readAll(t, later.Engine, files[0])
	gone := map[string][]byte{}
	for _, name := range files[1:] {
		gone[name] = nil
	}
	only := func(b []byte) map[string][]byte {
		m := map[string][]byte{files[0]: b}
		for name := range gone {
			m[name] = nil
		}
		return m
	}
	for name, change := range map[string]map[string][]byte{
		"whole": nil, "one segment": gone, "with a damaged header": only(spoiled(first, false)), "without an end": only(first[:len(first)-1]), "the first one gone to pieces": {files[0]: spoiled(first, true)},
	} {
		one := with(change)
		if _, err := Open(ctx, one); !errors.Is(err, errEpoch) {
			t.Errorf("%s: opened in epoch 1: %v", name, err)
		}
		if epoch, err := NewestEpoch(ctx, one.Engine, nil); err != nil || epoch != 2 {
			t.Errorf("%s: the newest epoch is %d, %v", name, epoch, err)
		}
	}
	one := with(only(spoiled(first, true)))
	if epoch, err := NewestEpoch(ctx, one.Engine, later.Keys); err != nil || epoch != 2 {
		t.Errorf("the keyring knows of it: the newest epoch is %d, %v", epoch, err)
	}
	one.Keys = later.Keys
	if _, err := Open(ctx, one); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("opened without its %d entries: %v", begin, err)
	}
}
