package storetest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/core"
)

// Change is one call of the store's API. Request names it in the ledger.
type Change struct {
	Request   string
	By        string // an access key; empty: the command line
	Do        string // createKey, revokeKey, createBucket, deleteBucket, versioning, objectLock, setting, put, copy, hide, tags, retention, hold, create, part, complete, abort, pin
	Bucket    string
	Key       string
	Version   string // of hide, tags, retention, hold, copy (source); empty: the current one
	Content   Content
	If        stele.Conditions
	Lock      *entry.Lock
	Tags      map[string]string
	Meta      map[string]string
	Bypass    bool
	Append    bool // role append
	On        bool // createBucket: with object lock; hold: on
	Mode      string
	Until     time.Time
	State     stele.Versioning
	Default   stele.Retention
	Setting   stele.Setting
	Doc       string
	SourceKey string
	Upload    string
	Number    int
	Parts     []int
	Name      string
}

// String is for messages of tests.
func (c *Change) String() string {
	return fmt.Sprintf("%s %s %s/%s %s %s %v", c.Request, c.Do, c.Bucket, c.Key, c.Version, c.Content.name, c.If)
}

// run makes the call on a store. entries is the ledger position of what it changed, if it did.
func (c *Change) run(s *stele.Store) (at stele.Committed, made string, err error) {
	by := stele.Actor{Key: cmp.Or(c.By, "local"), Request: c.Request, Bypass: c.Bypass, EndHold: c.Bypass, NoOverwrite: c.Append}
	place := stele.Place{Bucket: c.Bucket, Key: c.Key, VersionID: c.Version}
	var v stele.Version
	switch c.Do {
	case "createBucket":
		at, err = s.CreateBucket(ctx, by, c.Bucket, c.On)
	case "deleteBucket":
		at, err = s.DeleteBucket(ctx, by, c.Bucket)
	case "versioning":
		at, err = s.SetVersioning(ctx, by, c.Bucket, c.State)
	case "objectLock":
		at, err = s.SetObjectLock(ctx, by, c.Bucket, c.Default)
	case "setting":
		at, err = s.SetSetting(ctx, by, c.Bucket, c.Setting, c.Doc)
	case "put":
		v, err = s.Put(ctx, stele.PutRequest{By: by, Bucket: c.Bucket, Key: c.Key, Body: bytes.NewReader(c.Content.Bytes()), Size: int64(c.Content.size),
			Tags: c.Tags, Meta: c.Meta, Lock: c.Lock, If: c.If})
		at, made = stele.Committed{Entry: v.Entry, Time: v.Time}, v.ID
	case "copy":
		var src stele.Version
		if src, err = s.Head(ctx, stele.Place{Bucket: c.Bucket, Key: c.SourceKey, VersionID: c.Version}); err != nil {
			if errors.Is(err, stele.ErrMarker) || errors.Is(err, stele.ErrNoVersion) {
				err = stele.ErrNoKey
			}
			return at, "", err
		}
		v, err = s.Copy(ctx, stele.CopyRequest{PutRequest: stele.PutRequest{By: by, Bucket: c.Bucket, Key: c.Key, Tags: c.Tags, Meta: c.Meta, Lock: c.Lock, If: c.If}, Source: src})
		at, made = stele.Committed{Entry: v.Entry, Time: v.Time}, v.ID
	case "hide":
		var r stele.HideResult
		r, err = s.Hide(ctx, stele.HideRequest{By: by, Bucket: c.Bucket, Key: c.Key, VersionID: c.Version, If: c.If})
		if at, made = r.Committed, r.VersionID; err == nil && r.Time.IsZero() {
			err = core.ErrNoChange
		}
	case "tags":
		_, err = s.SetTags(ctx, by, place, c.Tags)
	case "retention":
		_, err = s.SetRetention(ctx, by, place, c.Mode, c.Until)
	case "hold":
		_, err = s.SetHold(ctx, by, place, c.On)
	case "create":
		var u stele.Upload
		u, err = s.Multipart().Create(ctx, by, stele.Upload{Bucket: c.Bucket, Key: c.Key, Meta: c.Meta})
		at, made = stele.Committed{Entry: u.Entry, Time: u.Started}, u.ID
	case "part":
		_, err = s.Multipart().PutPart(ctx, stele.PartRequest{By: by, Bucket: c.Bucket, Key: c.Key, Upload: c.Upload, Number: c.Number,
			Body: bytes.NewReader(c.Content.Bytes()), Size: int64(c.Content.size)})
	case "complete":
		v, err = c.complete(s, by)
		at, made = stele.Committed{Entry: v.Entry, Time: v.Time}, v.ID
	case "abort":
		at, err = s.Multipart().Abort(ctx, by, c.Bucket, c.Key, c.Upload)
	case "createKey":
		var k entry.AccessKey
		k, err = s.Keys().Create(ctx, by, stele.RoleReadWrite, nil, 0)
		made = k.ID
	case "revokeKey":
		at, err = s.Keys().Revoke(ctx, by, c.Name)
	case "pin":
		_, err = s.Pin(ctx, by, c.Name, stele.View{})
	default:
		panic("no such change: " + c.Do)
	}
	return at, made, err
}

func (c *Change) complete(s *stele.Store, by stele.Actor) (stele.Version, error) {
	have, _, _, err := s.Multipart().Parts(ctx, c.Bucket, c.Key, c.Upload, 0, 1000)
	if err != nil {
		return stele.Version{}, err
	}
	var parts []stele.Part
	for _, n := range c.Parts {
		p := stele.Part{Number: n, ETag: "none"}
		if i := slices.IndexFunc(have, func(p stele.Part) bool { return p.Number == n }); i >= 0 {
			p.ETag = have[i].ETag
		}
		parts = append(parts, p)
	}
	return s.Multipart().Complete(ctx, stele.CompleteRequest{By: by, Bucket: c.Bucket, Key: c.Key, Upload: c.Upload, Parts: parts, If: c.If})
}
