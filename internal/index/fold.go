package index

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"stele/entry"
)

// mutation is one change of a row; val nil deletes. unseen: it is made in the database only
// (such rows are reachable only through a row that the same entry deletes).
type mutation struct {
	key, val []byte
	unseen   bool
}

// name returns the key as a string without copying it: keys are not changed once they are made.
func (m *mutation) name() string { return unsafe.String(unsafe.SliceData(m.key), len(m.key)) }

// change is what one entry does to the rows.
type change struct {
	entry     uint64
	mutations []mutation
	inc       uint64
	totals    Totals // to be added to the incarnation's counters
	current   []byte // see currentKey
	took      bool   // a hide took an object out of the S3 view
	free      []byte // room for keys and values: one allocation serves most entries
}

// room returns an empty slice with space for n bytes.
func (c *change) room(n int) []byte {
	if cap(c.free) < n {
		c.free = make([]byte, 0, max(n, 384))
	}
	s := c.free[:0:n]
	c.free = c.free[n:n]
	return s
}

func (c *change) set(key, val []byte) {
	c.mutations = append(c.mutations, mutation{key: key, val: val})
}
func (c *change) del(key []byte) { c.mutations = append(c.mutations, mutation{key: key}) }

// currentKey returns the key of an object's row of family c, made once.
func (c *change) currentKey(p *entry.Private) []byte {
	if c.current == nil {
		c.current = appendCurrentKey(c.room(9+len(p.Key)), p.Inc, p.Key)
	}
	return c.current
}

func (c *change) entryKey(fam byte, p *entry.Private, at uint64) []byte {
	return appendEntryKey(c.room(9+len(p.Key)+10), fam, p.Inc, p.Key, at)
}

func (c *change) setCurrent(p *entry.Private, r *Current) {
	c.set(c.currentKey(p), r.append(c.room(r.size())))
}

func (c *change) setVersion(p *entry.Private, r *Current) {
	c.set(c.entryKey(famVersion, p, r.Entry), r.append(c.room(r.size())))
}

func (c *change) setHistory(p *entry.Private, at uint64, r *Record) {
	c.set(c.entryKey(famHistory, p, at), r.append(c.room(r.size())))
}

func (c *change) count(inc uint64, d Totals) { c.inc = inc; c.totals.add(d) }

// fold computes what an entry does to the rows that r shows. It is the one place where the ledger becomes the S3 view: the sequencer
// folds an entry as it decides it, recovery and rebuild fold the entries that the index has not seen, and the result is the same bit for bit. It is a
// function of the entry and the rows alone, and refuses only what no decision lets through: errEntry.
func fold(e *entry.Entry, r Reader) (change, error) {
	c := change{entry: e.Index, mutations: make([]mutation, 0, 4)}
	var err error
	p := &e.Private
	if err := complete(e); err != nil {
		return c, fmt.Errorf("couldn't fold entry %d (%s): %w", e.Index, e.Type, err)
	}
	switch e.Type {
	case entry.ObjectPut:
		err = c.put(e, r)
	case entry.ObjectHide:
		err = c.hideOrMark(e, r)
	case entry.ObjectRetention, entry.ObjectHold, entry.ObjectTags:
		err = c.attrs(e, r)
	case entry.BucketCreate, entry.BucketDelete, entry.BucketConfig:
		err = c.bucket(e, r)
	case entry.UploadCreate:
		c.upload(e)
	case entry.UploadPart:
		err = c.part(e, r)
	case entry.UploadAbort:
		err = c.endUpload(p, r)
	case entry.KeyCreate:
		c.set(named(famAccess, p.Access.ID), appendJSON(Access{AccessKey: *p.Access, Created: e.Time.UTC(), CreatedBy: p.Actor, Sealed: p.Secret}))
	case entry.KeyRevoke:
		err = c.revoke(p, r)
	case entry.ViewPin:
		c.set(named(famPin, p.Name), appendJSON(Pin{Name: p.Name, Size: p.Target, Created: e.Time.UTC()}))
	case entry.ViewUnpin:
		c.del(named(famPin, p.Name))
	case entry.PackSeal:
		if pack, expected := e.ExpectedPack(); expected {
			c.set(named(famSealed, pack.Name), putUint(e.Index))
		}
	case entry.BackupTarget, entry.StandbyAdmit:
		c.named(e.Type, p)
	case entry.BackupIndex, entry.VerifyScrub, entry.BackupHeld, entry.BackupLost:
		c.last(LastOf(e.Type, p.Name), e)
	case entry.DrillRun:
		err = c.drill(e, r)
	case entry.VerifyDamage:
		err = c.damage(e, r)
	case entry.Heal:
		err = c.healed(e, r)
	case entry.ConfigSet:
		c.set(named(famConfig, p.Name), appendJSON(Setting{Value: p.Value, Doc: p.Doc}))
	case entry.StoreInit, entry.EpochBegin, entry.VerifyRun, entry.TimeDrift, entry.DeniedLock, entry.DeniedSum:
		// These change no row: whoever asks for them reads the ledger.
	}
	if err != nil {
		return c, fmt.Errorf("couldn't fold entry %d (%s): %w", e.Index, e.Type, err)
	}
	return c, nil
}

