package storetest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/engine/dir"
)

// Flipped are the files with bytes of one of them changed, wherever it is read.
func (x *Tampered) Flipped(path string) map[string][]byte {
	files := maps.Clone(x.Files)
	b := bytes.Clone(x.Files[path])
	for at := 100; at < len(b)-100; at += 40 {
		b[at] ^= 0x41
	}
	files[path] = b
	return files
}

// CopyOf is a copy of the store that holds these files.
func CopyOf(t testing.TB, name string, files map[string][]byte) stele.Copy {
	t.Helper()
	fs := vfs.NewMem()
	if err := WriteFiles(fs, files); err != nil {
		t.Fatal(err)
	}
	d, err := dir.Open(fs, Folder, dir.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return stele.Copy{Name: name, Engine: d}
}

// OpenWith opens the files, altered, with copies at hand.
func (x *Tampered) OpenWith(t testing.TB, files map[string][]byte, copies ...stele.Copy) (*stele.Store, vfs.FS, error) {
	t.Helper()
	fs := vfs.NewMem()
	if err := WriteFiles(fs, files); err != nil {
		t.Fatal(err)
	}
	opt := x.Client.Clone().SmallOptions(fs)
	opt.Copies = func() []stele.Copy { return copies }
	s, err := stele.Open(ctx, Folder, opt)
	return s, fs, err
}

// InFolder are the paths of the files in one of the engine's folders.
func (x *Tampered) InFolder(folder string) (paths []string) {
	for path := range x.Files {
		if strings.HasPrefix(path, Folder+"/"+folder) && !strings.HasSuffix(path, "/") {
			paths = append(paths, path)
		}
	}
	return paths
}

// Tampered is a small closed store whose files are altered, and what it shows unaltered.
type Tampered struct {
	Files  map[string][]byte
	Client *Client
	States []*Reference
	Salts  [][16]byte // of the entries, each of which it tells from all others
}

// SmallOptions are those of a store with smaller files than Options gives it.
func (w *Client) SmallOptions(fs vfs.FS) stele.Options {
	opt := w.Options(fs)
	opt.SegmentBytes, opt.PackBytes = 2<<10, 8<<10
	return opt
}

// NewTampered makes a store with several sealed segments and packs, closes it and takes its files. crashed leaves it as a crash does.
func NewTampered(t testing.TB, crashed bool, more ...Change) *Tampered {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := WriteFiles(fs, Template(t)); err != nil {
		t.Fatal(err)
	}
	w := NewClient()
	s, err := stele.Open(ctx, Folder, w.SmallOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.All(s,
		Change{Do: "createBucket", Bucket: "plain"},
		Change{Do: "createBucket", Bucket: "kept", On: true},
		Change{Do: "put", Bucket: "plain", Key: "one", Content: Data("one", 300), Meta: map[string]string{"a": "b"}},
		Change{Do: "put", Bucket: "plain", Key: "one", Content: Data("two", 40)},
		Change{Do: "put", Bucket: "kept", Key: "text", Content: Data("zero", 9000)}, // compressed
		Change{Do: "put", Bucket: "kept", Key: "text", Content: Data("three", 5000)},
		Change{Do: "hold", Bucket: "kept", Key: "text", On: true},
		Change{Do: "put", Bucket: "plain", Key: "large", Content: Data("four", 17<<10)}, // a manifest
		Change{Do: "hide", Bucket: "kept", Key: "text"},
		Change{Do: "put", Bucket: "plain", Key: "last", Content: Data("five", 100)},
	); err != nil {
		t.Fatal(err)
	}
	if err := w.All(s, more...); err != nil {
		t.Fatal(err)
	}
	x := &Tampered{Client: w}
	if x.States, err = w.replay(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Ledger().Log(ctx, stele.LogQuery{To: uint64(len(x.States) - 1)}, func(e *entry.Entry) error { x.Salts = append(x.Salts, e.Salt); return nil }); err != nil {
		t.Fatal(err)
	}
	if crashed {
		// One moment of a store that goes on: segments and packs are made ahead and given their names meanwhile.
		moment := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		x.Files = ReadFiles(t, moment, Folder)
		t.Cleanup(func() { s.Close() })
		return x
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	x.Files = ReadFiles(t, fs, Folder)
	return x
}

// Open writes the files, altered, and opens the store.
func (x *Tampered) Open(t testing.TB, files map[string][]byte) (*stele.Store, vfs.FS, error) {
	t.Helper()
	fs := vfs.NewMem()
	if err := WriteFiles(fs, files); err != nil {
		t.Fatal(err)
	}
	s, err := stele.Open(ctx, Folder, x.Client.Clone().SmallOptions(fs))
	return s, fs, err
}

// Honest reads all that the store shows, now and then. clean: all as it was written. An error: something is shown that was not written.
func (x *Tampered) Honest(s *stele.Store) (clean bool, err error) {
	clean = true
	size := uint64(len(x.States) - 1)
	if s.Ledger().Size() < size {
		return false, fmt.Errorf("the store has %d entries, it had %d", s.Ledger().Size(), size)
	}
	for _, at := range []uint64{0, 5, size} {
		m, now := x.States[size], at == 0
		if !now {
			m = x.States[at]
		}
		got, err := Show(s, stele.View{Size: at})
		if err != nil {
			clean = false
		} else if got != m.Render(now) {
			return false, fmt.Errorf("at size %d the store shows what was never written:\n%s", at, Diff(got, m.Render(now)))
		}
	}
	return clean, x.honestBytes(s)
}

// honestBytes reads each version by itself, since Show gives up at the first error, and holds every byte that comes before an error against what was written.
func (x *Tampered) honestBytes(s *stele.Store) error {
	for name, bucket := range x.States[len(x.States)-1].Live {
		for key, list := range bucket.shown {
			for i := range list {
				if list[i].marker {
					continue
				}
				v, err := s.Head(ctx, stele.Place{Bucket: name, Key: key, VersionID: list[i].ID()})
				if err != nil {
					continue
				}
				r, err := s.OpenBody(ctx, v, 0, -1)
				if err != nil {
					continue
				}
				var got bytes.Buffer
				_, err = io.Copy(&got, r)
				_ = r.Close()
				want := list[i].parts[0].Bytes()
				if err == nil && got.Len() != len(want) || !bytes.HasPrefix(want, got.Bytes()) {
					return fmt.Errorf("%s/%s reads as %d bytes that were never written", name, key, got.Len())
				}
			}
		}
	}
	return nil
}
