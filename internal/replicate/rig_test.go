package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/engine"
	"stele/internal/engine/dir"
	"stele/internal/frame"
	"stele/internal/fsck"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/pack"
	"stele/tree"
)

var ctx = context.Background()

// fakeClock goes on by a second at each look, so that entry times differ.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

func (c *fakeClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.now.UnixNano())
}

// places is an index in memory.
type places struct {
	mu    sync.Mutex
	at    map[entry.ID]body.Place
	known map[[16]byte]bool
}

func newPlaces() *places {
	return &places{at: map[entry.ID]body.Place{}, known: map[[16]byte]bool{}}
}

func (p *places) Lookup(id entry.ID) (body.Place, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.at[id]
	return at, ok, nil
}

func (p *places) Add(placed []body.Placed) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range placed {
		p.at[c.ID] = c.Place
	}
	return nil
}

func (p *places) KnowPack(name [16]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[name] = true
	return nil
}

func (p *places) KnowsPack(name [16]byte) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[name], nil
}

func (p *places) ForEach(fn func(entry.ID, body.Place) error) error { return nil }

type bodyKeys struct{ ring *keyring.Keyring }

func (k bodyKeys) Current() uint32 { return k.ring.Current().ID }

func (k bodyKeys) Sealer(id uint32, file frame.FileID) (*frame.Sealer, error) {
	return k.ring.Sealer(id, file)
}

func (k bodyKeys) DedupKey(id uint32) [32]byte { return k.ring.DataKeys[0].Dedup }

// primary is a store without its root package: ledger and bodies over a folder.
type primary struct {
	eng   engine.Appender
	keys  *keyring.Keyring
	clock *fakeClock
	led   *ledger.Ledger
	body  *body.Store
	seals *sealed

	segmentBytes, packBytes int64
}

// sealed are packs whose pack.seal entry is not written yet.
type sealed struct {
	mu    sync.Mutex
	queue []entry.Pack
}

func testKeys(t testing.TB) *keyring.Keyring { return testKeysOf(t, [16]byte{0xaa, 0x01}) }

