package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"

	"stele/internal/rpc"
)

// invoke makes a call whose argument and result are small. A result may come with an error.
func invoke[A, R any](ctx context.Context, c *Client, call rpc.Call[A, R], arg A) (result R, err error) {
	resp, err := c.send(ctx, call.Row(), arg)
	if err != nil {
		return result, err
	}
	defer resp.Body.Close()
	if result, err = decode[R](resp); errors.Is(err, errBrokeOff) {
		err = lost(call.Row(), err)
	}
	return result, err
}

// errBrokeOff: the way to the server failed after the request had gone out.
var errBrokeOff = errors.New("broke off")

// lost says of a change whose answer did not come that it may have been made.
func lost(call rpc.Row, err error) error {
	if call.Access != rpc.Changes {
		return err
	}
	return fmt.Errorf("%w. Whether the change was made is not known: `stele log -n 5` shows it if it was", err)
}

// ask makes a call without an argument.
func ask[R any](ctx context.Context, c *Client, call rpc.Call[rpc.None, R]) (R, error) {
	return invoke(ctx, c, call, rpc.None{})
}

// send sends a call whose argument is the request's body.
func (c *Client) send(ctx context.Context, call rpc.Row, arg any) (*http.Response, error) {
	body, err := marshal(arg)
	if err != nil {
		return nil, err
	}
	return c.post(ctx, call, nil, bytes.NewReader(body), int64(len(body)), body)
}

func decode[R any](resp *http.Response) (result R, err error) {
	var out rpc.Reply[R]
	b, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	if err != nil {
		return result, fmt.Errorf("the server's answer %w: %w", errBrokeOff, err)
	}
	if err := json.Unmarshal(b, &out); err != nil || out.V != 1 {
		return result, fmt.Errorf("%w: it answered %s. Name the admin address, as `stele serve` printed it: port 9001 unless it was set otherwise, not the one of S3", rpc.ErrProtocol, resp.Status)
	}
	return out.Result, out.Error.Err()
}

// post sends one request. args go into the query if there are any. signed is the body where it is small enough to be signed, else nil.
func (c *Client) post(ctx context.Context, call rpc.Row, args []byte, body io.Reader, size int64, signed []byte) (*http.Response, error) {
	target := c.base + call.Path()
	if args != nil {
		target += "?" + url.Values{"q": {string(args)}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return nil, err
	}
	if req.ContentLength = size; size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/json")
	sum := unsigned
	if signed != nil {
		sum = sumOf(signed)
	}
	resp, err := c.do(req, sum)
	if errors.Is(err, errBrokeOff) {
		err = lost(call, err)
	}
	return resp, err
}

// get asks for a page.
func (c *Client) get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	return c.do(req, sumOf(nil))
}

// do signs a request if the client has a key, and sends it. sum is the hex SHA-256 of its body, or unsigned.
func (c *Client) do(req *http.Request, sum string) (*http.Response, error) {
	if c.key.ID != "" {
		req = sign(req, c.key.ID, c.key.Secret, sum)
	}
	connected := false
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}))
	resp, err := c.http.Do(req)
	if err == nil {
		return resp, nil
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if connected {
		return nil, fmt.Errorf("the connection to the server at %s %w: %w", c.spoken, errBrokeOff, err)
	}
	return nil, fmt.Errorf("couldn't reach the server at %s: %w", c.spoken, err)
}

// stream makes a call whose result is not one JSON document.
func (c *Client) stream(ctx context.Context, call rpc.Row, arg any) (*http.Response, error) {
	resp, err := c.send(ctx, call, arg)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, failure(resp)
	}
	return resp, nil
}

// streamed is a body that ends well only if the trailer names no error.
type streamed struct{ resp *http.Response }

func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.resp.Body.Read(p)
	if err == io.EOF {
		if e := trailerOf(s.resp); e != nil {
			return n, e
		}
	}
	return n, err
}

func (s *streamed) Close() error { return s.resp.Body.Close() }

// errNoEnd: a stream has no trailer, so that it may lack its end.
var errNoEnd = fmt.Errorf("%w: the stream has no end mark", rpc.ErrProtocol)

func trailerOf(resp *http.Response) error {
	text, err := url.PathUnescape(resp.Trailer.Get(rpc.TrailerError))
	if text == "" || err != nil {
		return errNoEnd
	}
	var e *rpc.Error
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return fmt.Errorf("%w: %v", rpc.ErrProtocol, err)
	}
	return e.Err()
}

// lines calls fn for each line of a streamed answer. Its first error ends the call.
func lines[A, L any](ctx context.Context, c *Client, call rpc.Lines[A, L], arg A, fn func(L) error) error {
	resp, err := c.stream(ctx, call.Row(), arg)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
	for {
		var l L
		err := dec.Decode(&l)
		if err == io.EOF {
			if err = trailerOf(resp); errors.Is(err, errNoEnd) {
				err = lost(call.Row(), err)
			}
			return err
		}
		if err != nil {
			return lost(call.Row(), fmt.Errorf("the server's answer %w: %w", errBrokeOff, err))
		}
		if err := fn(l); err != nil {
			return err
		}
	}
}
