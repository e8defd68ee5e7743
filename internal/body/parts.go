package body

import (
	"context"
	"fmt"

	"stele/entry"
	"stele/internal/frame"
)

// PartsOf reads the parts document of a multipart body (kind BodyParts).
func (s *Store) PartsOf(ctx context.Context, b entry.Body) (entry.Parts, error) {
	doc, err := s.partsDocument(ctx, b.Ref)
	if err != nil {
		return nil, err
	}
	parts, err := entry.ParseParts(doc)
	if err != nil {
		return nil, fmt.Errorf("parts document: %w: %w", err, frame.ErrCorrupt)
	}
	return parts, nil
}
