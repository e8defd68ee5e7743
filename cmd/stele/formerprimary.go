package main

import (
	"context"
	"time"

	"stele/internal/node"
	"stele/internal/retry"
	"stele/internal/rpc/client"
)

// tellAgain is when a former primary that does not answer is told again, for as long as the server runs.
var tellAgain = retry.Backoff{First: 2 * time.Second, Most: 5 * time.Minute}

// tellFormer tells the primaries from which this one took over that it did, until they know. It may be killed at any moment: the store keeps who is still to be told.
func (s *server) tellFormer(ctx context.Context, store *node.Node) {
	for failures := 1; ; failures++ {
		wait := tellAgain.Wait(failures)
		left := store.Former()
		if len(left) == 0 {
			return
		}
		for _, u := range left {
			if err := s.tellOne(ctx, store, u); err != nil {
				s.log.Warn("a former primary could not be told yet that another has taken over", "at", u, "err", err, "again_in", wait)
			}
		}
		if retry.Sleep(ctx, wait) != nil {
			return
		}
	}
}

func (s *server) tellOne(ctx context.Context, store *node.Node, u string) error {
	at, data, err := store.Handover(ctx)
	if err != nil {
		return err
	}
	tr, err := s.app.transport()
	if err != nil {
		return err
	}
	defer tr.CloseIdleConnections()
	if err := client.TellFormer(ctx, tr, u, at, data); err != nil {
		return err
	}
	s.log.Info("the former primary takes no more writes", "at", u)
	return store.ToldFormer(u)
}

// askHandover asks a server of the store who has taken over: Options.AskHandover.
func (a *app) askHandover(ctx context.Context, u string) (at uint64, data map[string]string, err error) {
	tr, err := a.transport()
	if err != nil {
		return 0, nil, err
	}
	defer tr.CloseIdleConnections()
	return client.AskHandover(ctx, tr, u)
}
