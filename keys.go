package stele

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"stele/entry"
	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/keyring"
)

// Roles of access keys. No role erases anything.
const (
	RoleAdmin     = "admin"     // everything, buckets and keys too
	RoleReadWrite = "readwrite" // objects
	RoleAppend    = "append"    // put and read; no delete, no overwrite
	RoleReadOnly  = "readonly"
	RoleAuditor   = "auditor" // reads, also the ledger and all incarnations
)

// KeyInfo is an access key without its secret.
type KeyInfo struct {
	ID        string
	Role      string
	Rate      int // entries per second; 0: not limited
	Scope     []string
	Created   time.Time
	CreatedBy string
	LastUsed  time.Time // since this process started; zero: not used
	Revoked   bool
}

// Keys are the access keys of a store, by which its S3 and admin ports know who asks, and the recovery kit, without which a copy of the store can't be read. Creating and revoking are entries in the ledger; secrets
// are sealed in them. The root key alone is no entry: it is configured, or kept in the folder.
//
// A Keys is one pointer: ask the store for it wherever it is needed.
type Keys struct{ s *Store }

// Keys returns the access keys of the store.
func (s *Store) Keys() Keys { return Keys{s} }

// Root returns the root access key, with its secret.
func (k Keys) Root() entry.AccessKey { return k.s.core.Root() }

// Create makes an access key with a role and a scope: buckets, or BUCKET/PREFIX, within which it may act; none: all. rate is the most entries a second that it may cause in the long run (a minute's worth at
// once), 0: not limited. The secret is in the result and nowhere else in clear; the entry has it sealed. ErrBadName: no such role, a rate below 0, or a scope that no key lies in.
func (k Keys) Create(ctx context.Context, by Actor, role string, scope []string, rate int) (entry.AccessKey, error) {
	if err := k.s.core.Enter(); err != nil {
		return entry.AccessKey{}, err
	}
	defer k.s.core.Leave()
	if !slices.Contains([]string{RoleAdmin, RoleReadWrite, RoleAppend, RoleReadOnly, RoleAuditor}, role) {
		return entry.AccessKey{}, core.BadValue("%q is not a role. Take admin, readwrite, append, readonly or auditor", role)
	}
	if rate < 0 {
		return entry.AccessKey{}, core.BadValue("a rate of %d entries a second: take 1 or more, or 0 for no limit", rate)
	}
	for _, sc := range scope {
		if err := validScope(sc); err != nil {
			return entry.AccessKey{}, err
		}
	}
	key := entry.AccessKey{ID: "STELE" + core.RandomID(15), Role: role, Rate: rate, Scope: scope, Secret: core.RandomSecret()}
	sealed, err := k.s.core.Seal(key.Secret, entry.KeyCreate, key.ID)
	if err != nil {
		return entry.AccessKey{}, err
	}
	written := key
	written.Secret = ""
	_, err = k.s.commit(ctx, by, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		return ledgerDraft{Type: entry.KeyCreate, Private: entry.Private{Access: &written, Secret: sealed}}, nil
	})
	return key, err
}

// validScope refuses what is not BUCKET or BUCKET/PREFIX, and what would match nothing that a user can have meant: a scope is a prefix and no pattern.
func validScope(scope string) error {
	bucket, prefix, _ := strings.Cut(scope, "/")
	if i := strings.IndexByte(scope, '*'); i >= 0 {
		hint := fmt.Sprintf("write %q for every key that begins so", scope[:i])
		switch j := strings.LastIndexByte(scope[:i], '/'); {
		case i < len(bucket):
			hint = "name each bucket; no scope at all is every bucket"
		case j == len(bucket) && i == j+1:
			hint = fmt.Sprintf("write %q for the whole bucket", bucket)
		}
		return core.BadValue("scope %q: a scope is a prefix and takes no *: %s", scope, hint)
	}
	if err := ValidBucketName(bucket); err != nil {
		return fmt.Errorf("scope %q is not BUCKET or BUCKET/PREFIX: %w", scope, err)
	}
	if prefix != "" {
		if err := ValidKey(prefix); err != nil {
			return fmt.Errorf("scope %q matches no key: %w", scope, err)
		}
	}
	return nil
}

