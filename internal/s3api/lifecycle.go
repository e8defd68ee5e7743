package s3api

import (
	"strconv"
	"strings"
	"time"
)

// Lifecycle is a bucket's lifecycle configuration. What a rule removes is hidden, like any delete.
type Lifecycle struct {
	Rules []LifecycleRule
	// Smallest is x-amz-transition-default-minimum-object-size, which says what transitions leave alone. There are none here; it is kept because clients
	// wait until they read what they wrote.
	Smallest string
}

// LifecycleRule is one rule; zero fields are not set.
type LifecycleRule struct {
	ID      string
	Enabled bool
	Filter  LifecycleFilter

	ExpireDays           int       // current version: days after it was made
	ExpireDate           time.Time // current version: at midnight UTC of that day
	ExpireMarkers        bool      // a delete marker under which no version is left
	NoncurrentDays       int       // other versions: days after they were overtaken
	NewerNoncurrent      int       // how many noncurrent versions NoncurrentDays spares, the newest ones
	AbortUploadDays      int       // open uploads: days after they were begun
	saysMarkers          bool      // ExpiredObjectDeleteMarker was written; clients wait until they read what they wrote, also where it is false
	legacyPrefix         bool      // Prefix stood in the rule itself
	filterIsEmpty, isAnd bool      // how the filter was written, so that it is given back so
}

// LifecycleFilter says which keys a rule is about: all that it names must hold.
type LifecycleFilter struct {
	Prefix      string
	Tags        []Tag
	LargerThan  int64 // bytes; -1: not set
	SmallerThan int64 // bytes; -1: not set
	saysPrefix  bool  // Prefix was written, perhaps empty
}

const maxLifecycleRules = 1000

// defaultSmallest is the value where a client names none.
const defaultSmallest = "all_storage_classes_128K"

// smallestElement holds Smallest in the document that is kept; S3's own has no such element, since the value comes and goes in a header.
const smallestElement = "TransitionDefaultMinimumObjectSize"

// checkSmallest reads the header of PutBucketLifecycleConfiguration.
func checkSmallest(v string) (string, error) {
	switch v {
	case "":
		return defaultSmallest, nil
	case defaultSmallest, "varies_by_storage_class":
		return v, nil
	}
	return "", InvalidArgument("x-amz-transition-default-minimum-object-size", v, "The value is neither all_storage_classes_128K nor varies_by_storage_class.")
}

// DecodeLifecycle parses and checks a LifecycleConfiguration, as a client sends it or as it was kept. Transitions are refused: all storage classes are
// stored alike, so that none could do what it says.
func DecodeLifecycle(b []byte) (*Lifecycle, error) {
	root, err := parseRoot(b, "LifecycleConfiguration")
	if err != nil {
		return nil, err
	}
	l := &Lifecycle{}
	ids := map[string]bool{}
	for e := range root.children() {
		if e.name() == smallestElement && l.Smallest == "" {
			l.Smallest = e.word()
			continue
		}
		if e.name() != "Rule" || len(l.Rules) == maxLifecycleRules {
			return nil, ErrMalformedXML
		}
		r, err := decodeLifecycleRule(e)
		if err != nil {
			return nil, err
		}
		if r.ID == "" {
			r.ID = "rule-" + strconv.Itoa(len(l.Rules)+1)
		}
		if ids[r.ID] {
			return nil, ErrInvalidArgument.Msg("Rule ID must be unique. Found same ID for more than one rule").
				With("ArgumentName", "ID").With("ArgumentValue", r.ID)
		}
		ids[r.ID] = true
		l.Rules = append(l.Rules, *r)
	}
	if len(l.Rules) == 0 {
		return nil, ErrMalformedXML
	}
	return l, nil
}

func decodeLifecycleRule(e elem) (*LifecycleRule, error) {
	r := &LifecycleRule{ID: e.child("ID").text()}
	if len(r.ID) > 255 {
		return nil, InvalidArgument("ID", r.ID, "ID length should not exceed allowed limit of 255")
	}
	switch e.child("Status").word() {
	case "Enabled":
		r.Enabled = true
	case "Disabled":
	default:
		return nil, ErrMalformedXML
	}
	if e.child("Transition").exists() || e.child("NoncurrentVersionTransition").exists() {
		return nil, ErrNotImplemented.Msg("Transitions between storage classes are not supported: Stele stores every class alike. Leave Transition and NoncurrentVersionTransition out of the rule.")
	}
	if err := r.decodeFilter(e); err != nil {
		return nil, err
	}
	if err := r.decodeActions(e); err != nil {
		return nil, err
	}
	return r, r.check()
}

