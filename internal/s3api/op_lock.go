package s3api

import (
	"errors"
	"fmt"
	"net/http"

	"stele"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/s3err"
)

// place is the version that a request about its lock or tags means: the latest where none is named, as S3 has it.
func (c *call) place() stele.Place {
	return stele.Place{Bucket: c.name, Key: c.q.Key, VersionID: c.q.VersionID, At: c.at}
}

func (c *call) getObjectLockConfiguration() error {
	if !c.b.ObjectLock {
		return s3err.ErrNoSuchObjectLock.With("BucketName", c.q.Bucket)
	}
	d := c.b.Default
	return c.replyDocument(LockConfig{Mode: d.Mode, Days: d.Days, Years: d.Years}.AppendXML)
}

func (c *call) putObjectLockConfiguration() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	if len(doc) == 0 {
		return s3err.ErrMissingRequestBody
	}
	l, err := DecodeLockConfig(doc)
	if err != nil {
		return err
	}
	if c.b.Versioning != stele.Enabled {
		return s3err.ErrVersioningNotEnabled
	}
	done, err := c.store.SetObjectLock(c.ctx, c.by, c.name, stele.Retention{Mode: l.Mode, Days: l.Days, Years: l.Years})
	return c.settled(done, err, http.StatusOK)
}

// lockOf finds a version whose bucket has object lock.
func (c *call) lockOf() (stele.Version, error) {
	v, err := c.head()
	if err == nil && !c.b.ObjectLock {
		err = s3err.ErrBucketMissingObjectLock
	}
	return v, c.ofMarker(&v, err)
}

func (c *call) getObjectRetention() error {
	v, err := c.lockOf()
	if err != nil {
		return err
	}
	if v.Lock.Mode == "" {
		return s3err.ErrNoSuchRetention
	}
	return c.replyDocument(Retention{v.Lock.Mode, v.Lock.Until}.AppendXML)
}

func (c *call) putObjectRetention() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	r, err := DecodeRetention(doc, c.now())
	if err != nil {
		return err
	}
	if err := c.learn(learned{retention: r}); err != nil {
		return err
	}
	if !c.b.ObjectLock {
		return s3err.ErrBucketMissingObjectLock
	}
	v, err := c.change(func(at stele.Place) (stele.Version, error) {
		return c.store.SetRetention(c.ctx, c.actor(c.subject(c.q.Key)), at, r.Mode, r.Until)
	})
	return c.changed(&v, c.ofMarker(&v, err), http.StatusOK)
}

func (c *call) getObjectLegalHold() error {
	v, err := c.lockOf()
	if err != nil {
		return err
	}
	if !v.Lock.Hold && v.Lock.Mode == "" && !v.HoldOff {
		return s3err.ErrNoSuchRetention
	}
	return c.replyDocument(func(b []byte) []byte { return AppendLegalHold(b, v.Lock.Hold) })
}

func (c *call) putObjectLegalHold() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	on, err := DecodeLegalHold(doc)
	if err != nil {
		return err
	}
	if err := c.learn(learned{hold: onOff(on)}); err != nil {
		return err
	}
	if !c.b.ObjectLock {
		return s3err.ErrBucketMissingObjectLock
	}
	v, err := c.change(func(at stele.Place) (stele.Version, error) {
		by := c.by
		by.EndHold = c.mayEndHold()
		return c.store.SetHold(c.ctx, by, at, on)
	})
	if isRetention(err) {
		err = fmt.Errorf("%w: %w", s3err.ErrLocked.Msg("A legal hold is ended by an access key of role admin, or by one to which the bucket's policy allows s3:PutObjectLegalHold."), err)
	}
	return c.changed(&v, c.ofMarker(&v, err), http.StatusOK)
}

// mayEndHold tells whether the caller may end a legal hold. Putting one is part of writing; ending one is how what was kept for a court gets lost, so that it
// needs a key which may weaken locks, or the word of the bucket's policy. Nobody without a key does it, whatever the policy says.
func (c *call) mayEndHold() bool {
	const action = "s3:PutObjectLegalHold"
	if c.key.ID == "" {
		return false
	}
	says := c.says(c.subject(c.q.Key), action)
	return says == policy.Allows || says == policy.NoDecision && Role(c.key.Role) == Admin && c.byRole(action, c.name, c.q.Key)
}

// changed answers a change of a version's lock or tags.
func (c *call) changed(v *stele.Version, err error, status int) error {
	if err != nil {
		if errors.Is(err, stele.ErrMarker) {
			c.w.Header()["Allow"] = []string{"DELETE"}
		}
		return err
	}
	c.setVersion(c.w.Header(), v)
	return c.reply(status)
}