// errEntry: an entry lacks what its type needs.
var errEntry = errors.New("the entry lacks what its type needs")

func complete(e *entry.Entry) error {
	p := &e.Private
	ok := true
	switch e.Type {
	case entry.ObjectPut:
		ok = p.Key != "" && p.Body != nil && slices.Contains(bodyKinds, p.Body.Kind)
	case entry.ObjectHide, entry.ObjectRetention, entry.ObjectHold, entry.ObjectTags:
		ok = p.Key != ""
	case entry.BucketCreate, entry.BucketDelete, entry.BucketConfig:
		ok = p.Bucket != "" && (e.Type != entry.BucketConfig || p.Name != "")
	case entry.UploadCreate, entry.UploadAbort:
		ok = p.Key != "" && p.Upload != ""
	case entry.UploadPart:
		ok = p.Upload != "" && p.Body != nil && slices.Contains(bodyKinds, p.Body.Kind)
	case entry.KeyCreate, entry.KeyRevoke:
		ok = p.Access != nil && p.Access.ID != ""
	case entry.ViewPin, entry.ViewUnpin, entry.ConfigSet, entry.BackupTarget, entry.BackupIndex, entry.BackupHeld, entry.BackupLost, entry.DrillRun, entry.VerifyScrub, entry.VerifyDamage, entry.Heal, entry.StandbyAdmit:
		ok = p.Name != ""
	case entry.PackSeal:
		ok = p.Pack != nil && p.Pack.Name != ""
	}
	if !ok {
		return errEntry
	}
	return nil
}

// erased reports whether a lawful erasure took the private part (DESIGN section 5): such an entry has no rows. Every entry that has some says one of these.
func erased(p *entry.Private) bool {
	return p.Key == "" && p.Bucket == "" && p.Upload == "" && p.Name == "" && p.Access == nil && p.Pack == nil && p.Body == nil
}

func etagOf(p *entry.Private) string {
	if p.ETag != "" {
		return p.ETag
	}
	return hex.EncodeToString(p.Body.MD5[:])
}

// put: the new version is current; what was current is noncurrent, or hidden if the new one takes its id ("null").
func (c *change) put(e *entry.Entry, r Reader) error {
	p := &e.Private
	rec := Record{Entry: e.Index, Time: e.Time, Type: entry.ObjectPut, Null: p.Null, Size: p.Body.Size, ETag: etagOf(p), Body: *p.Body,
		Parts: p.Part, Checksum: p.Checksum, Headers: p.Headers, Meta: p.Meta, Tags: p.Tags}
	if p.Lock != nil {
		rec.Lock = *p.Lock
	}
	cur := Current{Entry: e.Index, Time: e.Time, Size: p.Body.Size, ETag: rec.ETag, Null: p.Null}
	if p.Checksum != nil {
		cur.Checksum, cur.Kind = p.Checksum.Algorithm, p.Checksum.Kind
	}
	cur.Class = p.Headers[HeaderClass]
	if err := c.displace(p, r); err != nil {
		return err
	}
	c.setCurrent(p, &cur)
	c.setHistory(p, e.Index, &rec)
	c.count(p.Inc, Totals{Objects: 1, Bytes: p.Body.Size, Versions: 1, PutBytes: p.Body.Size})
	if p.Upload != "" {
		return c.endUpload(p, r)
	}
	return nil
}

// hideOrMark hides a version, or puts a delete marker over it, and counts what this takes out of the S3 view.
func (c *change) hideOrMark(e *entry.Entry, r Reader) (err error) {
	if e.Private.Marker {
		err = c.marker(e, r)
	} else {
		err = c.hide(e, r)
	}
	if err == nil && c.took {
		err = c.countHide(e, r)
	}
	return err
}

// marker: a delete marker is the latest version, so that the key has no current row.
func (c *change) marker(e *entry.Entry, r Reader) error {
	p := &e.Private
	if err := c.displace(p, r); err != nil {
		return err
	}
	c.took = c.totals.Objects < 0
	row := Current{Entry: e.Index, Time: e.Time, Null: p.Null, Marker: true}
	rec := Record{Time: e.Time, Type: entry.ObjectHide, Marker: true, Null: p.Null}
	c.del(c.currentKey(p))
	c.setVersion(p, &row)
	c.setHistory(p, e.Index, &rec)
	if p.Null {
		c.set(objectPrefix(famNull, p.Inc, p.Key), putUint(e.Index))
	}
	return nil
}

