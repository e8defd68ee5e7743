package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stele"
	"stele/internal/guard"
	"stele/tree"
)

// Limits of what following costs a primary.
const (
	replicaPiece   = 4 << 20 // bytes of one answer
	replicaReads   = 8       // answers that may be in memory at once
	replicaWait    = 20 * time.Second
	replicaWaiting = 64 // those who may wait for the ledger to grow
)

// replica is what those who follow the store ask of it.
type replica struct {
	store   *stele.Store
	reads   *guard.Pool // shared by keys, so that no key's slow reader keeps a standby waiting
	waiting *guard.Pool
}

// replicaRoutes are for standbys, with the key of an admin or an auditor. What they yield is as sealed as it lies on disk: names and bytes open to who is admitted.
//
//	GET /replica/state?from=N&keyrings=K[&wait=1][&me=URL&proof=P]   where the store stands; with wait not before the ledger is beyond N. me is the asker's own admin address, noted if P proves that it was admitted
//	GET /replica/files?folder=packs/                its sealed files, JSON lines
//	GET /replica/succession                         the epochs it went through, with the receipts that prove them
//	GET /replica/file?name=…&off=N                  up to 4 MiB of one, sealed or growing; headers say what it is
func (s *Server) replicaRoutes(mux routeTable, who admitted) {
	p := &replica{s.opt.Store, guard.NewPool(replicaReads), guard.NewPool(replicaWaiting)}
	for pattern, serve := range map[string]func(q request, w http.ResponseWriter) error{"state": p.state, "files": p.files, "file": p.file, "succession": p.succession} {
		mux.HandleFunc("GET /replica/"+pattern, func(w http.ResponseWriter, r *http.Request) {
			s.serve(r.URL.Path, reads, true, who, w, r, serve)
		})
	}
}

// enter takes a place of a pool for the key that asks.
func (q request) enter(pool *guard.Pool) (guard.Seat, error) {
	seat, ok := pool.Wait(q.Context(), q.by.Key, nil)
	if !ok {
		return seat, q.Context().Err()
	}
	return seat, nil
}

// wireState is a ReplicaState with its hashes in hex.
type wireState struct {
	stele.ReplicaState
	Proof []string `json:"proof"`
}

func (p *replica) state(q request, w http.ResponseWriter) error {
	from, err := q.sizeParam("from", 0)
	if err != nil {
		return err
	}
	keyrings := -1 // no number of keyrings: answered at once
	if q.URL.Query().Get("keyrings") != "" {
		n, err := q.sizeParam("keyrings", 0)
		if err != nil {
			return err
		}
		keyrings = int(n)
	}
	if proof := q.URL.Query().Get("proof"); proof != "" { // one that is not admitted yet has none, and its address is not noted yet
		if err := p.store.NoteFollower(q.URL.Query().Get("me"), proof); err != nil {
			return err
		}
	}
	wait := q.URL.Query().Get("wait") != ""
	if wait {
		seat, err := q.enter(p.waiting)
		if err != nil {
			return err
		}
		defer seat.Leave()
	}
	ctx, cancel := context.WithTimeout(q.Context(), replicaWait)
	defer cancel()
	st, err := p.store.ReplicaState(ctx, from, keyrings, wait)
	if err != nil {
		return err
	}
	out := wireState{st, make([]string, len(st.Proof))}
	for i, h := range st.Proof {
		out.Proof[i] = hex.EncodeToString(h[:])
	}
	writeReply(w, out, nil)
	return nil
}

func (p *replica) succession(q request, w http.ResponseWriter) error {
	u, err := p.store.Succession(q.Context())
	if err == nil {
		writeReply(w, u, nil)
	}
	return err
}

