package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"stele"
	"stele/internal/rpc"
)

// ReplicaState asks where the store stands; with wait the answer comes when the ledger is beyond from, or after a while.
func (c *Client) ReplicaState(ctx context.Context, from uint64, keyrings int, wait bool) (stele.ReplicaState, error) {
	q := url.Values{"from": {strconv.FormatUint(from, 10)}}
	if keyrings >= 0 {
		q.Set("keyrings", strconv.Itoa(keyrings))
	}
	if c.Me != nil {
		if me, proof := c.Me(); me != "" && proof != "" {
			q.Set("me", me)
			q.Set("proof", proof)
		}
	}
	if wait {
		q.Set("wait", "1")
	}
	resp, err := c.get(ctx, rpc.PathState, q)
	if err != nil {
		return stele.ReplicaState{}, err
	}
	defer resp.Body.Close()
	w, err := decode[rpc.State](resp)
	st, derr := w.Decode()
	return st, cmp.Or(derr, err)
}

// Succession asks for the epochs that the store went through.
func (c *Client) Succession(ctx context.Context) (stele.Succession, error) {
	resp, err := c.get(ctx, rpc.PathSuccession, nil)
	if err != nil {
		return stele.Succession{}, err
	}
	defer resp.Body.Close()
	return decode[stele.Succession](resp)
}

// ReplicaFiles lists the sealed files in a folder.
func (c *Client) ReplicaFiles(ctx context.Context, folder string) (out []stele.ReplicaFile, err error) {
	resp, err := c.get(ctx, rpc.PathFiles, url.Values{"folder": {folder}})
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
	resp, err := c.get(ctx, rpc.PathFile, url.Values{"name": {name}, "off": {strconv.FormatInt(off, 10)}})
	if err != nil {
		return f, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return f, nil, failure(resp)
	}
	if err := json.Unmarshal([]byte(resp.Header.Get(rpc.HeaderFile)), &f); err != nil {
		return f, nil, fmt.Errorf("%w: no word on what file it is", rpc.ErrProtocol)
	}
	if n := resp.ContentLength; n < 0 || n > rpc.MaxPiece {
		return f, nil, fmt.Errorf("%w: an answer of %d bytes", rpc.ErrProtocol, n)
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
	return fmt.Errorf("%w: %s", rpc.ErrProtocol, resp.Status)
}

// AddStandby admits a standby.
func (c *Client) AddStandby(ctx context.Context, _ stele.Actor, name, recipient string) (stele.Committed, error) {
	return invoke(ctx, c, rpc.AddStandby, stele.StandbyInfo{Name: name, Recipient: recipient})
}

// RemoveStandby removes a standby.
func (c *Client) RemoveStandby(ctx context.Context, _ stele.Actor, name string) (stele.Committed, error) {
	return invoke(ctx, c, rpc.RemoveStandby, stele.StandbyInfo{Name: name})
}

// Standbys lists the admitted standbys.
func (c *Client) Standbys(ctx context.Context) ([]stele.StandbyInfo, error) {
	return ask(ctx, c, rpc.Standbys)
}

// PromoteStandby has a running standby take over, and returns what that did.
func (c *Client) PromoteStandby(ctx context.Context, reason string) (stele.Promotion, error) {
	return invoke(ctx, c, rpc.PromoteStandby, reason)
}

// Follows says where a running standby stands; rpc.ErrProtocol from a server that is none.
func (c *Client) Follows(ctx context.Context) (rpc.FollowState, error) {
	return ask(ctx, c, rpc.Following)
}
