package stele_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"stele"
	"stele/entry"
	"stele/internal/core"
	"stele/internal/engine/mem"
	"stele/internal/index"
	"stele/internal/keyring"
	"stele/internal/ledger"
	"stele/internal/storetest"
	"stele/tree"
)

// TestSecretsAreSealed: neither the ledger nor a receipt, a listing, the log or the bytes of the index have the secret of an access key or of a target; the store itself has it, also after a restart.
func TestSecretsAreSealed(t *testing.T) {
	const swordfish = "swordfish-of-some-length"
	folder := filepath.Join(t.TempDir(), "data")
	var log bytes.Buffer
	opt := stele.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OpenTarget: storetest.DirTargets}
	s, err := stele.Create(ctx, folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.Keys().Create(ctx, stele.Local(), stele.RoleReadWrite, []string{"docs"}, 7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.AddTarget(ctx, stele.Local().Who(), stele.TargetSpec{Name: "nas", URL: "dir://" + filepath.Join(t.TempDir(), "nas"), AccessKey: "id", SecretKey: swordfish}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.RemoveTarget(ctx, stele.Local().Who(), "nas", nil); err != nil { // writes the settings anew
		t.Fatal(err)
	}
	if _, err := s.Rooms().Backups.CancelRemoval(ctx, stele.Local().Who(), "nas"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys().Revoke(ctx, stele.Local(), mustKey(t, s).ID); err != nil {
		t.Fatal(err)
	}
	clean := func(what string, b []byte) {
		t.Helper()
		for _, secret := range []string{k.Secret, swordfish} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s has %s in clear: %.300s", what, secret, b)
			}
		}
	}
	sealed := 0
	for at := range s.Ledger().Size() {
		e, _, private, err := s.Rooms().Core.Ledger().Entry(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		clean(string(e.Type), private)
		shown, err := s.Ledger().Entry(ctx, at)
		if err != nil || !bytes.Equal(entry.AppendPrivate(nil, &shown.Private), private) {
			t.Errorf("entry %d is shown as another than it is: its commitment can't be checked: %v", at, err)
		}
		r, err := s.Ledger().Receipt(ctx, at)
		if err != nil {
			t.Errorf("the receipt of entry %d (%s): %v", at, e.Type, err)
		}
		clean("a receipt", r)
		if e.Private.Secret != "" {
			sealed++
			proof, err := tree.ParseReceipt(r)
			if err == nil {
				_, err = proof.Verify(s.Ledger().VKey())
			}
			if err != nil {
				t.Errorf("the receipt of entry %d (%s): %v", at, e.Type, err)
			}
		}
	}
	if sealed != 5 {
		t.Errorf("%d entries have a secret, not those of two keys and of a target, set and written anew twice", sealed)
	}
	rows, err := s.Rooms().Core.Index.AccessKeys()
	if err != nil {
		t.Fatal(err)
	}
	named, err := s.Rooms().Core.Index.Named(entry.BackupTarget)
	if err != nil {
		t.Fatal(err)
	}
	all, err := json.Marshal([]any{rows, named})
	if err != nil {
		t.Fatal(err)
	}
	clean("the rows of the index", all)
	opens := func(s *stele.Store) {
		t.Helper()
		for range 2 { // opened, and remembered
			if a, err := s.Keys().Get(ctx, k.ID); err != nil || a.Secret != k.Secret || a.Rate != 7 {
				t.Errorf("the key is %+v, %v", a, err)
			}
		}
		spec, ok, err := s.Rooms().Backups.TargetIn(s.Rooms().Core.Index.Reader(), "nas")
		if err != nil || !ok || spec.SecretKey != swordfish {
			t.Errorf("the target is %+v, %v", spec, err)
		}
	}
	opens(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	clean("the log", log.Bytes())
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var b []byte
			if b, err = os.ReadFile(path); err == nil {
				clean(path, b)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = stele.Open(ctx, folder, opt); err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	opens(s)
}

func mustKey(t *testing.T, s *stele.Store) entry.AccessKey {
	t.Helper()
	k, err := s.Keys().Create(ctx, stele.Local(), stele.RoleReadOnly, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSecretsElsewhere: a store that serves from a backup, and one in a later epoch, know the access keys with their secrets.
func TestSecretsElsewhere(t *testing.T) {
	fsys := vfs.NewMem()
	opt := storetest.NewClient().Options(fsys)
	s, err := stele.Create(ctx, storetest.Folder, opt)
	if err != nil {
		t.Fatal(err)
	}
	text, err := core.ReadFile(fsys, "kit.txt")
	if err != nil {
		t.Fatal(err)
	}
	kit, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	k := mustKey(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	knows := func(what string, s *stele.Store, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if a, err := s.Keys().Get(ctx, k.ID); err != nil || a.Secret != k.Secret {
			t.Errorf("%s: %+v %v", what, a, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	x := &storetest.BackedUp{Target: mem.New(), Identity: kit.RecoveryIdentity, Gate: storetest.OpenGate}
	x.CopyFrom(t, fsys)
	s, err = x.Open(vfs.NewMem(), x.Target)
	knows("from a backup", s, err)
	if _, err := stele.Promote(ctx, storetest.Folder, stele.PromoteOptions{Options: opt}); err != nil {
		t.Fatal(err)
	}
	s, err = stele.Open(ctx, storetest.Folder, opt)
	knows("in epoch 2", s, err)
}

// TestSecretsFromBefore: an entry that has its secret in clear, as before secrets were sealed, is shown without it.
func TestSecretsFromBefore(t *testing.T) {
	key := entry.Entry{Type: entry.KeyCreate, Private: entry.Private{Access: &entry.AccessKey{ID: "K", Secret: "swordfish"}}}
	kept := key.Private.Access
	target := entry.Entry{Type: entry.BackupTarget, Private: entry.Private{Name: "nas", Value: `{"url":"dir:///nas","secret_key":"swordfish"}`}}
	odd := entry.Entry{Type: entry.BackupTarget, Private: entry.Private{Name: "nas", Value: `swordfish`}}
	for _, e := range []*entry.Entry{&key, &target, &odd} {
		if had := stele.WithoutSecret(e); !had || strings.Contains(string(entry.AppendPrivate(nil, &e.Private)), "swordfish") || stele.WithoutSecret(e) {
			t.Errorf("%s, %v: %s", e.Type, had, entry.AppendPrivate(nil, &e.Private))
		}
	}
	if kept.Secret == "" {
		t.Error("the entry that others share was changed")
	}
}

// TestSecretsFromBeforeInTheIndex: what an entry from before has in clear is sealed on its way into the index, opens as ever, and stays in the entry, which others have too. No such entry can be written any more.
func TestSecretsFromBeforeInTheIndex(t *testing.T) {
	const swordfish = "swordfish-of-some-length"
	s := storetest.NewMem(t, stele.Options{})
	at := s.Ledger().Size()
	batch := []entry.Entry{
		{Index: at, Time: time.Now(), Type: entry.ViewPin, Private: entry.Private{Name: "pin", Target: 1}},
		{Index: at + 1, Time: time.Now(), Type: entry.KeyCreate, Private: entry.Private{Access: &entry.AccessKey{ID: "OLD", Role: stele.RoleReadOnly, Secret: swordfish}}},
		{Index: at + 2, Time: time.Now(), Type: entry.BackupTarget, Private: entry.Private{Name: "nas", Value: `{"url":"dir:///nowhere/nas","access_key":"id","secret_key":"` + swordfish + `"}`}},
	}
	old := batch[1].Private.Access
	if _, err := s.Rooms().Core.Record(ctx, stele.Local().Who(), func(index.Reader, ledger.Slot) (ledger.Draft, error) {
		return ledger.Draft{Type: entry.KeyCreate, Private: batch[1].Private}, nil
	}); err == nil {
		t.Fatal("a secret in clear can be written")
	}
	if err := s.Rooms().Core.ApplyRows(batch); err != nil {
		t.Fatal(err)
	}
	if old.Secret != swordfish || batch[1].Private.Access != old || batch[1].Private.Secret != "" || !strings.Contains(batch[2].Private.Value, swordfish) {
		t.Error("the entries that others have were changed")
	}
	if rows, err := s.Rooms().Core.Index.AccessKeys(); err != nil || len(rows) != 1 || rows[0].Secret != "" || rows[0].Sealed == "" {
		t.Errorf("the row of the key is %+v, %v", rows, err)
	}
	if row, ok, err := s.Rooms().Core.Index.Reader().Config(index.NamedBy(entry.BackupTarget, "nas")); err != nil || !ok || strings.Contains(row.Value, swordfish) || row.Sealed == "" {
		t.Errorf("the row of the target is %+v, %v", row, err)
	}
	if a, err := s.Keys().Get(ctx, "OLD"); err != nil || a.Secret != swordfish {
		t.Errorf("the key is %+v, %v", a, err)
	}
	if spec, ok, err := s.Rooms().Backups.TargetIn(s.Rooms().Core.Index.Reader(), "nas"); err != nil || !ok || spec.SecretKey != swordfish || spec.AccessKey != "id" {
		t.Errorf("the target is %+v, %v", spec, err)
	}
}
