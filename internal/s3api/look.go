package s3api

import (
	"errors"
	"fmt"

	"stele"
)

// looked is what a place named when the request was judged by the tags of the version there: that version, or why there is none.
type looked struct {
	place stele.Place
	v     stele.Version
	err   error
}

// look finds the version that a place names. If the request was judged by that version it is the same one: between the judging and the reading another may have become current, which nobody judged.
func (c *call) look(at stele.Place) (stele.Version, error) {
	if l := c.judgedBy(at); l != nil {
		return l.v, l.err
	}
	return c.store.Head(c.ctx, at)
}

// lookToJudge is look for who judges by what is found, and keeps it. DeleteObjects reads nothing and may name a key twice: each time it is judged by what is there then.
func (c *call) lookToJudge(at stele.Place) (stele.Version, error) {
	v, err := c.look(at)
	if c.q.Op != OpDeleteObjects && c.judgedBy(at) == nil {
		c.judged = append(c.judged, looked{at, v, err})
	}
	if c.afterJudging != nil {
		c.afterJudging()
	}
	return v, err
}

func (c *call) judgedBy(at stele.Place) *looked {
	for i := range c.judged {
		if c.judged[i].place == at {
			return &c.judged[i]
		}
	}
	return nil
}

// read is look for a reader. The policy that judged the request is that of the incarnation b: one that was made since under the same name is another bucket.
func (c *call) read(b *stele.Bucket, at stele.Place) (stele.Version, error) {
	v, err := c.look(at)
	if v.Entry != 0 && v.Inc != b.Inc {
		return stele.Version{}, fmt.Errorf("%w: %s was deleted and made anew meanwhile", stele.ErrNoBucket, at.Bucket)
	}
	return v, err
}

// unlessUnlisted denies that a key is missing to who may not list its bucket, as AWS does. Otherwise who may read some objects could find out which others there are: those that a policy keeps
// from him are denied, and the rest would be missing.
func (c *call) unlessUnlisted(s *subject) func(stele.Version, error) (stele.Version, error) {
	return func(v stele.Version, err error) (stele.Version, error) {
		if !errors.Is(err, stele.ErrNoKey) {
			return v, err
		}
		if denied := c.requires(s, "s3:ListBucket"); denied != nil {
			return stele.Version{}, denied
		}
		return v, err
	}
}

// maxJudged is how often a change is judged anew because what it was judged by was exchanged meanwhile.
const maxJudged = 4

// change changes the lock or the tags of the version that the request was judged by. If it is no longer there, as it was, the request is judged anew by what is there now.
func (c *call) change(set func(at stele.Place) (stele.Version, error)) (v stele.Version, err error) {
	defer func() { v, err = c.unlessUnlisted(c.subject(c.q.Key))(v, err) }()
	for range maxJudged {
		at := c.place()
		if l := c.judgedBy(at); l != nil && l.err != nil {
			return l.v, l.err
		} else if l != nil {
			at.As = &l.v
		}
		if v, err = set(at); !errors.Is(err, stele.ErrBusy) {
			return v, err
		}
		c.judged = nil
		if err := c.requires(c.subject(c.q.Key), c.q.Action()); err != nil {
			return stele.Version{}, err
		}
	}
	return v, err
}
