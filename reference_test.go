package stele

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"stele/entry"
	"stele/internal/core"
)

// reference is the store's API in memory, written from AWS's rules and from DESIGN, not from package index: for each key the list of
// versions that S3 shows, newest first. Crash, model and tamper tests compare the store with it.
type reference struct {
	size    uint64
	live    map[string]*refBucket
	changes map[string][]refChange // bucket/key, of all incarnations, oldest first
	pins    map[string]uint64
	keys    map[string]bool // access key → revoked
}

type refBucket struct {
	name       string
	inc        uint64
	versioning Versioning
	lock       bool
	def        Retention
	settings   map[Setting]string
	shown      map[string][]refVersion
	uploads    map[string]*refUpload
}

type refVersion struct {
	entry   uint64
	null    bool
	marker  bool
	parts   []content // of a multipart object more than one is possible; of another exactly one
	mp      bool
	tags    map[string]string
	meta    map[string]string
	lock    entry.Lock
	written time.Time
}

type refUpload struct {
	key   string
	meta  map[string]string
	parts map[int]content
}

type refChange struct {
	entry   uint64
	typ     entry.Type
	version string
}

// content is bytes by a name that makes them.
type content struct {
	name string
	size int
}

// made is a content's bytes and digests, kept: tests ask for them again and again.
type made struct {
	bytes []byte
	etag  string
	sum   [32]byte
}

var contents sync.Map // content → *made

func (c content) made() *made {
	if m, ok := contents.Load(c); ok {
		return m.(*made)
	}
	b := make([]byte, c.size)
	if !strings.HasPrefix(c.name, "zero") {
		rand.NewChaCha8(sha256.Sum256([]byte(c.name))).Read(b)
	}
	sum := md5.Sum(b)
	m := &made{b, hex.EncodeToString(sum[:]), sha256.Sum256(b)}
	contents.Store(c, m)
	return m
}

func (c content) bytes() []byte { return c.made().bytes }
func (c content) etag() string  { return c.made().etag }

// id is the version's id in the first epoch.
func (v *refVersion) id() string {
	if v.null {
		return "null"
	}
	return fmt.Sprintf("%08x%016x", 1, v.entry)
}

// body is the size and the SHA-256 of what the version reads as.
func (v *refVersion) body() (size int, sum [32]byte) {
	if v.marker {
		return 0, sum
	}
	if len(v.parts) == 1 {
		return v.parts[0].size, v.parts[0].made().sum
	}
	h := sha256.New()
	for _, p := range v.parts {
		size += p.size
		h.Write(p.bytes())
	}
	return size, [32]byte(h.Sum(nil))
}

func (v *refVersion) size() int64 {
	n, _ := v.body()
	return int64(n)
}

func (v *refVersion) etag() string {
	if v.marker {
		return ""
	}
	if !v.mp {
		return v.parts[0].etag()
	}
	h := md5.New()
	for _, p := range v.parts {
		sum, _ := hex.DecodeString(p.etag())
		h.Write(sum)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(v.parts))
}

func newReference() *reference {
	return &reference{live: map[string]*refBucket{}, changes: map[string][]refChange{}, pins: map[string]uint64{}, keys: map[string]bool{}}
}

func (m *reference) clone() *reference {
	c := &reference{size: m.size, live: map[string]*refBucket{}, changes: maps.Clone(m.changes), pins: maps.Clone(m.pins), keys: maps.Clone(m.keys)}
	for k, list := range c.changes {
		c.changes[k] = slices.Clip(list)
	}
	for name, b := range m.live {
		n := *b
		n.settings, n.shown, n.uploads = maps.Clone(b.settings), map[string][]refVersion{}, map[string]*refUpload{}
		for key, list := range b.shown {
			n.shown[key] = slices.Clone(list)
		}
		for id, u := range b.uploads {
			n.uploads[id] = &refUpload{u.key, u.meta, maps.Clone(u.parts)}
		}
		c.live[name] = &n
	}
	return c
}

// change is one call of the store's API. request names it in the ledger.
type change struct {
	request string
	by      string // an access key; empty: the command line
	do      string // createKey, revokeKey, createBucket, deleteBucket, versioning, objectLock, setting, put, copy, hide, tags, retention, hold, create, part, complete, abort, pin
	bucket  string
	key     string
	version string // of hide, tags, retention, hold, copy (source); empty: the current one
	content content
	cond    Conditions
	lock    *entry.Lock
	tags    map[string]string
	meta    map[string]string
	bypass  bool
	append  bool // role append
	on      bool // createBucket: with object lock; hold: on
	mode    string
	until   time.Time
	state   Versioning
	def     Retention
	setting Setting
	doc     string
	srcKey  string
	upload  string
	number  int
	parts   []int
	name    string
}

