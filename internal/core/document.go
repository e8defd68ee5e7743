package core

import (
	"context"

	"stele/internal/body"
)

// TakesBytes refuses bytes that can't be kept, before they are read: the store takes no writes, has failed, or has no room for them. size below 0: not known.
func (s *Store) TakesBytes(size int64) error {
	if !s.TakesWrites() {
		return s.Refusal()
	}
	if err := s.Failed(); err != nil {
		return err
	}
	return s.RoomFor(size)
}

// WriteDocument makes a document durable, which an entry will name. The caller releases what it gets once the entry is committed, or isn't to be. The document comes before its entry: a crash between the
// two leaves chunks that no entry names, and never an entry whose document is missing. ErrFull, ErrFailed, or what Refusal says.
func (s *Store) WriteDocument(ctx context.Context, doc []byte) (*body.Written, error) {
	if err := s.TakesBytes(int64(len(doc))); err != nil {
		return nil, err
	}
	w, err := s.Body.WriteDocument(ctx, doc)
	if err != nil {
		return nil, s.Met(err)
	}
	if err := w.Sync(ctx); err != nil {
		w.Release()
		return nil, s.Met(err)
	}
	return w, nil
}
