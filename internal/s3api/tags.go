package s3api

import (
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/tagging"
	"stele/internal/s3api/wire"
)

// ParseTagging reads the header x-amz-tagging: URL query parameters.
func ParseTagging(header string) ([]tagging.Tag, error) {
	if header == "" {
		return nil, nil
	}
	invalid := s3err.InvalidArgument("x-amz-tagging", header, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	if len(header) > 8<<10 {
		return nil, invalid
	}
	q, err := wire.ParseQuery(header)
	if err != nil {
		return nil, invalid
	}
	tags := make([]tagging.Tag, len(q))
	for i, p := range q {
		tags[i] = tagging.Tag{Key: p.Name, Value: p.Value}
		if p.Name == "" {
			return nil, invalid
		}
		for _, before := range tags[:i] {
			if before.Key == p.Name {
				return nil, invalid
			}
		}
	}
	return tags, tagging.Check(tags, tagging.MaxOfObject)
}
