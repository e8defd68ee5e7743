package stele

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"stele/internal/durable"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// Files that hold the addresses of other servers of this store: {"v":1,"urls":["https://…"]}. Neither is needed to open it.
const (
	fileFormer    = "former"    // of a primary that took over: those from which it did, until they know
	fileFollowers = "followers" // of a primary: those who follow it, who would know if one of them took over
)

// maxPeers is how many addresses are kept in one of these files; the oldest go.
const maxPeers = 16

// AskHandover asks a server of the store for the entry by which its present epoch began (Store.Handover). nil data: it is in its first one.
type AskHandover func(ctx context.Context, url string) (at uint64, data map[string]string, err error)

type peers struct {
	V    int      `json:"v"`
	URLs []string `json:"urls"`
}

// loadPeers reads addresses. A file that is missing or damaged holds none: it is no part of the store.
func (s *Store) loadPeers(name string) []string {
	var p peers
	b, err := readFile(s.fs, s.path(name))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil && !isNotExist(err) {
		s.log.Warn("couldn't read addresses of other servers", "file", s.path(name), "err", err)
	}
	return p.URLs
}

func (s *Store) savePeers(name string, urls []string) error {
	b, err := json.Marshal(peers{1, urls})
	if err != nil {
		return err
	}
	if err := durable.Replace(s.fs, s.path(name), append(b, '\n'), durable.PrivateFile); err != nil {
		return fmt.Errorf("couldn't write %s: %w", s.path(name), err)
	}
	return nil
}

// withPeer is urls with one more, the newest last, not more than maxPeers.
func withPeer(urls []string, u string) []string {
	urls = append(slices.DeleteFunc(slices.Clone(urls), func(have string) bool { return have == u }), u)
	return urls[max(0, len(urls)-maxPeers):]
}

// Former lists the addresses of the primaries from which this one took over and that do not know it yet.
func (s *Store) Former() []string {
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	return s.loadPeers(fileFormer)
}

// ToldFormer notes that a former primary knows.
func (s *Store) ToldFormer(u string) error {
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	return s.savePeers(fileFormer, slices.DeleteFunc(s.loadPeers(fileFormer), func(have string) bool { return have == u }))
}

// FollowerProof proves to the primary that whoever has this admin address holds the store's keyring: a standby that was admitted, which alone can take over. Empty: there are no keys here.
func (s *Store) FollowerProof(u string) string {
	if s.keys == nil || len(s.keys.DataKeys) == 0 {
		return ""
	}
	return followerProof(s.keys.Current(), u)
}

func followerProof(k keyring.DataKey, u string) string {
	key, err := hkdf.Key(sha256.New, k.Key[:], nil, "stele: address of a follower", sha256.Size)
	if err != nil {
		panic("stele: " + err.Error()) // only for keys that are far longer
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(u))
	return hex.EncodeToString(m.Sum(nil))
}

// provesFollower tells whether a proof is one of this store's keyring, by whichever of its data keys.
func (s *Store) provesFollower(u, proof string) bool {
	return slices.ContainsFunc(s.keys.DataKeys, func(k keyring.DataKey) bool { return hmac.Equal([]byte(proof), []byte(followerProof(k, u))) })
}

// NoteFollower notes the admin address of a server that follows this one, so that it can be asked at the next start whether it has taken over. proof is its FollowerProof: only maxPeers addresses are
// kept, and an access key that may only look must not push out those of admitted standbys, nor name servers that this one is to ask.
func (s *Store) NoteFollower(u, proof string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.opt.ReadOnly {
		return nil
	}
	if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.User != nil || len(u) > 300 {
		return badValue("%q is not the address of a server", u)
	}
	if !s.provesFollower(u, proof) {
		return badState("%s is not noted as a follower's address: only a standby that was admitted (stele standby add) can prove that it is one", u)
	}
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	if s.followers == nil {
		s.followers = s.loadPeers(fileFollowers)
	}
	if slices.Contains(s.followers, u) {
		return nil
	}
	urls := withPeer(s.followers, u)
	if err := s.savePeers(fileFollowers, urls); err != nil {
		return err
	}
	s.followers = urls
	return nil
}

// askFollowers asks those who follow this store whether one of them has taken over (DESIGN invariant 5). It asks at once, beside what opens, and the function that it returns waits for the answers and
// judges them, before anything is written. What one says is believed only if this store's own signer has consented to it: ErrSuperseded then. One that does not answer within seenWait is
// reported: where nobody is reached a split can't be excluded.
func (s *Store) askFollowers(ctx context.Context) (judge func(context.Context) error) {
	if s.state != primary {
		return func(context.Context) error { return nil }
	}
	return s.followersSay(ctx)
}

func (s *Store) followersSay(ctx context.Context) (judge func(context.Context) error) {
	urls := s.loadPeers(fileFollowers)
	if s.opt.AskHandover == nil || len(urls) == 0 {
		return func(context.Context) error { return nil }
	}
	asking, cancel := context.WithTimeout(ctx, seenWait)
	answers := make(chan handoverAnswer, len(urls))
	for _, u := range urls {
		go func() {
			a := handoverAnswer{url: u}
			a.at, a.data, a.err = s.opt.AskHandover(asking, u)
			answers <- a
		}()
	}
	return func(ctx context.Context) error {
		defer cancel()
		for range urls {
			select {
			case a := <-answers:
				if err := s.judgeFollower(ctx, a); err != nil {
					return err
				}
			case <-asking.Done():
				s.log.Warn("not all who follow this store say in time whether one of them has taken over", "followers", urls)
				return nil
			}
		}
		return nil
	}
}

