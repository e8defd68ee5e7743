package stele

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"stele/internal/core"
	"stele/internal/index"
	"stele/internal/ledger"
)

// Local is the actor of the command line on the machine itself, where nothing says which user of the operating system it is: the operator, who may end a legal hold.
func Local() Actor { return Actor{Key: core.ActorLocal, EndHold: true, local: true} }

// LocalUser is the actor of the command line on the machine itself, run by a user of the operating system: "local:alice", at "uid 1000". The uid is what the kernel says; the name is what the
// machine's user list says of it, and is text from outside: it is bounded, and only what names usually consist of is kept. It may be empty.
func LocalUser(uid, name string) Actor {
	name = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-@+$", r)) {
			return r
		}
		return '_'
	}, name[:min(len(name), maxUserName)])
	if name == "" {
		name = uid
	}
	return Actor{Key: core.ActorLocal + ":" + name, Address: "uid " + uid, EndHold: true, local: true}
}

// maxUserName bounds the name of a user of the operating system, in bytes. Linux has at most 32.
const maxUserName = 64

// isActor reports whether an entry's actor is the one that is asked for; "local" is the command line, whoever ran it.
func isActor(actor, asked string) bool {
	return actor == asked || asked == core.ActorLocal && strings.HasPrefix(actor, core.ActorLocal+":")
}

// commit records a change: see core.Store.Record.
func (s *Store) commit(ctx context.Context, by Actor, fn core.Decide) (Committed, error) {
	c, err := s.core.Record(ctx, by.Who(), fn)
	return c, err
}

// Who is what the core needs to know of an actor.
func (by Actor) Who() core.Who {
	return core.Who{Key: by.Key, Address: by.Address, Request: by.Request, Local: by.local}
}

// What a function that decides is given, and what it returns.
type (
	ledgerSlot  = ledger.Slot
	ledgerDraft = ledger.Draft
)

// bucketFor returns the bucket of a change.
func bucketFor(r index.Reader, name string) (*index.Bucket, error) {
	b, ok, err := r.Bucket(name)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s", ErrNoBucket, name)
	}
	return b, err
}

// versionID is the id that S3 shows: the entry and the epoch in which it was written, so that no id ever names two versions, and none changes with a promotion.
func versionID(epoch uint32, at uint64, null bool) string {
	if null {
		return "null"
	}
	var raw [12]byte
	binary.BigEndian.PutUint32(raw[:], epoch)
	binary.BigEndian.PutUint64(raw[4:], at)
	return hex.EncodeToString(raw[:])
}

// parseVersionID returns the entry in an id that is not "null".
func parseVersionID(id string) (uint64, bool) {
	if len(id) != 24 {
		return 0, false
	}
	var epoch uint32
	var at uint64
	if _, err := fmt.Sscanf(id, "%08x%016x", &epoch, &at); err != nil || versionID(epoch, at, false) != id {
		return 0, false
	}
	return at, true
}

func (s *Store) versionID(at uint64, null bool) string {
	return versionID(s.core.Keys.EpochOf(at), at, null)
}
