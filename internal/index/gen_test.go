package index

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"stele/entry"
)

var began = time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)

// Names that a wrong order, a wrong escape or a wrong prefix would mix up.
var (
	someKeys = []string{"a", "a/", "a/b", "a/b/c", "a//", "a\x00", "a\x00b", "a\x00\x01", "a\x01", "\x00", "\x00\x00", "/", "b/", "é", "a/é",
		"e\u0301", "\u07ff", "\uffff", "\U0010ffff", "\U0010ffff\U0010ffff", "z"}
	somePrefixes   = []string{"", "a", "a/", "a\x00", "\x00", "/", "é", "\U0010ffff", "b", "zz", "a/b/c"}
	someDelimiters = []string{"", "/", "\x00", "b", "//", "\U0010ffff", "a"}
	someBuckets    = []string{"b1", "b2", "b1-x"}
)

// writer draws entries that could have been decided after a model's state.
type writer struct {
	t    *rapid.T
	m    *model
	inc  map[string]uint64 // upload → incarnation
	keys []string          // few, so that much happens to each
}

func newWriter(t *rapid.T) writer {
	return writer{t, newModel(), map[string]uint64{}, rapid.SliceOfN(rapid.SampledFrom(someKeys), 1, 6).Draw(t, "keys")}
}

func (w *writer) pick(label string, from []string) string {
	return rapid.SampledFrom(from).Draw(w.t, label)
}
func (w *writer) yes(label string) bool { return rapid.Bool().Draw(w.t, label) }

func (w *writer) pairs(label string) map[string]string {
	n := rapid.IntRange(0, 2).Draw(w.t, label)
	if n == 0 {
		return nil
	}
	out := map[string]string{}
	for i := range n {
		out[fmt.Sprintf("k%d", i)] = w.pick(label, []string{"", "v", "é\x00"})
	}
	return out
}

func digest(n uint64, b byte) (out [32]byte) {
	for i := range out {
		out[i] = b ^ byte(n>>(i%8)) ^ byte(i)
	}
	return out
}

func (w *writer) body() *entry.Body {
	kind := rapid.SampledFrom([]entry.BodyKind{entry.BodyChunk, entry.BodyChunk, entry.BodyEmpty, entry.BodyManifest, entry.BodyParts}).Draw(w.t, "kind")
	if kind == entry.BodyEmpty {
		return &entry.Body{Kind: kind}
	}
	b := &entry.Body{Kind: kind, Ref: digest(w.m.size, 1), SHA256: digest(w.m.size, 2), Size: rapid.Int64Range(1, 1<<40).Draw(w.t, "size")}
	if md5 := digest(w.m.size, 3); kind != entry.BodyParts {
		copy(b.MD5[:], md5[:])
	}
	return b
}

func (w *writer) lock() *entry.Lock {
	switch rapid.IntRange(0, 3).Draw(w.t, "lock") {
	case 0:
		return &entry.Lock{Mode: "COMPLIANCE", Until: began.Add(time.Duration(w.m.size) * time.Hour)}
	case 1:
		return &entry.Lock{Hold: true}
	case 2:
		return &entry.Lock{Hold: true, Mode: "GOVERNANCE", Until: time.Unix(0, 0).UTC()}
	}
	return nil
}

func (w *writer) checksum() *entry.Checksum {
	if w.yes("checksum") {
		return &entry.Checksum{Algorithm: "CRC64NVME", Kind: "FULL_OBJECT", Value: "jSnVw/bqjr4="}
	}
	return nil
}

// next draws an entry.
func (w *writer) next() entry.Entry {
	salt := digest(w.m.size, 6)
	e := entry.Entry{Index: w.m.size, Time: began.Add(time.Duration(w.m.size) * time.Millisecond), Salt: [16]byte(salt[:16])}
	names := slices.Sorted(maps.Keys(w.m.buckets))
	what := rapid.IntRange(0, 19).Draw(w.t, "what")
	switch {
	case w.m.size == 0:
		e.Type, e.Private = entry.StoreInit, entry.Private{Actor: "stele"}
	case what == 0:
		w.plain(&e)
	case len(names) == 0 || what == 1 && w.yes("other bucket"):
		w.bucket(&e, w.pick("bucket", someBuckets))
	default:
		b := w.m.buckets[w.pick("bucket", names)]
		e.Private = entry.Private{Actor: "K1", Bucket: b.Name, Inc: b.Inc, Key: w.pick("key", w.keys)}
		switch {
		case what == 2:
			w.bucket(&e, b.Name)
		case what < 7:
			w.upload(&e)
		default:
			w.object(&e, b, what)
		}
	}
	return e
}

