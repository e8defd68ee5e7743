package stele

import (
	"context"
	"slices"

	"stele/entry"
)

// NewestAttributes returns the tags and the lock that a version was given last, also after it was hidden. A view shows those of its time; whether somebody may look is
// judged by these.
func (s *Store) NewestAttributes(_ context.Context, v Version) (map[string]string, entry.Lock, error) {
	if err := s.core.Enter(); err != nil {
		return nil, entry.Lock{}, err
	}
	defer s.core.Leave()
	a, err := s.core.Index.Reader().Attrs(v.Inc, v.Key, v.Entry)
	return a.Tags, a.Lock, err
}

// UploadOnlyHeaders are names in Upload.Headers that say how the upload was begun and are no headers of the object: its completion leaves them out. So it does
// with the storage class STANDARD, which is that of an object without one.
var UploadOnlyHeaders = [...]string{"x-amz-acl", "x-amz-server-side-encryption"}

// objectHeaders are those of an upload's headers that its object keeps.
func objectHeaders(u map[string]string) map[string]string {
	var out map[string]string
	for name, v := range u {
		if slices.Contains(UploadOnlyHeaders[:], name) || name == "x-amz-storage-class" && v == "STANDARD" {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(u))
		}
		out[name] = v
	}
	return out
}
