package index

import (
	"encoding/binary"
	"errors"
	"strings"
)

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
