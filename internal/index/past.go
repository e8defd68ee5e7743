package index

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"stele/entry"
)

// past replays the history rows of one key, newest first, and says which versions S3 showed.
type past struct {
	hidden   map[uint64]bool
	nullSeen bool // a newer null version or marker took the id from older ones
}

func (p *past) shown(r *Record) bool {
	if r.Type == entry.ObjectHide && !r.Marker {
		if p.hidden == nil {
			p.hidden = map[uint64]bool{}
		}
		p.hidden[r.Target] = true
		return false
	}
	show := !p.hidden[r.Entry] && !(r.Null && p.nullSeen)
	delete(p.hidden, r.Entry) // hidings are met before what they hide
	p.nullSeen = p.nullSeen || r.Null
	return show
}

// listPast lists from the history rows as of w.Size.
func (db *DB) listPast(w *walk) (err error) {
	base := incKey(famHistory, w.Inc, 0)
	it, err := db.iter(base, after(base))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	ok := it.SeekGE(objectPrefix(famHistory, w.Inc, w.start()))
	for ok {
		key, _, good := cutEscaped(it.Key()[9:])
		if !good {
			return errRow
		}
		if w.beyond(key) {
			break
		}
		next, err := db.listPastKey(w, it, key)
		if err != nil || next == nil {
			return err
		}
		ok = forward(it, next)
	}
	return readError(it.Error())
}

// forward moves to the first row not below key. Most keys have few rows: some steps cost less than a seek.
func forward(it *pebble.Iterator, key []byte) bool {
	for range 4 {
		if !it.Valid() || bytes.Compare(it.Key(), key) >= 0 {
			return it.Valid()
		}
		it.Next()
	}
	return it.SeekGE(key)
}

// listPastKey lists one key, a version at a time: it may have a million. It returns where the walk goes on; nil: nowhere.
func (db *DB) listPastKey(w *walk, it *pebble.Iterator, key string) (next []byte, err error) {
	prefix := objectPrefix(famHistory, w.Inc, key)
	cp, rolled := w.common(key)
	latest, listed := true, false
	err = db.eachPast(it, prefix, w.Size, &w.pause, func(r *Record) (more bool, err error) {
		first := latest
		latest = false
		switch {
		case !w.Versions && r.Marker:
			return false, nil
		case w.passed(key, r.Entry):
			return true, nil
		case rolled:
			listed = true
			return false, w.emit(Listed{Prefix: cp})
		}
		return w.Versions, w.emit(Listed{Key: key, Latest: first, Current: r.current()})
	})
	if err != nil || !listed {
		return after(prefix), err
	}
	end := after([]byte(cp))
	if end == nil {
		return nil, nil
	}
	return objectPrefix(famHistory, w.Inc, string(end)), nil
}

func (r *Record) current() Current {
	c := Current{Entry: r.Entry, Time: r.Time, Size: r.Size, ETag: r.ETag, Null: r.Null, Marker: r.Marker, Attrs: true}
	if r.Checksum != nil {
		c.Checksum, c.Kind = r.Checksum.Algorithm, r.Checksum.Kind
	}
	c.Class = r.Headers[HeaderClass]
	return c
}

// eachPast calls fn for the versions of one key that S3 showed at a size, newest first, as long as it wants more.
func (db *DB) eachPast(it *pebble.Iterator, prefix []byte, size uint64, pause *pause, fn func(*Record) (more bool, err error)) error {
	var p past
	end := after(prefix)
	for ok := seekPast(it, prefix, size); ok && bytes.Compare(it.Key(), end) < 0; ok = it.Next() {
		if err := pause.row(); err != nil {
			return err
		}
		r, err := parseRecord(^binary.BigEndian.Uint64(it.Key()[len(it.Key())-8:]), it.Value())
		if err != nil {
			return err
		}
		if !p.shown(&r) {
			continue
		}
		if more, err := fn(&r); err != nil || !more {
			return err
		}
	}
	return readError(it.Error())
}

// seekPast moves to the newest row of a key as of a size. A listing stands at the key's newest row already, which most often is that row.
func seekPast(it *pebble.Iterator, prefix []byte, size uint64) bool {
	from := append(prefix[:len(prefix):len(prefix)], complement(size-1)...)
	if it.Valid() && bytes.HasPrefix(it.Key(), prefix) && bytes.Compare(it.Key(), from) >= 0 {
		return true
	}
	return it.SeekGE(from)
}

// At returns the version of a key that was current at a size (a marker too), or the shown version with the entry at version, or the null version.
func (db *DB) At(inc uint64, key string, size uint64, match func(*Record) bool) (rec Record, latest, ok bool, err error) {
	prefix := objectPrefix(famHistory, inc, key)
	it, err := db.iter(prefix, after(prefix))
	if err != nil {
		return Record{}, false, false, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	first := true
	err = db.eachPast(it, prefix, size, &pause{}, func(r *Record) (more bool, err error) {
		if match == nil || match(r) {
			rec, latest, ok = *r, first, true
			return false, nil
		}
		first = false
		return true, nil
	})
	return rec, latest, ok, err
}

// History calls fn for each record of a key, newest first.
func (db *DB) History(inc uint64, key string, fn func(Record) error) error {
	prefix := objectPrefix(famHistory, inc, key)
	return db.each(prefix, func(k, v []byte) error {
		r, err := parseRecord(^binary.BigEndian.Uint64(k[len(k)-8:]), v)
		if err != nil {
			return err
		}
		return fn(r)
	})
}

// AttrHistory calls fn for each change of lock or tags of any version of a key.
func (db *DB) AttrHistory(inc uint64, key string, fn func(version, at uint64, a Attrs) error) error {
	prefix := objectPrefix(famAttr, inc, key)
	return db.each(prefix, func(k, v []byte) error {
		a, err := parseAttrs(v)
		if err != nil {
			return err
		}
		n := len(k)
		return fn(binary.BigEndian.Uint64(k[n-16:]), ^binary.BigEndian.Uint64(k[n-8:]), a)
	})
}
