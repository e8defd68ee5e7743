package index

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// Scan says what a listing wants: keys of one incarnation with Prefix, strictly after After, common prefixes rolled up at Delimiter, at most Max keys and prefixes.
type Scan struct {
	Inc       uint64
	Prefix    string
	Delimiter string
	After     string
	AfterAt   uint64 // versions: with After, versions of that key older than this entry; 0: none of that key
	Max       int
	Size      uint64 // as of this ledger size; 0: now
	Versions  bool   // every version that S3 shows, newest first, instead of the current ones
	// Stop is asked now and then whether to go on: a listing of the past passes over all that was hidden. nil: it goes on.
	Stop func() error
}

// pause asks Stop every so many rows.
type pause struct {
	stop func() error
	rows int
}

const pauseRows = 1024

func (p *pause) row() error {
	if p.rows++; p.stop == nil || p.rows%pauseRows != 0 {
		return nil
	}
	return p.stop()
}

// Listed is what a listing yields: a version, or a common prefix (Prefix set).
type Listed struct {
	Prefix string
	Key    string
	Latest bool
	Current
}

// List yields what the scan asks for, in order, and reports whether there is more. It reads one consistent state of the rows.
func (db *DB) List(s Scan, yield func(Listed) error) (more bool, err error) {
	if s.Max <= 0 {
		return false, nil
	}
	w := walk{Scan: s, yield: yield, pause: pause{stop: s.Stop}}
	if w.skip = w.skipped(); w.skip != "" && after([]byte(w.skip)) == nil {
		return false, nil // nothing is above it
	}
	switch {
	case s.Size != 0:
		err = db.listPast(&w)
	case s.Versions:
		err = db.listVersions(&w)
	default:
		err = db.listCurrent(&w)
	}
	if errors.Is(err, errFull) {
		return true, nil
	}
	return false, err
}

// errFull ends a walk that has yielded Max and found one more.
var errFull = errors.New("page is full")

// walk is a listing under way.
type walk struct {
	Scan
	yield func(Listed) error
	n     int
	pause pause
	text  text
	skip  string // a common prefix that the page before ended with: nothing below it is listed
}

// skipped returns After if it is a common prefix of this scan.
func (w *walk) skipped() string {
	if w.Delimiter == "" || !strings.HasPrefix(w.After, w.Prefix) {
		return ""
	}
	if cp, ok := w.common(w.After); ok && cp == w.After {
		return cp
	}
	return ""
}

// common returns the common prefix that a key rolls up into.
func (w *walk) common(key string) (string, bool) {
	if w.Delimiter == "" {
		return "", false
	}
	if i := strings.Index(key[len(w.Prefix):], w.Delimiter); i >= 0 {
		return key[:len(w.Prefix)+i+len(w.Delimiter)], true
	}
	return "", false
}

func (w *walk) emit(l Listed) error {
	if w.n == w.Max {
		return errFull
	}
	w.n++
	return w.yield(l)
}

// passed reports whether the pages before had this version.
func (w *walk) passed(key string, at uint64) bool {
	return w.AfterAt != 0 && key == w.After && at >= w.AfterAt
}

// start returns the smallest key that may be listed.
func (w *walk) start() string {
	switch {
	case w.skip != "":
		return string(after([]byte(w.skip)))
	case w.After >= w.Prefix && w.After != "" && w.AfterAt == 0:
		return w.After + "\x00"
	case w.After >= w.Prefix && w.After != "":
		return w.After
	}
	return w.Prefix
}

// beyond is true for a key behind the prefix's range; a start above the range lists nothing.
func (w *walk) beyond(key string) bool { return !strings.HasPrefix(key, w.Prefix) }

func (db *DB) listCurrent(w *walk) (err error) {
	base := incKey(famCurrent, w.Inc, 0)
	it, err := db.iter(base, after(base))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.SeekGE(currentKey(w.Inc, w.start())); ok; {
		key := w.text.string(it.Key()[9:])
		if w.beyond(key) {
			break
		}
		if cp, rolled := w.common(key); rolled {
			if err := w.emit(Listed{Prefix: cp}); err != nil {
				return err
			}
			end := after([]byte(cp))
			if end == nil {
				break
			}
			ok = it.SeekGE(currentKey(w.Inc, string(end)))
			continue
		}
		row, err := parseCurrentIn(it.Value(), &w.text)
		if err != nil {
			return err
		}
		if err := w.emit(Listed{Key: key, Latest: true, Current: row}); err != nil {
			return err
		}
		ok = it.Next()
	}
	return readError(it.Error())
}

// merge reads current rows and noncurrent rows side by side: for each key the current row first, then the others,
// newest first.
type merge struct {
	inc      uint64
	cur, old *pebble.Iterator
	key      string           // of the row that is next
	at       *pebble.Iterator // the iterator that has it; nil at the end
}

func (m *merge) seek(key string) error {
	m.cur.SeekGE(currentKey(m.inc, key))
	m.old.SeekGE(objectPrefix(famVersion, m.inc, key))
	return m.choose()
}

func (m *merge) next() error {
	m.at.Next()
	return m.choose()
}

// choose finds out which iterator has the next row. One that failed is not one at its end: without its rows the other's would be wrong.
func (m *merge) choose() error {
	m.at = nil
	if m.cur.Valid() {
		m.key, m.at = string(m.cur.Key()[9:]), m.cur
	} else if err := m.cur.Error(); err != nil {
		return readError(err)
	}
	if !m.old.Valid() {
		return readError(m.old.Error())
	}
	key, rest, ok := cutEscaped(m.old.Key()[9:])
	if !ok || len(rest) != 8 {
		return errRow
	}
	if m.at == nil || key < m.key {
		m.key, m.at = key, m.old
	}
	return nil
}

func (db *DB) listVersions(w *walk) (err error) {
	snap := db.peb.NewSnapshot() // both iterators must see one state
	defer snap.Close()
	m := merge{inc: w.Inc}
	cbase, vbase := incKey(famCurrent, w.Inc, 0), incKey(famVersion, w.Inc, 0)
	if m.cur, err = iter(snap, cbase, after(cbase)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.cur.Close()) }()
	if m.old, err = iter(snap, vbase, after(vbase)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.old.Close()) }()

	lastKey, seen := "", false
	for err = m.seek(w.start()); err == nil && m.at != nil && !w.beyond(m.key); {
		row, perr := parseCurrentIn(m.at.Value(), &w.text)
		if perr != nil {
			return perr
		}
		latest := !seen || m.key != lastKey
		lastKey, seen = m.key, true
		cp, rolled := w.common(m.key)
		switch {
		case w.passed(m.key, row.Entry):
			err = m.next()
		case rolled:
			if err = w.emit(Listed{Prefix: cp}); err != nil {
				return err
			}
			end := after([]byte(cp))
			if end == nil {
				return nil
			}
			err = m.seek(string(end))
		default:
			if err = w.emit(Listed{Key: m.key, Latest: latest, Current: row}); err != nil {
				return err
			}
			err = m.next()
		}
	}
	return err
}