func (p *replica) files(q request, w http.ResponseWriter) error {
	enc := json.NewEncoder(w)
	begun := false
	err := p.store.ReplicaFiles(q.Context(), q.URL.Query().Get("folder"), func(f stele.ReplicaFile) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/jsonl")
		}
		return enc.Encode(f)
	})
	if err == nil {
		return enc.Encode(stele.ReplicaFile{}) // the end: a list without it broke off
	}
	if begun {
		return nil
	}
	return err
}

func (p *replica) file(q request, w http.ResponseWriter) error {
	off, err := q.sizeParam("off", 0)
	if err != nil {
		return err
	}
	seat, err := q.enter(p.reads)
	if err != nil {
		return err
	}
	defer seat.Leave()
	f, b, err := p.store.ReplicaRead(q.Context(), q.URL.Query().Get("name"), int64(off), replicaPiece)
	if err != nil {
		return err
	}
	about, err := json.Marshal(f)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Header().Set(headerFile, string(about))
	_, err = w.Write(b)
	if err != nil {
		return nil // the connection is gone; nobody is left to tell
	}
	return nil
}

const headerFile = "Stele-File"

// ReplicaState asks where the store stands; with wait the answer comes when the ledger is beyond from, or after a while.
func (c *Client) ReplicaState(ctx context.Context, from uint64, keyrings int, wait bool) (stele.ReplicaState, error) {
	q := "from=" + strconv.FormatUint(from, 10)
	if keyrings >= 0 {
		q += "&keyrings=" + strconv.Itoa(keyrings)
	}
	if c.Me != nil { // names in order: so they are signed
		if me, proof := c.Me(); me != "" && proof != "" {
			q += "&me=" + escape(me) + "&proof=" + escape(proof)
		}
	}
	if wait {
		q += "&wait=1"
	}
	resp, err := c.get(ctx, "/replica/state", q)
	if err != nil {
		return stele.ReplicaState{}, err
	}
	defer resp.Body.Close()
	w, err := decode[wireState](resp)
	st := w.ReplicaState
	st.Proof = make([]tree.Hash, len(w.Proof))
	for i, text := range w.Proof {
		if b, herr := hex.DecodeString(text); herr != nil || copy(st.Proof[i][:], b) != len(b) || len(b) != len(tree.Hash{}) {
			return st, fmt.Errorf("%w: a proof of other than hashes", ErrProtocol)
		}
	}
	return st, err
}

// Succession asks for the epochs that the store went through.
func (c *Client) Succession(ctx context.Context) (stele.Succession, error) {
	resp, err := c.get(ctx, "/replica/succession", "")
	if err != nil {
		return stele.Succession{}, err
	}
	defer resp.Body.Close()
	return decode[stele.Succession](resp)
}

// ReplicaFiles lists the sealed files in a folder.
func (c *Client) ReplicaFiles(ctx context.Context, folder string) (out []stele.ReplicaFile, err error) {
	resp, err := c.get(ctx, "/replica/files", "folder="+escape(folder))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, failure(resp)
	}
	for dec := json.NewDecoder(resp.Body); ; {
		var f stele.ReplicaFile
		if err := dec.Decode(&f); err != nil {
			return nil, fmt.Errorf("the list of files broke off: %w", err)
		}
		if f.Name == "" {
			return out, nil
		}
		out = append(out, f)
	}
}

// ReplicaRead reads what comes next of a file, from off on. stele.ErrNoKey: there is no such file.
func (c *Client) ReplicaRead(ctx context.Context, name string, off int64) (f stele.ReplicaFile, b []byte, err error) {
	resp, err := c.get(ctx, "/replica/file", "name="+escape(name)+"&off="+strconv.FormatInt(off, 10))
	if err != nil {
		return f, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return f, nil, failure(resp)
	}
	if err := json.Unmarshal([]byte(resp.Header.Get(headerFile)), &f); err != nil {
		return f, nil, fmt.Errorf("%w: no word on what file it is", ErrProtocol)
	}
	if n := resp.ContentLength; n < 0 || n > replicaPiece {
		return f, nil, fmt.Errorf("%w: an answer of %d bytes", ErrProtocol, n)
	}
	b = make([]byte, resp.ContentLength)
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		return f, nil, fmt.Errorf("the server's answer broke off: %w", err)
	}
	return f, b, nil
}

