package index

import (
	"encoding/binary"
	"errors"
	"strings"

	"stele/entry"
)

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

// BucketDeleted returns the entry that deleted the bucket which had a name until a size; false if it was not deleted by then, or never there.
func (db *DB) BucketDeleted(name string, size uint64) (uint64, bool, error) {
	prefix := appendEscaped([]byte{famBuckets}, name)
	k, v, err := db.first(append(prefix[:len(prefix):len(prefix)], complement(size-1)...), after(prefix))
	if v == nil || err != nil {
		return 0, false, err
	}
	if len(k) != len(prefix)+8 {
		return 0, false, errRow
	}
	b, err := parseJSON[Bucket](v)
	return ^binary.BigEndian.Uint64(k[len(prefix):]), b.Deleted && err == nil, err
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
		if p, err = parsePart(it.Value()); err != nil {
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

// NamedValue is what a name of a type is now.
type NamedValue struct {
	Name string
	Setting
}

// Named returns the present values of all names of a type, in order of name: the targets, the standbys.
func (db *DB) Named(t entry.Type) (out []NamedValue, err error) {
	prefix := named(famConfig, NamedBy(t, ""))
	err = db.each(prefix, func(k, v []byte) error {
		s, err := parseJSON[Setting](v)
		out = append(out, NamedValue{string(k[len(prefix):]), s})
		return err
	})
	return out, err
}
