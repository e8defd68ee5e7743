package storetest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"stele"
	"stele/entry"
	"stele/internal/core"
)

// ObjectText is what a restore puts back of an object.
func ObjectText(etag string, sum [32]byte, tags, meta map[string]string) string {
	return fmt.Sprintf("%s %x tags %v meta %v", etag, sum[:6], tags, meta)
}

// InPart reports whether a restore of a part takes a key along: it is the key, or lies below it.
func InPart(part, key string) bool {
	return part == "" || key == part && !strings.HasSuffix(part, "/") || strings.HasPrefix(key, strings.TrimSuffix(part, "/")+"/") || key == part
}

// Part is what the reference shows below a key.
func (b *refBucket) Part(key string) map[string]string {
	out := map[string]string{}
	for k := range b.shown {
		if v := b.Current(k); v != nil && InPart(key, k) {
			_, sum := v.body()
			out[k] = ObjectText(v.ETag(), sum, v.tags, v.meta)
		}
	}
	return out
}

// Reference is the store's API in memory, written from AWS's rules and from DESIGN, not from package index: for each key the list of
// versions that S3 shows, newest first. Crash, model and tamper tests compare the store with it.
type Reference struct {
	size    uint64
	Live    map[string]*refBucket
	changes map[string][]refChange // bucket/key, of all incarnations, oldest first
	pins    map[string]uint64
	keys    map[string]bool // access key → revoked
}

type refBucket struct {
	name       string
	inc        uint64
	versioning stele.Versioning
	Lock       bool
	def        stele.Retention
	settings   map[stele.Setting]string
	shown      map[string][]RefVersion
	uploads    map[string]*refUpload
}

// RefVersion is a version of an object, or a marker.
type RefVersion struct {
	entry   uint64
	null    bool
	marker  bool
	parts   []Content // of a multipart object more than one is possible; of another exactly one
	mp      bool
	tags    map[string]string
	meta    map[string]string
	Lock    entry.Lock
	written time.Time
}

type refUpload struct {
	key   string
	meta  map[string]string
	parts map[int]Content
}

type refChange struct {
	entry   uint64
	typ     entry.Type
	version string
}

// ID is the version's id in the first epoch.
func (v *RefVersion) ID() string {
	if v.null {
		return "null"
	}
	return fmt.Sprintf("%08x%016x", 1, v.entry)
}

// body is the size and the SHA-256 of what the version reads as.
func (v *RefVersion) body() (size int, sum [32]byte) {
	if v.marker {
		return 0, sum
	}
	if len(v.parts) == 1 {
		return v.parts[0].size, v.parts[0].made().sum
	}
	h := sha256.New()
	for _, p := range v.parts {
		size += p.size
		h.Write(p.Bytes())
	}
	return size, [32]byte(h.Sum(nil))
}

// Size is in bytes.
func (v *RefVersion) Size() int64 {
	n, _ := v.body()
	return int64(n)
}

// ETag is as S3 shows it; empty for a marker.
func (v *RefVersion) ETag() string {
	if v.marker {
		return ""
	}
	if !v.mp {
		return v.parts[0].ETag()
	}
	h := md5.New()
	for _, p := range v.parts {
		sum, _ := hex.DecodeString(p.ETag())
		h.Write(sum)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(v.parts))
}

// NewReference is an empty store.
func NewReference() *Reference {
	return &Reference{Live: map[string]*refBucket{}, changes: map[string][]refChange{}, pins: map[string]uint64{}, keys: map[string]bool{}}
}

// Clone is the store as it is now, which later changes leave alone.
func (m *Reference) Clone() *Reference {
	c := &Reference{size: m.size, Live: map[string]*refBucket{}, changes: maps.Clone(m.changes), pins: maps.Clone(m.pins), keys: maps.Clone(m.keys)}
	for k, list := range c.changes {
		c.changes[k] = slices.Clip(list)
	}
	for name, b := range m.Live {
		n := *b
		n.settings, n.shown, n.uploads = maps.Clone(b.settings), map[string][]RefVersion{}, map[string]*refUpload{}
		for key, list := range b.shown {
			n.shown[key] = slices.Clone(list)
		}
		for id, u := range b.uploads {
			n.uploads[id] = &refUpload{u.key, u.meta, maps.Clone(u.parts)}
		}
		c.Live[name] = &n
	}
	return c
}

