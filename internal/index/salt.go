package index

var metaLast = named(famMeta, "last")

// LastSalt returns the salt of the entry before Size. It is random, so it tells whether the rows are those of the ledger beside them, or were brought here from another
// store or from another course of this one.
func (db *DB) LastSalt() (salt [16]byte, err error) {
	v, err := db.get(metaLast)
	copy(salt[:], v)
	return salt, err
}
