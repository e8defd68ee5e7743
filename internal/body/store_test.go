package body

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/engine/mem"
	"stele/internal/frame"
)

var ctx = context.Background()

func init() { missesBefore = 2 }

// memPlaces is an index in memory.
type memPlaces struct {
	mu    sync.Mutex
	at    map[entry.ID]Place
	known map[[16]byte]bool
	fail  error
}

func newPlaces() *memPlaces {
	return &memPlaces{at: map[entry.ID]Place{}, known: map[[16]byte]bool{}}
}

func (m *memPlaces) Lookup(id entry.ID) (Place, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.at[id]
	return p, ok, m.fail
}

func (m *memPlaces) Add(placed []Placed) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range placed {
		m.at[p.ID] = p.Place
	}
	return m.fail
}

func (m *memPlaces) KnowPack(name [16]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[name] = true
	return m.fail
}

func (m *memPlaces) KnowsPack(name [16]byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[name], m.fail
}

func (m *memPlaces) ForEach(fn func(entry.ID, Place) error) error {
	m.mu.Lock()
	all := make(map[entry.ID]Place, len(m.at))
	for id, p := range m.at {
		all[id] = p
	}
	m.mu.Unlock()
	for id, p := range all {
		if err := fn(id, p); err != nil {
			return err
		}
	}
	return nil
}

// testKeys are keys that are no secret.
type testKeys struct{ current uint32 }

func (k testKeys) Current() uint32 { return max(k.current, 1) }
func (k testKeys) Sealer(id uint32, f frame.FileID) (*frame.Sealer, error) {
	return frame.NewSealer([32]byte{byte(id), 1}, f)
}
func (k testKeys) DedupKey(id uint32) [32]byte { return [32]byte{byte(id), 2} }

func options(e engine.Appender, p Places) Options {
	return Options{Engine: e, Keys: testKeys{}, Places: p, StoreID: [16]byte{7}, PackBytes: 1 << 20}
}

