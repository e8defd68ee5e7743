package s3api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"stele/internal/s3api/s3err"
	"stele/internal/s3api/s3xml"
	"stele/internal/s3api/wire"
)

// Object Lock modes.
const (
	Governance = "GOVERNANCE"
	Compliance = "COMPLIANCE"
)

// LockConfig is a bucket's Object Lock configuration. Mode is "" where there is no default retention; else one of Days and Years is set.
type LockConfig struct {
	Mode        string
	Days, Years int
}

const (
	maxRetentionDays  = 36500
	maxRetentionYears = 100
)

// DecodeLockConfig parses an ObjectLockConfiguration. It can only be Enabled.
func DecodeLockConfig(b []byte) (LockConfig, error) {
	var c LockConfig
	root, err := s3xml.Parse(b, "ObjectLockConfiguration")
	if err != nil {
		return c, err
	}
	if root.Child("ObjectLockEnabled").Word() != "Enabled" {
		return c, s3err.ErrMalformedXML
	}
	rule := root.Child("Rule")
	if !rule.Exists() {
		return c, nil
	}
	def := rule.Child("DefaultRetention")
	days, years := def.Child("Days"), def.Child("Years")
	c.Mode = def.Child("Mode").Word()
	if c.Mode != Governance && c.Mode != Compliance || days.Exists() == years.Exists() {
		return c, s3err.ErrMalformedXML
	}
	if days.Exists() {
		c.Days, err = retentionPeriod("Days", days.Word(), maxRetentionDays)
	} else {
		c.Years, err = retentionPeriod("Years", years.Word(), maxRetentionYears)
	}
	return c, err
}

func retentionPeriod(name, v string, largest int) (int, error) {
	n, err := strconv.ParseInt(v, 10, 32)
	switch {
	case err != nil:
		return 0, s3err.ErrMalformedXML
	case n <= 0:
		return 0, s3err.InvalidArgument(name, v, "Default retention period must be a positive integer value.")
	case n > int64(largest):
		return 0, s3err.InvalidArgument(name, v, "Default retention period too large.")
	}
	return int(n), nil
}

// Until is when a default retention that begins at from ends.
func (c LockConfig) Until(from time.Time) time.Time { return from.AddDate(c.Years, 0, c.Days) }

// AppendXML appends the document.
func (c LockConfig) AppendXML(b []byte) []byte {
	w := s3xml.Writer{B: b}
	w.Root("ObjectLockConfiguration")
	w.Str("ObjectLockEnabled", "Enabled")
	if c.Mode != "" {
		w.Open("Rule")
		w.Open("DefaultRetention")
		w.Str("Mode", c.Mode)
		if c.Days > 0 {
			w.Int("Days", int64(c.Days))
		} else {
			w.Int("Years", int64(c.Years))
		}
		w.Close("DefaultRetention")
		w.Close("Rule")
	}
	w.Close("ObjectLockConfiguration")
	return w.B
}

// Retention is a version's retention; Mode "" is none.
type Retention struct {
	Mode  string
	Until time.Time
}

// DecodeRetention parses a Retention document. An empty one (which lifts a GOVERNANCE retention with bypass) is the zero
// value. A date that is not after now is refused.
func DecodeRetention(b []byte, now time.Time) (Retention, error) {
	root, err := s3xml.Parse(b, "Retention")
	if err != nil {
		return Retention{}, err
	}
	mode, until := root.Child("Mode"), root.Child("RetainUntilDate")
	if !mode.Exists() && !until.Exists() {
		return Retention{}, nil
	}
	r := Retention{Mode: mode.Word()}
	if r.Mode != Governance && r.Mode != Compliance {
		return Retention{}, s3err.ErrMalformedXML
	}
	if r.Until, err = s3xml.ParseTime(until.Word()); err != nil {
		return Retention{}, s3err.ErrMalformedXML
	}
	if !r.Until.After(now) {
		return Retention{}, retainInPast(until.Word())
	}
	return r, nil
}

