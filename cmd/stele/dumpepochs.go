package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"stele/entry"
	"stele/internal/engine"
	"stele/internal/ledger"
	"stele/internal/segment"
)

// limitsOf says of each segment how far the ledger goes through it: 0 where a later epoch had gone another way before.
func limitsOf(files []stored) (map[string]uint64, error) {
	var names []string
	for _, f := range files {
		if _, _, ok := segment.ParseName(f.name); ok { // the others are named as a problem
			names = append(names, f.name)
		}
	}
	chain, _, err := ledger.Chain(names)
	limits := map[string]uint64{}
	for _, k := range chain {
		limits[k.Name] = k.Limit
	}
	return limits, err
}

type dumpEpochsCmd struct{}

type epochDoc struct {
	V        int    `json:"v"`
	Epoch    uint32 `json:"epoch"`
	Begin    uint64 `json:"begin"`    // its first entry: epoch.begin, or store.init
	Size     uint64 `json:"size"`     // behind the last entry that its segments hold
	Counts   uint64 `json:"counts"`   // behind the last one that counts; begin: none does
	Segments int    `json:"segments"` // files
	Problem  string `json:"problem,omitempty"`
}

func (dumpEpochsCmd) Run(ctx context.Context, a *app) error {
	files, _, err := a.storedFiles(ctx, engine.Segments)
	if err != nil {
		return err
	}
	limits, err := limitsOf(files)
	if err != nil {
		return err
	}
	epochs := map[uint32]*epochDoc{}
	bad := 0
	for _, f := range files {
		epoch, first, ok := segment.ParseName(f.name)
		if !ok {
			continue
		}
		d := epochs[epoch]
		if d == nil {
			d = &epochDoc{V: 1, Epoch: epoch, Begin: first}
			epochs[epoch] = d
		}
		d.Segments++
		if err := d.add(ctx, f, first, limits[f.name]); err != nil {
			d.Problem = err.Error()
			bad++
		}
	}
	t := a.table("EPOCH", "FIRST ENTRY", "SEGMENTS", "COUNTS UP TO", "HOLDS UP TO", "")
	for _, epoch := range slices.SortedFunc(maps.Keys(epochs), cmp.Compare[uint32]) {
		d := epochs[epoch]
		if a.cli.JSON {
			if err := a.document(d); err != nil {
				return err
			}
			continue
		}
		note := d.Problem
		if note == "" && d.Counts < d.Size {
			note = fmt.Sprintf("%s of evidence", entries(d.Size-d.Counts))
		}
		t.row(fmt.Sprint(epoch), fmt.Sprint(d.Begin), fmt.Sprint(d.Segments), fmt.Sprint(d.Counts), fmt.Sprint(d.Size), note)
	}
	if !a.cli.JSON {
		if err := t.end(); err != nil {
			return err
		}
	}
	return damaged(bad, "segment")
}

// add looks through the leaves of a segment, which needs no key.
func (d *epochDoc) add(ctx context.Context, f stored, first, limit uint64) error {
	err := eachBatch(ctx, f, first, nil, func(b *segment.Batch) error {
		d.Size = max(d.Size, b.Commit.Size)
		for i := range b.Pairs {
			leaves, err := b.Pairs[i].Leaves()
			if err != nil {
				return err
			}
			for k, raw := range leaves {
				if leaf, err := entry.ParseLeaf(raw); err == nil && leaf.Type == entry.EpochBegin && d.Counts == 0 {
					d.Begin = b.Pairs[i].First + uint64(k)
				}
			}
		}
		return nil
	})
	d.Counts = max(d.Begin, min(d.Size, max(limit, d.Counts)))
	return err
}
