package index

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele/entry"
)

// TestSealedRows: the rows of access keys and targets have the secret as the entry has it, sealed; and that of an entry from before secrets were sealed as it is there (the store seals it on its way here).
func TestSealedRows(t *testing.T) {
	db, err := Open("index", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Apply([]entry.Entry{
		{Index: 0, Type: entry.KeyCreate, Private: entry.Private{Access: &entry.AccessKey{ID: "NEW"}, Secret: "c2VhbGVk"}},
		{Index: 1, Type: entry.KeyCreate, Private: entry.Private{Access: &entry.AccessKey{ID: "OLD", Secret: "clear"}}},
		{Index: 2, Type: entry.KeyRevoke, Private: entry.Private{Access: &entry.AccessKey{ID: "NEW"}}},
		{Index: 3, Type: entry.BackupTarget, Private: entry.Private{Name: "nas", Value: "{}", Secret: "c2VhbGVk"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, ok, err := db.Reader().Access("NEW"); err != nil || !ok || a.Sealed != "c2VhbGVk" || a.Secret != "" || !a.Revoked {
		t.Errorf("%+v %v", a, err)
	}
	if a, ok, err := db.Reader().Access("OLD"); err != nil || !ok || a.Sealed != "" || a.Secret != "clear" {
		t.Errorf("%+v %v", a, err)
	}
	if s, ok, err := db.Reader().Config(NamedBy(entry.BackupTarget, "nas")); err != nil || !ok || s.Sealed != "c2VhbGVk" {
		t.Errorf("%+v %v", s, err)
	}
	if all, err := db.Named(entry.BackupTarget); err != nil || len(all) != 1 || all[0].Name != "nas" || all[0].Sealed != "c2VhbGVk" {
		t.Errorf("%+v %v", all, err)
	}
}