// plain draws an entry about no object.
func (w *writer) plain(e *entry.Entry) {
	p := &e.Private
	p.Actor, p.Name = "local", w.pick("name", []string{"x", "y"})
	switch rapid.IntRange(0, 6).Draw(w.t, "plain") {
	case 0:
		e.Type, p.Access = entry.KeyCreate, &entry.AccessKey{ID: w.pick("id", []string{"K1", "K2"}), Role: "admin", Scope: []string{"b/p"}}
		p.Secret = "c2VhbGVk"
	case 1:
		e.Type, p.Access = entry.KeyRevoke, &entry.AccessKey{ID: w.pick("id", []string{"K1", "K2", "K3"})}
	case 2:
		e.Type, p.Target = entry.ViewPin, w.m.size
	case 3:
		e.Type = entry.ViewUnpin
	case 4:
		e.Type, p.Value = entry.ConfigSet, "v"
	case 5:
		e.Type, p.Pack = entry.PackSeal, &entry.Pack{Name: fmt.Sprintf("p%d", w.m.size), SHA256: digest(w.m.size, 9), Size: 7}
	default:
		e.Type = entry.VerifyRun
	}
}

func (w *writer) bucket(e *entry.Entry, name string) {
	b, there := w.m.buckets[name]
	e.Private = entry.Private{Actor: "root", Bucket: name, Inc: b.Inc}
	p := &e.Private
	if !there {
		if e.Type = entry.BucketCreate; w.yes("object lock") {
			p.Value = "object-lock"
		}
		return
	}
	e.Type = entry.BucketConfig
	switch n := rapid.IntRange(0, 9).Draw(w.t, "bucket change"); {
	case n < 4 && w.m.empty(b.Inc):
		e.Type = entry.BucketDelete
	case n < 6 && !b.ObjectLock:
		p.Name, p.Value = "versioning", w.pick("state", []string{"Enabled", "Suspended"})
	case n == 6 && b.Versioning == "Enabled":
		p.Name, p.Value = "object-lock", `{"mode":"GOVERNANCE","days":1}`
	case n == 7:
		p.Name, p.Doc = "policy", &entry.Body{Kind: entry.BodyChunk, Ref: digest(1, 1), SHA256: digest(2, 2), Size: 5}
	default:
		p.Name, p.Value = w.pick("setting", []string{"policy", "cors"}), w.pick("value", []string{"", "v"})
	}
}

func (w *writer) object(e *entry.Entry, b Bucket, what int) {
	p := &e.Private
	p.Null = b.Versioning != "Enabled"
	list := w.m.keys[b.Inc][p.Key]
	switch {
	case what < 13 || len(list) == 0 && what < 16:
		w.put(e)
	case what < 15:
		e.Type, p.Marker = entry.ObjectHide, true
		if b.Versioning == "" {
			p.Marker, p.Target = false, 0
		}
	case what < 18:
		e.Type, p.Target = entry.ObjectHide, w.target(list)
		p.Null = slices.ContainsFunc(list, func(v shown) bool { return v.Entry == p.Target && v.Null })
	case len(list) == 0:
		w.put(e)
	default:
		e.Type = rapid.SampledFrom([]entry.Type{entry.ObjectRetention, entry.ObjectHold, entry.ObjectTags}).Draw(w.t, "attr")
		p.Target, p.Null, p.Lock, p.Tags = w.target(list), false, w.lock(), w.pairs("tags")
	}
}

func (w *writer) put(e *entry.Entry) {
	p := &e.Private
	e.Type, p.Body, p.Lock, p.Checksum = entry.ObjectPut, w.body(), w.lock(), w.checksum()
	p.Headers, p.Meta, p.Tags = w.pairs("headers"), w.pairs("meta"), w.pairs("tags")
	if p.Headers != nil && w.yes("class") {
		p.Headers[HeaderClass] = "STANDARD_IA"
	}
	if p.Body.Kind == entry.BodyParts {
		p.ETag, p.Part = "0123456789abcdef0123456789abcdef-3", 3
	}
}

// target is the entry of a shown version, or one that names none.
func (w *writer) target(list []shown) uint64 {
	n := rapid.IntRange(-1, len(list)-1).Draw(w.t, "target")
	if n < 0 {
		return 1 << 40
	}
	return list[n].Entry
}

func (w *writer) upload(e *entry.Entry) {
	p := &e.Private
	var open []string
	for id, inc := range w.inc {
		if _, ok := w.m.uploads[id]; ok && inc == p.Inc {
			open = append(open, id)
		}
	}
	slices.Sort(open)
	n := rapid.IntRange(0, 5).Draw(w.t, "upload")
	if len(open) == 0 || n == 0 {
		e.Type, p.Upload = entry.UploadCreate, fmt.Sprintf("%s%d", w.pick("id", []string{"u", "\x00", "v"}), w.m.size)
		p.Headers, p.Meta, p.Tags, p.Lock, p.Checksum = w.pairs("headers"), w.pairs("meta"), w.pairs("tags"), w.lock(), w.checksum()
		w.inc[p.Upload] = p.Inc
		return
	}
	p.Upload = w.pick("open", open)
	p.Key = w.m.uploads[p.Upload].Key
	switch {
	case n < 4:
		e.Type, p.Part, p.Body, p.Checksum = entry.UploadPart, rapid.SampledFrom([]int{1, 2, 3, 255, 256, entry.MaxParts}).Draw(w.t, "part"), w.body(), w.checksum()
	case n == 4:
		e.Type = entry.UploadAbort
	default:
		id := p.Upload
		w.put(e)
		p.Upload, p.Null = id, w.m.buckets[p.Bucket].Versioning != "Enabled"
	}
}