func testKeysOf(t testing.TB, id [16]byte) *keyring.Keyring {
	t.Helper()
	k, err := keyring.New(id)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func openDir(fsys vfs.FS, root string) (*dir.Dir, error) { return dir.Open(fsys, root, dir.Options{}) }

func mustDir(t testing.TB, fsys vfs.FS, root string) *dir.Dir {
	t.Helper()
	d, err := openDir(fsys, root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// openPrimary opens what is in eng, or makes a store there, of small files.
func openPrimary(eng engine.Appender, keys *keyring.Keyring) (*primary, error) {
	return openPrimarySized(eng, keys, 4<<10, 64<<10)
}

func openPrimarySized(eng engine.Appender, keys *keyring.Keyring, segmentBytes, packBytes int64) (_ *primary, err error) {
	return openPrimaryBeside(eng, keys, segmentBytes, packBytes, nil)
}

// openPrimaryBeside opens a store that knows copies of itself.
func openPrimaryBeside(eng engine.Appender, keys *keyring.Keyring, segmentBytes, packBytes int64, copies func() []engine.Copy) (_ *primary, err error) {
	p := &primary{eng: eng, keys: keys, clock: newClock(), seals: new(sealed), segmentBytes: segmentBytes, packBytes: packBytes}
	if err := p.saveKeys(); err != nil {
		return nil, err
	}
	opt := ledger.Options{Engine: eng, Keys: keys, Clock: p.clock, SegmentBytes: p.segmentBytes, PublishEvery: time.Hour, Copies: copies}
	p.led, err = ledger.Open(ctx, opt)
	if errors.Is(err, ledger.ErrNone) {
		init := ledger.Draft{Type: entry.StoreInit, Private: entry.Private{Actor: "local", Data: map[string]string{"store": fmt.Sprintf("%x", keys.StoreID)}}}
		p.led, err = ledger.Create(ctx, opt, init)
	}
	if err != nil {
		return nil, err
	}
	p.body, err = body.Open(ctx, body.Options{Engine: eng, Keys: bodyKeys{keys}, Places: newPlaces(), StoreID: keys.StoreID, Epoch: keys.Epoch,
		PackBytes: p.packBytes, Sealed: p.seals.add, Seal: p.sealOf, Copies: copies})
	if err != nil {
		return nil, errors.Join(err, p.led.Close())
	}
	return p, p.flushSeals()
}

// saveKeys writes a keyring file: its content is of no interest here, but it is copied.
func (p *primary) saveKeys() error {
	const text = "wrapped keyring"
	err := p.eng.Create(ctx, engine.Keyrings+"000001", int64(len(text)), strings.NewReader(text))
	if errors.Is(err, engine.ErrExist) {
		return nil
	}
	return err
}

// sealOf is what the entry of a pack says, or will say.
func (p *primary) sealOf(ctx context.Context, name string) (entry.Pack, bool, error) {
	p.seals.mu.Lock()
	for _, k := range p.seals.queue {
		if k.Name == name {
			p.seals.mu.Unlock()
			return k, true, nil
		}
	}
	p.seals.mu.Unlock()
	return p.sealedEntry(ctx, name)
}

// heal heals a file as the store does.
func (p *primary) heal(ctx context.Context, name string, why error) error {
	if strings.HasPrefix(name, engine.Segments) {
		return p.led.Heal(ctx, name, why)
	}
	if err := p.body.Heal(ctx, name, why); !errors.Is(err, body.ErrSound) {
		return err
	}
	return nil
}

func mustPrimary(t testing.TB, eng engine.Appender, keys *keyring.Keyring) *primary {
	t.Helper()
	p, err := openPrimary(eng, keys)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *sealed) add(p entry.Pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, p)
}

func (p *primary) flushSeals() error {
	p.seals.mu.Lock()
	queue := p.seals.queue
	p.seals.queue = nil
	p.seals.mu.Unlock()
	for _, k := range queue {
		if _, err := p.led.Append(ctx, func(ledger.Slot) (ledger.Draft, error) {
			return ledger.Draft{Type: entry.PackSeal, Private: entry.Private{Actor: "stele", Pack: &k}}, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// put stores an object and returns its entry.
func (p *primary) put(key string, data []byte) (entry.Entry, error) {
	w, err := p.body.Write(ctx, bytes.NewReader(data), body.WriteOptions{SizeHint: int64(len(data))})
	if err != nil {
		return entry.Entry{}, err
	}
	defer w.Release()
	if err := w.Sync(ctx); err != nil {
		return entry.Entry{}, err
	}
	e, err := p.led.Append(ctx, func(ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.ObjectPut, Private: entry.Private{Actor: "root", Bucket: "b", Key: key, Inc: 1, Body: &w.Body}}, nil
	})
	if err == nil {
		err = p.flushSeals()
	}
	return e, err
}

func (p *primary) mustPut(t testing.TB, key string, data []byte) entry.Entry {
	t.Helper()
	e, err := p.put(key, data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (p *primary) close() error {
	err := p.body.Close()
	if p.led.Err() == nil && err == nil {
		err = p.flushSeals()
	}
	return errors.Join(err, p.led.Close())
}

func (p *primary) mustClose(t testing.TB) {
	t.Helper()
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1})
	r.Read(b)
	return b
}

// copied is an engine read whole as a store.
type copied struct {
	size  uint64
	root  tree.Hash
	items map[string]string // key: its bytes
}

// readStore opens an engine as a store, read-only, verifies it deep and reads every object.
func readStore(e engine.Engine, keys *keyring.Keyring) (copied, error) {
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: e, Keys: keys})
	if err != nil {
		return copied{}, err
	}
	defer l.Close()
	b, err := body.Open(ctx, body.Options{Engine: e, Keys: bodyKeys{keys}, Places: newPlaces(), StoreID: keys.StoreID, Epoch: keys.Epoch, ReadOnly: true})
	if err != nil {
		return copied{}, err
	}
	defer b.Close()
	out := copied{items: map[string]string{}}
	out.size, out.root = l.Head()
	r, err := fsck.Check(ctx, fsck.Options{Engine: e, Keys: keys, Body: b, Size: out.size, Deep: true})
	if err != nil {
		return copied{}, err
	}
	if !r.OK() {
		return copied{}, fmt.Errorf("the copy has problems: %v", r.Problems)
	}
	err = l.Entries(ctx, 0, out.size, func(e *entry.Entry) error {
		if e.Type != entry.ObjectPut {
			return nil
		}
		rd, err := b.Read(ctx, *e.Private.Body, 0, e.Private.Body.Size)
		if err != nil {
			return err
		}
		defer rd.Close()
		data, err := io.ReadAll(rd)
		out.items[e.Private.Key] = string(data)
		return err
	})
	return out, err
}

// rename copies every file of from to to under the name that as gives it; "" leaves it out.
func rename(t testing.TB, from engine.Engine, to engine.Engine, as func(name string) string) {
	t.Helper()
	for _, folder := range []string{engine.Keyrings, engine.Meta, engine.Packs, engine.Segments, engine.Snapshots, engine.Tails} {
		err := from.List(ctx, folder, func(i engine.Info) error {
			name := as(i.Name)
			if name == "" {
				return nil
			}
			f, err := from.Open(ctx, i.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			return to.Create(ctx, name, f.Size(), io.NewSectionReader(f, 0, f.Size()))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func names(t testing.TB, e engine.Engine, prefix string) (out []string) {
	t.Helper()
	if err := e.List(ctx, prefix, func(i engine.Info) error { out = append(out, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// tailPackOf makes the name of a tail of the growing pack of for the file that lies under name.
func tailPackOf(name string, of byte) string {
	own, ok := pack.ParseName(name)
	if !ok {
		panic("no pack: " + name)
	}
	return tailPack(pack.Name16{of}, own)
}
