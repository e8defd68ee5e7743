package stele

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
)

// tampered is a small closed store whose files are altered, and what it shows unaltered.
type tampered struct {
	files  map[string][]byte
	w      *witnessed
	states []*reference
	salts  [][16]byte // of the entries, each of which it tells from all others
}

// The outcomes of an alteration, in the order in which they are preferred.
const (
	refused  = "Open refuses"
	found    = "Verify finds it"
	harmless = "harmless"
)

func (w *witnessed) tamperOptions(fs vfs.FS) Options {
	opt := w.options(fs)
	opt.SegmentBytes, opt.PackBytes = 2<<10, 8<<10
	return opt
}

// newTampered makes a store with several sealed segments and packs, closes it and takes its files. crashed leaves it as a crash does.
func newTampered(t testing.TB, crashed bool, more ...change) *tampered {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := restore(fs, newTemplate(t)); err != nil {
		t.Fatal(err)
	}
	w := newWitness()
	s, err := Open(ctx, crashFolder, w.tamperOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.all(s,
		change{do: "createBucket", bucket: "plain"},
		change{do: "createBucket", bucket: "kept", on: true},
		change{do: "put", bucket: "plain", key: "one", content: b("one", 300), meta: map[string]string{"a": "b"}},
		change{do: "put", bucket: "plain", key: "one", content: b("two", 40)},
		change{do: "put", bucket: "kept", key: "text", content: b("zero", 9000)}, // compressed
		change{do: "put", bucket: "kept", key: "text", content: b("three", 5000)},
		change{do: "hold", bucket: "kept", key: "text", on: true},
		change{do: "put", bucket: "plain", key: "large", content: b("four", 17<<10)}, // a manifest
		change{do: "hide", bucket: "kept", key: "text"},
		change{do: "put", bucket: "plain", key: "last", content: b("five", 100)},
	); err != nil {
		t.Fatal(err)
	}
	if err := w.all(s, more...); err != nil {
		t.Fatal(err)
	}
	x := &tampered{w: w}
	if x.states, err = w.replay(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Log(ctx, LogQuery{To: uint64(len(x.states) - 1)}, func(e *entry.Entry) error { x.salts = append(x.salts, e.Salt); return nil }); err != nil {
		t.Fatal(err)
	}
	if crashed {
		// One moment of a store that goes on: segments and packs are made ahead and given their names meanwhile.
		moment := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		x.files = filesOf(t, moment, crashFolder)
		t.Cleanup(func() { s.Close() })
		return x
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	x.files = filesOf(t, fs, crashFolder)
	return x
}

// open writes the files, altered, and opens the store.
func (x *tampered) open(t testing.TB, files map[string][]byte) (*Store, vfs.FS, error) {
	t.Helper()
	fs := vfs.NewMem()
	if err := restore(fs, files); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, crashFolder, x.w.copy().tamperOptions(fs))
	return s, fs, err
}

// judge opens the altered files and says how it came out. It fails the test if anything reads otherwise than it was written.
func (x *tampered) judge(t testing.TB, what string, files map[string][]byte) (outcome string, why error) {
	t.Helper()
	s, fs, err := x.open(t, files)
	if err != nil {
		if !isClear(err) {
			t.Errorf("%s: Open says what nobody can act on: %v", what, err)
		}
		return refused, err
	}
	clean, err := x.honest(s)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	r, err := s.Verify(ctx, VerifyOptions{By: Local(), Deep: true})
	closed := s.Close()
	switch {
	case err != nil && isClear(err):
		return found, err
	case err != nil:
		t.Errorf("%s: Verify says what nobody can act on: %v", what, err)
		return found, err
	case !r.OK():
		return found, fmt.Errorf("%+v", r.Problems)
	case clean && closed == nil:
		return harmless, nil
	}
	// A damaged index: reads that need it fail, and it is made anew at the next start.
	if s, err = Open(ctx, crashFolder, x.w.copy().tamperOptions(fs)); err != nil {
		t.Errorf("%s: %v, and the next Open says %v", what, closed, err)
		return refused, err
	}
	if clean, err = x.honest(s); err != nil || !clean {
		t.Errorf("%s: the store verifies, and after a restart it shows something else: %v", what, err)
	}
	_ = s.Close()
	return harmless, nil
}

// isClear says whether an error names its kind.
func isClear(err error) bool {
	for _, is := range []error{ErrCorrupt, ErrWrongKey, ErrVersion, ErrBehind, ErrNotStore} {
		if errors.Is(err, is) {
			return true
		}
	}
	return strings.Contains(err.Error(), "remove it") || strings.Contains(err.Error(), "Copy") || strings.Contains(err.Error(), "copy")
}

// honest reads all that the store shows, now and then. clean: all as it was written. An error: something is shown that was not written.
func (x *tampered) honest(s *Store) (clean bool, err error) {
	clean = true
	size := uint64(len(x.states) - 1)
	if s.Size() < size {
		return false, fmt.Errorf("the store has %d entries, it had %d", s.Size(), size)
	}
	for _, at := range []uint64{0, 5, size} {
		m, now := x.states[size], at == 0
		if !now {
			m = x.states[at]
		}
		got, err := show(s, View{at})
		if err != nil {
			clean = false
		} else if got != m.render(now) {
			return false, fmt.Errorf("at size %d the store shows what was never written:\n%s", at, diff(got, m.render(now)))
		}
	}
	return clean, x.honestBytes(s)
}

// honestBytes reads each version by itself, since show gives up at the first error, and holds every byte that comes before an error against what was written.
func (x *tampered) honestBytes(s *Store) error {
	for name, bucket := range x.states[len(x.states)-1].live {
		for key, list := range bucket.shown {
			for i := range list {
				if list[i].marker {
					continue
				}
				v, err := s.Head(ctx, Place{Bucket: name, Key: key, VersionID: list[i].id()})
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
				want := list[i].parts[0].bytes()
				if err == nil && got.Len() != len(want) || !bytes.HasPrefix(want, got.Bytes()) {
					return fmt.Errorf("%s/%s reads as %d bytes that were never written", name, key, got.Len())
				}
			}
		}
	}
	return nil
}

// kinds are the files of a data folder, and which outcomes an altered byte may have. THREATS.md says the same in words.
var kinds = []struct {
	prefix string
	may    []string
	stride int // of flips, where not all are tried
}{
	{"segments/", []string{refused, found}, 11},
	{"packs/", []string{refused, found}, 29},
	{"keyring/", []string{refused}, 3},
	{"meta/store.format", []string{refused}, 1},
	{"identity", []string{refused, harmless}, 2},  // harmless: white space around it
	{"root.key", []string{refused, harmless}, 3},  // another secret: whoever signs with the old one is refused
	{"published", []string{refused, harmless}, 5}, // proves nothing when altered, and is written anew
	{"index/", []string{harmless}, 61},            // made anew
}

// TestFlippedBytes alters every byte of every file: it is noticed, or it changes nothing.
func TestFlippedBytes(t *testing.T) {
	x := newTampered(t, false)
	if o, err := x.judge(t, "unaltered", x.files); o != harmless {
		t.Fatalf("unaltered: %s: %v", o, err)
	}
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(x.files)) {
		name := strings.TrimPrefix(path, crashFolder+"/")
		i := slices.IndexFunc(kinds, func(k struct {
			prefix string
			may    []string
			stride int
		}) bool {
			return strings.HasPrefix(name, k.prefix)
		})
		if strings.HasSuffix(path, "/") || len(x.files[path]) == 0 {
			continue
		}
		if i < 0 {
			t.Errorf("%s is of no kind that this test knows", name)
			continue
		}
		seen[kinds[i].prefix] = true
		t.Run(name, func(t *testing.T) { x.flip(t, path, kinds[i].may, kinds[i].stride) })
	}
	if len(seen) != len(kinds) {
		t.Errorf("only %v were there", seen)
	}
}

func (x *tampered) flip(t *testing.T, path string, may []string, stride int) {
	bits := []byte{0x01, 0x20, 0xff}
	outcomes := map[string]int{}
	switch {
	case full:
		stride = 1
	case testing.Short():
		stride *= 7
	}
	for at := 0; at < len(x.files[path]) && !t.Failed(); at += stride {
		for n, bit := range bits {
			if few := full && len(x.files[path]) < 4<<10; !few && n != at/stride%len(bits) {
				continue
			}
			files := maps.Clone(x.files)
			files[path] = bytes.Clone(x.files[path])
			files[path][at] ^= bit
			what := fmt.Sprintf("byte %d of %d ^ %02x", at, len(files[path]), bit)
			o, why := x.judge(t, what, files)
			if outcomes[o]++; !slices.Contains(may, o) {
				t.Errorf("%s: %s (%v)", what, o, why)
			}
		}
	}
	t.Log(outcomes)
}

// TestCutFiles cuts segments and packs at every length.
func TestCutFiles(t *testing.T) {
	x := newTampered(t, false)
	for _, path := range slices.Sorted(maps.Keys(x.files)) {
		isPack := strings.Contains(path, "/packs/")
		if strings.HasSuffix(path, "/") || !isPack && !strings.Contains(path, "/segments/") {
			continue
		}
		stride := 17
		if isPack {
			stride = 61
		}
		if full {
			stride = 1
		}
		for n := 0; n < len(x.files[path]); n += stride {
			files := maps.Clone(x.files)
			files[path] = x.files[path][:n]
			if o, err := x.judge(t, fmt.Sprintf("%s cut to %d bytes", path, n), files); o == harmless {
				t.Fatalf("%s cut to %d bytes: %s (%v)", path, n, o, err)
			}
		}
	}
}

// TestTornTails cuts the growing files that a crash leaves, at every length: what opens is the store as it was at some size, and never one that anybody has seen more of.
func TestTornTails(t *testing.T) {
	x := newTampered(t, true)
	opened := 0
	for path, b := range x.files {
		if !strings.Contains(path, "/open/segments_") {
			continue
		}
		stride := 13
		if full {
			stride = 1
		}
		for n := 0; n < len(b); n += stride {
			files := maps.Clone(x.files)
			files[path] = b[:n]
			for _, forgotten := range []bool{false, true} { // whether index and published checkpoint are lost as well
				if forgotten {
					maps.DeleteFunc(files, func(p string, _ []byte) bool {
						return strings.HasPrefix(p, crashFolder+"/index/") || p == crashFolder+"/published"
					})
				}
				s, _, err := x.open(t, files)
				if err != nil {
					if !errors.Is(err, ErrBehind) && !errors.Is(err, ErrCorrupt) {
						t.Fatalf("%s cut to %d: %v", path, n, err)
					}
					continue
				}
				opened++
				at, err := x.prefix(s)
				if err != nil {
					t.Fatalf("%s cut to %d bytes: %v", path, n, err)
				}
				if err := sameText(fmt.Sprintf("%s cut to %d bytes, at size %d,", path, n, at), s, View{at}, x.states[at].render(false)); err != nil {
					t.Fatal(err)
				}
				if r, err := s.Verify(ctx, VerifyOptions{Deep: true, By: Local()}); err != nil || !r.OK() {
					t.Fatalf("%s cut to %d bytes: %+v %v", path, n, r.Problems, err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if opened == 0 {
		t.Fatal("nothing was ever opened")
	}
}

// prefix returns how many entries a store has kept. What follows them must be the store's own.
func (x *tampered) prefix(s *Store) (n uint64, err error) {
	err = s.Log(ctx, LogQuery{}, func(e *entry.Entry) error {
		if e.Index == n && n < uint64(len(x.salts)) && e.Salt == x.salts[n] {
			n++
			return nil
		}
		if !housekeeping[e.Type] {
			return fmt.Errorf("entry %d, %s of %q, was never written", e.Index, e.Type, e.Private.Request)
		}
		return nil
	})
	return n, err
}

// TestTornPackTails cuts the packs that a crash leaves growing: what was acknowledged and is gone is found, and reads as an error.
func TestTornPackTails(t *testing.T) {
	x := newTampered(t, true)
	outcomes := map[string]int{}
	for path, b := range x.files {
		_, name, growing := strings.Cut(path, "/open/packs_")
		if !growing {
			continue
		}
		if _, sealed := x.files[crashFolder+"/packs/"+name[:strings.LastIndexByte(name, '.')]]; sealed {
			continue // the moment is between the link and the unlink: the private name means nothing more
		}
		stride := 97
		if full {
			stride = 1
		}
		for n := 0; n < len(b); n += stride {
			files := maps.Clone(x.files)
			files[path] = b[:n]
			o, err := x.judge(t, fmt.Sprintf("%s cut to %d bytes", path, n), files)
			if outcomes[o]++; o == harmless && len(b) > 0 {
				t.Fatalf("%s cut to %d of %d bytes: %s (%v)", path, n, len(b), o, err)
			}
		}
	}
	if t.Log(outcomes); outcomes[found] == 0 {
		t.Fatal("nothing was ever found")
	}
}

// TestRemovedFiles removes one file at a time.
func TestRemovedFiles(t *testing.T) {
	x := newTampered(t, false)
	for _, path := range slices.Sorted(maps.Keys(x.files)) {
		if strings.HasSuffix(path, "/") {
			continue
		}
		files := maps.Clone(x.files)
		delete(files, path)
		o, err := x.judge(t, path+" removed", files)
		name := strings.TrimPrefix(path, crashFolder+"/")
		want := map[string]string{"segments": refused, "packs": found, "keyring": refused, "meta": refused, "identity": refused, "index": harmless, "published": harmless,
			"root.key": harmless}[strings.SplitN(name, "/", 2)[0]]
		if o != want {
			t.Errorf("%s removed: %s (%v), want: %s", name, o, err, want)
		}
	}
}

// TestNewerStore: the format of a newer program is not taken for damage.
func TestNewerStore(t *testing.T) {
	x := newTampered(t, false)
	for text, want := range map[string]error{"stele store, format 1\n": ErrVersion, "stele store, format 12\n": ErrVersion, "stele store, format 00\n": ErrCorrupt,
		"stele store, format 1": ErrCorrupt, "": ErrCorrupt, "another program's\n": ErrCorrupt} {
		files := maps.Clone(x.files)
		files[crashFolder+"/"+core.FileFormat] = []byte(text)
		_, _, err := x.open(t, files)
		if !errors.Is(err, want) || errors.Is(err, ErrVersion) && errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestSwappedFiles puts files where others were, of this store and of another one.
func TestSwappedFiles(t *testing.T) {
	x, other := newTampered(t, false, change{do: "tags", bucket: "plain", key: "last", tags: map[string]string{"a": "b"}}), newTampered(t, false, change{do: "put", bucket: "plain", key: "else"})
	names := slices.Sorted(maps.Keys(x.files))
	swap := func(t *testing.T, what string, change func(files map[string][]byte), may ...string) {
		files := maps.Clone(x.files)
		change(files)
		if o, err := x.judge(t, what, files); !slices.Contains(may, o) {
			t.Errorf("%s: %s (%v), want: %v", what, o, err, may)
		}
	}
	for _, prefix := range []string{engine.Segments, engine.Packs} {
		var list []string
		for _, n := range names {
			if strings.HasPrefix(n, crashFolder+"/"+prefix) && !strings.HasSuffix(n, "/") {
				list = append(list, n)
			}
		}
		if len(list) < 2 {
			t.Fatalf("%d files in %s, the test needs two", len(list), prefix)
		}
		for i := range list[1:] {
			swap(t, list[i]+" swapped with the next", func(f map[string][]byte) { f[list[i]], f[list[i+1]] = f[list[i+1]], f[list[i]] }, refused, found)
			swap(t, list[i]+" in place of the next", func(f map[string][]byte) { f[list[i+1]] = f[list[i]] }, refused, found)
		}
		for path, b := range other.files {
			if strings.HasPrefix(path, crashFolder+"/"+prefix) && !strings.HasSuffix(path, "/") {
				swap(t, "another store's "+path, func(f map[string][]byte) { f[path] = b }, refused, found)
				swap(t, "another store's content in "+list[0], func(f map[string][]byte) { f[list[0]] = b }, refused, found)
			}
		}
	}
	for file, may := range map[string][]string{"keyring/000001": {refused}, "identity": {refused}, "published": {harmless}, "root.key": {harmless}, "meta/store.format": {harmless}} {
		path := crashFolder + "/" + file
		swap(t, "another store's "+file, func(f map[string][]byte) { f[path] = other.files[path] }, may...)
	}
	for n, o := range []*tampered{other, newTampered(t, false)} {
		// How many pack.seal entries the background wrote decides which store has more. An index that has seen more than there is means that the ledger lost something.
		want := harmless
		if o.size(t) > x.size(t) {
			want = refused
		}
		swap(t, fmt.Sprintf("another store's index %d", n), func(f map[string][]byte) { replaceFolder(f, o.files, "index/") }, want)
	}
}

// size is how many entries the files hold.
func (x *tampered) size(t testing.TB) uint64 {
	s, _, err := x.open(t, x.files)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.core.Ledger().Size()
}

func replaceFolder(files, with map[string][]byte, folder string) {
	in := func(p string, _ []byte) bool { return strings.HasPrefix(p, crashFolder+"/"+folder) }
	maps.DeleteFunc(files, in)
	for p, b := range with {
		if in(p, b) {
			files[p] = b
		}
	}
}

// TestRolledBack puts an older copy of the segments, or of all that the ledger is in, under what has seen more of it.
func TestRolledBack(t *testing.T) {
	x := newTampered(t, false)
	fs := vfs.NewMem()
	if err := restore(fs, x.files); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, crashFolder, x.w.tamperOptions(fs))
	if err == nil {
		err = x.w.all(s, change{do: "put", bucket: "plain", key: "since", content: b("since", 500)})
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	newer := filesOf(t, fs, crashFolder)
	for _, c := range []struct {
		what string
		keep []string // of the newer state
		want error
	}{
		{"older segments under a newer index and checkpoint", []string{"index/", "published", "packs/"}, ErrBehind},
		{"older segments and index under a newer checkpoint", []string{"published", "packs/"}, ErrBehind},
		{"older segments and checkpoint under a newer index", []string{"index/", "packs/"}, ErrBehind},
		{"everything older, checkpoint lost", nil, nil}, // nobody here remembers: a target or a witness must
	} {
		files := maps.Clone(x.files)
		for _, k := range c.keep {
			if strings.HasSuffix(k, "/") {
				replaceFolder(files, newer, k)
			} else {
				files[crashFolder+"/"+k] = newer[crashFolder+"/"+k]
			}
		}
		s, _, err := x.open(t, files)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