func (c *change) String() string {
	return fmt.Sprintf("%s %s %s/%s %s %s %v", c.request, c.do, c.bucket, c.key, c.version, c.content.name, c.cond)
}

// decide judges a change at a time and returns what applies it, or the refusal: a sentinel, a *RetentionError, or core.ErrNoChange.
func (m *reference) decide(c *change, now time.Time) (func(at uint64, now time.Time), error) {
	b := m.live[c.bucket]
	if revoked, ok := m.keys[c.by]; c.by != "" && (revoked || !ok) {
		return nil, ErrKeyRevoked
	}
	switch c.do {
	case "createKey": // name is what the store has made up
		return func(uint64, time.Time) { m.keys[c.name] = false }, nil
	case "revokeKey":
		if revoked, ok := m.keys[c.name]; revoked || !ok {
			return nil, ErrNoAccessKey
		}
		return func(uint64, time.Time) { m.keys[c.name] = true }, nil
	case "createBucket":
		if b != nil {
			return nil, ErrBucketExists
		}
		return func(at uint64, _ time.Time) {
			n := &refBucket{name: c.bucket, inc: at, lock: c.on, settings: map[Setting]string{}, shown: map[string][]refVersion{}, uploads: map[string]*refUpload{}}
			if c.on {
				n.versioning = Enabled
			}
			m.live[c.bucket] = n
		}, nil
	case "pin":
		if _, ok := m.pins[c.name]; ok {
			return nil, ErrBadState
		}
		return func(at uint64, _ time.Time) { m.pins[c.name] = at }, nil
	}
	if b == nil {
		return nil, ErrNoBucket
	}
	switch c.do {
	case "deleteBucket":
		if len(b.shown) > 0 {
			return nil, ErrBucketNotEmpty
		}
		return func(uint64, time.Time) { delete(m.live, c.bucket) }, nil
	case "versioning":
		if b.lock && c.state != Enabled {
			return nil, ErrBadState
		}
		return func(uint64, time.Time) { b.versioning = c.state }, nil
	case "objectLock":
		if b.versioning != Enabled {
			return nil, ErrBadState
		}
		return func(uint64, time.Time) { b.lock, b.def = true, c.def }, nil
	case "setting":
		return func(uint64, time.Time) {
			if b.settings[c.setting] = c.doc; c.doc == "" {
				delete(b.settings, c.setting)
			}
		}, nil
	case "put", "copy", "complete":
		return m.decidePut(b, c, now)
	case "hide":
		return m.decideHide(b, c, now)
	case "tags", "retention", "hold":
		return m.decideAttr(b, c, now)
	}
	return m.decideUpload(b, c)
}

func (b *refBucket) current(key string) *refVersion {
	if list := b.shown[key]; len(list) > 0 && !list[0].marker {
		return &list[0]
	}
	return nil
}

func (b *refBucket) find(key, id string) *refVersion {
	for i := range b.shown[key] {
		if v := &b.shown[key][i]; id == "" || v.id() == id {
			return v
		}
	}
	return nil
}

// conditions are S3's: RFC 9110 section 13.1, and If-Match on a missing key is NoSuchKey.
func conditions(c Conditions, cur *refVersion) error {
	matches := func(list string) bool {
		return cur != nil && (list == "*" || strings.Contains(","+list+",", ","+cur.etag()+","))
	}
	switch {
	case c.Match != "" && cur == nil:
		return ErrNoKey
	case c.Match != "" && !matches(c.Match), c.NoneMatch != "" && matches(c.NoneMatch), c.Size != nil && cur != nil && *c.Size != cur.size():
		return ErrPrecondition
	}
	return nil
}

