package index

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"stele/entry"
)

// world is a database and the models of all sizes.
type world struct {
	t       *rapid.T
	fs      vfs.FS
	db      *DB
	w       writer
	entries []entry.Entry
	models  []*model // by size
	folded  int      // entries that were given to Fold
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, fs: vfs.NewMem(), w: newWriter(t)}
	w.models = []*model{w.w.m.clone()}
	w.open()
	return w
}

func (w *world) open() {
	db, err := Open("index", Options{FS: w.fs, CacheBytes: 1 << 20})
	w.must(err)
	w.db = db
	if rapid.Bool().Draw(w.t, "filter") {
		db.makeFilter(64)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// draw adds an entry to the ledger and to the models.
func (w *world) draw() *entry.Entry {
	e := w.w.next()
	if err := e.Validate(); err != nil {
		w.t.Fatalf("the test draws entries that no ledger takes: %v", err)
	}
	w.entries = append(w.entries, e)
	w.w.m.step(&e)
	w.models = append(w.models, w.w.m.clone())
	return &w.entries[len(w.entries)-1]
}

func (w *world) now() *model     { return w.models[len(w.models)-1] }
func (w *world) applied() *model { return w.models[w.db.Size()] }

func (w *world) decide() {
	if w.folded < len(w.entries) {
		return // after a restart everything is applied first
	}
	w.must(w.db.Fold(w.draw()))
	w.folded++
}

func (w *world) apply(n int) {
	at := int(w.db.Size())
	n = min(n, len(w.entries)-at)
	w.must(w.db.Apply(w.entries[at : at+n]))
	w.folded = max(w.folded, at+n)
}

func (w *world) restart() {
	w.must(w.db.Close())
	w.open()
	w.folded = int(w.db.Size())
	for int(w.db.Size()) < len(w.entries) {
		w.apply(rapid.IntRange(1, 5).Draw(w.t, "replayed"))
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		defer func() { w.db.Close() }()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch n := rapid.IntRange(0, 19).Draw(t, "step"); {
			case n < 12:
				w.decide()
			case n < 17:
				w.apply(rapid.IntRange(1, 6).Draw(t, "batch"))
			case n == 17:
				w.must(w.db.Flush())
			case n == 18 && w.folded == len(w.entries) && int(w.db.Size()) == len(w.entries):
				w.draw() // decided elsewhere, or before a restart: Apply folds it
			default:
				w.restart()
			}
			w.compareRows(w.db.Pending(), w.models[w.folded], rapid.SampledFrom(w.w.keys).Draw(t, "compared"))
		}
		w.compareRows(w.db.Reader(), w.applied(), someKeys...)
		w.compareLists()
		w.apply(len(w.entries))
		w.compareRows(w.db.Reader(), w.now(), someKeys...)
		w.comparePast()
		w.compareRebuilt()
	})
}

