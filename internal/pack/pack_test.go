package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/frame"
)

var update = flag.Bool("update", false, "write golden files anew")

// file is a growing file in memory that minds the contract: the total is a multiple of align at each Sync.
type file struct {
	mu        sync.Mutex
	b         []byte
	align     int
	synced    int
	published bool
	writeErr  error
	syncErr   error
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writeErr != nil {
		return 0, f.writeErr
	}
	if len(f.b)%f.align != 0 {
		return 0, errors.New("a write after one that ended anywhere")
	}
	f.b = append(f.b, p...)
	return len(p), nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.NewReader(f.b).ReadAt(p, off)
}

func (f *file) Align() int { return f.align }

func (f *file) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.syncErr != nil {
		return f.syncErr
	}
	if len(f.b)%f.align != 0 {
		return errors.New("a sync of a part of a block")
	}
	f.synced = len(f.b)
	return nil
}

func (f *file) Publish() error {
	f.published = true
	return f.syncErr
}

func (f *file) Close() error { return nil }

var _ engine.Growing = (*file)(nil)

func testHeader() frame.Header {
	h := frame.Header{KeyID: 1, Epoch: 2}
	for i := range h.FileID {
		h.FileID[i] = byte(i)
	}
	copy(h.StoreID[:], "store-id-16bytes")
	return h
}

