package stele

import "context"

// What the tests of package stele_test see of the inside.

// ErrChanged is why a key is compared again before it is put back.
var ErrChanged = errChanged

// UsedKeys is of how many access keys it is remembered when they were used.
func UsedKeys(s *Store) int { return len(s.lastUsed) }

// PartCompared is a key that a restore of a part has compared and not yet put back.
type PartCompared struct {
	j *partRestore
	k partKey
}

// ComparePart compares a key as RestorePart does.
func ComparePart(ctx context.Context, s *Store, q PartRestore, key string) (c PartCompared, err error) {
	c.j, c.k = &partRestore{PartRestore: q, s: s, reason: "test"}, partKey{key: key}
	if err := c.j.findBuckets(ctx); err != nil {
		return c, err
	}
	row := func(inc, size uint64) (partSide, bool, error) {
		p := partSide{s: s, span: partSpan{prefix: key, exact: true}, inc: inc, size: size, stop: func() error { return nil }}
		_, ok, err := p.peek()
		return p, ok, err
	}
	then, was, err := row(c.j.then.Inc, q.At.Size)
	if err != nil {
		return c, err
	}
	if c.k.was = was; was {
		c.k.then = then.rows[0].Current
	}
	now, is, err := row(c.j.inc, 0)
	if err != nil {
		return c, err
	}
	if c.k.is = is; is {
		c.k.now = now.rows[0].Current
	}
	if v, err := s.Head(ctx, Place{Bucket: q.To, Key: key}); err == nil {
		c.k.tags = v.Tags
	}
	return c, nil
}

// PutBack puts the key back as it was compared. ErrChanged: it has changed meanwhile.
func (c PartCompared) PutBack(ctx context.Context) error { return c.j.putBack(ctx, &c.k) }

// Settle does all that RestorePart does with the key, which it compares again if it has changed. kept: it is as it was.
func (c PartCompared) Settle(ctx context.Context) (made PartChange, kept bool, err error) {
	err = c.j.one(ctx, &c.k)
	return c.k.made, c.k.kept, err
}

// MakePartBucket makes the bucket of a restore and leaves it as an interruption does: with nothing in it.
func MakePartBucket(ctx context.Context, s *Store, q PartRestore) error {
	then, err := s.bucketRow(q.Bucket, q.At)
	if err != nil {
		return err
	}
	_, err = (&partRestore{PartRestore: q, s: s, reason: "test", then: then}).makeBucket(ctx)
	return err
}

// SetMaxRetention changes Options.MaxRetentionDays of an open store.
func SetMaxRetention(s *Store, days int) { s.opt.MaxRetentionDays = days }
