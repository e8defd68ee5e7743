package index

import (
	"encoding/binary"
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
