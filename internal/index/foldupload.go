package index

import (
	"stele/entry"
)

// upload begins a multipart upload with what its object will have.
func (c *change) upload(e *entry.Entry) {
	p := &e.Private
	c.set(uploadKey(p.Inc, p.Key, p.Upload), appendJSON(Upload{Entry: e.Index, Started: e.Time.UTC(), By: p.Actor,
		Headers: p.Headers, Meta: p.Meta, Tags: p.Tags, Lock: p.Lock, Checksum: p.Checksum}))
	c.set(named(famTouched, p.Upload), touch(nil, e.Index, 0))
}

func (c *change) part(e *entry.Entry, r Reader) error {
	p := &e.Private
	row := Part{Entry: e.Index, Time: e.Time, ETag: etagOf(p), Body: *p.Body, Checksum: p.Checksum}
	c.set(partKey(p.Upload, p.Part), row.append(nil))
	old, err := r.src.get(named(famTouched, p.Upload))
	c.set(named(famTouched, p.Upload), touch(old, e.Index, p.Part))
	return err
}

// endUpload removes an upload and its parts, each by its number. One deletion of their whole range would be shorter, but Pebble
// sorts all such ranges of a memtable again for the first read after each of them.
func (c *change) endUpload(p *entry.Private, r Reader) error {
	touched, err := r.src.get(named(famTouched, p.Upload))
	if err != nil {
		return err
	}
	c.del(uploadKey(p.Inc, p.Key, p.Upload))
	c.del(named(famTouched, p.Upload))
	for _, part := range touchedParts(touched) {
		c.mutations = append(c.mutations, mutation{key: partKey(p.Upload, part), unseen: true})
	}
	return nil
}
