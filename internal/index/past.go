package index

import (
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
		prefix := objectPrefix(famHistory, w.Inc, key)
		shown, err := db.pastOf(it, prefix, w.Size, !w.Versions)
		if err != nil {
			return err
		}
		if !w.Versions && len(shown) > 0 && shown[0].Marker {
			shown = nil
		}
		fresh := 0 // shown[:fresh] the pages before had
		for fresh < len(shown) && w.passed(key, shown[fresh].Entry) {
			fresh++
		}
		if cp, rolled := w.common(key); rolled && len(shown) > fresh {
			if err := w.emit(Listed{Prefix: cp}); err != nil {
				return err
			}
			end := after([]byte(cp))
			if end == nil {
				break
			}
			ok = it.SeekGE(objectPrefix(famHistory, w.Inc, string(end)))
			continue
		}
		for i, r := range shown[fresh:] {
			if err := w.emit(Listed{Key: key, Latest: fresh+i == 0, Current: r.current()}); err != nil {
				return err
			}
		}
		ok = it.SeekGE(after(prefix))
	}
	return readError(it.Error())
}

func (r *Record) current() Current {
	c := Current{Entry: r.Entry, Time: r.Time, Size: r.Size, ETag: r.ETag, Null: r.Null, Marker: r.Marker, Attrs: true}
	if r.Checksum != nil {
		c.Checksum, c.Kind = r.Checksum.Algorithm, r.Checksum.Kind
	}
	return c
}

// pastOf returns the versions of one key that S3 showed at a size, newest first; only the newest if latestOnly.
func (db *DB) pastOf(it *pebble.Iterator, prefix []byte, size uint64, latestOnly bool) (shown []Record, err error) {
	var p past
	end := after(prefix)
	for ok := it.SeekGE(append(prefix[:len(prefix):len(prefix)], complement(size-1)...)); ok && string(it.Key()) < string(end); ok = it.Next() {
		r, err := parseRecord(^binary.BigEndian.Uint64(it.Key()[len(it.Key())-8:]), it.Value())
		if err != nil {
			return nil, err
		}
		if p.shown(&r) {
			if shown = append(shown, r); latestOnly {
				break
			}
		}
	}
	return shown, readError(it.Error())
}

// At returns the version of a key that was current at a size (a marker too), or the shown version with the entry at version, or the null version.
func (db *DB) At(inc uint64, key string, size uint64, match func(*Record) bool) (rec Record, latest, ok bool, err error) {
	prefix := objectPrefix(famHistory, inc, key)
	it, err := db.iter(prefix, after(prefix))
	if err != nil {
		return Record{}, false, false, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	shown, err := db.pastOf(it, prefix, size, match == nil)
	for i := range shown {
		if match == nil || match(&shown[i]) {
			return shown[i], i == 0, true, err
		}
	}
	return Record{}, false, false, err
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
