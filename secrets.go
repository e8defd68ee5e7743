package stele

import (
	"slices"
	"sync"

	"stele/entry"
	"stele/internal/backup"
)

// A secret that opens another door, that of an access key or the secret key of a target, is in an entry only as keyring.SealSecret wrote it. So readers of the ledger, receipts, dumps and the index
// have no more than that, and the commitment can be checked by everyone. Two functions open it: AccessKey, for signatures, and the backup room, to reach a target.

// secrets are those of access keys that were opened: each request asks for one.
type secrets struct {
	mu   sync.Mutex
	open map[string]string // by id and sealed text: a key that was made again never gets the one before
}

// maxOpenSecrets bounds secrets.open. The keys of a store are fewer; beyond, some are opened again.
const maxOpenSecrets = 4096

func (c *secrets) get(id string, open func() (string, error)) (string, error) {
	c.mu.Lock()
	clear, ok := c.open[id]
	c.mu.Unlock()
	if ok {
		return clear, nil
	}
	clear, err := open()
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[string]string{}
	}
	for old := range c.open {
		if len(c.open) < maxOpenSecrets {
			break
		}
		delete(c.open, old)
	}
	c.open[id] = clear
	return clear, nil
}

// sealedRows are entries as the index is to have them. Its rows are not encrypted, so that a secret which an entry from before has in clear is sealed on its way there.
func (s *Store) sealedRows(batch []entry.Entry) ([]entry.Entry, error) {
	rows := batch
	for i := range batch {
		row, was, err := s.sealedRow(batch[i])
		if err != nil {
			return nil, err
		}
		if !was {
			continue
		}
		if &rows[0] == &batch[0] {
			rows = slices.Clone(batch) // others have the entries too
		}
		rows[i] = row
	}
	return rows, nil
}

// sealedRow is an entry as the index is to have it, and whether that is another than it is. What can't be read as a target stays as it is, for who mends it.
func (s *Store) sealedRow(e entry.Entry) (row entry.Entry, was bool, err error) {
	switch p := &e.Private; {
	case e.Type == entry.KeyCreate && p.Access != nil && p.Access.Secret != "":
		a := *p.Access
		p.Secret, err = s.core.Seal(a.Secret, e.Type, a.ID)
		a.Secret = ""
		p.Access = &a
	case e.Type == entry.BackupTarget && p.Value != "":
		spec, perr := backup.ParseTarget(p.Name, p.Value)
		if perr != nil || spec.SecretKey == "" {
			return e, false, nil
		}
		p.Secret, err = s.core.Seal(spec.SecretKey, e.Type, p.Name)
		spec.SecretKey = ""
		p.Value = backup.SettingsOf(spec)
	default:
		return e, false, nil
	}
	return e, true, err
}

// WithoutSecret leaves out of an entry what opens another door and stands there in clear, and says whether there was such a thing: only entries from before secrets were sealed have it. Private.Access is not shared then.
func WithoutSecret(e *entry.Entry) (had bool) {
	if a := e.Private.Access; a != nil && a.Secret != "" {
		shown := *a
		shown.Secret = ""
		e.Private.Access, had = &shown, true
	}
	if e.Type != entry.BackupTarget || e.Private.Value == "" {
		return had
	}
	spec, err := backup.ParseTarget("", e.Private.Value)
	if err != nil {
		e.Private.Value = "" // nobody knows what it holds
		return true
	}
	if spec.SecretKey == "" {
		return had
	}
	spec.SecretKey = ""
	e.Private.Value = backup.SettingsOf(spec)
	return true
}
