package index

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"stele/entry"
)

// Damage is what is known of a file that is damaged and was not healed.
type Damage struct {
	Since time.Time `json:"since"`
	What  string    `json:"what"`
	By    string    `json:"by"` // who met it: a read, the scrub, a verification …
}

// Heals are how often a file was healed lately.
type Heals struct {
	Times int       `json:"times"`
	Last  time.Time `json:"last"`
	From  string    `json:"from"` // the copy of the last
}

// HealsFor is how long a heal is remembered: a second one of the same file within that time says that its medium fails.
const HealsFor = 30 * 24 * time.Hour

// damage keeps that a file is damaged, since when it was first met, or drops that.
func (c *change) damage(e *entry.Entry, r Reader) error {
	key := NamedBy(entry.VerifyDamage, e.Private.Name)
	if e.Private.Value == "" {
		c.del(named(famConfig, key))
		return nil
	}
	d := Damage{Since: e.Time.UTC(), What: e.Private.Reason, By: e.Private.Data["by"]}
	if was, ok, err := namedValue[Damage](r, key); err != nil {
		return err
	} else if ok {
		d.Since = was.Since
	}
	c.setNamed(key, d)
	return nil
}

// healed counts the heals of a file, which is damaged no more.
func (c *change) healed(e *entry.Entry, r Reader) error {
	c.del(named(famConfig, NamedBy(entry.VerifyDamage, e.Private.Name)))
	key := NamedBy(entry.Heal, e.Private.Name)
	was, _, err := namedValue[Heals](r, key)
	if err != nil {
		return err
	}
	if e.Time.Sub(was.Last) > HealsFor {
		was.Times = 0
	}
	c.setNamed(key, Heals{Times: was.Times + 1, Last: e.Time.UTC(), From: e.Private.Data["from"]})
	return nil
}

// setNamed sets a setting whose Value is JSON.
func (c *change) setNamed(setting string, v any) {
	c.set(named(famConfig, setting), appendJSON(Setting{Value: string(appendJSON(v))}))
}

func namedValue[V any](r Reader, setting string) (v V, ok bool, err error) {
	row, ok, err := r.Config(setting)
	if err != nil || !ok {
		return v, false, err
	}
	if err := json.Unmarshal([]byte(row.Value), &v); err != nil {
		return v, false, fmt.Errorf("%w: %s: %v", errRow, setting, err)
	}
	return v, true, nil
}

// namedValues are the values of all names of a type.
func namedValues[V any](db *DB, t entry.Type) (map[string]V, error) {
	all, err := db.Named(t)
	out := make(map[string]V, len(all))
	for _, n := range all {
		var v V
		err = cmp.Or(err, json.Unmarshal([]byte(n.Value), &v))
		out[n.Name] = v
	}
	return out, err
}

// Damaged returns the files that are known to be damaged and not healed.
func (db *DB) Damaged() (map[string]Damage, error) {
	return namedValues[Damage](db, entry.VerifyDamage)
}

// Healed returns the files that were ever healed, and how often lately.
func (db *DB) Healed() (map[string]Heals, error) { return namedValues[Heals](db, entry.Heal) }