func testSealer(t testing.TB) *frame.Sealer {
	s, err := frame.NewSealer([32]byte{3}, testHeader().FileID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func chunkID(i int) (id entry.ID) { return entry.ID(sha256.Sum256(fmt.Append(nil, i))) }

func chunkData(i, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(b)
	return b
}

const noLimit = 1 << 40

// write makes a pack of chunks of those sizes, with a Sync after each that is followed by one.
func write(t testing.TB, align int, syncs map[int]bool, sizes ...int) (*file, []Chunk, entry.Pack) {
	t.Helper()
	f := &file{align: align}
	w := NewWriter(f, testHeader(), testSealer(t))
	var chunks, durable []Chunk
	for i, n := range sizes {
		id := chunkID(i)
		c, err := w.Append(&id, 0, chunkData(i, n), noLimit)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
		if syncs[i] {
			got, err := w.Sync()
			if err != nil {
				t.Fatal(err)
			}
			durable = append(durable, got...)
			if len(durable) != len(chunks) {
				t.Fatalf("%d chunks durable after a sync, %d were appended", len(durable), len(chunks))
			}
		}
	}
	rest, p, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if durable = append(durable, rest...); len(durable) != len(chunks) || !f.published {
		t.Fatalf("%d chunks durable after the seal, %d were appended", len(durable), len(chunks))
	}
	return f, chunks, p
}

func TestRoundTrip(t *testing.T) {
	for _, align := range []int{1, 512, 4096} {
		var sizes []int
		for i := range 300 {
			sizes = append(sizes, []int{0, 1, 17, 4000, 4096 - Overhead - 16, 65_536, 300_000, MaxData}[i%8])
		}
		f, chunks, p := write(t, align, map[int]bool{0: true, 3: true, 4: true, 100: true, 299: true}, sizes...)
		if int64(len(f.b)) != p.Size || sha256.Sum256(f.b) != p.SHA256 || p.Name != "packs/000102030405060708090a0b0c0d0e0f.pack" {
			t.Fatalf("align %d: sealed as %s, %d bytes, %x", align, p.Name, p.Size, p.SHA256)
		}
		index, err := ReadIndex(f, p.Size)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(index) != fmt.Sprint(chunks) {
			t.Fatalf("align %d: the footer says otherwise than Append", align)
		}
		i := 0
		end, sealed, err := Scan(f, p.Size, func(c Scanned) error {
			if c.Chunk != chunks[i] {
				return fmt.Errorf("chunk %d scanned as %+v", i, c.Chunk)
			}
			data, _, err := OpenChunk(testSealer(t), c.Frame, &c.ID)
			if err == nil && !bytes.Equal(data, chunkData(i, sizes[i])) {
				err = fmt.Errorf("chunk %d has other bytes", i)
			}
			i++
			return err
		})
		if err != nil || !sealed || i != len(sizes) || end+TrailerSize != p.Size {
			t.Fatalf("align %d: scan ended at %d of %d, %d chunks, %v", align, end, p.Size, i, err)
		}
	}
}

func TestManyWritersOnePack(t *testing.T) {
	f := &file{align: 512}
	w := NewWriter(f, testHeader(), testSealer(t))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := g * 100; i < g*100+100; i++ {
				id := chunkID(i)
				if _, err := w.Append(&id, 0, chunkData(i, i*50), noLimit); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for range 20 {
		if _, err := w.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	_, p, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	byID := map[entry.ID]int{}
	for i := range 800 {
		byID[chunkID(i)] = i
	}
	_, sealed, err := Scan(f, p.Size, func(c Scanned) error {
		i := byID[c.ID]
		data, _, err := OpenChunk(testSealer(t), c.Frame, &c.ID)
		if err == nil && !bytes.Equal(data, chunkData(i, i*50)) {
			err = fmt.Errorf("chunk %d has other bytes", i)
		}
		delete(byID, c.ID)
		return err
	})
	if err != nil || !sealed || len(byID) != 0 || sha256.Sum256(f.b) != p.SHA256 {
		t.Fatalf("%v, %d chunks missing", err, len(byID))
	}
}

func TestLimit(t *testing.T) {
	f := &file{align: 1}
	w := NewWriter(f, testHeader(), testSealer(t))
	const limit = 100_000
	for i := 0; ; i++ {
		id := chunkID(i)
		_, err := w.Append(&id, 0, chunkData(i, 1000), limit)
		if errors.Is(err, ErrNoRoom) {
			break
		}
		if err != nil || i > 100 {
			t.Fatalf("chunk %d: %v", i, err)
		}
	}
	if _, p, err := w.Seal(); err != nil || p.Size > limit || p.Size < limit*9/10 {
		t.Fatalf("%d bytes, %v", p.Size, err)
	}
	id := chunkID(0)
	if _, err := w.Append(&id, 0, nil, limit); !errors.Is(err, ErrSealed) {
		t.Fatalf("appended to a sealed pack: %v", err)
	}
	if _, _, err := w.Seal(); !errors.Is(err, ErrSealed) {
		t.Fatalf("sealed twice: %v", err)
	}
}

func TestFailedStaysFailed(t *testing.T) {
	boom := errors.New("boom")
	id := chunkID(0)
	for _, f := range []*file{{align: 1, writeErr: boom}, {align: 1, syncErr: boom}} {
		w := NewWriter(f, testHeader(), testSealer(t))
		if _, err := w.Append(&id, 0, []byte("x"), noLimit); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Sync(); !errors.Is(err, boom) {
			t.Fatalf("first sync: %v", err)
		}
		f.writeErr, f.syncErr = nil, nil
		if _, err := w.Sync(); err == nil {
			t.Fatal("a sync after a failed one said yes")
		}
		if _, err := w.Append(&id, 0, []byte("x"), noLimit); err == nil {
			t.Fatal("an append after a failed sync said yes")
		}
		if _, _, err := w.Seal(); err == nil {
			t.Fatal("a seal after a failed sync said yes")
		}
	}
}

func TestGolden(t *testing.T) {
	f, _, p := write(t, 512, map[int]bool{1: true}, 5, 100, 40)
	const path = "testdata/three.pack"
	if *update {
		if err := os.WriteFile(path, f.b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.b, want) {
		t.Fatal("the bytes of a pack have changed")
	}
	const sum = "5ee06f8c93eb599a93a3deb2153bb4d764a6e0368d7e453901b11962319283d1"
	if got := hex.EncodeToString(p.SHA256[:]); got != sum {
		t.Fatalf("SHA-256 is %s", got)
	}
}

func TestUnknownVersionIsNotCorruption(t *testing.T) {
	f, _, p := write(t, 1, nil, 100)
	rotten := f.b[9]
	f.b[9]++
	if _, err := ReadHeader(f, Short(testHeader().FileID)); !errors.Is(err, frame.ErrCorrupt) || errors.Is(err, frame.ErrVersion) {
		t.Fatalf("a version that rotted: %v", err)
	}
	f.b[9] = rotten
	h := testHeader()
	h.Magic, h.Version = frame.MagicPack, frame.Version+1
	copy(f.b, h.Append(nil))
	if _, err := ReadHeader(f, Short(testHeader().FileID)); !errors.Is(err, frame.ErrVersion) || errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("a newer pack: %v", err)
	}
	index := appendIndex(nil, nil)
	index[0] = indexVersion + 1
	if _, err := parseIndex(index, p.Size); !errors.Is(err, frame.ErrVersion) || errors.Is(err, frame.ErrCorrupt) {
		t.Fatalf("a newer index: %v", err)
	}
}

// check reads a sealed pack whole, as a deep verification does.
func check(r io.ReaderAt, size int64, s *frame.Sealer) error {
	if _, err := ReadHeader(r, Short(testHeader().FileID)); err != nil {
		return err
	}
	index, err := ReadIndex(r, size)
	if err != nil {
		return err
	}
	i := 0
	end, sealed, err := Scan(r, size, func(c Scanned) error {
		if i == len(index) || index[i] != c.Chunk {
			return errors.New("footer differs")
		}
		i++
		_, _, err := OpenChunk(s, c.Frame, &c.ID)
		return err
	})
	if err == nil && (!sealed || end+TrailerSize != size || i != len(index)) {
		err = errors.New("footer differs")
	}
	return err
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	f, _, p := write(t, 512, map[int]bool{1: true}, 5, 100, 40)
	s := testSealer(t)
	if err := check(f, p.Size, s); err != nil {
		t.Fatal(err)
	}
	for i := range f.b {
		for _, bit := range []byte{1, 0x80} {
			f.b[i] ^= bit
			if check(f, p.Size, s) == nil {
				t.Fatalf("byte %d went unnoticed", i)
			}
			f.b[i] ^= bit
		}
	}
	for n := range f.b {
		short := bytes.NewReader(f.b[:n])
		if check(short, int64(n), s) == nil {
			t.Fatalf("cut to %d bytes, and it went unnoticed", n)
		}
	}
}

// TestGCMBindsFlagsAndID forges what a CRC cannot see.
func TestGCMBindsFlagsAndID(t *testing.T) {
	f, chunks, _ := write(t, 1, nil, 100, 100)
	s := testSealer(t)
	frameOf := func(i int) []byte {
		return bytes.Clone(f.b[chunks[i].Offset:][:chunks[i].Length])
	}
	id := chunks[0].ID
	if _, _, err := OpenChunk(s, frameOf(0), &id); err != nil {
		t.Fatal(err)
	}
	forge := map[string]func(b []byte) []byte{
		"flags":  func(b []byte) []byte { b[5] ^= frame.FlagZstd; return b },
		"number": func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 7); return b },
		"id":     func([]byte) []byte { b := frameOf(1); copy(b[frame.FrameHeaderSize:], id[:]); return b },
		"kind":   func(b []byte) []byte { b[4] = byte(frame.KindPad); return b },
		"length": func(b []byte) []byte { return b[:len(b)-1] },
		"data":   func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
	}
	for what, change := range forge {
		b := change(frameOf(0))
		if _, _, err := OpenChunk(s, b, &id); !errors.Is(err, frame.ErrCorrupt) {
			t.Fatalf("%s forged: %v", what, err)
		}
	}
}

func TestSalvageFindsWhatLiesBehindABadSpot(t *testing.T) {
	sizes := []int{500, 5000, 40, 70_000, 3000, 1}
	f, chunks, _ := write(t, 512, map[int]bool{2: true}, sizes...)
	f.b = append(f.b[:chunks[5].Offset+int64(chunks[5].Length)], make([]byte, 10_000)...) // as a tail is: no footer, room
	for bad := range sizes {
		for _, at := range []int64{0, 4, 8, 20, int64(chunks[bad].Length) - 1} {
			tail := bytes.Clone(f.b)
			tail[chunks[bad].Offset+at] ^= 0x55
			var got []entry.ID
			if _, err := Salvage(bytes.NewReader(tail), int64(len(tail)), func(c Scanned) error {
				got = append(got, c.ID)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if len(got) != len(sizes)-1 {
				t.Fatalf("chunk %d bad at %d: %d of %d others found", bad, at, len(got), len(sizes)-1)
			}
		}
		// Zeros where a frame should begin are not the end while something lies behind them.
		tail := bytes.Clone(f.b)
		clear(tail[chunks[bad].Offset:][:chunks[bad].Length])
		got := 0
		lost, err := Salvage(bytes.NewReader(tail), int64(len(tail)), func(Scanned) error { got++; return nil })
		if err != nil || got != len(sizes)-1 || (lost == 0) != (bad == len(sizes)-1) {
			t.Fatalf("chunk %d zeroed: %d of %d others found, %d bytes lost, %v", bad, got, len(sizes)-1, lost, err)
		}
	}
}

func TestTornAtEveryByte(t *testing.T) {
	f, chunks, _ := write(t, 1, nil, 10, 200, 30)
	for n := frame.HeaderSize; n < len(f.b); n++ {
		whole := 0
		for _, c := range chunks {
			if c.Offset+int64(c.Length) <= int64(n) {
				whole++
			}
		}
		for _, room := range []int{0, 1000} {
			tail := append(bytes.Clone(f.b[:n]), make([]byte, room)...)
			got := 0
			if _, err := Salvage(bytes.NewReader(tail), int64(len(tail)), func(Scanned) error { got++; return nil }); err != nil {
				t.Fatal(err)
			}
			// A frame whose last bytes are zeros anyhow may be whole without them.
			if got != whole && !(room > 0 && got == whole+1) {
				t.Fatalf("cut to %d bytes: %d chunks, %d are whole", n, got, whole)
			}
		}
	}
}

func TestNames(t *testing.T) {
	name := Name(Short(testHeader().FileID))
	if got, ok := ParseName(name); !ok || got != Short(testHeader().FileID) {
		t.Fatal(name)
	}
	for _, bad := range []string{"", "packs/", "packs/00.pack", "segments/000102030405060708090a0b0c0d0e0f.pack",
		"packs/000102030405060708090a0b0c0d0e0f", "packs/000102030405060708090A0B0C0D0E0F.pack", "packs/000102030405060708090a0b0c0d0e0g.pack"} {
		if _, ok := ParseName(bad); ok {
			t.Fatalf("%q is a name", bad)
		}
	}
}

func FuzzFooter(f *testing.F) {
	chunks := []Chunk{{chunkID(0), 96, 100}, {chunkID(1), 196, 64}, {chunkID(2), 512, 4096}}
	f.Add(appendIndex(nil, chunks))
	f.Add(appendIndex(nil, nil))
	f.Add([]byte{1, 0})
	f.Add(append(appendIndex(nil, chunks), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 20
		got, err := parseIndex(b, limit)
		if err == nil && !bytes.Equal(appendIndex(nil, got), b) {
			t.Fatalf("%x parses, and is written otherwise", b)
		}
		end := int64(frame.HeaderSize)
		for _, c := range got {
			if c.Offset < end || c.Length < uint32(Overhead) || c.Offset+int64(c.Length) > limit {
				t.Fatalf("impossible place %+v", c)
			}
			end = c.Offset + int64(c.Length)
		}
		// The same bytes as the end of a file.
		_, _ = ReadIndex(bytes.NewReader(b), int64(len(b)))
	})
}

func FuzzScan(f *testing.F) {
	whole, _, _ := write(f, 512, map[int]bool{1: true}, 5, 100, 40)
	f.Add(whole.b)
	f.Add(whole.b[:200])
	f.Add(append(bytes.Clone(whole.b[:400]), make([]byte, 100)...))
	f.Add([]byte{})
	bad := bytes.Clone(whole.b)
	bad[130] ^= 1
	f.Add(bad)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var frames [][]byte
		end, _, _ := Scan(r, int64(len(b)), func(c Scanned) error {
			if !bytes.Equal(c.Frame, b[c.Offset:][:c.Length]) {
				t.Fatalf("the frame at %d is not what is there", c.Offset)
			}
			frames = append(frames, c.Frame)
			return nil
		})
		if end > int64(len(b)) && len(b) >= frame.HeaderSize {
			t.Fatalf("ended at %d of %d", end, len(b))
		}
		found := 0
		if _, err := Salvage(r, int64(len(b)), func(Scanned) error { found++; return nil }); err != nil {
			t.Fatalf("salvage in memory: %v", err)
		}
		if found < len(frames) {
			t.Fatalf("salvage found %d frames, a scan %d", found, len(frames))
		}
	})
}