// displace makes room for a new latest version: the current one becomes noncurrent, and if the new version's id is "null", the version that had that id is hidden.
// The caller writes or deletes the current row.
func (c *change) displace(p *entry.Private, r Reader) error {
	cur, ok, err := r.current(c.currentKey(p))
	if err != nil {
		return err
	}
	if ok {
		c.count(p.Inc, Totals{Objects: -1, Bytes: -cur.Size})
	}
	if p.Null && ok && cur.Null {
		c.count(p.Inc, Totals{HiddenBytes: cur.Size})
		return nil // replaced: the row is overwritten, nothing else was null
	}
	if p.Null {
		if err := c.hideNull(p, r); err != nil {
			return err
		}
	}
	if ok {
		c.setVersion(p, &cur)
		if cur.Null {
			c.set(objectPrefix(famNull, p.Inc, p.Key), putUint(cur.Entry))
		}
	}
	return nil
}

// plain reports that the bucket never had versioning, so that no key has a noncurrent row and none need be looked for.
func plain(p *entry.Private, r Reader) (bool, error) {
	b, ok, err := r.Bucket(p.Bucket)
	return ok && b.Inc == p.Inc && b.Versioning == "", err
}

// hideNull hides the null version where it is not current.
func (c *change) hideNull(p *entry.Private, r Reader) error {
	if never, err := plain(p, r); never || err != nil {
		return err
	}
	at, ok, err := r.null(p.Inc, p.Key)
	if err != nil || !ok {
		return err
	}
	old, ok, err := r.version(p.Inc, p.Key, at)
	if err != nil {
		return err
	}
	if ok {
		c.count(p.Inc, Totals{HiddenBytes: old.Size})
	}
	c.del(entryKey(famVersion, p.Inc, p.Key, at))
	c.del(objectPrefix(famNull, p.Inc, p.Key))
	return nil
}

// hide takes version Target (0: the current one) out of the S3 view. If it was the latest, the next one becomes the latest.
func (c *change) hide(e *entry.Entry, r Reader) error {
	p := &e.Private
	cur, live, err := r.current(c.currentKey(p))
	if err != nil {
		return err
	}
	target := p.Target
	if target == 0 && live {
		target = cur.Entry
	}
	rec := Record{Time: e.Time, Type: entry.ObjectHide, Target: target, Null: p.Null}
	c.setHistory(p, e.Index, &rec)
	if live && cur.Entry == target {
		c.took = true
		c.del(c.currentKey(p))
		c.count(p.Inc, Totals{Objects: -1, Bytes: -cur.Size, HiddenBytes: cur.Size})
	} else {
		old, ok, err := r.version(p.Inc, p.Key, target)
		if err != nil || !ok {
			return err
		}
		c.count(p.Inc, Totals{HiddenBytes: old.Size})
		c.del(entryKey(famVersion, p.Inc, p.Key, target))
		if old.Null {
			c.del(objectPrefix(famNull, p.Inc, p.Key))
		}
		if live {
			return nil
		}
	}
	return c.promote(p, target, r)
}

// promote makes the newest remaining version of a key that has no current row the current one, unless it is a marker.
func (c *change) promote(p *entry.Private, hidden uint64, r Reader) error {
	if never, err := plain(p, r); never || err != nil {
		return err
	}
	prefix := objectPrefix(famVersion, p.Inc, p.Key)
	k, v, err := r.src.first(prefix, after(prefix))
	if err == nil && k != nil && bytes.Equal(k, entryKey(famVersion, p.Inc, p.Key, hidden)) {
		k, v, err = r.src.first(next(k), after(prefix))
	}
	if err != nil || k == nil {
		return err
	}
	row, err := parseCurrent(v)
	if err != nil || row.Marker {
		return err
	}
	c.del(k)
	if row.Null {
		c.del(objectPrefix(famNull, p.Inc, p.Key))
	}
	c.setCurrent(p, &row)
	c.count(p.Inc, Totals{Objects: 1, Bytes: row.Size})
	return nil
}

