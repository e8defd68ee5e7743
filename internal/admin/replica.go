package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"stele"
	"stele/internal/guard"
	"stele/internal/node"
	"stele/internal/rpc"
)

// Limits of what following costs a primary.
const (
	replicaReads   = 8 // answers that may be in memory at once
	replicaWait    = 20 * time.Second
	replicaWaiting = 64 // those who may wait for the ledger to grow
)

// replica is what those who follow the store ask of it.
type replica struct {
	store   *node.Node
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
	for path, serve := range map[string]func(q request, w http.ResponseWriter) error{
		rpc.PathState: p.state, rpc.PathFiles: p.files, rpc.PathFile: p.file, rpc.PathSuccession: p.succession,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			s.serve(r.URL.Path, rpc.Reads, true, who, w, r, serve)
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
	writeReply(w, rpc.StateOf(st), nil)
	return nil
}

func (p *replica) succession(q request, w http.ResponseWriter) error {
	u, err := p.store.Ledger().Succession(q.Context())
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
	f, b, err := p.store.ReplicaRead(q.Context(), q.URL.Query().Get("name"), int64(off), rpc.MaxPiece)
	if err != nil {
		return err
	}
	about, err := json.Marshal(f)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Header().Set(rpc.HeaderFile, string(about))
	_, err = w.Write(b)
	if err != nil {
		return nil // the connection is gone; nobody is left to tell
	}
	return nil
}

// Follower is a server's own standby: what it answers beside the store.
type Follower interface {
	Following() rpc.FollowState // where it stands
	// Promote has the standby take over, and returns once it takes writes.
	Promote(ctx context.Context, by stele.Actor, reason string) (stele.Promotion, error)
}

// followerMethods serve a standby's own calls.
func followerMethods(f Follower) []method {
	return []method{
		on(rpc.Following, func(ctx context.Context, q request, _ rpc.None) (rpc.FollowState, error) { return f.Following(), nil }),
		on(rpc.PromoteStandby, func(ctx context.Context, q request, reason string) (stele.Promotion, error) {
			guard.Spare(ctx)
			return f.Promote(context.WithoutCancel(ctx), q.by, reason)
		}),
	}
}
