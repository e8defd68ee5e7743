package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"stele/entry"
)

// Scan says what a listing wants: keys of one incarnation with Prefix, strictly after After, common prefixes rolled up at Delimiter, at most Max keys and prefixes.
type Scan struct {
	Inc       uint64
	Prefix    string
	Delimiter string
	After     string
	AfterAt   uint64 // versions: with After, versions of that key older than this entry; 0: none of that key
	Max       int
	Size      uint64 // as of this ledger size; 0: now
	Versions  bool   // every version that S3 shows, newest first, instead of the current ones
}

// Listed is what a listing yields: a version, or a common prefix (Prefix set).
type Listed struct {
	Prefix string
	Key    string
	Latest bool
	Current
}

// List yields what the scan asks for, in order, and reports whether there is more. It reads one consistent state of the rows.
func (db *DB) List(s Scan, yield func(Listed) error) (more bool, err error) {
	if s.Max <= 0 {
		return false, nil
	}
	w := walk{Scan: s, yield: yield}
	w.skip = w.skipped()
	switch {
	case s.Size != 0:
		err = db.listPast(&w)
	case s.Versions:
		err = db.listVersions(&w)
	default:
		err = db.listCurrent(&w)
	}
	if errors.Is(err, errFull) {
		return true, nil
	}
	return false, err
}

// errFull ends a walk that has yielded Max and found one more.
var errFull = errors.New("index: page is full")

// walk is a listing under way.
type walk struct {
	Scan
	yield func(Listed) error
	n     int
	skip  string // a common prefix that the page before ended with: nothing below it is listed
}

// skipped returns After if it is a common prefix of this scan.
func (w *walk) skipped() string {
	if w.Delimiter == "" || !strings.HasPrefix(w.After, w.Prefix) {
		return ""
	}
	if cp, ok := w.common(w.After); ok && cp == w.After {
		return cp
	}
	return ""
}

// common returns the common prefix that a key rolls up into.
func (w *walk) common(key string) (string, bool) {
	if w.Delimiter == "" {
		return "", false
	}
	if i := strings.Index(key[len(w.Prefix):], w.Delimiter); i >= 0 {
		return key[:len(w.Prefix)+i+len(w.Delimiter)], true
	}
	return "", false
}

func (w *walk) emit(l Listed) error {
	if w.n == w.Max {
		return errFull
	}
	w.n++
	return w.yield(l)
}

// start returns the smallest key that may be listed.
func (w *walk) start() string {
	switch {
	case w.skip != "":
		return string(after([]byte(w.skip)))
	case w.After >= w.Prefix && w.After != "" && w.AfterAt == 0:
		return w.After + "\x00"
	case w.After >= w.Prefix && w.After != "":
		return w.After
	}
	return w.Prefix
}

// beyond is true for a key behind the prefix's range; a start above the range lists nothing.
func (w *walk) beyond(key string) bool { return !strings.HasPrefix(key, w.Prefix) }

func (db *DB) iter(lo, hi []byte) (*pebble.Iterator, error) {
	it, err := db.peb.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, fmt.Errorf("couldn't read the index: %w", err)
	}
	return it, nil
}

func (db *DB) listCurrent(w *walk) (err error) {
	base := incKey(famCurrent, w.Inc, 0)
	it, err := db.iter(base, after(base))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.SeekGE(currentKey(w.Inc, w.start())); ok; {
		key := string(it.Key()[9:])
		if w.beyond(key) {
			break
		}
		if cp, rolled := w.common(key); rolled {
			if err := w.emit(Listed{Prefix: cp}); err != nil {
				return err
			}
			end := after([]byte(cp))
			if end == nil {
				break
			}
			ok = it.SeekGE(currentKey(w.Inc, string(end)))
			continue
		}
		row, err := parseCurrent(it.Value())
		if err != nil {
			return err
		}
		if err := w.emit(Listed{Key: key, Latest: true, Current: row}); err != nil {
			return err
		}
		ok = it.Next()
	}
	return it.Error()
}

// listVersions merges current rows and noncurrent rows: for each key the current row first, then the others, newest first.
func (db *DB) listVersions(w *walk) (err error) {
	snap := db.peb.NewSnapshot() // both iterators must see one state
	defer snap.Close()
	cbase, vbase := incKey(famCurrent, w.Inc, 0), incKey(famVersion, w.Inc, 0)
	cur, err := snap.NewIter(&pebble.IterOptions{LowerBound: cbase, UpperBound: after(cbase)})
	if err != nil {
		return fmt.Errorf("couldn't read the index: %w", err)
	}
	defer func() { err = errors.Join(err, cur.Close()) }()
	old, err := snap.NewIter(&pebble.IterOptions{LowerBound: vbase, UpperBound: after(vbase)})
	if err != nil {
		return fmt.Errorf("couldn't read the index: %w", err)
	}
	defer func() { err = errors.Join(err, old.Close()) }()

	seek := func(key string) { cur.SeekGE(currentKey(w.Inc, key)); old.SeekGE(objectPrefix(famVersion, w.Inc, key)) }
	seek(w.start())
	lastKey := ""
	seen := false // lastKey holds
	for cur.Valid() || old.Valid() {
		ck, vk := "", ""
		if cur.Valid() {
			ck = string(cur.Key()[9:])
		}
		if old.Valid() {
			k, rest, ok := cutEscaped(old.Key()[9:])
			if vk = k; !ok || len(rest) != 8 {
				return errRow
			}
		}
		fromCur := cur.Valid() && (!old.Valid() || ck <= vk)
		key, it := vk, old
		if fromCur {
			key, it = ck, cur
		}
		if w.beyond(key) {
			break
		}
		if cp, rolled := w.common(key); rolled {
			if err := w.emit(Listed{Prefix: cp}); err != nil {
				return err
			}
			end := after([]byte(cp))
			if end == nil {
				break
			}
			seek(string(end))
			continue
		}
		row, err := parseCurrent(it.Value())
		if err != nil {
			return err
		}
		latest := !seen || key != lastKey
		lastKey, seen = key, true
		if it.Next(); w.AfterAt != 0 && key == w.After && row.Entry >= w.AfterAt {
			continue
		}
		if err := w.emit(Listed{Key: key, Latest: latest, Current: row}); err != nil {
			return err
		}
	}
	return errors.Join(cur.Error(), old.Error())
}

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
		if cp, rolled := w.common(key); rolled && len(shown) > 0 {
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
		for i, r := range shown {
			if w.AfterAt != 0 && key == w.After && r.Entry >= w.AfterAt {
				continue
			}
			if err := w.emit(Listed{Key: key, Latest: i == 0, Current: r.current()}); err != nil {
				return err
			}
		}
		ok = it.SeekGE(after(prefix))
	}
	return it.Error()
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
	return shown, it.Error()
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

