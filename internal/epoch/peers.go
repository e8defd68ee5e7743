package epoch

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

	"stele/internal/core"
	"stele/internal/durable"
	"stele/internal/engine/dir"
	"stele/internal/keyring"
	"stele/internal/ledger"
)

// maxPeers is how many addresses are kept in one of these files; the oldest go.
const maxPeers = 16

// AskHandover asks a server of the store for the entry by which its present epoch began, as its Handover returns it. nil data: it is in its first one.
type AskHandover func(ctx context.Context, url string) (at uint64, data map[string]string, err error)

type peers struct {
	V    int      `json:"v"`
	URLs []string `json:"urls"`
}

// loadPeers reads addresses. A file that is missing or damaged holds none: it is no part of the store.
func (s *Epochs) loadPeers(name string) []string {
	var p peers
	b, err := core.ReadFile(s.core.FS, s.core.Path(name))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil && !core.IsNotExist(err) {
		s.core.Log.Warn("couldn't read addresses of other servers", "file", s.core.Path(name), "err", err)
	}
	return p.URLs
}

// savePeers replaces a file of addresses, durably. After a crash there is the old one or the new one, whole.
func (s *Epochs) savePeers(name string, urls []string) error {
	b, err := json.Marshal(peers{1, urls})
	if err != nil {
		return err
	}
	if err := durable.Replace(s.core.FS, s.core.Path(name), append(b, '\n'), durable.PrivateFile); err != nil {
		return fmt.Errorf("couldn't write %s: %w", s.core.Path(name), err)
	}
	return nil
}

// withPeer is urls with one more, the newest last, not more than maxPeers.
func withPeer(urls []string, u string) []string {
	urls = append(slices.DeleteFunc(slices.Clone(urls), func(have string) bool { return have == u }), u)
	return urls[max(0, len(urls)-maxPeers):]
}

// Former lists the addresses of the primaries from which this one took over and that do not know it yet.
func (s *Epochs) Former() []string {
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	return s.loadPeers(core.FileFormer)
}

// ToldFormer notes that a former primary knows: it is not told again. A crash before this tells it once more, which changes nothing there.
func (s *Epochs) ToldFormer(u string) error {
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	return s.savePeers(core.FileFormer, slices.DeleteFunc(s.loadPeers(core.FileFormer), func(have string) bool { return have == u }))
}

// FollowerProof proves to the primary that whoever has this admin address holds the store's keyring: a standby that was admitted, which alone can take over. Empty: there are no keys here.
func (s *Epochs) FollowerProof(u string) string {
	if s.core.Keys == nil || len(s.core.Keys.DataKeys) == 0 {
		return ""
	}
	return followerProof(s.core.Keys.Current(), u)
}

// followerProof is an HMAC of the address, by a key of its own that a data key of the store yields.
func followerProof(k keyring.DataKey, u string) string {
	key, err := hkdf.Key(sha256.New, k.Key[:], nil, "stele: address of a follower", sha256.Size)
	if err != nil {
		panic("epoch: " + err.Error()) // only for keys that are far longer
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(u))
	return hex.EncodeToString(m.Sum(nil))
}

// provesFollower tells whether a proof is one of this store's keyring, by whichever of its data keys.
func (s *Epochs) provesFollower(u, proof string) bool {
	return slices.ContainsFunc(s.core.Keys.DataKeys, func(k keyring.DataKey) bool { return hmac.Equal([]byte(proof), []byte(followerProof(k, u))) })
}

// NoteFollower notes the admin address of a server that follows this one, so that it can be asked at the next start whether it has taken over. proof is its FollowerProof: only maxPeers addresses are
// kept, and an access key that may only look must not push out those of admitted standbys, nor name servers that this one is to ask.
func (s *Epochs) NoteFollower(u, proof string) error {
	if err := s.core.Enter(); err != nil {
		return err
	}
	defer s.core.Leave()
	if !s.core.TakesWrites() {
		return nil
	}
	if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.User != nil || len(u) > 300 {
		return core.BadValue("%q is not the address of a server", u)
	}
	if !s.provesFollower(u, proof) {
		return core.BadState("%s is not noted as a follower's address: only a standby that was admitted (stele standby add) can prove that it is one", u)
	}
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	if s.followers == nil {
		s.followers = s.loadPeers(core.FileFollowers)
	}
	if slices.Contains(s.followers, u) {
		return nil
	}
	urls := withPeer(s.followers, u)
	if err := s.savePeers(core.FileFollowers, urls); err != nil {
		return err
	}
	s.followers = urls
	return nil
}

