package stele_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine"
	"stele/internal/storetest"
)

// The outcomes of an alteration, in the order in which they are preferred.
const (
	refused  = "Open refuses"
	found    = "Verify finds it"
	harmless = "harmless"
)

// judge opens the altered files and says how it came out. It fails the test if anything reads otherwise than it was written.
func judge(t testing.TB, x *storetest.Tampered, what string, files map[string][]byte) (outcome string, why error) {
	t.Helper()
	s, fs, err := x.Open(t, files)
	if err != nil {
		if !isClear(err) {
			t.Errorf("%s: Open says what nobody can act on: %v", what, err)
		}
		return refused, err
	}
	clean, err := x.Honest(s)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	r, err := s.Verify(ctx, stele.VerifyOptions{By: stele.Local(), Deep: true})
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
	if s, err = stele.Open(ctx, storetest.Folder, x.Client.Clone().SmallOptions(fs)); err != nil {
		t.Errorf("%s: %v, and the next Open says %v", what, closed, err)
		return refused, err
	}
	if clean, err = x.Honest(s); err != nil || !clean {
		t.Errorf("%s: the store verifies, and after a restart it shows something else: %v", what, err)
	}
	_ = s.Close()
	return harmless, nil
}

// isClear says whether an error names its kind.
func isClear(err error) bool {
	for _, is := range []error{stele.ErrCorrupt, stele.ErrWrongKey, stele.ErrVersion, stele.ErrBehind, stele.ErrNotStore} {
		if errors.Is(err, is) {
			return true
		}
	}
	return strings.Contains(err.Error(), "remove it") || strings.Contains(err.Error(), "Copy") || strings.Contains(err.Error(), "copy")
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
	x := storetest.NewTampered(t, false)
	if o, err := judge(t, x, "unaltered", x.Files); o != harmless {
		t.Fatalf("unaltered: %s: %v", o, err)
	}
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(x.Files)) {
		name := strings.TrimPrefix(path, storetest.Folder+"/")
		i := slices.IndexFunc(kinds, func(k struct {
			prefix string
			may    []string
			stride int
		}) bool {
			return strings.HasPrefix(name, k.prefix)
		})
		if strings.HasSuffix(path, "/") || len(x.Files[path]) == 0 {
			continue
		}
		if i < 0 {
			t.Errorf("%s is of no kind that this test knows", name)
			continue
		}
		seen[kinds[i].prefix] = true
		t.Run(name, func(t *testing.T) { flip(t, x, path, kinds[i].may, kinds[i].stride) })
	}
	if len(seen) != len(kinds) {
		t.Errorf("only %v were there", seen)
	}
}

func flip(t *testing.T, x *storetest.Tampered, path string, may []string, stride int) {
	bits := []byte{0x01, 0x20, 0xff}
	outcomes := map[string]int{}
	switch {
	case storetest.Full:
		stride = 1
	case testing.Short():
		stride *= 7
	}
	for at := 0; at < len(x.Files[path]) && !t.Failed(); at += stride {
		for n, bit := range bits {
			if few := storetest.Full && len(x.Files[path]) < 4<<10; !few && n != at/stride%len(bits) {
				continue
			}
			files := maps.Clone(x.Files)
			files[path] = bytes.Clone(x.Files[path])
			files[path][at] ^= bit
			what := fmt.Sprintf("byte %d of %d ^ %02x", at, len(files[path]), bit)
			o, why := judge(t, x, what, files)
			if outcomes[o]++; !slices.Contains(may, o) {
				t.Errorf("%s: %s (%v)", what, o, why)
			}
		}
	}
	t.Log(outcomes)
}

// TestCutFiles cuts segments and packs at every length.
func TestCutFiles(t *testing.T) {
	x := storetest.NewTampered(t, false)
	for _, path := range slices.Sorted(maps.Keys(x.Files)) {
		isPack := strings.Contains(path, "/packs/")
		if strings.HasSuffix(path, "/") || !isPack && !strings.Contains(path, "/segments/") {
			continue
		}
		stride := 17
		if isPack {
			stride = 61
		}
		if storetest.Full {
			stride = 1
		}
		for n := 0; n < len(x.Files[path]); n += stride {
			files := maps.Clone(x.Files)
			files[path] = x.Files[path][:n]
			if o, err := judge(t, x, fmt.Sprintf("%s cut to %d bytes", path, n), files); o == harmless {
				t.Fatalf("%s cut to %d bytes: %s (%v)", path, n, o, err)
			}
		}
	}
}

