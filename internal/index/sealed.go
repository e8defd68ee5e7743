package index

import "encoding/binary"

// Sealed reports whether an applied pack.seal entry names a pack.
func (db *DB) Sealed(pack string) (bool, error) {
	_, ok, err := db.SealedBy(pack)
	return ok, err
}

// SealedBy returns the index of the newest applied pack.seal entry that names a pack.
func (db *DB) SealedBy(pack string) (at uint64, ok bool, err error) {
	v, err := db.get(named(famSealed, pack))
	if err != nil || v == nil {
		return 0, false, err
	}
	if len(v) != 8 {
		return 0, false, errRow
	}
	return binary.BigEndian.Uint64(v), true, nil
}

// EachSealed calls fn for the name of each pack that an applied pack.seal entry names, in ascending order, until fn fails.
func (db *DB) EachSealed(fn func(pack string) error) error {
	return db.each([]byte{famSealed}, func(k, _ []byte) error { return fn(string(k[1:])) })
}
