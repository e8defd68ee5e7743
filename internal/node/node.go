// Package node is a store as the programs of this module run it: the public API of package stele, and beside it what a server has to know and to do about its targets, its standbys, other primaries, and the state
// of the folder. An embedder does without.
package node

import (
	"context"

	"stele"
)

// Node is an open store with the rooms below it. Its methods may be called concurrently.
type Node struct {
	*stele.Store
	rooms stele.Rooms
}

// Of is the node of an open store; nil of none, which a standby without keys has. Nodes of the same store are alike.
func Of(s *stele.Store) *Node {
	if s == nil {
		return nil
	}
	return &Node{s, s.Rooms()}
}

// Open is stele.Open.
func Open(ctx context.Context, folder string, opt stele.Options) (*Node, error) {
	return of(stele.Open(ctx, folder, opt))
}

// Create is stele.Create.
func Create(ctx context.Context, folder string, opt stele.Options) (*Node, error) {
	return of(stele.Create(ctx, folder, opt))
}

// OpenFrom is stele.OpenFrom.
func OpenFrom(ctx context.Context, folder string, from stele.From, opt stele.Options) (*Node, error) {
	return of(stele.OpenFrom(ctx, folder, from, opt))
}

// OpenOrCreate is stele.OpenOrCreate.
func OpenOrCreate(ctx context.Context, folder string, opt stele.Options) (n *Node, created bool, err error) {
	s, created, err := stele.OpenOrCreate(ctx, folder, opt)
	n, err = of(s, err)
	return n, created, err
}

func of(s *stele.Store, err error) (*Node, error) {
	if err != nil {
		return nil, err
	}
	return Of(s), nil
}