// TestTornTails cuts the growing files that a crash leaves, at every length: what opens is the store as it was at some size, and never one that anybody has seen more of.
func TestTornTails(t *testing.T) {
	x := storetest.NewTampered(t, true)
	opened := 0
	for path, b := range x.Files {
		if !strings.Contains(path, "/open/segments_") {
			continue
		}
		stride := 13
		if storetest.Full {
			stride = 1
		}
		for n := 0; n < len(b); n += stride {
			files := maps.Clone(x.Files)
			files[path] = b[:n]
			for _, forgotten := range []bool{false, true} { // whether index and published checkpoint are lost as well
				if forgotten {
					maps.DeleteFunc(files, func(p string, _ []byte) bool {
						return strings.HasPrefix(p, storetest.Folder+"/index/") || p == storetest.Folder+"/published"
					})
				}
				s, _, err := x.Open(t, files)
				if err != nil {
					if !errors.Is(err, stele.ErrBehind) && !errors.Is(err, stele.ErrCorrupt) {
						t.Fatalf("%s cut to %d: %v", path, n, err)
					}
					continue
				}
				opened++
				at, err := prefix(x, s)
				if err != nil {
					t.Fatalf("%s cut to %d bytes: %v", path, n, err)
				}
				if err := storetest.SameText(fmt.Sprintf("%s cut to %d bytes, at size %d,", path, n, at), s, stele.View{Size: at}, x.States[at].Render(false)); err != nil {
					t.Fatal(err)
				}
				if r, err := s.Verify(ctx, stele.VerifyOptions{Deep: true, By: stele.Local()}); err != nil || !r.OK() {
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
func prefix(x *storetest.Tampered, s *stele.Store) (n uint64, err error) {
	err = s.Ledger().Log(ctx, stele.LogQuery{}, func(e *entry.Entry) error {
		if e.Index == n && n < uint64(len(x.Salts)) && e.Salt == x.Salts[n] {
			n++
			return nil
		}
		if !storetest.Housekeeping[e.Type] {
			return fmt.Errorf("entry %d, %s of %q, was never written", e.Index, e.Type, e.Private.Request)
		}
		return nil
	})
	return n, err
}

// TestTornPackTails cuts the packs that a crash leaves growing: what was acknowledged and is gone is found, and reads as an error.
func TestTornPackTails(t *testing.T) {
	x := storetest.NewTampered(t, true)
	outcomes := map[string]int{}
	for path, b := range x.Files {
		_, name, growing := strings.Cut(path, "/open/packs_")
		if !growing {
			continue
		}
		if _, sealed := x.Files[storetest.Folder+"/packs/"+name[:strings.LastIndexByte(name, '.')]]; sealed {
			continue // the moment is between the link and the unlink: the private name means nothing more
		}
		stride := 97
		if storetest.Full {
			stride = 1
		}
		for n := 0; n < len(b); n += stride {
			files := maps.Clone(x.Files)
			files[path] = b[:n]
			o, err := judge(t, x, fmt.Sprintf("%s cut to %d bytes", path, n), files)
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
	x := storetest.NewTampered(t, false)
	for _, path := range slices.Sorted(maps.Keys(x.Files)) {
		if strings.HasSuffix(path, "/") {
			continue
		}
		files := maps.Clone(x.Files)
		delete(files, path)
		o, err := judge(t, x, path+" removed", files)
		name := strings.TrimPrefix(path, storetest.Folder+"/")
		want := map[string]string{"segments": refused, "packs": found, "keyring": refused, "meta": refused, "identity": refused, "index": harmless, "published": harmless,
			"root.key": harmless}[strings.SplitN(name, "/", 2)[0]]
		if o != want {
			t.Errorf("%s removed: %s (%v), want: %s", name, o, err, want)
		}
	}
}

// TestNewerStore: the format of a newer program is not taken for damage.
func TestNewerStore(t *testing.T) {
	x := storetest.NewTampered(t, false)
	for text, want := range map[string]error{"stele store, format 1\n": stele.ErrVersion, "stele store, format 12\n": stele.ErrVersion, "stele store, format 00\n": stele.ErrCorrupt,
		"stele store, format 1": stele.ErrCorrupt, "": stele.ErrCorrupt, "another program's\n": stele.ErrCorrupt} {
		files := maps.Clone(x.Files)
		files[storetest.Folder+"/"+core.FileFormat] = []byte(text)
		_, _, err := x.Open(t, files)
		if !errors.Is(err, want) || errors.Is(err, stele.ErrVersion) && errors.Is(err, stele.ErrCorrupt) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestSwappedFiles puts files where others were, of this store and of another one.
func TestSwappedFiles(t *testing.T) {
	x, other := storetest.NewTampered(t, false, storetest.Change{Do: "tags", Bucket: "plain", Key: "last", Tags: map[string]string{"a": "b"}}), storetest.NewTampered(t, false, storetest.Change{Do: "put", Bucket: "plain", Key: "else"})
	names := slices.Sorted(maps.Keys(x.Files))
	swap := func(t *testing.T, what string, change func(files map[string][]byte), may ...string) {
		files := maps.Clone(x.Files)
		change(files)
		if o, err := judge(t, x, what, files); !slices.Contains(may, o) {
			t.Errorf("%s: %s (%v), want: %v", what, o, err, may)
		}
	}
	for _, prefix := range []string{engine.Segments, engine.Packs} {
		var list []string
		for _, n := range names {
			if strings.HasPrefix(n, storetest.Folder+"/"+prefix) && !strings.HasSuffix(n, "/") {
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
		for path, b := range other.Files {
			if strings.HasPrefix(path, storetest.Folder+"/"+prefix) && !strings.HasSuffix(path, "/") {
				swap(t, "another store's "+path, func(f map[string][]byte) { f[path] = b }, refused, found)
				swap(t, "another store's content in "+list[0], func(f map[string][]byte) { f[list[0]] = b }, refused, found)
			}
		}
	}
	for file, may := range map[string][]string{"keyring/000001": {refused}, "identity": {refused}, "published": {harmless}, "root.key": {harmless}, "meta/store.format": {harmless}} {
		path := storetest.Folder + "/" + file
		swap(t, "another store's "+file, func(f map[string][]byte) { f[path] = other.Files[path] }, may...)
	}
	for n, o := range []*storetest.Tampered{other, storetest.NewTampered(t, false)} {
		// How many pack.seal entries the background wrote decides which store has more. An index that has seen more than there is means that the ledger lost something.
		want := harmless
		if size(t, o) > size(t, x) {
			want = refused
		}
		swap(t, fmt.Sprintf("another store's index %d", n), func(f map[string][]byte) { replaceFolder(f, o.Files, "index/") }, want)
	}
}

// size is how many entries the files hold.
func size(t testing.TB, x *storetest.Tampered) uint64 {
	s, _, err := x.Open(t, x.Files)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Rooms().Core.Ledger().Size()
}

func replaceFolder(files, with map[string][]byte, folder string) {
	in := func(p string, _ []byte) bool { return strings.HasPrefix(p, storetest.Folder+"/"+folder) }
	maps.DeleteFunc(files, in)
	for p, b := range with {
		if in(p, b) {
			files[p] = b
		}
	}
}

// TestRolledBack puts an older copy of the segments, or of all that the ledger is in, under what has seen more of it.
func TestRolledBack(t *testing.T) {
	x := storetest.NewTampered(t, false)
	fs := vfs.NewMem()
	if err := storetest.WriteFiles(fs, x.Files); err != nil {
		t.Fatal(err)
	}
	s, err := stele.Open(ctx, storetest.Folder, x.Client.SmallOptions(fs))
	if err == nil {
		err = x.Client.All(s, storetest.Change{Do: "put", Bucket: "plain", Key: "since", Content: storetest.Data("since", 500)})
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	newer := storetest.ReadFiles(t, fs, storetest.Folder)
	for _, c := range []struct {
		what string
		keep []string // of the newer state
		want error
	}{
		{"older segments under a newer index and checkpoint", []string{"index/", "published", "packs/"}, stele.ErrBehind},
		{"older segments and index under a newer checkpoint", []string{"published", "packs/"}, stele.ErrBehind},
		{"older segments and checkpoint under a newer index", []string{"index/", "packs/"}, stele.ErrBehind},
		{"everything older, checkpoint lost", nil, nil}, // nobody here remembers: a target or a witness must
	} {
		files := maps.Clone(x.Files)
		for _, k := range c.keep {
			if strings.HasSuffix(k, "/") {
				replaceFolder(files, newer, k)
			} else {
				files[storetest.Folder+"/"+k] = newer[storetest.Folder+"/"+k]
			}
		}
		s, _, err := x.Open(t, files)
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
