package index

import "stele/entry"

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
func (db *DB) Named(t entry.Type) ([]NamedValue, error) { return db.Settings(NamedBy(t, "")) }

// Settings returns the store's settings whose names begin with prefix, which is taken off, in order of name.
func (db *DB) Settings(prefix string) (out []NamedValue, err error) {
	rows := named(famConfig, prefix)
	err = db.each(rows, func(k, v []byte) error {
		s, err := parseJSON[Setting](v)
		out = append(out, NamedValue{string(k[len(rows):]), s})
		return err
	})
	return out, err
}