// decodeFilter reads Filter, or the older Prefix in the rule itself: exactly one of them.
func (r *LifecycleRule) decodeFilter(e elem) error {
	r.Filter = LifecycleFilter{LargerThan: -1, SmallerThan: -1}
	filter, prefix := e.child("Filter"), e.child("Prefix")
	if filter.exists() == prefix.exists() {
		return ErrMalformedXML
	}
	if prefix.exists() {
		r.legacyPrefix, r.Filter.Prefix = true, prefix.text()
		return nil
	}
	n := 0
	for range filter.children() {
		n++
	}
	if and := filter.child("And"); and.exists() {
		if n > 1 {
			return ErrMalformedXML
		}
		r.isAnd = true
		return r.Filter.decode(and)
	}
	r.filterIsEmpty = n == 0
	if n > 1 {
		return ErrMalformedXML
	}
	return r.Filter.decode(filter)
}

func (f *LifecycleFilter) decode(e elem) error {
	for c := range e.children() {
		var err error
		switch c.name() {
		case "Prefix":
			f.Prefix, f.saysPrefix = c.text(), true
		case "Tag":
			f.Tags = append(f.Tags, Tag{c.child("Key").text(), c.child("Value").text()})
		case "ObjectSizeGreaterThan":
			f.LargerThan, err = strconv.ParseInt(c.word(), 10, 64)
		case "ObjectSizeLessThan":
			f.SmallerThan, err = strconv.ParseInt(c.word(), 10, 64)
		default:
			err = errXML
		}
		if err != nil {
			return ErrMalformedXML
		}
	}
	if len(f.Prefix) > maxKeyBytes || f.SmallerThan >= 0 && f.LargerThan >= 0 && f.SmallerThan <= f.LargerThan {
		return ErrInvalidRequest.Msg("'ObjectSizeGreaterThan' value must be smaller than 'ObjectSizeLessThan' value, and a prefix at most 1024 bytes")
	}
	return checkTags(f.Tags, maxBucketTags)
}

