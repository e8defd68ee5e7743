package index

// Sealed reports whether an applied pack.seal entry names a pack.
func (db *DB) Sealed(pack string) (bool, error) {
	v, err := db.get(named(famSealed, pack))
	return v != nil, err
}
