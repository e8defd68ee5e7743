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
func (db *DB) Named(t entry.Type) (out []NamedValue, err error) {
	prefix := named(famConfig, NamedBy(t, ""))
	err = db.each(prefix, func(k, v []byte) error {
		s, err := parseJSON[Setting](v)
		out = append(out, NamedValue{string(k[len(prefix):]), s})
		return err
	})
	return out, err
}
