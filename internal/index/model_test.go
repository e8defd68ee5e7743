package index

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stele/entry"
)

// model is the S3 object model in memory, written from AWS's rules and not from fold: for each key the list of versions that
// S3 shows, newest first. All else is computed from the lists.
type model struct {
	size    uint64
	buckets map[string]Bucket
	states  map[string][]Bucket // every state of a name, newest first
	keys    map[uint64]map[string][]shown
	hidden  map[uint64]Totals // Versions, PutBytes, HiddenBytes
	attrs   map[version]Attrs
	history map[object][]Record
	changes map[object][]attrChange
	uploads map[string]Upload
	parts   map[string]map[int]Part
	touched map[string]uint64
	access  map[string]Access
	pins    map[string]Pin
	config  map[string]Setting
	sealed  map[string]bool
}

type object struct {
	inc uint64
	key string
}

type version struct {
	object
	at uint64
}

type shown struct {
	Record
	changed bool // lock or tags were changed after the put
}

type attrChange struct {
	version, at uint64
	attrs       Attrs
}

func newModel() *model {
	return &model{buckets: map[string]Bucket{}, states: map[string][]Bucket{}, keys: map[uint64]map[string][]shown{}, hidden: map[uint64]Totals{},
		attrs: map[version]Attrs{}, history: map[object][]Record{}, changes: map[object][]attrChange{}, uploads: map[string]Upload{},
		parts: map[string]map[int]Part{}, touched: map[string]uint64{}, access: map[string]Access{}, pins: map[string]Pin{},
		config: map[string]Setting{}, sealed: map[string]bool{}}
}

// clone copies all that step changes in place.
func (m *model) clone() *model {
	c := *m
	c.buckets, c.states, c.hidden, c.attrs = maps.Clone(m.buckets), maps.Clone(m.states), maps.Clone(m.hidden), maps.Clone(m.attrs)
	c.history, c.changes = maps.Clone(m.history), maps.Clone(m.changes)
	c.uploads, c.touched, c.access, c.pins = maps.Clone(m.uploads), maps.Clone(m.touched), maps.Clone(m.access), maps.Clone(m.pins)
	c.config, c.sealed = maps.Clone(m.config), maps.Clone(m.sealed)
	c.keys, c.parts = map[uint64]map[string][]shown{}, map[string]map[int]Part{}
	for inc, keys := range m.keys {
		c.keys[inc] = maps.Clone(keys)
	}
	for id, parts := range m.parts {
		c.parts[id] = maps.Clone(parts)
	}
	return &c
}

func prepend[T any](x T, list []T) []T { return append([]T{x}, list...) }

