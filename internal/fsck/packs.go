package fsck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"stele/entry"
	"stele/internal/body"
	"stele/internal/engine"
)

// proven is what reading the packs has shown of their chunks: the SHA-256 of the bytes that lie in a pack under a chunk's name. A
// body of one chunk is proven by it and need not be read again, out of order, through the index. It takes 72 bytes a chunk; of a store with more than
// mostProven chunks the bodies of the rest are read as bodies of many chunks are.
type proven struct {
	seed   maphash.Seed
	count  atomic.Int64
	shards [256]shard // by the first byte of the id
}

const mostProven = 2 << 20

type shard struct {
	mu    sync.Mutex
	found []proof
}

// proof is one chunk.
type proof struct {
	id   entry.ID
	sum  entry.Hash
	size uint32 // plain bytes
	at   uint32 // digest of where it lies, 0 once a place has led there
}

func (p *proven) where(at body.Place) uint32 {
	return uint32(maphash.Comparable(p.seed, at)) | 1
}

func (p *proven) add(id entry.ID, at body.Place, plain []byte) {
	if p.count.Add(1) > mostProven {
		return
	}
	s := &p.shards[id[0]]
	f := proof{id: id, sum: sha256.Sum256(plain), size: uint32(len(plain)), at: p.where(at)}
	s.mu.Lock()
	s.found = append(s.found, f)
	s.mu.Unlock()
}

// sort is called once, between add and find.
func (p *proven) sort() {
	for i := range p.shards {
		slices.SortFunc(p.shards[i].found, func(a, b proof) int { return bytes.Compare(a.id[:], b.id[:]) })
	}
}

// find returns the proofs of a chunk: one for each copy of it.
func (p *proven) find(id *entry.ID) []proof {
	found := p.shards[id[0]].found
	from, _ := slices.BinarySearchFunc(found, id, func(f proof, id *entry.ID) int { return bytes.Compare(f.id[:], id[:]) })
	to := from
	for to < len(found) && found[to].id == *id {
		to++
	}
	return found[from:to]
}

// lead notes that a reader who looks for a chunk is led to that place.
func (p *proven) lead(id entry.ID, at body.Place) {
	found := p.find(&id)
	for i := range found {
		if found[i].at == p.where(at) {
			found[i].at = 0
		}
	}
}

// has reports whether a body of one chunk is proven: its bytes are those of its entry, and it is there that a reader is led.
func (p *proven) has(b *entry.Body) bool {
	found := p.find(&b.Ref)
	for i := range found {
		if f := &found[i]; f.at == 0 && f.sum == b.SHA256 && int64(f.size) == b.Size {
			return true
		}
	}
	return false
}

// readPacks reads every pack whole, and then asks where the chunks are looked for: a place decides only whether a body is read again.
func (j *job) readPacks(ctx context.Context) error {
	j.proven.seed = maphash.MakeSeed()
	there, err := j.listPacks(ctx)
	if err != nil {
		return err
	}
	if err := j.readEach(ctx, there); err != nil {
		return err
	}
	j.proven.sort()
	// Places that can't be read lead nowhere: the bodies are then read one by one, and each says what is wrong with it.
	_ = j.Body.EachPlace(ctx, func(id entry.ID, at body.Place) error { j.proven.lead(id, at); return nil })
	return ctx.Err()
}

func (j *job) listPacks(ctx context.Context) (map[string]int64, error) {
	there := map[string]int64{}
	if err := j.Engine.List(ctx, engine.Packs, func(i engine.Info) error { there[i.Name] = i.SizeBytes; return nil }); err != nil {
		return nil, fmt.Errorf("couldn't list the packs: %w", err)
	}
	return there, nil
}

func (j *job) readEach(ctx context.Context, packs map[string]int64) error {
	work := make(chan string)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for name := range work {
				j.pack(ctx, name, packs[name])
			}
		})
	}
	for name := range packs {
		work <- name
	}
	close(work)
	workers.Wait()
	return ctx.Err()
}

// pack reads a pack whole: every frame, every chunk's name, the footer. If it is damaged and can be healed, it is read again.
func (j *job) pack(ctx context.Context, name string, size int64) {
	if ctx.Err() != nil {
		return
	}
	err := j.packWhole(ctx, name)
	j.advance(size)
	if err != nil && j.mend(ctx, name, err) {
		err = j.packWhole(ctx, name)
	}
	if err != nil && ctx.Err() == nil && !j.wentAway(ctx, name, err) {
		j.problem(name, "%v", err)
	}
}

// wentAway says whether a pack could not be opened because it was removed since it was listed: a lawful erasure, or a shipper that goes on, has put what it held elsewhere. comparePacks reads the packs
// that came meanwhile, and misses those that an entry names.
func (j *job) wentAway(ctx context.Context, name string, err error) bool {
	if !errors.Is(err, engine.ErrNotExist) {
		return false
	}
	there, err := j.listPacks(ctx)
	if err != nil {
		return j.passedOver(name, []any{err}) // whether it is still there is not known
	}
	_, still := there[name]
	return !still
}

func (j *job) packWhole(ctx context.Context, name string) error {
	r, err := j.Body.VerifyPackChunks(ctx, name, j.proven.add)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.read[name] = true; err == nil {
		j.sums[name] = r.Pack.SHA256
	}
	return err
}

// comparePacks compares the packs with what their pack.seal entries say, and reads those that came, or came back, meanwhile.
func (j *job) comparePacks(ctx context.Context) error {
	there, err := j.listPacks(ctx)
	if err != nil {
		return err
	}
	for name, p := range j.seals {
		size, ok := there[name]
		var why error
		switch {
		case !ok:
			why = errors.New("the pack is gone")
		case size != p.Size:
			why = fmt.Errorf("%d bytes, sealed with %d", size, p.Size)
		default:
			continue
		}
		if j.mend(ctx, name, why) {
			there[name] = p.Size
			delete(j.read, name) // what was read of it is not what is there now
			delete(j.sums, name)
		} else {
			j.problem(name, "%v", why)
		}
	}
	if j.report.Packs = len(there); !j.Deep {
		return nil
	}
	later := map[string]int64{}
	for name, size := range there {
		if !j.read[name] {
			later[name] = size
		}
	}
	if err := j.readEach(ctx, later); err != nil {
		return err
	}
	j.compareSums(ctx)
	return ctx.Err()
}

// compareSums holds the packs that are well in themselves to the SHA-256 that they were sealed with.
func (j *job) compareSums(ctx context.Context) {
	for name, p := range j.seals {
		err := j.asSealed(name, p)
		if err != nil && j.mend(ctx, name, err) {
			if err = j.packWhole(ctx, name); err == nil {
				err = j.asSealed(name, p)
			}
		}
		if err != nil && ctx.Err() == nil {
			j.problem(name, "%v", err)
		}
	}
}

// asSealed: a pack that could not be read whole has had its say.
func (j *job) asSealed(name string, p entry.Pack) error {
	if sum, ok := j.sums[name]; ok && sum != p.SHA256 {
		return fmt.Errorf("SHA-256 %s, sealed as %s", sum, p.SHA256)
	}
	return nil
}
