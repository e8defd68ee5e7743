package keyring

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"

	"stele/internal/frame"
)

// Share is a recovery share: one of several texts to print, of which enough together make the recovery kit again (package shares). All but Value is no secret.
type Share struct {
	StoreID   [16]byte
	Set       [8]byte // random: which splitting it is of
	Index     int     // 1 to Shares
	Shares    int     // how many there are in the set
	Any       int     // how many of them make the kit again
	Created   time.Time
	VKey      string // of the kit, as Created
	Recipient string // age1…: the public half of the kit's key
	Value     [48]byte
}

// ErrShare: the text is not a recovery share, or one of its letters is wrong.
var ErrShare = errors.New("this is not a Stele recovery share, or it is damaged")

// Bounds of a set. The index of a share is one byte in other people's Shamir schemes, so that nobody expects more.
const (
	MinAny    = 2
	MaxShares = 255
)

// Frozen: docs/FORMAT.md.
const (
	shareKind    = "# Stele recovery share"
	shareTitle   = shareKind + ", version 0"
	sharePrefix  = "STELE-SHARE-"
	shareVersion = 0
	shareGroup   = 6 // letters between two hyphens
)

// shareBytes is what the key line holds: version, value, and the digests that notice a wrong letter, one for each half of the text so that a reader is told where to look.
const (
	shareLinesAt = 1 + 48
	shareKeyAt   = shareLinesAt + 5
	shareBytes   = shareKeyAt + 6
)

// crockford has no I, L, O and U: what is easily mistaken for another letter does not occur. 60 bytes are 96 letters, with no bit to spare.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// facts are the lines of a share that say what it is of, as its digest covers them.
func (s *Share) facts() [][2]string {
	return [][2]string{
		{"store", hex.EncodeToString(s.StoreID[:])},
		{"set", s.SetID()},
		{"share", s.place()},
		{"created", s.Created.UTC().Format(time.RFC3339)},
		{"verifier key", s.VKey},
		{"recovery key", s.Recipient},
	}
}

func (s *Share) place() string { return fmt.Sprintf("%d of %d, any %d open", s.Index, s.Shares, s.Any) }

// SetID is the id of the set in hex.
func (s *Share) SetID() string { return hex.EncodeToString(s.Set[:]) }

func (s *Share) lines() string {
	var b strings.Builder
	for _, f := range s.facts() {
		fmt.Fprintf(&b, "# %s: %s\n", f[0], f[1])
	}
	return b.String()
}

func (s *Share) raw() []byte {
	b := append([]byte{shareVersion}, s.Value[:]...)
	sum := sha256.Sum256([]byte("stele-share-v0 lines\n" + s.lines()))
	b = append(b, sum[:shareKeyAt-shareLinesAt]...)
	sum = sha256.Sum256(append([]byte("stele-share-v0 key\n"), b...))
	return append(b, sum[:shareBytes-shareKeyAt]...)
}

// keyLine is the line that is secret.
func (s *Share) keyLine() string {
	letters := crockford.EncodeToString(s.raw())
	groups := make([]string, 0, len(letters)/shareGroup)
	for ; letters != ""; letters = letters[shareGroup:] {
		groups = append(groups, letters[:shareGroup])
	}
	return sharePrefix + strings.Join(groups, "-")
}

// Text renders the share.
func (s *Share) Text() []byte {
	return fmt.Appendf(nil, `%s
#
# This is one of %d shares of a recovery kit. Any %d of them together make the kit again, and whoever holds
# it can read everything in the store below and in every backup of it. Fewer than %d tell nothing.
#
#   1. Print it, or keep it on a stick, where no other share of this set is.
#   2. Prove that it reads back:     stele kit check FILE
#   3. When the machine is lost:     stele kit combine%s
#      and then                      stele restore … --recovery-key stele-recovery-kit.txt
#
# To type it in, the lines below are enough. Case, hyphens, spaces and blank lines in the last one don't count.
#
%s%s
`, shareTitle, s.Shares, s.Any, s.Any, strings.Repeat(" SHARE", min(s.Any, 3))+map[bool]string{true: " …"}[s.Any > 3], s.lines(), s.keyLine())
}

// IsShare reports whether a text means to be a recovery share, whole or not.
func IsShare(text []byte) bool {
	upper := strings.ToUpper(string(text))
	return strings.Contains(upper, sharePrefix) || strings.Contains(upper, strings.ToUpper(shareKind))
}