// step brings the model from e.Index to the size behind it.
func (m *model) step(e *entry.Entry) {
	if e.Index != m.size {
		panic(fmt.Sprintf("entry %d after size %d", e.Index, m.size))
	}
	m.size++
	p := &e.Private
	o := object{p.Inc, p.Key}
	switch e.Type {
	case entry.BucketCreate:
		b := Bucket{Name: p.Bucket, Inc: e.Index, Created: e.Time, Owner: p.Actor, Settings: map[string]Setting{}}
		if p.Value == "object-lock" {
			b.ObjectLock, b.Versioning = true, "Enabled"
		}
		m.setBucket(b)
		m.keys[e.Index] = map[string][]shown{}
	case entry.BucketDelete:
		b := m.buckets[p.Bucket]
		b.Deleted = true
		m.setBucket(b)
	case entry.BucketConfig:
		b := m.buckets[p.Bucket]
		b.Settings = maps.Clone(b.Settings)
		switch {
		case p.Name == "versioning":
			b.Versioning = p.Value
			m.setBucket(b)
			return
		case p.Name == "object-lock":
			b.ObjectLock, b.Versioning = true, "Enabled"
		}
		if b.Settings[p.Name] = (Setting{Value: p.Value, Doc: p.Doc}); p.Value == "" && p.Doc == nil {
			delete(b.Settings, p.Name)
		}
		m.setBucket(b)
	case entry.ObjectPut:
		m.put(e, o)
	case entry.ObjectHide:
		m.hide(e, o)
	case entry.ObjectRetention, entry.ObjectHold, entry.ObjectTags:
		m.attr(e, o)
	case entry.UploadCreate:
		m.uploads[p.Upload] = Upload{Key: p.Key, ID: p.Upload, Entry: e.Index, Started: e.Time, By: p.Actor, Headers: p.Headers, Meta: p.Meta, Tags: p.Tags, Lock: p.Lock, Checksum: p.Checksum}
		m.parts[p.Upload], m.touched[p.Upload] = map[int]Part{}, e.Index
	case entry.UploadPart:
		m.parts[p.Upload][p.Part] = Part{Number: p.Part, Entry: e.Index, Time: e.Time, ETag: modelETag(p), Body: *p.Body, Checksum: p.Checksum}
		m.touched[p.Upload] = e.Index
	case entry.UploadAbort:
		m.endUpload(p.Upload)
	case entry.KeyCreate:
		m.access[p.Access.ID] = Access{AccessKey: *p.Access, Created: e.Time, CreatedBy: p.Actor, Sealed: p.Secret}
	case entry.KeyRevoke:
		if a, ok := m.access[p.Access.ID]; ok {
			a.Revoked = true
			m.access[p.Access.ID] = a
		}
	case entry.ViewPin:
		m.pins[p.Name] = Pin{Name: p.Name, Size: p.Target, Created: e.Time}
	case entry.ViewUnpin:
		delete(m.pins, p.Name)
	case entry.ConfigSet:
		m.config[p.Name] = Setting{Value: p.Value, Doc: p.Doc}
	case entry.PackSeal:
		m.sealed[p.Pack.Name] = true
	}
}

func modelETag(p *entry.Private) string {
	if p.ETag != "" {
		return p.ETag
	}
	return fmt.Sprintf("%x", p.Body.MD5)
}

func (m *model) setBucket(b Bucket) {
	if m.buckets[b.Name] = b; b.Deleted {
		delete(m.buckets, b.Name)
	}
	m.states[b.Name] = prepend(b, m.states[b.Name])
}

func (m *model) endUpload(id string) {
	delete(m.uploads, id)
	delete(m.parts, id)
	delete(m.touched, id)
}

// add makes v the latest version; a null version takes the place of the null version there was.
func (m *model) add(o object, v shown) {
	list := m.keys[o.inc][o.key]
	if v.Null {
		list = m.without(o, list, func(old shown) bool { return old.Null })
	}
	m.keys[o.inc][o.key] = prepend(v, list)
}

func (m *model) without(o object, list []shown, gone func(shown) bool) (kept []shown) {
	t := m.hidden[o.inc]
	for _, v := range list {
		if gone(v) {
			t.HiddenBytes += v.Size
		} else {
			kept = append(kept, v)
		}
	}
	m.hidden[o.inc] = t
	return kept
}

func (m *model) put(e *entry.Entry, o object) {
	p := &e.Private
	r := Record{Entry: e.Index, Time: e.Time, Type: entry.ObjectPut, Null: p.Null, Size: p.Body.Size, ETag: modelETag(p), Parts: p.Part,
		Body:     entry.Body{Kind: p.Body.Kind, Ref: p.Body.Ref, Size: p.Body.Size},
		Checksum: p.Checksum, Headers: p.Headers, Meta: p.Meta, Tags: p.Tags}
	if p.Lock != nil {
		r.Lock = *p.Lock
	}
	m.add(o, shown{Record: r})
	m.attrs[version{o, e.Index}] = Attrs{Lock: r.Lock, Tags: r.Tags, Type: entry.ObjectPut}
	m.history[o] = prepend(r, m.history[o])
	t := m.hidden[o.inc]
	t.Versions++
	t.PutBytes += r.Size
	m.hidden[o.inc] = t
	if p.Upload != "" {
		m.endUpload(p.Upload)
	}
}