// handoverAnswer is what a follower says of the epoch that it is in.
type handoverAnswer struct {
	url  string
	at   uint64
	data map[string]string
	err  error
}

// askBefore asks, before a folder is promoted, what every start asks: a former primary that was not told yet must not begin an epoch beside the one that took over. It returns what the targets
// have seen. Whatever else keeps the store from opening is for the promotion to judge.
func askBefore(ctx context.Context, folder string, opt Options) (*Asked, error) {
	if opt.AskHandover == nil && opt.OpenTarget == nil {
		return nil, nil
	}
	opt.ReadOnly, opt.still = false, true
	s, err := Open(ctx, folder, opt)
	if errors.Is(err, ErrSuperseded) || errors.Is(err, ErrBehind) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	return s.AskTargets(ctx), s.Close()
}

// Asked is what the targets of a store have said of it, for the promotion that comes next.
type Asked struct{ seen []ledger.Seen }

// AskTargets asks the targets how much they have seen, before an epoch begins: one that goes on without entries that a target has would give up what was acknowledged. One that does not answer in
// time is reported in the log.
func (s *Store) AskTargets(ctx context.Context) *Asked {
	if s.enter() != nil {
		return nil
	}
	defer s.leave()
	return &Asked{s.seenByTargets(ctx)}
}

// into lets a ledger that is opened be compared with what was said.
func (a *Asked) into(opt ledger.Options) ledger.Options {
	if a != nil {
		opt.Seen = append(opt.Seen, a.seen...)
	}
	return opt
}

func (s *Store) judgeFollower(ctx context.Context, a handoverAnswer) error {
	if a.err != nil {
		s.log.Warn("one who follows this store doesn't say whether it has taken over", "follower", a.url, "reason", a.err)
		return nil
	}
	if len(a.data) == 0 {
		return nil
	}
	learn := s.Learn
	if s.state == reader {
		learn = s.wouldLearn
	}
	if err := learn(ctx, a.at, a.data, a.url); errors.Is(err, ErrSuperseded) {
		return err
	} else if err != nil { // of our own epoch, or of nobody's
		s.log.Debug("what a follower says ends nothing", "follower", a.url, "reason", err)
		return nil
	}
	return s.refuseSuperseded()
}

// IsStore reports whether a folder holds a store of its own, or that of a former primary.
func IsStore(folder string, opt Options) bool {
	s := newStore(folder, opt)
	_, err := s.fs.Stat(s.path(fileFormat))
	return err == nil
}

// Rejoin makes the folder of a former primary a standby's of the one that took over from it, which shows its succession. All that it holds it has then accepted, and what the new epoch left out
// will be its evidence. Nothing is altered or removed. The one point is the pin: a crash before it leaves the store as it was, or superseded.
// ErrSuccession: the other one has not taken over from this store.
func Rejoin(ctx context.Context, folder string, opt Options, from string, u Succession) (err error) {
	opt.OpenTarget, opt.AskHandover, opt.ScrubDays, opt.ReadOnly = nil, nil, 0, false
	s := newStore(folder, opt)
	defer func() {
		err = translate(err)
		if s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	pin, err := s.keyPin(ctx, from)
	if err != nil {
		return err
	}
	next, _, err := pin.Succeed(u)
	if err != nil {
		return fmt.Errorf("%s holds a store of its own, in epoch %d, and the server at %s has not taken over from it: a standby needs an empty folder, or that of a former primary: %w", s.dir, pin.Epoch(), from, err)
	}
	if err := s.rest(ctx, folder, opt, next.Epoch(), from); err != nil {
		return err
	}
	if err := s.lockFolder(); err != nil {
		return err
	}
	pin, note, err := s.ownPin(ctx, from) // with the epochs before, which only a folder in order tells
	if err == nil {
		err = durable.Replace(s.fs, s.path(fileAccepted), note, durable.PrivateFile)
	}
	if err != nil {
		return err
	}
	return SetPin(folder, opt, pin)
}

// rest opens the store once, so that what a crash left in tails is in segments, and marks it as superseded.
func (s *Store) rest(ctx context.Context, folder string, opt Options, epoch uint32, by string) error {
	open, err := Open(ctx, folder, opt)
	if errors.Is(err, ErrSuperseded) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(open.Supersede(epoch, by), open.Close())
}

// keyPin is the pin of one that follows this store from its present key on.
func (s *Store) keyPin(ctx context.Context, from string) (pin StandbyPin, err error) {
	if s.eng, err = dir.Open(s.fs, s.dir, dir.Options{ReadOnly: true}); err != nil {
		return pin, err
	}
	if err := s.openKeys(ctx); err != nil {
		return pin, err
	}
	vkey, err := s.keys.VKey()
	return StandbyPin{Store: s.ID(), VKey: vkey, From: from}, err
}

// ownPin is keyPin with all epochs, and the note of the newest checkpoint.
func (s *Store) ownPin(ctx context.Context, from string) (pin StandbyPin, note []byte, err error) {
	if pin, err = s.keyPin(ctx, from); err != nil {
		return pin, nil, err
	}
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: s.eng, Keys: s.keys})
	if err != nil {
		return pin, nil, err
	}
	s.ledger.Store(l)
	pin.Reigns, err = s.reigns()
	return pin, l.Checkpoint(), errors.Join(err, l.Close())
}