func open(t testing.TB, opt Options) *Store {
	t.Helper()
	s, err := Open(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(b)
	return b
}

func put(t testing.TB, s *Store, data []byte, hint int64) *Written {
	t.Helper()
	w, err := s.Write(ctx, bytes.NewReader(data), WriteOptions{SizeHint: hint, MD5: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	w.Release()
	return w
}

func get(t testing.TB, s *Store, b entry.Body, off, n int64) []byte {
	t.Helper()
	r, err := s.Read(ctx, b, off, n)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(struct{ io.Reader }{r})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var sizes = []int{0, 1, 100, 4096, 16<<10 - 1, 16 << 10, 16<<10 + 1, 100_000, 256 << 10, 256<<10 + 1, 1_000_000, 5 << 20, 17_000_003}

func TestWhatWasWrittenIsRead(t *testing.T) {
	e, p := mem.New(), newPlaces()
	s := open(t, options(e, p))
	type stored struct {
		data []byte
		body entry.Body
	}
	var all []stored
	for i, n := range sizes {
		for _, known := range []bool{true, false} {
			data := random(n, uint64(i)*2)
			if !known {
				data = bytes.Repeat([]byte("a line that zstd likes, number "), n/31+1)[:n]
			}
			hint := int64(-1)
			if known {
				hint = int64(n)
			}
			w := put(t, s, data, hint)
			if w.Body.Size != int64(n) || w.Body.SHA256 != sha256.Sum256(data) || w.Body.MD5 != md5.Sum(data) {
				t.Fatalf("%d bytes: body %+v", n, w.Body)
			}
			all = append(all, stored{data, w.Body})
		}
	}
	check := func(s *Store) {
		t.Helper()
		for _, o := range all {
			n := int64(len(o.data))
			if !bytes.Equal(get(t, s, o.body, 0, n), o.data) {
				t.Fatalf("%d bytes: read otherwise", n)
			}
			if err := s.Verify(ctx, o.body); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			for range 5 {
				off := rand.Int64N(n + 1)
				m := rand.Int64N(n - off + 1)
				if !bytes.Equal(get(t, s, o.body, off, m), o.data[off:off+m]) {
					t.Fatalf("%d bytes: range %d+%d read otherwise", n, off, m)
				}
			}
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(open(t, options(e, p)))
	again := open(t, options(e, newPlaces())) // without the index
	check(again)
	err := e.List(ctx, engine.Packs, func(i engine.Info) error {
		rep, err := again.VerifyPack(ctx, i.Name)
		if err != nil {
			return err
		}
		info, err := again.PackInfo(ctx, i.Name)
		if err == nil && info != rep.Pack {
			t.Fatalf("VerifyPack says %+v, PackInfo %+v", rep.Pack, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTailsAreRecovered(t *testing.T) {
	e := mem.New()
	s := open(t, options(e, newPlaces()))
	var bodies []entry.Body
	var datas [][]byte
	for i, n := range sizes {
		data := random(n, uint64(i))
		datas = append(datas, data)
		bodies = append(bodies, put(t, s, data, int64(n)).Body)
	}
	e = e.PowerCut()
	var sealed []entry.Pack
	var mu sync.Mutex
	opt := options(e, newPlaces())
	opt.Sealed = func(p entry.Pack) { mu.Lock(); sealed = append(sealed, p); mu.Unlock() }
	s = open(t, opt)
	for i, b := range bodies {
		if !bytes.Equal(get(t, s, b, 0, b.Size), datas[i]) {
			t.Fatalf("%d bytes: read otherwise after recovery", b.Size)
		}
	}
	if tails, _ := e.Tails(ctx); len(tails) != 0 || len(sealed) == 0 {
		t.Fatalf("%d tails left, %d packs sealed", len(tails), len(sealed))
	}
	for _, p := range sealed {
		if rep, err := s.VerifyPack(ctx, p.Name); err != nil || rep.Pack != p {
			t.Fatalf("sealed as %+v, is %+v, %v", p, rep.Pack, err)
		}
	}
}

func TestDuplicatesAreStoredOnce(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	data := random(3<<20, 1)
	first := put(t, s, data, -1)
	second := put(t, s, data, -1)
	if first.StoredBytes < int64(len(data)) || second.StoredBytes != 0 || first.Body != second.Body {
		t.Fatalf("stored %d, then %d", first.StoredBytes, second.StoredBytes)
	}
	zeros := put(t, s, make([]byte, 8<<20), -1)
	if zeros.StoredBytes > 64<<10 {
		t.Fatalf("8 MiB of zeros took %d bytes", zeros.StoredBytes)
	}
}

// TestFilterHoldsWhatIsThere: the filter that is begun late answers for chunks of before, of meanwhile and of after.
func TestFilterHoldsWhatIsThere(t *testing.T) {
	e, places := mem.New(), newPlaces()
	s := open(t, options(e, places))
	const each = 40
	for i := range each {
		put(t, s, random(4096, uint64(i)), 4096)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, options(e, places))
	if s.Stats().FilterReady {
		t.Fatal("a store that was only opened has a filter")
	}
	for i := range each {
		put(t, s, random(4096, uint64(each+i)), 4096)
	}
	s.work.Wait()
	if !s.Stats().FilterReady {
		t.Fatal("no filter after many new chunks")
	}
	for i := range 2 * each {
		if w := put(t, s, random(4096, uint64(i)), 4096); w.StoredBytes != 0 {
			t.Fatalf("body %d is stored again: the filter does not know its chunk", i)
		}
	}
}

func TestAShortOrFailingReaderMakesNoBody(t *testing.T) {
	s := open(t, options(mem.New(), newPlaces()))
	for _, n := range sizes {
		data := random(n, 3)
		boom := errors.New("boom")
		if _, err := s.Write(ctx, io.MultiReader(bytes.NewReader(data), failing{boom}), WriteOptions{SizeHint: -1}); !errors.Is(err, boom) {
			t.Fatalf("%d bytes, then an error: %v", n, err)
		}
		if _, err := s.Write(ctx, bytes.NewReader(data), WriteOptions{SizeHint: int64(n) + 1}); !errors.Is(err, ErrLength) {
			t.Fatalf("%d bytes, one more declared: %v", n, err)
		}
		if n > 0 {
			if _, err := s.Write(ctx, bytes.NewReader(data), WriteOptions{SizeHint: int64(n) - 1}); !errors.Is(err, ErrLength) {
				t.Fatalf("%d bytes, one less declared: %v", n, err)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, st := range s.packs {
		if st.leases != 0 {
			t.Fatalf("pack %x keeps %d leases", name, st.leases)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
