package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"stele"
	"stele/internal/rpc/client"
	"stele/tree"
)

// witnesses are those of a server, each given as "VKEY URL".
func (a *app) witnesses(given []string) (all []stele.Witness, err error) {
	if len(given) == 0 {
		return nil, nil
	}
	tr, err := a.transport()
	if err != nil {
		return nil, err
	}
	for _, text := range given {
		words := strings.Fields(text)
		if len(words) != 2 {
			return nil, fmt.Errorf("witness: %q is not a verifier key and an address: --witness 'NAME+HASH+KEY https://HOST:9001'", text)
		}
		key, err := tree.NewCosignature(words[0])
		if err != nil {
			return nil, fmt.Errorf("witness: couldn't read the key %q, `stele standby status` prints it: %w", words[0], err)
		}
		at := words[1]
		if u, err := url.Parse(at); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("witness: %q is no address: http://HOST:9001 or https://HOST:9001", at)
		}
		all = append(all, stele.Witness{Name: key.Name(), Ask: func(ctx context.Context, signed []byte, prove func(ctx context.Context, from, to uint64) ([]tree.Hash, error)) ([]byte, error) {
			return client.AskWitness(ctx, tr, at, key, signed, prove)
		}})
	}
	return all, nil
}
