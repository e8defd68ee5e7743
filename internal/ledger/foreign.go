package ledger

import (
	"context"
	"fmt"

	"stele/internal/engine"
	"stele/internal/segment"
)

// SegmentNames lists the segments of an engine, and apart from them the files that lie among them and have no segment's name: whoever can write into the folder could otherwise stop every start and every
// restore by adding a file. What is left out here is never removed, and whoever opens a store says that it is there.
func SegmentNames(ctx context.Context, e engine.Engine) (names, foreign []string, err error) {
	err = e.List(ctx, engine.Segments, func(i engine.Info) error {
		if _, _, ok := segment.ParseName(i.Name); ok {
			names = append(names, i.Name)
		} else {
			foreign = append(foreign, i.Name)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't list the segments: %w", err)
	}
	return names, foreign, nil
}

// Foreign names the files that lay among the segments when the ledger was opened and are not of it.
func (l *Ledger) Foreign() []string { return l.foreign }
