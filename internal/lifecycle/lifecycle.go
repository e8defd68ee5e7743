// Package lifecycle is the rules of a bucket that hide what has grown old: parsing them, telling what is due and when, and Enforce, which does it.
// It knows no HTTP. The S3 door keeps the setting; the program runs Enforce every hour.
//
// Source of the semantics: Amazon S3 User Guide, "Managing the lifecycle of objects".
package lifecycle

import (
	"strconv"
	"strings"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/tagging"
)

// Configuration is a bucket's lifecycle configuration. What a rule removes is hidden, like any delete.
type Configuration struct {
	Rules []Rule
	// Smallest is x-amz-transition-default-minimum-object-size, which says what transitions leave alone. There are none here; it is kept because clients
	// wait until they read what they wrote.
	Smallest string
}

// Rule is one rule; zero fields are not set.
type Rule struct {
	ID      string
	Enabled bool
	Filter  Filter

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

// Filter says which keys a rule is about: all that it names must hold.
type Filter struct {
	Prefix      string
	Tags        []tagging.Tag
	LargerThan  int64 // bytes; -1: not set
	SmallerThan int64 // bytes; -1: not set
	saysPrefix  bool  // Prefix was written, perhaps empty
}

const (
	maxRules       = 1000
	maxPrefixBytes = 1024 // as long as a key may be
)

// DefaultSmallest is the value where a client names none.
const DefaultSmallest = "all_storage_classes_128K"

// smallestElement holds Smallest in the document that is kept; S3's own has no such element, since the value comes and goes in a header.
const smallestElement = "TransitionDefaultMinimumObjectSize"

// ParseSmallest reads x-amz-transition-default-minimum-object-size, a header of PutBucketLifecycleConfiguration; "" is DefaultSmallest.
func ParseSmallest(v string) (string, error) {
	switch v {
	case "":
		return DefaultSmallest, nil
	case DefaultSmallest, "varies_by_storage_class":
		return v, nil
	}
	return "", s3err.InvalidArgument("x-amz-transition-default-minimum-object-size", v, "The value is neither all_storage_classes_128K nor varies_by_storage_class.")
}

// Parse parses and checks a LifecycleConfiguration, as a client sends it or as it was kept. Transitions are refused: all storage classes are
// stored alike, so that none could do what it says.
func Parse(b []byte) (*Configuration, error) {
	root, err := s3xml.Parse(b, "LifecycleConfiguration")
	if err != nil {
		return nil, err
	}
	l := &Configuration{}
	ids := map[string]bool{}
	for e := range root.Children() {
		if e.Name() == smallestElement && l.Smallest == "" {
			l.Smallest = e.Word()
			continue
		}
		if e.Name() != "Rule" || len(l.Rules) == maxRules {
			return nil, s3err.ErrMalformedXML
		}
		r, err := decodeRule(e)
		if err != nil {
			return nil, err
		}
		if r.ID == "" {
			r.ID = "rule-" + strconv.Itoa(len(l.Rules)+1)
		}
		if ids[r.ID] {
			return nil, s3err.ErrInvalidArgument.Msg("Rule ID must be unique. Found same ID for more than one rule").
				With("ArgumentName", "ID").With("ArgumentValue", r.ID)
		}
		ids[r.ID] = true
		l.Rules = append(l.Rules, *r)
	}
	if len(l.Rules) == 0 {
		return nil, s3err.ErrMalformedXML
	}
	return l, nil
}

func decodeRule(e s3xml.Elem) (*Rule, error) {
	r := &Rule{ID: e.Child("ID").Text()}
	if len(r.ID) > 255 {
		return nil, s3err.InvalidArgument("ID", r.ID, "ID length should not exceed allowed limit of 255")
	}
	switch e.Child("Status").Word() {
	case "Enabled":
		r.Enabled = true
	case "Disabled":
	default:
		return nil, s3err.ErrMalformedXML
	}
	if e.Child("Transition").Exists() || e.Child("NoncurrentVersionTransition").Exists() {
		return nil, s3err.ErrNotImplemented.Msg("Transitions between storage classes are not supported: Stele stores every class alike. Leave Transition and NoncurrentVersionTransition out of the rule.")
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
func (r *Rule) decodeFilter(e s3xml.Elem) error {
	r.Filter = Filter{LargerThan: -1, SmallerThan: -1}
	filter, prefix := e.Child("Filter"), e.Child("Prefix")
	if filter.Exists() == prefix.Exists() {
		return s3err.ErrMalformedXML
	}
	if prefix.Exists() {
		r.legacyPrefix, r.Filter.Prefix = true, prefix.Text()
		return nil
	}
	n := 0
	for range filter.Children() {
		n++
	}
	if and := filter.Child("And"); and.Exists() {
		if n > 1 {
			return s3err.ErrMalformedXML
		}
		r.isAnd = true
		return r.Filter.decode(and)
	}
	r.filterIsEmpty = n == 0
	if n > 1 {
		return s3err.ErrMalformedXML
	}
	return r.Filter.decode(filter)
}

func (f *Filter) decode(e s3xml.Elem) error {
	for c := range e.Children() {
		var err error
		switch c.Name() {
		case "Prefix":
			f.Prefix, f.saysPrefix = c.Text(), true
		case "Tag":
			f.Tags = append(f.Tags, tagging.Tag{Key: c.Child("Key").Text(), Value: c.Child("Value").Text()})
		case "ObjectSizeGreaterThan":
			f.LargerThan, err = strconv.ParseInt(c.Word(), 10, 64)
		case "ObjectSizeLessThan":
			f.SmallerThan, err = strconv.ParseInt(c.Word(), 10, 64)
		default:
			err = s3err.ErrMalformedXML
		}
		if err != nil {
			return s3err.ErrMalformedXML
		}
	}
	if len(f.Prefix) > maxPrefixBytes || f.SmallerThan >= 0 && f.LargerThan >= 0 && f.SmallerThan <= f.LargerThan {
		return s3err.ErrInvalidRequest.Msg("'ObjectSizeGreaterThan' value must be smaller than 'ObjectSizeLessThan' value, and a prefix at most 1024 bytes")
	}
	return tagging.Check(f.Tags, tagging.MaxOfBucket)
}

func (r *Rule) decodeActions(e s3xml.Elem) (err error) {
	if x := e.Child("Expiration"); x.Exists() {
		if err := r.decodeExpiration(x); err != nil {
			return err
		}
	}
	if x := e.Child("NoncurrentVersionExpiration"); x.Exists() {
		if r.NoncurrentDays, err = positive(x.Child("NoncurrentDays"), "NoncurrentDays", "NoncurrentVersionExpiration"); err != nil {
			return err
		}
		if n := x.Child("NewerNoncurrentVersions"); n.Exists() {
			r.NewerNoncurrent, err = positive(n, "NewerNoncurrentVersions", "NoncurrentVersionExpiration")
			if err == nil && r.NewerNoncurrent > 100 {
				err = s3err.InvalidArgument("NewerNoncurrentVersions", n.Word(), "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be at most 100")
			}
		}
	}
	if x := e.Child("AbortIncompleteMultipartUpload"); x.Exists() && err == nil {
		r.AbortUploadDays, err = positive(x.Child("DaysAfterInitiation"), "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
	}
	return err
}

// decodeExpiration reads exactly one of Days, Date and ExpiredObjectDeleteMarker. One that is false is none of them, and may stand alone or beside another.
func (r *Rule) decodeExpiration(e s3xml.Elem) (err error) {
	days, date, marker := e.Child("Days"), e.Child("Date"), e.Child("ExpiredObjectDeleteMarker")
	n := 0
	if marker.Exists() {
		r.saysMarkers = true
		if r.ExpireMarkers, err = strconv.ParseBool(marker.Word()); err != nil {
			return s3err.ErrMalformedXML
		}
	}
	for _, is := range [...]bool{days.Exists(), date.Exists(), r.ExpireMarkers} {
		if is {
			n++
		}
	}
	switch {
	case n == 0 && r.saysMarkers:
		return nil
	case n != 1:
		return s3err.ErrMalformedXML
	case days.Exists():
		r.ExpireDays, err = positive(days, "Days", "Expiration")
		return err
	case r.ExpireMarkers:
		return nil
	}
	r.ExpireDate, err = s3xml.ParseTime(date.Word())
	if err != nil {
		if r.ExpireDate, err = time.Parse("2006-01-02", date.Word()); err != nil {
			return s3err.ErrMalformedXML
		}
	}
	if !r.ExpireDate.Equal(r.ExpireDate.Truncate(24 * time.Hour)) {
		return s3err.InvalidArgument("Date", date.Word(), "'Date' must be at midnight GMT")
	}
	return nil
}

func positive(e s3xml.Elem, name, action string) (int, error) {
	n, err := strconv.ParseInt(e.Word(), 10, 32)
	if err != nil {
		return 0, s3err.ErrMalformedXML
	}
	if n <= 0 {
		return 0, s3err.InvalidArgument(name, e.Word(), "'%s' for %s action must be a positive integer", name, action)
	}
	return int(n), nil
}

// check refuses rules that do nothing, and actions that S3 does not combine with what they filter by.
func (r *Rule) check() error {
	sized := r.Filter.LargerThan >= 0 || r.Filter.SmallerThan >= 0
	switch {
	case r.ExpireDays == 0 && r.ExpireDate.IsZero() && !r.ExpireMarkers && r.NoncurrentDays == 0 && r.AbortUploadDays == 0:
		return s3err.ErrInvalidRequest.Msg("At least one action needs to be specified in a rule")
	case r.AbortUploadDays > 0 && len(r.Filter.Tags) > 0:
		return s3err.ErrInvalidRequest.Msg("AbortIncompleteMultipartUpload cannot be specified with Tags")
	case r.AbortUploadDays > 0 && sized:
		return s3err.ErrInvalidRequest.Msg("AbortIncompleteMultipartUpload cannot be specified with Object Size")
	case r.ExpireMarkers && len(r.Filter.Tags) > 0:
		return s3err.ErrInvalidRequest.Msg("ExpiredObjectDeleteMarker cannot be specified with Tags")
	case r.ExpireMarkers && sized:
		return s3err.ErrInvalidRequest.Msg("ExpiredObjectDeleteMarker cannot be specified with Object Size")
	}
	return nil
}

// AppendXML appends the document as it was written.
func (l *Configuration) AppendXML(b []byte) []byte { return l.append(b, "") }

// AppendKept appends the document as it is kept.
func (l *Configuration) AppendKept(b []byte) []byte { return l.append(b, l.Smallest) }

func (l *Configuration) append(b []byte, smallest string) []byte {
	w := s3xml.Writer{B: b}
	w.Root("LifecycleConfiguration")
	w.Opt(smallestElement, smallest)
	for i := range l.Rules {
		l.Rules[i].append(&w)
	}
	w.Close("LifecycleConfiguration")
	return w.B
}

func (r *Rule) append(w *s3xml.Writer) {
	w.Open("Rule")
	w.Str("ID", r.ID)
	w.Str("Status", map[bool]string{true: "Enabled", false: "Disabled"}[r.Enabled])
	if r.legacyPrefix {
		w.Str("Prefix", r.Filter.Prefix)
	} else {
		r.appendFilter(w)
	}
	if r.ExpireDays > 0 || !r.ExpireDate.IsZero() || r.ExpireMarkers || r.saysMarkers {
		w.Open("Expiration")
		switch {
		case r.ExpireDays > 0:
			w.Int("Days", int64(r.ExpireDays))
		case !r.ExpireDate.IsZero():
			w.Time("Date", r.ExpireDate)
		}
		if r.ExpireMarkers || r.saysMarkers {
			w.Bool("ExpiredObjectDeleteMarker", r.ExpireMarkers)
		}
		w.Close("Expiration")
	}
	if r.NoncurrentDays > 0 {
		w.Open("NoncurrentVersionExpiration")
		w.Int("NoncurrentDays", int64(r.NoncurrentDays))
		if r.NewerNoncurrent > 0 {
			w.Int("NewerNoncurrentVersions", int64(r.NewerNoncurrent))
		}
		w.Close("NoncurrentVersionExpiration")
	}
	if r.AbortUploadDays > 0 {
		w.Open("AbortIncompleteMultipartUpload")
		w.Int("DaysAfterInitiation", int64(r.AbortUploadDays))
		w.Close("AbortIncompleteMultipartUpload")
	}
	w.Close("Rule")
}

func (r *Rule) appendFilter(w *s3xml.Writer) {
	w.Open("Filter")
	if r.isAnd {
		w.Open("And")
	}
	if r.Filter.Prefix != "" || r.Filter.saysPrefix || !r.filterIsEmpty && !r.isAnd && len(r.Filter.Tags) == 0 && r.Filter.LargerThan < 0 && r.Filter.SmallerThan < 0 {
		w.Str("Prefix", r.Filter.Prefix)
	}
	for _, t := range r.Filter.Tags {
		w.Open("Tag")
		w.Str("Key", t.Key)
		w.Str("Value", t.Value)
		w.Close("Tag")
	}
	if r.Filter.LargerThan >= 0 {
		w.Int("ObjectSizeGreaterThan", r.Filter.LargerThan)
	}
	if r.Filter.SmallerThan >= 0 {
		w.Int("ObjectSizeLessThan", r.Filter.SmallerThan)
	}
	if r.isAnd {
		w.Close("And")
	}
	w.Close("Filter")
}

// covers tells whether the filter is about an object.
func (f *Filter) covers(key string, size int64, tags []tagging.Tag) bool {
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