func (w *world) equal(what string, got, want any) {
	w.t.Helper()
	if !reflect.DeepEqual(got, want) {
		w.t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// compareRows asks a Reader for everything about some keys and buckets.
func (w *world) compareRows(r Reader, m *model, keys ...string) {
	w.t.Helper()
	for _, name := range someBuckets {
		b, ok, err := r.Bucket(name)
		w.must(err)
		want, there := m.buckets[name]
		w.equal("bucket "+name, ok, there)
		if !ok {
			continue
		}
		w.equal("bucket "+name, normal(*b), normal(want))
		empty, err := r.Empty(b.Inc)
		w.must(err)
		w.equal("empty "+name, empty, m.empty(b.Inc))
		for _, key := range keys {
			w.compareKey(r, m, object{b.Inc, key})
		}
	}
	w.compareOthers(r, m)
}

// normal makes bucket states comparable: a nil map is an empty one.
func normal(b Bucket) Bucket { return b.clone() }

func (w *world) row(v shown) Current {
	c := v.current()
	c.Attrs = v.changed
	return c
}

func (w *world) compareKey(r Reader, m *model, o object) {
	w.t.Helper()
	list := m.keys[o.inc][o.key]
	what := func(s string) string { return fmt.Sprintf("%s of %q at size %d", s, o.key, m.size) }
	check := func(name string, got Current, ok bool, err error, want shown, there bool) {
		w.t.Helper()
		w.must(err)
		w.equal(what(name), ok, there)
		if ok {
			w.equal(what(name), got, w.row(want))
		}
	}
	cur, live := m.current(o)
	got, ok, err := r.Current(o.inc, o.key)
	check("current", got, ok, err, cur, live)

	var latest, null shown
	hasNull := false
	if len(list) > 0 {
		latest = list[0]
	}
	for _, v := range list {
		if v.Null {
			null, hasNull = v, true
		}
		got, ok, err = r.Shown(o.inc, o.key, v.Entry)
		check("shown", got, ok, err, v, true)
	}
	got, ok, err = r.Latest(o.inc, o.key)
	check("latest", got, ok, err, latest, len(list) > 0)
	got, ok, err = r.Null(o.inc, o.key)
	check("null", got, ok, err, null, hasNull)

	for _, rec := range m.history[o] {
		at, ok, err := r.Record(o.inc, o.key, rec.Entry)
		w.must(err)
		w.equal(what("record"), ok, true)
		w.equal(what("record"), at, rec)
		if rec.Type == entry.ObjectPut {
			a, err := r.Attrs(o.inc, o.key, rec.Entry)
			w.must(err)
			w.equal(what("attrs"), a, m.attrs[version{o, rec.Entry}])
		}
		visible := slices.ContainsFunc(list, func(v shown) bool { return v.Entry == rec.Entry })
		_, ok, err = r.Shown(o.inc, o.key, rec.Entry)
		w.must(err)
		w.equal(what("shown"), ok, visible)
	}
}

func (w *world) compareOthers(r Reader, m *model) {
	w.t.Helper()
	for _, id := range []string{"K1", "K2", "K3"} {
		a, ok, err := r.Access(id)
		w.must(err)
		want, there := m.access[id]
		w.equal("access key", ok, there)
		w.equal("access key", a, want)
	}
	for _, name := range []string{"x", "y"} {
		p, ok, err := r.Pin(name)
		w.must(err)
		want, there := m.pins[name]
		w.equal("pin", ok, there)
		w.equal("pin", p, want)
		s, ok, err := r.Config(name)
		w.must(err)
		setting, there := m.config[name]
		w.equal("config", ok, there)
		w.equal("config", s, setting)
	}
	for id, inc := range w.w.inc {
		for _, key := range someKeys {
			u, ok, err := r.Upload(inc, key, id)
			w.must(err)
			want, there := m.uploads[id]
			if there = there && want.Key == key; there {
				w.equal("upload", u, want)
			}
			w.equal("upload", ok, there)
		}
		at, err := r.Touched(id)
		w.must(err)
		w.equal("touched", at, m.touched[id])
	}
}

// compareLists compares every listing of what is applied, whole and in pages.
func (w *world) compareLists() {
	m := w.applied()
	var want []Bucket
	for _, name := range slices.Sorted(maps.Keys(m.buckets)) {
		want = append(want, normal(m.buckets[name]))
	}
	got, err := w.db.Buckets(0)
	w.must(err)
	for i := range got {
		got[i] = normal(got[i])
	}
	w.equal("buckets", got, want)
	for _, b := range want {
		w.equal("totals of "+b.Name, w.db.Totals(b.Inc), m.totals(b.Inc))
		for _, versions := range []bool{false, true} {
			s := Scan{Inc: b.Inc, Versions: versions, Max: 1 << 20}
			w.compareScan(m, s)
			s.Prefix, s.Delimiter = rapid.SampledFrom(somePrefixes).Draw(w.t, "prefix"), rapid.SampledFrom(someDelimiters).Draw(w.t, "delimiter")
			w.compareScan(m, s)
			s.After = rapid.SampledFrom(append(somePrefixes, someKeys...)).Draw(w.t, "after")
			if s.Versions && s.After != "" && rapid.Bool().Draw(w.t, "after a version") {
				s.AfterAt = uint64(rapid.IntRange(1, len(w.entries)+1).Draw(w.t, "after at"))
			}
			w.compareScan(m, s)
		}
		w.compareUploads(m, b.Inc)
	}
	w.compareTables(m)
}

func (w *world) scan(s Scan) (out []Listed, more bool) {
	more, err := w.db.List(s, func(l Listed) error {
		out = append(out, l)
		return nil
	})
	w.must(err)
	return out, more
}

func (w *world) compareScan(m *model, s Scan) {
	w.t.Helper()
	want := m.list(s)
	if s.Size != 0 {
		for i := range want {
			want[i].Attrs = want[i].Prefix == ""
		}
	}
	got, more := w.scan(s)
	w.equal(fmt.Sprintf("%+v", s), got, want)
	w.equal(fmt.Sprintf("%+v more", s), more, false)
	whole := s
	for _, whole.Max = range []int{1, 2, 3} {
		page := whole
		var all []Listed
		for {
			got, more := w.scan(page)
			if all = append(all, got...); !more {
				break
			}
			w.equal("items on a full page", len(got), page.Max)
			if len(all) > len(want) {
				w.t.Fatalf("pages of %d of %+v do not end", page.Max, s)
			}
			last := got[len(got)-1]
			page.After, page.AfterAt = last.Prefix, 0
			if last.Prefix == "" {
				if page.After = last.Key; page.Versions {
					page.AfterAt = last.Entry
				}
			}
		}
		w.equal(fmt.Sprintf("pages of %d of %+v", page.Max, s), all, want)
	}
}

func (w *world) compareUploads(m *model, inc uint64) {
	stop := errors.New("stop")
	prefix := rapid.SampledFrom(somePrefixes).Draw(w.t, "prefix")
	for _, prefix := range []string{"", prefix} {
		want := m.listUploads(inc, prefix, "", "", w.w.inc)
		for _, max := range []int{1, 2, 100} {
			var got []Upload
			key, id := "", ""
			for full := true; full; {
				n := 0
				err := w.db.Uploads(inc, prefix, key, id, func(u Upload) error {
					if n++; n > max {
						return stop
					}
					got, key, id = append(got, u), u.Key, u.ID
					return nil
				})
				if full = errors.Is(err, stop); !full {
					w.must(err)
				}
			}
			w.equal(fmt.Sprintf("uploads with prefix %q, %d a page", prefix, max), got, want)
		}
		after := rapid.SampledFrom(someKeys).Draw(w.t, "after")
		var got []Upload
		w.must(w.db.Uploads(inc, prefix, after, "", func(u Upload) error { got = append(got, u); return nil }))
		w.equal(fmt.Sprintf("uploads with prefix %q after %q", prefix, after), got, m.listUploads(inc, prefix, after, "", w.w.inc))
	}
}

func (w *world) compareTables(m *model) {
	for id := range w.w.inc {
		for _, after := range []int{0, 1, 255, entry.MaxParts - 1, entry.MaxParts} {
			var got, want []Part
			w.must(w.db.Parts(id, after, func(p Part) error { got = append(got, p); return nil }))
			for _, n := range slices.Sorted(maps.Keys(m.parts[id])) {
				if n > after {
					want = append(want, m.parts[id][n])
				}
			}
			w.equal("parts", got, want)
		}
	}
	keys, err := w.db.AccessKeys()
	w.must(err)
	var wantKeys []Access
	for _, id := range slices.Sorted(maps.Keys(m.access)) {
		wantKeys = append(wantKeys, m.access[id])
	}
	w.equal("access keys", keys, wantKeys)
	pins, err := w.db.Pins()
	w.must(err)
	var wantPins []Pin
	for _, name := range slices.Sorted(maps.Keys(m.pins)) {
		wantPins = append(wantPins, m.pins[name])
	}
	w.equal("pins", pins, wantPins)
	for i := range m.size {
		name := fmt.Sprintf("p%d", i)
		ok, err := w.db.Sealed(name)
		w.must(err)
		w.equal("sealed", ok, m.sealed[name])
	}
}

// comparePast compares every past size with the model of that size.
func (w *world) comparePast() {
	final := w.now()
	prefix, delimiter := rapid.SampledFrom(somePrefixes).Draw(w.t, "prefix"), rapid.SampledFrom(someDelimiters).Draw(w.t, "delimiter")
	for size := uint64(1); size <= final.size; size++ {
		m := w.models[size]
		var want []Bucket
		for _, name := range slices.Sorted(maps.Keys(m.buckets)) {
			want = append(want, normal(m.buckets[name]))
		}
		got, err := w.db.Buckets(size)
		w.must(err)
		for i := range got {
			got[i] = normal(got[i])
		}
		w.equal(fmt.Sprintf("buckets at %d", size), got, want)
		for _, name := range someBuckets {
			b, ok, err := w.db.BucketAt(name, size)
			w.must(err)
			want, there := m.buckets[name]
			w.equal("bucket at", ok, there)
			if ok {
				w.equal("bucket at", normal(*b), normal(want))
			}
		}
		for _, b := range want {
			for _, versions := range []bool{false, true} {
				w.compareScan(m, Scan{Inc: b.Inc, Versions: versions, Max: 1 << 20, Size: size})
				w.compareScan(m, Scan{Inc: b.Inc, Versions: versions, Max: 1 << 20, Size: size, Prefix: prefix, Delimiter: delimiter})
			}
			for key := range m.keys[b.Inc] {
				w.compareAt(m, object{b.Inc, key})
			}
		}
	}
	w.compareHistory(final)
}

func (w *world) compareAt(m *model, o object) {
	list := m.keys[o.inc][o.key]
	rec, latest, ok, err := w.db.At(o.inc, o.key, m.size, nil)
	w.must(err)
	w.equal("at: ok", ok, len(list) > 0)
	if ok {
		w.equal("at: latest", latest, true)
		w.equal("at", rec, list[0].Record)
	}
	for _, r := range m.history[o] {
		i := slices.IndexFunc(list, func(v shown) bool { return v.Entry == r.Entry })
		rec, latest, ok, err := w.db.At(o.inc, o.key, m.size, func(at *Record) bool { return at.Entry == r.Entry })
		w.must(err)
		w.equal("version at: ok", ok, i >= 0)
		if ok {
			w.equal("version at: latest", latest, i == 0)
			w.equal("version at", rec, list[i].Record)
		}
		if r.Type == entry.ObjectPut {
			a, err := w.db.Reader().AttrsAt(o.inc, o.key, r.Entry, m.size)
			w.must(err)
			w.equal("attrs at", a, m.attrs[version{o, r.Entry}])
		}
	}
}

func (w *world) compareHistory(m *model) {
	for o, want := range m.history {
		var got []Record
		w.must(w.db.History(o.inc, o.key, func(r Record) error { got = append(got, r); return nil }))
		w.equal("history of "+o.key, got, want)
	}
	for o, want := range m.changes {
		var got []attrChange
		w.must(w.db.AttrHistory(o.inc, o.key, func(version, at uint64, a Attrs) error {
			got = append(got, attrChange{version, at, a})
			return nil
		}))
		slices.SortFunc(got, func(a, b attrChange) int { return int(a.at) - int(b.at) })
		w.equal("attr history of "+o.key, got, want)
	}
	for _, name := range someBuckets {
		var want []Bucket
		for _, b := range m.states[name] {
			if n := len(want); n == 0 || want[n-1].Inc != b.Inc {
				want = append(want, normal(b))
			}
		}
		got, err := w.db.Incarnations(name)
		w.must(err)
		for i := range got {
			got[i] = normal(got[i])
		}
		w.equal("incarnations of "+name, got, want)
	}
}

// dump is every row but those of places, in order.
func dump(db *DB) (string, error) {
	var out bytes.Buffer
	err := db.each(nil, func(k, v []byte) error {
		if k[0] != famPlace && k[0] != famPack {
			fmt.Fprintf(&out, "%q = %q\n", k, v)
		}
		return nil
	})
	return out.String(), err
}

// stored returns an entry as it comes back from the ledger.
func stored(e entry.Entry) (entry.Entry, error) {
	p, err := entry.ParsePrivate(entry.AppendPrivate(nil, &e.Private))
	e.Private = p
	return e, err
}

// compareRebuilt: an index made from the ledger alone has the same rows, bit for bit, however the batches were cut.
func (w *world) compareRebuilt() {
	again, err := Open("rebuilt", Options{FS: vfs.NewMem(), CacheBytes: 1 << 20})
	w.must(err)
	defer again.Close()
	for at := 0; at < len(w.entries); {
		n := min(rapid.IntRange(1, 100).Draw(w.t, "rebuilt"), len(w.entries)-at)
		batch := make([]entry.Entry, n)
		for i := range batch {
			batch[i], err = stored(w.entries[at+i])
			w.must(err)
		}
		w.must(again.Apply(batch))
		at += n
	}
	got, err := dump(again)
	w.must(err)
	want, err := dump(w.db)
	w.must(err)
	w.equal("rows of a rebuilt index", got, want)
	if n := len(w.entries); n > 0 {
		salt, err := again.LastSalt()
		w.must(err)
		w.equal("last salt", salt, w.entries[n-1].Salt)
	}
}