// Revoke ends an access key, for requests under way too. ErrNoAccessKey: there is none that lives. ErrBadState: it is the root key.
func (k Keys) Revoke(ctx context.Context, by Actor, id string) (Committed, error) {
	if err := k.s.core.Enter(); err != nil {
		return Committed{}, err
	}
	defer k.s.core.Leave()
	if id == k.s.core.Root().ID {
		return Committed{}, core.BadState("the root key is not in the ledger: change %s or STELE_ROOT_SECRET_KEY and restart", core.FileRootKey)
	}
	return k.s.commit(ctx, by, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		a, ok, err := r.Access(id)
		if err != nil || !ok || a.Revoked {
			return ledgerDraft{}, orErr(err, fmt.Errorf("%w: %s", ErrNoAccessKey, id))
		}
		return ledgerDraft{Type: entry.KeyRevoke, Private: entry.Private{Access: &entry.AccessKey{ID: id, Role: a.Role}}}, nil
	})
}

// List returns all access keys but the root key, revoked ones too, without their secrets.
func (k Keys) List(ctx context.Context) ([]KeyInfo, error) {
	if err := k.s.core.Enter(); err != nil {
		return nil, err
	}
	defer k.s.core.Leave()
	rows, err := k.s.core.Index.AccessKeys()
	out := make([]KeyInfo, 0, len(rows))
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	for _, a := range rows {
		out = append(out, KeyInfo{ID: a.ID, Role: a.Role, Rate: a.Rate, Scope: a.Scope, Created: a.Created, CreatedBy: a.CreatedBy, LastUsed: k.s.lastUsed[a.ID], Revoked: a.Revoked})
	}
	return out, err
}

// Get returns a key with its secret, the root key too. ErrNoAccessKey if there is none that lives.
func (k Keys) Get(ctx context.Context, id string) (entry.AccessKey, error) {
	if err := k.s.core.Enter(); err != nil {
		return entry.AccessKey{}, err
	}
	defer k.s.core.Leave()
	if id == k.s.core.Root().ID && id != "" {
		return k.s.core.Root(), nil
	}
	a, ok, err := k.s.core.Index.Reader().Access(id)
	if err != nil {
		return entry.AccessKey{}, err
	}
	if !ok || a.Revoked {
		return entry.AccessKey{}, fmt.Errorf("%w: %s", ErrNoAccessKey, id)
	}
	if a.Sealed != "" {
		a.Secret, err = k.s.secrets.get(a.ID+" "+a.Sealed, func() (string, error) { return k.s.core.Unseal(a.Sealed, entry.KeyCreate, a.ID) })
	}
	return a.AccessKey, err
}

// Used takes note, in memory, that a key was used: KeyInfo.LastUsed. One that is not there is passed over.
func (k Keys) Used(id string) {
	if k.s.core.Enter() != nil {
		return
	}
	defer k.s.core.Leave()
	if _, ok, err := k.s.core.Index.Reader().Access(id); id != k.s.core.Root().ID && (err != nil || !ok) {
		return
	}
	now := k.s.core.Now()
	k.s.mu.Lock()
	k.s.lastUsed[id] = now
	k.s.mu.Unlock()
}

const configKit = "kit.confirmed"

// ConfirmKit checks the text of a recovery kit against the keyring and notes in the ledger that someone holds it. ErrBadName: it is no kit, another store's, or an older one than the last key rotation made.
func (k Keys) ConfirmKit(ctx context.Context, by Actor, text []byte) error {
	if err := k.s.core.Enter(); err != nil {
		return err
	}
	defer k.s.core.Leave()
	kit, err := keyring.ParseKit(text)
	if err == nil {
		err = kit.Confirm(k.s.core.Keys)
	}
	if err != nil {
		return core.OfKind(core.Translate(err), ErrBadName)
	}
	_, err = k.s.commit(ctx, by, func(r index.Reader, at ledgerSlot) (ledgerDraft, error) {
		return ledgerDraft{Type: entry.ConfigSet, Private: entry.Private{Name: configKit, Value: at.Time.Format(time.RFC3339)}}, nil
	})
	return err
}

// KitConfirmed returns when the recovery kit was last read back; zero: never.
func (k Keys) KitConfirmed() (time.Time, error) {
	if err := k.s.core.Enter(); err != nil {
		return time.Time{}, err
	}
	defer k.s.core.Leave()
	set, ok, err := k.s.core.Index.Reader().Config(configKit)
	if err != nil || !ok {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, set.Value)
}