func (r *LifecycleRule) decodeActions(e elem) (err error) {
	if x := e.child("Expiration"); x.exists() {
		if err := r.decodeExpiration(x); err != nil {
			return err
		}
	}
	if x := e.child("NoncurrentVersionExpiration"); x.exists() {
		if r.NoncurrentDays, err = positive(x.child("NoncurrentDays"), "NoncurrentDays", "NoncurrentVersionExpiration"); err != nil {
			return err
		}
		if n := x.child("NewerNoncurrentVersions"); n.exists() {
			r.NewerNoncurrent, err = positive(n, "NewerNoncurrentVersions", "NoncurrentVersionExpiration")
			if err == nil && r.NewerNoncurrent > 100 {
				err = InvalidArgument("NewerNoncurrentVersions", n.word(), "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be at most 100")
			}
		}
	}
	if x := e.child("AbortIncompleteMultipartUpload"); x.exists() && err == nil {
		r.AbortUploadDays, err = positive(x.child("DaysAfterInitiation"), "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
	}
	return err
}

// decodeExpiration reads exactly one of Days, Date and ExpiredObjectDeleteMarker. One that is false is none of them, and may stand alone or beside another.
func (r *LifecycleRule) decodeExpiration(e elem) (err error) {
	days, date, marker := e.child("Days"), e.child("Date"), e.child("ExpiredObjectDeleteMarker")
	n := 0
	if marker.exists() {
		r.saysMarkers = true
		if r.ExpireMarkers, err = strconv.ParseBool(marker.word()); err != nil {
			return ErrMalformedXML
		}
	}
	for _, is := range [...]bool{days.exists(), date.exists(), r.ExpireMarkers} {
		if is {
			n++
		}
	}
	switch {
	case n == 0 && r.saysMarkers:
		return nil
	case n != 1:
		return ErrMalformedXML
	case days.exists():
		r.ExpireDays, err = positive(days, "Days", "Expiration")
		return err
	case r.ExpireMarkers:
		return nil
	}
	r.ExpireDate, err = parseTime(date.word())
	if err != nil {
		if r.ExpireDate, err = time.Parse("2006-01-02", date.word()); err != nil {
			return ErrMalformedXML
		}
	}
	if !r.ExpireDate.Equal(r.ExpireDate.Truncate(24 * time.Hour)) {
		return InvalidArgument("Date", date.word(), "'Date' must be at midnight GMT")
	}
	return nil
}

func positive(e elem, name, action string) (int, error) {
	n, err := strconv.ParseInt(e.word(), 10, 32)
	if err != nil {
		return 0, ErrMalformedXML
	}
	if n <= 0 {
		return 0, InvalidArgument(name, e.word(), "'%s' for %s action must be a positive integer", name, action)
	}
	return int(n), nil
}

// check refuses rules that do nothing, and actions that S3 does not combine with what they filter by.
func (r *LifecycleRule) check() error {
	sized := r.Filter.LargerThan >= 0 || r.Filter.SmallerThan >= 0
	switch {
	case r.ExpireDays == 0 && r.ExpireDate.IsZero() && !r.ExpireMarkers && r.NoncurrentDays == 0 && r.AbortUploadDays == 0:
		return ErrInvalidRequest.Msg("At least one action needs to be specified in a rule")
	case r.AbortUploadDays > 0 && len(r.Filter.Tags) > 0:
		return ErrInvalidRequest.Msg("AbortIncompleteMultipartUpload cannot be specified with Tags")
	case r.AbortUploadDays > 0 && sized:
		return ErrInvalidRequest.Msg("AbortIncompleteMultipartUpload cannot be specified with Object Size")
	case r.ExpireMarkers && len(r.Filter.Tags) > 0:
		return ErrInvalidRequest.Msg("ExpiredObjectDeleteMarker cannot be specified with Tags")
	case r.ExpireMarkers && sized:
		return ErrInvalidRequest.Msg("ExpiredObjectDeleteMarker cannot be specified with Object Size")
	}
	return nil
}

// AppendXML appends the document as it was written.
func (l *Lifecycle) AppendXML(b []byte) []byte { return l.append(b, "") }

// appendKept appends the document as it is kept.
func (l *Lifecycle) appendKept(b []byte) []byte { return l.append(b, l.Smallest) }

func (l *Lifecycle) append(b []byte, smallest string) []byte {
	w := xw{b}
	w.root("LifecycleConfiguration")
	w.opt(smallestElement, smallest)
	for i := range l.Rules {
		l.Rules[i].append(&w)
	}
	w.close("LifecycleConfiguration")
	return w.b
}

func (r *LifecycleRule) append(w *xw) {
	w.open("Rule")
	w.str("ID", r.ID)
	w.str("Status", map[bool]string{true: "Enabled", false: "Disabled"}[r.Enabled])
	if r.legacyPrefix {
		w.str("Prefix", r.Filter.Prefix)
	} else {
		r.appendFilter(w)
	}
	if r.ExpireDays > 0 || !r.ExpireDate.IsZero() || r.ExpireMarkers || r.saysMarkers {
		w.open("Expiration")
		switch {
		case r.ExpireDays > 0:
			w.int("Days", int64(r.ExpireDays))
		case !r.ExpireDate.IsZero():
			w.time("Date", r.ExpireDate)
		}
		if r.ExpireMarkers || r.saysMarkers {
			w.bool("ExpiredObjectDeleteMarker", r.ExpireMarkers)
		}
		w.close("Expiration")
	}
	if r.NoncurrentDays > 0 {
		w.open("NoncurrentVersionExpiration")
		w.int("NoncurrentDays", int64(r.NoncurrentDays))
		if r.NewerNoncurrent > 0 {
			w.int("NewerNoncurrentVersions", int64(r.NewerNoncurrent))
		}
		w.close("NoncurrentVersionExpiration")
	}
	if r.AbortUploadDays > 0 {
		w.open("AbortIncompleteMultipartUpload")
		w.int("DaysAfterInitiation", int64(r.AbortUploadDays))
		w.close("AbortIncompleteMultipartUpload")
	}
	w.close("Rule")
}

func (r *LifecycleRule) appendFilter(w *xw) {
	w.open("Filter")
	if r.isAnd {
		w.open("And")
	}
	if r.Filter.Prefix != "" || r.Filter.saysPrefix || !r.filterIsEmpty && !r.isAnd && len(r.Filter.Tags) == 0 && r.Filter.LargerThan < 0 && r.Filter.SmallerThan < 0 {
		w.str("Prefix", r.Filter.Prefix)
	}
	for _, t := range r.Filter.Tags {
		w.open("Tag")
		w.str("Key", t.Key)
		w.str("Value", t.Value)
		w.close("Tag")
	}
	if r.Filter.LargerThan >= 0 {
		w.int("ObjectSizeGreaterThan", r.Filter.LargerThan)
	}
	if r.Filter.SmallerThan >= 0 {
		w.int("ObjectSizeLessThan", r.Filter.SmallerThan)
	}
	if r.isAnd {
		w.close("And")
	}
	w.close("Filter")
}

// covers tells whether the filter is about an object.
func (f *LifecycleFilter) covers(key string, size int64, tags []Tag) bool {
	if !strings.HasPrefix(key, f.Prefix) || f.LargerThan >= 0 && size <= f.LargerThan || f.SmallerThan >= 0 && size >= f.SmallerThan {
		return false
	}
	for _, want := range f.Tags {
		found := false
		for _, t := range tags {
			found = found || t == want
		}
		if !found {
			return false
		}
	}
	return true
}
