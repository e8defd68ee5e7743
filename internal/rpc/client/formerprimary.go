package client

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"stele/internal/rpc"
)

// stranger is a client without an access key, for what a server answers to anyone.
func stranger(server string, tr http.RoundTripper) *Client {
	still := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // whoever is asked answers by itself
	return &Client{base: strings.TrimSuffix(server, "/"), http: &http.Client{Transport: tr, CheckRedirect: still}, spoken: server}
}

// AskHandover asks a server for the entry by which its present epoch began. nil data: it is in its first one.
func AskHandover(ctx context.Context, tr http.RoundTripper, server string) (at uint64, data map[string]string, err error) {
	resp, err := stranger(server, tr).get(ctx, rpc.PathHandover, nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	resp.Body = http.MaxBytesReader(nil, resp.Body, rpc.MaxArgs)
	h, err := decode[rpc.LearnArgs](resp)
	return h.Entry, h.Data, err
}

// TellFormer tells a former primary by which entry a later epoch has begun. nil: it takes no more writes, or is in a later epoch itself.
func TellFormer(ctx context.Context, tr http.RoundTripper, server string, at uint64, data map[string]string) error {
	c := stranger(server, tr)
	lerr := c.Learn(ctx, at, data)
	if lerr == nil {
		return nil
	}
	theirs, said, err := AskHandover(ctx, tr, server) // it may be this very server, or one that follows it
	if err == nil && len(said) > 0 && theirs >= at {
		return nil
	}
	return fmt.Errorf("couldn't tell the server at %s that a later epoch has begun: %w", server, lerr)
}

// Learn tells a primary that a later epoch has begun.
func (c *Client) Learn(ctx context.Context, at uint64, data map[string]string) error {
	_, err := invoke(ctx, c, rpc.Learn, rpc.LearnArgs{Entry: at, Data: data})
	return err
}
