package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"

	"stele/internal/engine"
	"stele/internal/frame"
	"stele/internal/segment"
)

// file is one segment of the ledger. Its fields are guarded by Ledger.mu.
type file struct {
	name                string
	first, end          uint64
	limit               uint64 // where a later epoch goes another way, if the file holds more than that; 0: it counts whole
	firstTime, lastTime int64  // microseconds since 1970

	sealed bool
	header frame.Header    // of one that grew since Open
	from   engine.Engine   // a copy that it is read from, where what is here is damaged and can't be replaced; else nil
	view   *segment.Reader // while it is not sealed: its durable batches
	over   []byte          // while it is not sealed: its first bytes as they were, where some of them are damaged
	users  sync.WaitGroup  // of view; Add only under Ledger.mu and while view is set
}

// within is the end of the entries from some entry of f up to to that f has.
func (f *file) within(to uint64) uint64 {
	if f.limit > 0 {
		return min(to, f.limit)
	}
	return to
}

// grow notes that the batch of c is durable. v shows it.
func (f *file) grow(v *segment.Reader, c segment.Commit) {
	if f.end == f.first {
		f.firstTime = v.FirstTime()
	}
	f.view, f.end, f.lastTime, f.header = v, c.Size, c.Time, v.Header
}

// find returns the segment that holds entry index, which must be below the head's size.
func (l *Ledger) find(index uint64) (*file, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index >= l.head.size {
		return nil, fmt.Errorf("entry %d: %w of %d entries", index, ErrRange, l.head.size)
	}
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].first > index }) - 1
	return l.segments[i], nil
}

// acquire returns a reader of f's durable batches. The caller calls release when done.
func (l *Ledger) acquire(ctx context.Context, f *file) (r *segment.Reader, release func(), err error) {
	l.mu.RLock()
	v, sealed, end, e := f.view, f.sealed, f.end, l.opt.Engine
	if f.from != nil {
		e = f.from
	}
	if sealed {
		v = nil
	}
	if v != nil {
		f.users.Add(1)
		if f.over != nil {
			v = v.Over(f.over)
		}
	}
	l.mu.RUnlock()
	if v != nil {
		return v, f.users.Done, nil
	}
	if !sealed {
		return nil, nil, ErrClosed
	}
	return l.open.acquire(ctx, e, f.name, end, l.dataKeys())
}

// dataKeys open the private parts; nil without keys: leaves only are read.
func (l *Ledger) dataKeys() segment.Keys {
	if len(l.opt.Keys.DataKeys) == 0 {
		return nil
	}
	return l.opt.Keys.Sealer
}

// openFiles keeps the segments open that were read last: opening one costs the decoding of its table.
type openFiles struct {
	mu     sync.Mutex
	byName map[string]*openFile
	clock  uint64
	closed bool
}

type openFile struct {
	name  string
	r     *segment.Reader
	f     engine.File
	users int
	used  uint64
	gone  bool // dropped: its last user closes it
}

const maxOpenFiles = 16

// acquire opens a segment of entries up to end-1, or what has taken its place.
func (o *openFiles) acquire(ctx context.Context, e engine.Engine, name string, end uint64, keys segment.Keys) (*segment.Reader, func(), error) {
	if of := o.get(name, nil); of != nil {
		return of.r, func() { o.release(of) }, nil
	}
	f, err := openHeld(ctx, e, name, end)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't open segment %s: %w", name, err)
	}
	h, foot, err := segment.ReadFooter(f, f.Size())
	var r *segment.Reader
	if err == nil {
		r, err = segment.NewReader(f, h, foot, keys)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("couldn't open segment %s: %w", name, err), f.Close())
	}
	of := o.get(name, &openFile{name: name, r: r, f: f})
	if of == nil {
		return nil, nil, errors.Join(ErrClosed, f.Close())
	}
	return of.r, func() { o.release(of) }, nil
}

// get returns the open file of that name and counts one more user of it; if there is none, it takes in fresh. nil: there is none.
func (o *openFiles) get(name string, fresh *openFile) *openFile {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	of := o.byName[name]
	if of == nil && fresh == nil {
		return nil
	}
	if of == nil {
		of = fresh
		if o.byName == nil {
			o.byName = make(map[string]*openFile)
		}
		o.byName[name] = of
		o.evict()
	} else if fresh != nil {
		_ = fresh.f.Close() // somebody else was faster; it was only read
	}
	o.clock++
	of.users, of.used = of.users+1, o.clock
	return of
}

// evict closes the files that were not used for longest. Those in use stay, even above the limit.
func (o *openFiles) evict() {
	for len(o.byName) > maxOpenFiles {
		var oldest *openFile
		for _, of := range o.byName {
			if of.users == 0 && of.used > 0 && (oldest == nil || of.used < oldest.used) {
				oldest = of
			}
		}
		if oldest == nil {
			return
		}
		delete(o.byName, oldest.name)
		_ = oldest.f.Close() // it was only read
	}
}

func (o *openFiles) release(of *openFile) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if of.users--; of.users == 0 && (o.closed || of.gone) {
		_ = of.f.Close()
	}
}

// drop forgets a file that was replaced. Reads that are under way go on in the old file; later ones open the new one.
func (o *openFiles) drop(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	of := o.byName[name]
	if of == nil {
		return
	}
	delete(o.byName, name)
	if of.gone = true; of.users == 0 {
		_ = of.f.Close() // it was only read
	}
}

// clear drops all files.
func (o *openFiles) clear() {
	o.mu.Lock()
	names := slices.Collect(maps.Keys(o.byName))
	o.mu.Unlock()
	for _, name := range names {
		o.drop(name)
	}
}

// close closes the files that nobody uses. The last user of each other file closes it.
func (o *openFiles) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	var errs []error
	for _, of := range o.byName {
		if of.users == 0 {
			errs = append(errs, of.f.Close())
		}
	}
	o.byName = nil
	return errors.Join(errs...)
}