// FollowersSay asks those who follow this store whether one of them has taken over (DESIGN invariant 5). It asks at once, beside what opens, and the function that it returns waits for the answers and
// judges them, before anything is written. What one says is believed only if this store's own signer has consented to it: core.ErrSuperseded then. One that does not answer within Options.SeenWait is
// reported: where nobody is reached a split can't be excluded.
func (s *Epochs) FollowersSay(ctx context.Context) (judge func(context.Context) error) {
	urls := s.loadPeers(core.FileFollowers)
	if s.opt.AskHandover == nil || len(urls) == 0 {
		return func(context.Context) error { return nil }
	}
	asking, cancel := context.WithTimeout(ctx, s.opt.SeenWait)
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
				s.core.Log.Warn("not all who follow this store say in time whether one of them has taken over", "followers", urls)
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

// Asked is what the targets of a store have said of it, for the promotion that comes next.
type Asked struct{ Seen []ledger.Seen }

// AskTargets asks the targets how much they have seen, before an epoch begins: one that goes on without entries that a target has would give up what was acknowledged. One that does not answer in
// time is reported in the log.
func (s *Epochs) AskTargets(ctx context.Context) *Asked {
	if s.core.Enter() != nil {
		return nil
	}
	defer s.core.Leave()
	return &Asked{s.opt.Seen(ctx)}
}

// Into lets a ledger that is opened be compared with what was said.
func (a *Asked) Into(opt ledger.Options) ledger.Options {
	if a != nil {
		opt.Seen = append(opt.Seen, a.Seen...)
	}
	return opt
}

// judgeFollower ends writing, or refuses a reader, if what a follower says proves that it has taken over. Whatever proves nothing is logged and ends nothing.
func (s *Epochs) judgeFollower(ctx context.Context, a handoverAnswer) error {
	if a.err != nil {
		s.core.Log.Warn("one who follows this store doesn't say whether it has taken over", "follower", a.url, "reason", a.err)
		return nil
	}
	if len(a.data) == 0 {
		return nil
	}
	learn := s.Learn
	if s.core.State() == core.Reader {
		learn = s.wouldLearn
	}
	if err := learn(ctx, a.at, a.data, a.url); errors.Is(err, core.ErrSuperseded) {
		return err
	} else if err != nil { // of our own epoch, or of nobody's
		s.core.Log.Debug("what a follower says ends nothing", "follower", a.url, "reason", err)
		return nil
	}
	return s.core.RefuseSuperseded()
}

// KeyPin is the pin of one that follows this store from its present key on. It opens engine and keyring of the folder, which nobody needs to have opened as a store.
func (s *Epochs) KeyPin(ctx context.Context, from string) (pin Pin, err error) {
	if s.core.Engine, err = dir.Open(s.core.FS, s.core.Dir(), dir.Options{ReadOnly: true}); err != nil {
		return pin, err
	}
	if err := s.core.OpenKeys(ctx); err != nil {
		return pin, err
	}
	vkey, err := s.core.Keys.VKey()
	return Pin{Store: s.core.ID(), VKey: vkey, From: from}, err
}

// ownPin is KeyPin with all epochs, and the note of the newest checkpoint.
func (s *Epochs) ownPin(ctx context.Context, from string) (pin Pin, note []byte, err error) {
	if pin, err = s.KeyPin(ctx, from); err != nil {
		return pin, nil, err
	}
	l, err := ledger.OpenReadOnly(ctx, ledger.Options{Engine: s.core.Engine, Keys: s.core.Keys})
	if err != nil {
		return pin, nil, err
	}
	s.core.SetLedger(l)
	pin.Reigns, err = s.reigns()
	return pin, l.Checkpoint(), errors.Join(err, l.Close())
}

// FollowFrom makes the folder, which is locked, that of a standby of the server at from: all that it holds it has then accepted. The pin comes last, since it is what makes the folder a standby's: a crash
// before it leaves a store with a checkpoint file beside it that no store reads, and Rejoin writes it again.
func (s *Epochs) FollowFrom(ctx context.Context, from string) error {
	pin, note, err := s.ownPin(ctx, from) // with the epochs before, which only a folder in order tells
	if err == nil {
		err = durable.Replace(s.core.FS, s.core.Path(core.FileAccepted), note, durable.PrivateFile)
	}
	if err != nil {
		return err
	}
	return SetPin(s.core, pin)
}