// attrs: lock or tags of version Target are changed. The rows say that family a has to be asked from now on.
func (c *change) attrs(e *entry.Entry, r Reader) error {
	p := &e.Private
	a, err := r.Attrs(p.Inc, p.Key, p.Target)
	if err != nil {
		return err
	}
	a.Type = e.Type
	switch e.Type {
	case entry.ObjectRetention:
		a.Lock.Mode, a.Lock.Until = "", time.Time{}
		if p.Lock != nil {
			a.Lock.Mode, a.Lock.Until = p.Lock.Mode, p.Lock.Until
		}
	case entry.ObjectHold:
		a.Lock.Hold = p.Lock != nil && p.Lock.Hold
		a.Released = !a.Lock.Hold
	case entry.ObjectTags:
		a.Tags = p.Tags
	}
	c.set(append(attrPrefix(p.Inc, p.Key, p.Target), complement(e.Index)...), a.append(nil))
	if cur, ok, err := r.current(c.currentKey(p)); err != nil {
		return err
	} else if ok && cur.Entry == p.Target {
		cur.Attrs = true
		c.setCurrent(p, &cur)
		return nil
	}
	old, ok, err := r.version(p.Inc, p.Key, p.Target)
	if err == nil && ok {
		old.Attrs = true
		c.setVersion(p, &old)
	}
	return err
}

func (c *change) bucket(e *entry.Entry, r Reader) error {
	p := &e.Private
	b := Bucket{Name: p.Bucket, Inc: e.Index, Created: e.Time.UTC(), Owner: p.Actor, ObjectLock: p.Value == "object-lock"}
	if b.ObjectLock {
		b.Versioning = "Enabled"
	}
	if e.Type != entry.BucketCreate {
		old, ok, err := r.Bucket(p.Bucket)
		if err != nil || !ok {
			return err
		}
		b = old.clone()
	}
	switch e.Type {
	case entry.BucketConfig:
		switch p.Name {
		case "versioning":
			b.Versioning = p.Value
		case "object-lock":
			b.ObjectLock, b.Versioning = true, "Enabled"
			fallthrough
		default:
			if p.Value == "" && p.Doc == nil {
				delete(b.Settings, p.Name)
			} else {
				b.Settings[p.Name] = Setting{Value: p.Value, Doc: p.Doc}
			}
		}
	case entry.BucketDelete:
		b.Deleted = true
		c.del(bucketKey(p.Bucket))
		if err := c.bucketGone(e, b.Inc, r); err != nil {
			return err
		}
	}
	row := appendJSON(b)
	if !b.Deleted {
		c.set(bucketKey(p.Bucket), row)
	}
	c.set(bucketsKey(p.Bucket, e.Index), row)
	return nil
}

// LastOf names the setting (Reader.Config) whose Value is the index of the newest entry of a type about a name, in decimal: the last drill of a target, however it ended.
func LastOf(t entry.Type, name string) string { return "last/" + string(t) + "/" + name }

// LastGood names the setting like LastOf's of the newest entry whose outcome was good.
func LastGood(t entry.Type, name string) string { return "good/" + string(t) + "/" + name }

// FirstBad names the setting like LastOf's of the first entry since LastGood's whose outcome was not; there is none while the newest outcome is good.
func FirstBad(t entry.Type, name string) string { return "bad/" + string(t) + "/" + name }

func (c *change) last(setting string, e *entry.Entry) {
	c.set(named(famConfig, setting), appendJSON(Setting{Value: strconv.FormatUint(e.Index, 10), Doc: e.Private.Doc}))
}

// drill keeps the newest drill of a target, the newest that passed, and since which one it does not pass.
func (c *change) drill(e *entry.Entry, r Reader) error {
	name := e.Private.Name
	c.last(LastOf(e.Type, name), e)
	if e.Private.Data["ok"] == "true" {
		c.last(LastGood(e.Type, name), e)
		c.del(named(famConfig, FirstBad(e.Type, name)))
		return nil
	}
	_, bad, err := r.Config(FirstBad(e.Type, name))
	if err == nil && !bad {
		c.last(FirstBad(e.Type, name), e)
	}
	return err
}

// NamedBy names the setting (Reader.Config) that is the present Value of a name of a type: a target, a standby.
func NamedBy(t entry.Type, name string) string { return string(t) + "/" + name }

// named keeps what a name of a type is now, or that it is no more.
func (c *change) named(t entry.Type, p *entry.Private) {
	key := named(famConfig, NamedBy(t, p.Name))
	if p.Value == "" {
		c.del(key)
		return
	}
	c.set(key, appendJSON(Setting{Value: p.Value, Doc: p.Doc, Sealed: p.Secret}))
}

func (c *change) revoke(p *entry.Private, r Reader) error {
	a, ok, err := r.Access(p.Access.ID)
	if err != nil || !ok {
		return err
	}
	a.Revoked = true
	c.set(named(famAccess, p.Access.ID), appendJSON(a))
	return nil
}