// Buckets returns the current incarnations, or those at a size, in order of name.
func (db *DB) Buckets(size uint64) (out []Bucket, err error) {
	if size == 0 {
		err = db.each([]byte{famBucket}, func(_, v []byte) error {
			b, err := parseJSON[Bucket](v)
			out = append(out, b)
			return err
		})
		return out, err
	}
	last := ""
	err = db.each([]byte{famBuckets}, func(k, v []byte) error {
		name, rest, ok := cutEscaped(k[1:])
		if !ok || len(rest) != 8 {
			return errRow
		}
		if name == last || ^binary.BigEndian.Uint64(rest) >= size {
			return nil
		}
		last = name
		b, err := parseJSON[Bucket](v)
		if !b.Deleted {
			out = append(out, b)
		}
		return err
	})
	return out, err
}

// BucketAt returns the incarnation that a name had at a size.
func (db *DB) BucketAt(name string, size uint64) (*Bucket, bool, error) {
	prefix := appendEscaped([]byte{famBuckets}, name)
	_, v, err := db.first(append(prefix[:len(prefix):len(prefix)], complement(size-1)...), after(prefix))
	if v == nil || err != nil {
		return nil, false, err
	}
	b, err := parseJSON[Bucket](v)
	return &b, !b.Deleted && err == nil, err
}

// Incarnations returns every state that a bucket name has had, newest first.
func (db *DB) Incarnations(name string) (out []Bucket, err error) {
	err = db.each(appendEscaped([]byte{famBuckets}, name), func(_, v []byte) error {
		b, err := parseJSON[Bucket](v)
		if n := len(out); n == 0 || out[n-1].Inc != b.Inc {
			out = append(out, b)
		}
		return err
	})
	return out, err
}

// Uploads calls fn for each open upload of an incarnation with a key prefix, after (key, id), in order of key, then id. fn ends the walk by an error.
func (db *DB) Uploads(inc uint64, prefix, afterKey, afterID string, fn func(Upload) error) error {
	base := incKey(famUpload, inc, 0)
	it, err := db.iter(base, after(base))
	if err != nil {
		return err
	}
	lo := objectPrefix(famUpload, inc, max(prefix, afterKey))
	switch {
	case prefix > afterKey:
		lo = append(base[:len(base):len(base)], appendEscaped(nil, prefix)...)
		lo = lo[:len(lo)-2]
	case afterKey != "" && afterID == "":
		lo = after(lo)
	case afterKey != "":
		lo = next(uploadKey(inc, afterKey, afterID))
	}
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		key, id, good := cutEscaped(it.Key()[9:])
		if !good {
			err = errRow
			break
		}
		if !strings.HasPrefix(key, prefix) {
			break
		}
		var u Upload
		if u, err = parseJSON[Upload](it.Value()); err != nil {
			break
		}
		u.Key, u.ID = key, string(id)
		if err = fn(u); err != nil {
			break
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// Parts calls fn for each part of an open upload with a number above after.
func (db *DB) Parts(upload string, afterPart int, fn func(Part) error) error {
	prefix := partPrefix(upload)
	it, err := db.iter(prefix, after(prefix))
	if err != nil {
		return err
	}
	for ok := it.SeekGE(partKey(upload, afterPart+1)); ok; ok = it.Next() {
		var p Part
		if p, err = parseJSON[Part](it.Value()); err != nil {
			break
		}
		k := it.Key()
		p.Number = int(binary.BigEndian.Uint16(k[len(k)-2:]))
		if err = fn(p); err != nil {
			break
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// AccessKeys returns all access keys.
func (db *DB) AccessKeys() (out []Access, err error) {
	err = db.each([]byte{famAccess}, func(_, v []byte) error {
		a, err := parseJSON[Access](v)
		out = append(out, a)
		return err
	})
	return out, err
}

// Pins returns the pinned views.
func (db *DB) Pins() (out []Pin, err error) {
	err = db.each([]byte{famPin}, func(_, v []byte) error {
		p, err := parseJSON[Pin](v)
		out = append(out, p)
		return err
	})
	return out, err
}