// ParseShare parses a share's text. It forgives what may happen to a text that is typed in: blank lines, spaces at the ends of lines, Windows line ends; in the key line case, hyphens, spaces and breaks,
// and O, I and L for the digits that they look like. Any other wrong letter is ErrShare. ErrVersion of package frame: a newer Stele made it.
func ParseShare(text []byte) (s Share, err error) {
	seen, key := make(map[string]string), ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		rest, remark := strings.CutPrefix(line, "#")
		name, value, named := strings.Cut(strings.TrimSpace(rest), ":")
		switch {
		case strings.HasPrefix(line, shareKind) && line != shareTitle:
			return s, fmt.Errorf("%w: its first line is %.60q, and not %q", frame.ErrVersion, line, shareTitle)
		case remark && named:
			if _, twice := seen[name]; twice && known(name) {
				return s, fmt.Errorf("%w: two lines say %q: keep each share in a file of its own", ErrShare, "# "+name+":")
			}
			seen[name] = strings.TrimSpace(value)
		case !remark && key != "" && strings.HasPrefix(strings.ToUpper(line), sharePrefix):
			return s, fmt.Errorf("%w: it has two lines %s…: keep each share in a file of its own", ErrShare, sharePrefix)
		case !remark && (key != "" || strings.HasPrefix(strings.ToUpper(line), sharePrefix)):
			key += strings.ToUpper(line)
		case !remark && line != "":
			return s, fmt.Errorf("%w: unexpected line %.10q", ErrShare, line) // a few letters only: it may be a secret
		}
	}
	for _, f := range s.facts() {
		value, ok := seen[f[0]]
		if !ok {
			return s, fmt.Errorf("%w: it has no line \"# %s: …\". Add it from the print", ErrShare, f[0])
		}
		if err := s.set(f[0], value); err != nil {
			return s, fmt.Errorf("%w: the line \"# %s\": %v", ErrShare, f[0], err)
		}
	}
	return s, s.setKey(key)
}

func known(name string) bool {
	for _, f := range new(Share).facts() {
		if f[0] == name {
			return true
		}
	}
	return false
}

func (s *Share) set(name, value string) (err error) {
	switch name {
	case "store":
		if !unhex(s.StoreID[:], value) {
			err = errors.New("a store's id is 32 hex digits")
		}
	case "set":
		if !unhex(s.Set[:], value) {
			err = errors.New("a set's id is 16 hex digits")
		}
	case "share":
		_, err = fmt.Sscanf(value, "%d of %d, any %d open", &s.Index, &s.Shares, &s.Any)
		if err != nil || s.place() != strings.Join(strings.Fields(value), " ") || s.Any < MinAny || s.Any > s.Shares || s.Shares > MaxShares || s.Index < 1 || s.Index > s.Shares {
			err = errors.New("it should read as \"2 of 5, any 3 open\"")
		}
	case "created":
		if s.Created, err = time.Parse(time.RFC3339, value); err != nil || s.Created.Nanosecond() != 0 {
			err = errors.New("it should read as 2026-11-22T16:03:12Z")
		}
	case "verifier key":
		s.VKey = value
	case "recovery key":
		s.Recipient = value
		if _, bad := age.ParseX25519Recipient(value); bad != nil { // whose text has the line in it, and behind a lost line break the secret stands there
			err = errors.New("it should read as age1 and 58 letters more")
		}
	}
	return err
}

// setKey reads the key line and judges it and the other lines by their digests.
func (s *Share) setKey(line string) error {
	letters, ok := strings.CutPrefix(line, sharePrefix)
	if !ok {
		return fmt.Errorf("%w: it has no line %s…. Add it from the print", ErrShare, sharePrefix)
	}
	letters = strings.NewReplacer("-", "", " ", "", "\t", "", "O", "0", "I", "1", "L", "1").Replace(letters)
	if want := crockford.EncodedLen(shareBytes); len(letters) != want {
		return fmt.Errorf("%w: the line %s… has %d letters, and not %d. Compare it with the print, group by group", ErrShare, sharePrefix, len(letters), want)
	}
	b, err := crockford.DecodeString(letters)
	if at := base32.CorruptInputError(0); errors.As(err, &at) {
		return fmt.Errorf("%w: the line %s… has something in group %d that is no letter of a share. It has digits and letters, no U. Compare it with the print", ErrShare, sharePrefix, int(at)/shareGroup+1)
	} else if err != nil {
		return fmt.Errorf("%w: the line %s…: %v", ErrShare, sharePrefix, err)
	}
	copy(s.Value[:], b[1:])
	sum := sha256.Sum256(append([]byte("stele-share-v0 key\n"), b[:shareKeyAt]...))
	switch raw := s.raw(); {
	case string(b[shareKeyAt:]) != string(sum[:shareBytes-shareKeyAt]):
		return fmt.Errorf("%w: a letter of the line %s… is wrong. Compare it with the print, group by group", ErrShare, sharePrefix)
	case b[0] != shareVersion:
		return fmt.Errorf("%w: a share of version %d", frame.ErrVersion, b[0])
	case string(b) != string(raw):
		return fmt.Errorf("%w: a letter of the lines \"# store\" to \"# recovery key\" is wrong. Compare them with the print", ErrShare)
	}
	return nil
}

// Proof is what whoever holds the share can say and nobody else, and from which the share can't be found: 32 hex digits.
func (s *Share) Proof() string {
	sum := sha256.Sum256(append([]byte("stele-share-v0 proof\n"), s.Value[:]...))
	return hex.EncodeToString(sum[:16])
}

// ShareVerifier is by what a proof is known again, 32 hex digits: the ledger keeps this one, so that whoever reads the ledger can't say the proof.
func ShareVerifier(proof string) string {
	sum := sha256.Sum256([]byte("stele-share-v0 verifier\n" + proof))
	return hex.EncodeToString(sum[:16])
}
