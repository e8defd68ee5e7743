package index

import (
	"encoding/binary"
	"errors"
	"maps"

	"stele/entry"
)

// source is rows by key: the database, or the database below the overlay of decided entries.
type source interface {
	// get returns the row's value, nil if there is none. The value is the caller's.
	get(key []byte) ([]byte, error)
	// first returns the first row in [lo, hi), nil if there is none. Families v and a only.
	first(lo, hi []byte) (key, val []byte, err error)
	// any reports whether there is a row in [lo, hi).
	any(lo, hi []byte) (bool, error)
	// bucket returns the current incarnation of a name, decoded; it may be shared and is not changed.
	bucket(name string) (*Bucket, error)
	// access returns an access key in the same way.
	access(id string) (*Access, error)
	// stable returns the rows as they are at one moment, until the function is called.
	stable() (source, func() error)
}

// Reader answers questions about single rows. A Reader from [DB.Reader] shows what is applied, so what is durable; the one that a decide function gets shows the entries decided before it as
// well and is good only on the sequencer's goroutine.
type Reader struct{ src source }

func putUint(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func complement(v uint64) []byte { return putUint(^v) }

// Current returns the current version of a key, if it has one that is no delete marker.
func (r Reader) Current(inc uint64, key string) (Current, bool, error) {
	return r.current(currentKey(inc, key))
}

func (r Reader) current(key []byte) (Current, bool, error) {
	b, err := r.src.get(key)
	if b == nil || err != nil {
		return Current{}, false, err
	}
	row, err := parseCurrent(b)
	return row, err == nil, err
}

func (r Reader) version(inc uint64, key string, at uint64) (Current, bool, error) {
	b, err := r.src.get(entryKey(famVersion, inc, key, at))
	if b == nil || err != nil {
		return Current{}, false, err
	}
	row, err := parseCurrent(b)
	return row, err == nil, err
}

func (r Reader) null(inc uint64, key string) (uint64, bool, error) {
	b, err := r.src.get(objectPrefix(famNull, inc, key))
	if len(b) != 8 || err != nil {
		return 0, false, err
	}
	return binary.BigEndian.Uint64(b), true, nil
}

// together runs fn on one moment's rows: what moves between row families meanwhile is seen once.
func (r Reader) together(fn func(Reader) error) error {
	src, done := r.src.stable()
	return errors.Join(fn(Reader{src}), done())
}

// Latest returns the latest version of a key, delete marker or not.
func (r Reader) Latest(inc uint64, key string) (row Current, ok bool, err error) {
	if row, ok, err = r.Current(inc, key); ok || err != nil {
		return row, ok, err
	}
	err = r.together(func(r Reader) error {
		if row, ok, err = r.Current(inc, key); ok || err != nil {
			return err
		}
		prefix := objectPrefix(famVersion, inc, key)
		k, v, err := r.src.first(prefix, after(prefix))
		if k == nil || err != nil {
			return err
		}
		row, err = parseCurrent(v)
		ok = err == nil
		return err
	})
	return row, ok, err
}

// Shown returns the version written by entry at, if S3 still shows it.
func (r Reader) Shown(inc uint64, key string, at uint64) (row Current, ok bool, err error) {
	if row, ok, err = r.Current(inc, key); err != nil || ok && row.Entry == at {
		return row, ok, err
	}
	err = r.together(func(r Reader) error {
		if row, ok, err = r.Current(inc, key); err != nil || ok && row.Entry == at {
			return err
		}
		row, ok, err = r.version(inc, key, at)
		return err
	})
	return row, ok, err
}

// Null returns the version with the id "null", if S3 shows one.
func (r Reader) Null(inc uint64, key string) (row Current, ok bool, err error) {
	if row, ok, err = r.Current(inc, key); err != nil || ok && row.Null {
		return row, ok, err
	}
	err = r.together(func(r Reader) error {
		if row, ok, err = r.Current(inc, key); err != nil || ok && row.Null {
			return err
		}
		at, found, err := r.null(inc, key)
		if row, ok = (Current{}), false; !found || err != nil {
			return err
		}
		row, ok, err = r.version(inc, key, at)
		return err
	})
	return row, ok, err
}

// Record returns the history row that entry at wrote for a key.
func (r Reader) Record(inc uint64, key string, at uint64) (Record, bool, error) {
	b, err := r.src.get(entryKey(famHistory, inc, key, at))
	if b == nil || err != nil {
		return Record{}, false, err
	}
	rec, err := parseRecord(at, b)
	return rec, err == nil, err
}

// Attrs returns lock and tags of a version as they are now.
func (r Reader) Attrs(inc uint64, key string, version uint64) (Attrs, error) {
	return r.AttrsAt(inc, key, version, ^uint64(0))
}

// AttrsAt returns lock and tags of a version as of a ledger size.
func (r Reader) AttrsAt(inc uint64, key string, version, size uint64) (Attrs, error) {
	prefix := attrPrefix(inc, key, version)
	_, v, err := r.src.first(append(prefix[:len(prefix):len(prefix)], complement(size-1)...), after(prefix))
	if err != nil {
		return Attrs{}, err
	}
	if v != nil {
		return parseAttrs(v)
	}
	rec, _, err := r.Record(inc, key, version)
	return Attrs{Lock: rec.Lock, Tags: rec.Tags, Type: entry.ObjectPut}, err
}

// Bucket returns the current incarnation of a name. The caller does not change it.
func (r Reader) Bucket(name string) (*Bucket, bool, error) {
	b, err := r.src.bucket(name)
	return b, b != nil, err
}

func (b *Bucket) clone() Bucket {
	out := *b
	if out.Settings = maps.Clone(b.Settings); out.Settings == nil {
		out.Settings = map[string]Setting{}
	}
	return out
}

// Empty reports whether S3 shows nothing in an incarnation: no version, no marker. Open uploads do not count, as at AWS.
func (r Reader) Empty(inc uint64) (empty bool, err error) {
	err = r.together(func(r Reader) error {
		for _, fam := range []byte{famCurrent, famVersion} {
			p := incKey(fam, inc, 0)
			if found, err := r.src.any(p, after(p)); found || err != nil {
				return err
			}
		}
		empty = true
		return nil
	})
	return empty, err
}

// Upload returns an open upload.
func (r Reader) Upload(inc uint64, key, id string) (Upload, bool, error) {
	b, err := r.src.get(uploadKey(inc, key, id))
	if b == nil || err != nil {
		return Upload{}, false, err
	}
	u, err := parseJSON[Upload](b)
	u.Key, u.ID = key, id
	return u, err == nil, err
}

// Touched returns the entry that last changed an open upload or one of its parts.
func (r Reader) Touched(upload string) (uint64, error) {
	b, err := r.src.get(named(famTouched, upload))
	if len(b) < 8 || err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// Access returns an access key, also a revoked one.
func (r Reader) Access(id string) (Access, bool, error) {
	a, err := r.src.access(id)
	if a == nil || err != nil {
		return Access{}, false, err
	}
	return *a, true, nil
}

// Pin returns a pinned view.
func (r Reader) Pin(name string) (Pin, bool, error) {
	b, err := r.src.get(named(famPin, name))
	if b == nil || err != nil {
		return Pin{}, false, err
	}
	p, err := parseJSON[Pin](b)
	return p, err == nil, err
}

// Config returns a setting of the store.
func (r Reader) Config(name string) (Setting, bool, error) {
	b, err := r.src.get(named(famConfig, name))
	if b == nil || err != nil {
		return Setting{}, false, err
	}
	s, err := parseJSON[Setting](b)
	return s, err == nil, err
}