func (m *reference) decidePut(b *refBucket, c *change, now time.Time) (func(uint64, time.Time), error) {
	v := refVersion{null: b.versioning != Enabled, tags: c.tags, meta: c.meta}
	switch c.do {
	case "put":
		v.parts = []content{c.content}
	case "copy":
		src := b.find(c.srcKey, c.version)
		if src == nil || src.marker {
			return nil, ErrNoKey
		}
		v.parts, v.mp = src.parts, src.mp
	case "complete":
		u := b.uploads[c.upload]
		if u == nil {
			return nil, ErrNoUpload
		}
		for i, n := range c.parts {
			p, ok := u.parts[n]
			if i > 0 && n <= c.parts[i-1] {
				return nil, ErrPartOrder
			}
			if !ok {
				return nil, ErrInvalidPart
			}
			v.parts = append(v.parts, p)
		}
		for _, p := range v.parts[:len(v.parts)-1] {
			if p.size < MinPartSize {
				return nil, ErrPartTooSmall
			}
		}
		v.mp, v.meta = true, u.meta
	}
	if !b.lock && c.lock != nil {
		return nil, ErrBadState
	}
	cur := b.current(c.key)
	if c.append && cur != nil && c.cond.NoneMatch != "*" {
		return nil, ErrOverwriteDenied
	}
	if err := conditions(c.cond, cur); err != nil {
		return nil, err
	}
	if c.lock != nil && c.lock.Mode != "" && !c.lock.Until.After(now) {
		return nil, ErrBadState
	}
	return func(at uint64, now time.Time) {
		if v.entry, v.written = at, now; b.lock {
			if c.lock != nil {
				v.lock = *c.lock
			}
			if v.lock.Mode == "" && b.def.Mode != "" {
				v.lock.Mode, v.lock.Until = b.def.Mode, now.AddDate(b.def.Years, 0, b.def.Days)
			}
		}
		if c.do == "complete" {
			delete(b.uploads, c.upload)
		}
		b.add(c.key, v)
		m.note(b, c.key, refChange{at, entry.ObjectPut, v.id()})
	}, nil
}

// add makes v the latest version. A null version takes the place of the null version there was.
func (b *refBucket) add(key string, v refVersion) {
	list := slices.DeleteFunc(slices.Clone(b.shown[key]), func(old refVersion) bool { return v.null && old.null })
	b.shown[key] = append([]refVersion{v}, list...)
}

func (m *reference) note(b *refBucket, key string, c refChange) {
	k := b.name + "/" + key
	m.changes[k] = append(m.changes[k], c)
}

func (m *reference) decideHide(b *refBucket, c *change, now time.Time) (func(uint64, time.Time), error) {
	target := b.find(c.key, c.version)
	seen := target
	if target != nil && target.marker {
		if seen = nil; c.cond.Match != "" {
			return nil, ErrPrecondition // a delete marker is there and matches nothing
		}
	}
	if err := conditions(c.cond, seen); err != nil {
		return nil, err
	}
	if c.version == "" {
		if b.versioning == Unversioned && target == nil {
			return nil, core.ErrNoChange
		}
		return func(at uint64, now time.Time) {
			if b.versioning == Unversioned {
				m.note(b, c.key, refChange{at, entry.ObjectHide, b.shown[c.key][0].id()})
				b.hide(c.key, b.shown[c.key][0].id())
				return
			}
			v := refVersion{entry: at, null: b.versioning != Enabled, marker: true, written: now}
			b.add(c.key, v)
			m.note(b, c.key, refChange{at, entry.ObjectHide, v.id()})
		}, nil
	}
	if target == nil {
		return nil, core.ErrNoChange
	}
	if !target.marker {
		if err := guarded(target.lock, now, c.bypass); err != nil {
			return nil, err
		}
	}
	return func(at uint64, _ time.Time) {
		b.hide(c.key, c.version)
		m.note(b, c.key, refChange{at, entry.ObjectHide, c.version})
	}, nil
}

func (b *refBucket) hide(key, id string) {
	b.shown[key] = slices.DeleteFunc(slices.Clone(b.shown[key]), func(v refVersion) bool { return v.id() == id })
	if len(b.shown[key]) == 0 {
		delete(b.shown, key)
	}
}

func guarded(l entry.Lock, now time.Time, bypass bool) error {
	if l.Hold || l.Mode != "" && l.Until.After(now) && !(l.Mode == "GOVERNANCE" && bypass) {
		return &RetentionError{}
	}
	return nil
}