func (m *model) hide(e *entry.Entry, o object) {
	p := &e.Private
	r := Record{Entry: e.Index, Time: e.Time, Type: entry.ObjectHide, Marker: p.Marker, Target: p.Target, Null: p.Null}
	if p.Marker {
		m.add(o, shown{Record: r})
	} else {
		if cur, ok := m.current(o); ok && p.Target == 0 {
			r.Target = cur.Entry
		}
		m.keys[o.inc][o.key] = m.without(o, m.keys[o.inc][o.key], func(v shown) bool { return v.Entry == r.Target })
	}
	m.history[o] = prepend(r, m.history[o])
}

func (m *model) attr(e *entry.Entry, o object) {
	p := &e.Private
	at := version{o, p.Target}
	a := m.attrs[at]
	a.Type = e.Type
	switch l := p.Lock; e.Type {
	case entry.ObjectRetention:
		hold := a.Lock.Hold
		if a.Lock = (entry.Lock{Hold: hold}); l != nil {
			a.Lock.Mode, a.Lock.Until = l.Mode, l.Until
		}
	case entry.ObjectHold:
		a.Lock.Hold = l != nil && l.Hold
		a.Released = !a.Lock.Hold
	case entry.ObjectTags:
		a.Tags = p.Tags
	}
	m.attrs[at] = a
	m.changes[o] = append(slices.Clone(m.changes[o]), attrChange{p.Target, e.Index, a})
	list := slices.Clone(m.keys[o.inc][o.key])
	for i := range list {
		if list[i].Entry == p.Target {
			list[i].changed = true
		}
	}
	m.keys[o.inc][o.key] = list
}

func (m *model) current(o object) (shown, bool) {
	list := m.keys[o.inc][o.key]
	if len(list) == 0 || list[0].Marker {
		return shown{}, false
	}
	return list[0], true
}

func (m *model) totals(inc uint64) Totals {
	t := m.hidden[inc]
	for key := range m.keys[inc] {
		if v, ok := m.current(object{inc, key}); ok {
			t.Objects++
			t.Bytes += v.Size
		}
	}
	return t
}

func (m *model) empty(inc uint64) bool {
	for _, list := range m.keys[inc] {
		if len(list) > 0 {
			return false
		}
	}
	return true
}

// list is what a listing without limit yields.
func (m *model) list(s Scan) (out []Listed) {
	cp := func(key string) string {
		if s.Delimiter == "" || !strings.HasPrefix(key, s.Prefix) {
			return ""
		}
		if i := strings.Index(key[len(s.Prefix):], s.Delimiter); i >= 0 {
			return key[:len(s.Prefix)+i+len(s.Delimiter)]
		}
		return ""
	}
	rolled := map[string]bool{}
	if s.After != "" && cp(s.After) == s.After {
		rolled[s.After] = true // the page before ended with it
	}
	for _, key := range slices.Sorted(maps.Keys(m.keys[s.Inc])) {
		if !strings.HasPrefix(key, s.Prefix) || key < s.After {
			continue
		}
		for i, v := range m.keys[s.Inc][key] {
			switch {
			case !s.Versions && (i > 0 || v.Marker):
			case key == s.After && (s.AfterAt == 0 || v.Entry >= s.AfterAt):
			case cp(key) != "" && !rolled[cp(key)]:
				rolled[cp(key)] = true
				out = append(out, Listed{Prefix: cp(key)})
			case cp(key) == "":
				c := v.current()
				c.Attrs = v.changed
				out = append(out, Listed{Key: key, Latest: i == 0, Current: c})
			}
		}
	}
	return out
}

func (m *model) listUploads(inc uint64, prefix, afterKey, afterID string, of map[string]uint64) (out []Upload) {
	for _, u := range m.uploads {
		after := u.Key > afterKey || u.Key == afterKey && afterID != "" && u.ID > afterID
		if of[u.ID] == inc && strings.HasPrefix(u.Key, prefix) && (afterKey == "" || after) {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b Upload) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID)) })
	return out
}