func retainInPast(v string) error {
	return s3err.InvalidArgument("x-amz-object-lock-retain-until-date", v, "The retain until date must be in the future!")
}

// AppendXML appends the document.
func (r Retention) AppendXML(b []byte) []byte {
	w := s3xml.Writer{B: b}
	w.Root("Retention")
	w.Opt("Mode", r.Mode)
	if r.Mode != "" {
		w.Time("RetainUntilDate", r.Until)
	}
	w.Close("Retention")
	return w.B
}

// DecodeLegalHold parses a LegalHold document: whether it is ON.
func DecodeLegalHold(b []byte) (bool, error) {
	root, err := s3xml.Parse(b, "LegalHold")
	if err != nil {
		return false, err
	}
	switch root.Child("Status").Word() {
	case "ON":
		return true, nil
	case "OFF":
		return false, nil
	}
	return false, s3err.ErrMalformedXML
}

// AppendLegalHold appends a LegalHold document.
func AppendLegalHold(b []byte, on bool) []byte {
	w := s3xml.Writer{B: b}
	w.Root("LegalHold")
	w.Str("Status", onOff(on))
	w.Close("LegalHold")
	return w.B
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

// LockHeaders is what a PUT, copy or upload asks for.
type LockHeaders struct {
	Retention
	Hold bool
	Off  bool // of a version only: a hold was set and lifted, which S3 tells apart from none
}

// Any tells whether a lock was asked for at all; that needs a bucket with Object Lock.
func (l LockHeaders) Any() bool { return l.Mode != "" || l.Hold }

// ParseLockHeaders reads x-amz-object-lock-mode, -retain-until-date and -legal-hold.
func ParseLockHeaders(h http.Header, now time.Time) (LockHeaders, error) {
	var l LockHeaders
	mode, until := wire.First(h, "X-Amz-Object-Lock-Mode"), wire.First(h, "X-Amz-Object-Lock-Retain-Until-Date")
	hold := wire.First(h, "X-Amz-Object-Lock-Legal-Hold")
	switch hold {
	case "", "ON", "OFF":
		l.Hold = hold == "ON"
	default:
		return l, s3err.InvalidArgument("x-amz-object-lock-legal-hold", hold, "Legal Hold must be either of 'ON' or 'OFF'")
	}
	const both = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied."
	switch {
	case mode == "" && until == "":
		return l, nil
	case until == "":
		return l, s3err.InvalidArgument("x-amz-object-lock-retain-until-date", "", both)
	case mode == "":
		return l, s3err.InvalidArgument("x-amz-object-lock-mode", "", both)
	}
	t, err := s3xml.ParseTime(until)
	if err != nil {
		return l, s3err.InvalidArgument("x-amz-object-lock-retain-until-date", until, "The retain until date must be provided in ISO 8601 format")
	}
	if !t.After(now) {
		return l, retainInPast(until)
	}
	if mode != Governance && mode != Compliance {
		return l, s3err.InvalidArgument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.")
	}
	l.Retention = Retention{mode, t}
	return l, nil
}

// SetHeaders writes a version's lock into a GET or HEAD reply.
func (l LockHeaders) SetHeaders(h http.Header) {
	if l.Mode != "" {
		h["X-Amz-Object-Lock-Mode"] = []string{l.Mode}
		h["X-Amz-Object-Lock-Retain-Until-Date"] = []string{string(s3xml.AppendTime(nil, l.Until))}
	}
	if l.Hold {
		h["X-Amz-Object-Lock-Legal-Hold"] = []string{"ON"}
	} else if l.Off {
		h["X-Amz-Object-Lock-Legal-Hold"] = []string{"OFF"}
	}
}

// BypassGovernance tells whether the request asks to override a GOVERNANCE retention; whether it may is another question.
func BypassGovernance(h http.Header) bool {
	return strings.EqualFold(wire.First(h, "X-Amz-Bypass-Governance-Retention"), "true")
}