// Decide judges a change at a time and returns what applies it, or the refusal: a sentinel, a *RetentionError, or core.ErrNoChange.
func (m *Reference) Decide(c *Change, now time.Time) (func(at uint64, now time.Time), error) {
	b := m.Live[c.Bucket]
	if revoked, ok := m.keys[c.By]; c.By != "" && (revoked || !ok) {
		return nil, stele.ErrKeyRevoked
	}
	switch c.Do {
	case "createKey": // name is what the store has made up
		return func(uint64, time.Time) { m.keys[c.Name] = false }, nil
	case "revokeKey":
		if revoked, ok := m.keys[c.Name]; revoked || !ok {
			return nil, stele.ErrNoAccessKey
		}
		return func(uint64, time.Time) { m.keys[c.Name] = true }, nil
	case "createBucket":
		if b != nil {
			return nil, stele.ErrBucketExists
		}
		return func(at uint64, _ time.Time) {
			n := &refBucket{name: c.Bucket, inc: at, Lock: c.On, settings: map[stele.Setting]string{}, shown: map[string][]RefVersion{}, uploads: map[string]*refUpload{}}
			if c.On {
				n.versioning = stele.Enabled
			}
			m.Live[c.Bucket] = n
		}, nil
	case "pin":
		if _, ok := m.pins[c.Name]; ok {
			return nil, stele.ErrBadState
		}
		return func(at uint64, _ time.Time) { m.pins[c.Name] = at }, nil
	}
	if b == nil {
		return nil, stele.ErrNoBucket
	}
	switch c.Do {
	case "deleteBucket":
		if len(b.shown) > 0 {
			return nil, stele.ErrBucketNotEmpty
		}
		return func(uint64, time.Time) { delete(m.Live, c.Bucket) }, nil
	case "versioning":
		if b.Lock && c.State != stele.Enabled {
			return nil, stele.ErrBadState
		}
		return func(uint64, time.Time) { b.versioning = c.State }, nil
	case "objectLock":
		if b.versioning != stele.Enabled {
			return nil, stele.ErrBadState
		}
		return func(uint64, time.Time) { b.Lock, b.def = true, c.Default }, nil
	case "setting":
		return func(uint64, time.Time) {
			if b.settings[c.Setting] = c.Doc; c.Doc == "" {
				delete(b.settings, c.Setting)
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

// Current is the version that S3 shows of a key; nil: none.
func (b *refBucket) Current(key string) *RefVersion {
	if list := b.shown[key]; len(list) > 0 && !list[0].marker {
		return &list[0]
	}
	return nil
}

func (b *refBucket) find(key, id string) *RefVersion {
	for i := range b.shown[key] {
		if v := &b.shown[key][i]; id == "" || v.ID() == id {
			return v
		}
	}
	return nil
}

// conditions are S3's: RFC 9110 section 13.1, and If-Match on a missing key is NoSuchKey.
func conditions(c stele.Conditions, cur *RefVersion) error {
	matches := func(list string) bool {
		return cur != nil && (list == "*" || strings.Contains(","+list+",", ","+cur.ETag()+","))
	}
	switch {
	case c.Match != "" && cur == nil:
		return stele.ErrNoKey
	case c.Match != "" && !matches(c.Match), c.NoneMatch != "" && matches(c.NoneMatch), c.Size != nil && cur != nil && *c.Size != cur.Size():
		return stele.ErrPrecondition
	}
	return nil
}

func (m *Reference) decidePut(b *refBucket, c *Change, now time.Time) (func(uint64, time.Time), error) {
	v := RefVersion{null: b.versioning != stele.Enabled, tags: c.Tags, meta: c.Meta}
	switch c.Do {
	case "put":
		v.parts = []Content{c.Content}
	case "copy":
		src := b.find(c.SourceKey, c.Version)
		if src == nil || src.marker {
			return nil, stele.ErrNoKey
		}
		v.parts, v.mp = src.parts, src.mp
	case "complete":
		u := b.uploads[c.Upload]
		if u == nil {
			return nil, stele.ErrNoUpload
		}
		for i, n := range c.Parts {
			p, ok := u.parts[n]
			if i > 0 && n <= c.Parts[i-1] {
				return nil, stele.ErrPartOrder
			}
			if !ok {
				return nil, stele.ErrInvalidPart
			}
			v.parts = append(v.parts, p)
		}
		for _, p := range v.parts[:len(v.parts)-1] {
			if p.size < stele.MinPartSize {
				return nil, stele.ErrPartTooSmall
			}
		}
		v.mp, v.meta = true, u.meta
	}
	if !b.Lock && c.Lock != nil {
		return nil, stele.ErrBadState
	}
	cur := b.Current(c.Key)
	if c.Append && cur != nil && c.If.NoneMatch != "*" {
		return nil, stele.ErrOverwriteDenied
	}
	if err := conditions(c.If, cur); err != nil {
		return nil, err
	}
	if c.Lock != nil && c.Lock.Mode != "" && !c.Lock.Until.After(now) {
		return nil, stele.ErrBadState
	}
	return func(at uint64, now time.Time) {
		if v.entry, v.written = at, now; b.Lock {
			if c.Lock != nil {
				v.Lock = *c.Lock
			}
			if v.Lock.Mode == "" && b.def.Mode != "" {
				v.Lock.Mode, v.Lock.Until = b.def.Mode, now.AddDate(b.def.Years, 0, b.def.Days)
			}
		}
		if c.Do == "complete" {
			delete(b.uploads, c.Upload)
		}
		b.add(c.Key, v)
		m.note(b, c.Key, refChange{at, entry.ObjectPut, v.ID()})
	}, nil
}

// add makes v the latest version. A null version takes the place of the null version there was.
func (b *refBucket) add(key string, v RefVersion) {
	list := slices.DeleteFunc(slices.Clone(b.shown[key]), func(old RefVersion) bool { return v.null && old.null })
	b.shown[key] = append([]RefVersion{v}, list...)
}

func (m *Reference) note(b *refBucket, key string, c refChange) {
	k := b.name + "/" + key
	m.changes[k] = append(m.changes[k], c)
}

func (m *Reference) decideHide(b *refBucket, c *Change, now time.Time) (func(uint64, time.Time), error) {
	target := b.find(c.Key, c.Version)
	seen := target
	if target != nil && target.marker {
		if seen = nil; c.If.Match != "" {
			return nil, stele.ErrPrecondition // a delete marker is there and matches nothing
		}
	}
	if err := conditions(c.If, seen); err != nil {
		return nil, err
	}
	if c.Version == "" {
		if b.versioning == stele.Unversioned && target == nil {
			return nil, core.ErrNoChange
		}
		return func(at uint64, now time.Time) {
			if b.versioning == stele.Unversioned {
				m.note(b, c.Key, refChange{at, entry.ObjectHide, b.shown[c.Key][0].ID()})
				b.hide(c.Key, b.shown[c.Key][0].ID())
				return
			}
			v := RefVersion{entry: at, null: b.versioning != stele.Enabled, marker: true, written: now}
			b.add(c.Key, v)
			m.note(b, c.Key, refChange{at, entry.ObjectHide, v.ID()})
		}, nil
	}
	if target == nil {
		return nil, core.ErrNoChange
	}
	if !target.marker {
		if err := guarded(target.Lock, now, c.Bypass); err != nil {
			return nil, err
		}
	}
	return func(at uint64, _ time.Time) {
		b.hide(c.Key, c.Version)
		m.note(b, c.Key, refChange{at, entry.ObjectHide, c.Version})
	}, nil
}

func (b *refBucket) hide(key, id string) {
	b.shown[key] = slices.DeleteFunc(slices.Clone(b.shown[key]), func(v RefVersion) bool { return v.ID() == id })
	if len(b.shown[key]) == 0 {
		delete(b.shown, key)
	}
}

func guarded(l entry.Lock, now time.Time, bypass bool) error {
	if l.Hold || l.Mode != "" && l.Until.After(now) && !(l.Mode == "GOVERNANCE" && bypass) {
		return &stele.RetentionError{}
	}
	return nil
}

func (m *Reference) decideAttr(b *refBucket, c *Change, now time.Time) (func(uint64, time.Time), error) {
	v := b.find(c.Key, c.Version)
	missing := stele.ErrNoKey
	if c.Version != "" {
		missing = stele.ErrNoVersion
	}
	switch {
	case v == nil:
		return nil, missing
	case v.marker && c.Version != "":
		return nil, stele.ErrMarker
	case v.marker:
		return nil, stele.ErrNoKey
	case c.Do != "tags" && !b.Lock:
		return nil, stele.ErrBadState
	}
	if c.Do == "retention" {
		if c.Mode != "" && !c.Until.After(now) {
			return nil, stele.ErrBadState
		}
		longer := c.Mode == v.Lock.Mode && !c.Until.Before(v.Lock.Until)
		if v.Lock.Mode != "" && v.Lock.Until.After(now) && !longer && !(v.Lock.Mode == "GOVERNANCE" && c.Bypass) {
			return nil, &stele.RetentionError{}
		}
	}
	if c.Do == "hold" && !c.On && v.Lock.Hold && !c.Bypass { // bypass stands for EndHold too
		return nil, &stele.RetentionError{}
	}
	typ := map[string]entry.Type{"tags": entry.ObjectTags, "retention": entry.ObjectRetention, "hold": entry.ObjectHold}[c.Do]
	at0 := v.entry
	return func(at uint64, _ time.Time) {
		list := b.shown[c.Key]
		i := slices.IndexFunc(list, func(v RefVersion) bool { return v.entry == at0 })
		switch v := &list[i]; c.Do {
		case "tags":
			v.tags = c.Tags
		case "retention":
			v.Lock.Mode, v.Lock.Until = c.Mode, c.Until
		case "hold":
			v.Lock.Hold = c.On
		}
		m.note(b, c.Key, refChange{at, typ, list[i].ID()})
	}, nil
}

func (m *Reference) decideUpload(b *refBucket, c *Change) (func(uint64, time.Time), error) {
	if c.Do == "create" {
		return func(uint64, time.Time) {
			b.uploads[c.Upload] = &refUpload{c.Key, c.Meta, map[int]Content{}}
		}, nil
	}
	u := b.uploads[c.Upload]
	if u == nil {
		return nil, stele.ErrNoUpload
	}
	return func(uint64, time.Time) {
		if c.Do == "abort" {
			delete(b.uploads, c.Upload)
		} else {
			u.parts[c.Number] = c.Content
		}
	}, nil
}

// Render writes down all that the reference shows.
func (m *Reference) Render(now bool) string {
	var w strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.Live)) {
		b := m.Live[name]
		fmt.Fprintf(&w, "bucket %s inc %d %q lock %v %+v\n", name, b.inc, b.versioning, b.Lock, b.def)
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
				renderVersion(&w, key, v.ID(), i == 0, v.marker, v.null, v.ETag(), v.written, n, sum, v.Lock, v.tags, v.meta)
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
				fmt.Fprintf(&w, "    part %d %s\n", n, u.parts[n].ETag())
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

// SameError says whether the store refused as the reference does.
func SameError(got, want error) bool {
	var re *stele.RetentionError
	if errors.As(want, &re) {
		return errors.As(got, new(*stele.RetentionError))
	}
	return errors.Is(got, want)
}