func failure(resp *http.Response) error {
	if _, err := decode[json.RawMessage](resp); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrProtocol, resp.Status)
}

// get sends a signed request without a body.
func (c *Client) get(ctx context.Context, path, query string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query, nil)
	if err != nil {
		return nil, err
	}
	if c.key.ID != "" {
		sign(req, c.key.ID, c.key.Secret, emptySum, time.Now())
	}
	resp, err := c.http.Do(req)
	if err == nil {
		return resp, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return nil, fmt.Errorf("couldn't reach the server at %s: %w", c.spoken, err)
}

// emptySum is the SHA-256 of no bytes.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// learnArgs are the entry by which a later epoch began.
type learnArgs struct {
	Entry uint64            `json:"entry"`
	Data  map[string]string `json:"data"`
}

// Learn tells a primary that a later epoch has begun.
func (c *Client) Learn(ctx context.Context, at uint64, data map[string]string) error {
	_, err := invoke[struct{}](ctx, c, "Learn", learnArgs{at, data})
	return err
}

// AddStandby admits a standby.
func (c *Client) AddStandby(ctx context.Context, _ stele.Actor, name, recipient string) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "AddStandby", stele.StandbyInfo{Name: name, Recipient: recipient})
}

// RemoveStandby removes a standby.
func (c *Client) RemoveStandby(ctx context.Context, _ stele.Actor, name string) (stele.Committed, error) {
	return invoke[stele.Committed](ctx, c, "RemoveStandby", stele.StandbyInfo{Name: name})
}

// Standbys lists the admitted standbys.
func (c *Client) Standbys(ctx context.Context) ([]stele.StandbyInfo, error) {
	return invoke[[]stele.StandbyInfo](ctx, c, "Standbys", nil)
}

// PromoteStandby has a running standby take over, and returns what that did.
func (c *Client) PromoteStandby(ctx context.Context, reason string) (stele.Promotion, error) {
	return invoke[stele.Promotion](ctx, c, "PromoteStandby", reason)
}

// Follows says where a running standby stands; ErrProtocol from a server that is none.
func (c *Client) Follows(ctx context.Context) (Following, error) {
	return invoke[Following](ctx, c, "Following", nil)
}

// Following is where a running standby stands.
type Following struct {
	From         string    `json:"from"`
	Keyless      bool      `json:"keyless"`
	Epoch        uint32    `json:"epoch"`
	Accepted     uint64    `json:"accepted"` // entries accepted
	Primary      uint64    `json:"primary"`  // entries that the primary had when it was last heard
	LastAccepted time.Time `json:"last_accepted"`
	LastContact  time.Time `json:"last_contact"`
	Frozen       bool      `json:"frozen"`
	Err          string    `json:"error,omitempty"`
	Witness      string    `json:"witness,omitempty"` // the verifier key with which it cosigns
}

// Follower is a server's own standby: what it answers beside the store.
type Follower interface {
	Following() Following
	Promote(ctx context.Context, by stele.Actor, reason string) (stele.Promotion, error)
}

// followerRoutes are a standby's own calls.
func (s *Server) followerRoutes(mux routeTable, who admitted) {
	f := s.opt.Follower
	for name, m := range map[string]method{
		"Following": call(reads, func(ctx context.Context, q request, _ any) (Following, error) { return f.Following(), nil }),
		"PromoteStandby": call(changes, func(ctx context.Context, q request, reason string) (stele.Promotion, error) {
			guard.Spare(ctx)
			return f.Promote(context.WithoutCancel(ctx), q.by, reason)
		}),
	} {
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
			s.call(name, m, who, w, r)
		})
	}
}