func (m *reference) decideAttr(b *refBucket, c *change, now time.Time) (func(uint64, time.Time), error) {
	v := b.find(c.key, c.version)
	missing := ErrNoKey
	if c.version != "" {
		missing = ErrNoVersion
	}
	switch {
	case v == nil:
		return nil, missing
	case v.marker && c.version != "":
		return nil, ErrMarker
	case v.marker:
		return nil, ErrNoKey
	case c.do != "tags" && !b.lock:
		return nil, ErrBadState
	}
	if c.do == "retention" {
		if c.mode != "" && !c.until.After(now) {
			return nil, ErrBadState
		}
		longer := c.mode == v.lock.Mode && !c.until.Before(v.lock.Until)
		if v.lock.Mode != "" && v.lock.Until.After(now) && !longer && !(v.lock.Mode == "GOVERNANCE" && c.bypass) {
			return nil, &RetentionError{}
		}
	}
	if c.do == "hold" && !c.on && v.lock.Hold && !c.bypass { // bypass stands for EndHold too
		return nil, &RetentionError{}
	}
	typ := map[string]entry.Type{"tags": entry.ObjectTags, "retention": entry.ObjectRetention, "hold": entry.ObjectHold}[c.do]
	at0 := v.entry
	return func(at uint64, _ time.Time) {
		list := b.shown[c.key]
		i := slices.IndexFunc(list, func(v refVersion) bool { return v.entry == at0 })
		switch v := &list[i]; c.do {
		case "tags":
			v.tags = c.tags
		case "retention":
			v.lock.Mode, v.lock.Until = c.mode, c.until
		case "hold":
			v.lock.Hold = c.on
		}
		m.note(b, c.key, refChange{at, typ, list[i].id()})
	}, nil
}

func (m *reference) decideUpload(b *refBucket, c *change) (func(uint64, time.Time), error) {
	if c.do == "create" {
		return func(uint64, time.Time) {
			b.uploads[c.upload] = &refUpload{c.key, c.meta, map[int]content{}}
		}, nil
	}
	u := b.uploads[c.upload]
	if u == nil {
		return nil, ErrNoUpload
	}
	return func(uint64, time.Time) {
		if c.do == "abort" {
			delete(b.uploads, c.upload)
		} else {
			u.parts[c.number] = c.content
		}
	}, nil
}

// render writes down all that the reference shows.
func (m *reference) render(now bool) string {
	var w strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.live)) {
		b := m.live[name]
		fmt.Fprintf(&w, "bucket %s inc %d %q lock %v %+v\n", name, b.inc, b.versioning, b.lock, b.def)
		for _, s := range slices.Sorted(maps.Keys(b.settings)) {
			fmt.Fprintf(&w, "  setting %s %x\n", s, sha256.Sum256([]byte(b.settings[s])))
		}
		objects, size := 0, 0
		for _, key := range slices.Sorted(maps.Keys(b.shown)) {
			for i := range b.shown[key] {
				v := &b.shown[key][i]
				n, sum := v.body()
				if i == 0 && !v.marker {
					objects, size = objects+1, size+n
				}
				renderVersion(&w, key, v.id(), i == 0, v.marker, v.null, v.etag(), v.written, n, sum, v.lock, v.tags, v.meta)
			}
		}
		if !now {
			continue
		}
		fmt.Fprintf(&w, "  %d objects, %d bytes\n", objects, size)
		for _, id := range slices.SortedFunc(maps.Keys(b.uploads), func(a, c string) int {
			return strings.Compare(b.uploads[a].key+"\x00"+a, b.uploads[c].key+"\x00"+c)
		}) {
			u := b.uploads[id]
			fmt.Fprintf(&w, "  upload %s of %s meta %v\n", id, u.key, u.meta)
			for _, n := range slices.Sorted(maps.Keys(u.parts)) {
				fmt.Fprintf(&w, "    part %d %s\n", n, u.parts[n].etag())
			}
		}
	}
	return w.String()
}

func renderVersion(w io.Writer, key, id string, latest, marker, null bool, etag string, at time.Time, size int, sum [32]byte, l entry.Lock, tags, meta map[string]string) {
	fmt.Fprintf(w, "  %s version %s latest %v marker %v null %v at %s", key, id, latest, marker, null, at.UTC().Format(time.RFC3339Nano))
	if !marker {
		fmt.Fprintf(w, " %d bytes %x etag %s lock %v %s %s tags %v meta %v", size, sum[:6], etag, l.Hold, l.Mode, l.Until.UTC().Format(time.RFC3339Nano), tags, meta)
	}
	fmt.Fprintln(w)
}

// sameError says whether the store refused as the reference does.
func sameError(got, want error) bool {
	var re *RetentionError
	if errors.As(want, &re) {
		return errors.As(got, new(*RetentionError))
	}
	return errors.Is(got, want)
}
