package rpc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"stele"
	"stele/internal/guard"
	"stele/tree"
)

// Errors of the way to the store, not of the store.
var (
	ErrDenied   = errors.New("this access key may not do that")
	ErrWho      = errors.New("the access key or its secret is wrong")
	ErrProtocol = errors.New("the server speaks another protocol")
)

// codes name the sentinels on the wire. An error may carry several.
var codes = []struct {
	code   string
	is     error
	status int
}{
	{"NoBucket", stele.ErrNoBucket, 404}, {"NoKey", stele.ErrNoKey, 404}, {"NoVersion", stele.ErrNoVersion, 404}, {"NoUpload", stele.ErrNoUpload, 404},
	{"BucketExists", stele.ErrBucketExists, 409}, {"BucketNotEmpty", stele.ErrBucketNotEmpty, 409}, {"Marker", stele.ErrMarker, 404},
	{"Precondition", stele.ErrPrecondition, 412}, {"Busy", stele.ErrBusy, 409},
	{"OverwriteDenied", stele.ErrOverwriteDenied, 403}, {"KeyRevoked", stele.ErrKeyRevoked, 403}, {"Rate", stele.ErrRate, 503}, {"NoAccessKey", stele.ErrNoAccessKey, 404},
	{"Incomplete", stele.ErrIncomplete, 400}, {"TooLong", stele.ErrTooLong, 400}, {"BadName", stele.ErrBadName, 400}, {"BadRange", stele.ErrBadRange, 416},
	{"BadState", stele.ErrBadState, 409}, {"TooLarge", stele.ErrTooLarge, 400}, {"Erased", stele.ErrErased, 410}, {"Future", stele.ErrFuture, 400},
	{"Corrupt", stele.ErrCorrupt, 500}, {"ReadOnly", stele.ErrReadOnly, 403}, {"Full", stele.ErrFull, 507}, {"Failed", stele.ErrFailed, 503},
	{"Locked", stele.ErrLocked, 409}, {"WrongKey", stele.ErrWrongKey, 403}, {"NotStore", stele.ErrNotStore, 400}, {"Version", stele.ErrVersion, 400},
	{"Handover", tree.ErrHandover, 400}, {"Behind", stele.ErrBehind, 503},
	{"Which", stele.ErrWhich, 400}, {"BadMoment", stele.ErrBadMoment, 400}, {"BeforeStore", stele.ErrBeforeStore, 400},
	{"Superseded", stele.ErrSuperseded, 503}, {"NoTarget", stele.ErrNoTarget, 404}, {"NoStandby", stele.ErrNoStandby, 404}, {"NoWitness", stele.ErrNoWitness, 503},
	{"Slow", guard.ErrSlow, 408}, {"Denied", ErrDenied, 403}, {"Who", ErrWho, 401}, {"Protocol", ErrProtocol, 400},
}

// systemCodes name errors of the operating system, where nothing better says what is wrong: the client gives the same next step as on the machine itself.
var systemCodes = []struct {
	code string
	is   syscall.Errno
}{{"NoSpace", syscall.ENOSPC}, {"IO", syscall.EIO}, {"NoFiles", syscall.EMFILE}, {"NoFiles", syscall.ENFILE}}

// Worded gives an error a kind whose words it doesn't repeat.
func Worded(err, kind error) error { return worded{err, kind} }

// worded is an error of a kind whose message is its own: it doesn't repeat the kind's words.
type worded struct {
	error
	kind error
}

func (w worded) Unwrap() []error { return []error{w.error, w.kind} }

// BadValue returns an ErrBadName about what is no name: a number, a path, a size.
func BadValue(format string, args ...any) error {
	return worded{fmt.Errorf(format, args...), stele.ErrBadName}
}

// Codes returns the names of the sentinels that an error carries, separated by commas; empty: none.
func Codes(err error) string {
	var found []string
	var re *stele.RetentionError
	if errors.As(err, &re) {
		found = append(found, "Retention")
	}
	for _, c := range codes {
		if errors.Is(err, c.is) {
			found = append(found, c.code)
		}
	}
	for _, c := range systemCodes {
		if len(found) == 0 && errors.Is(err, c.is) {
			found = append(found, c.code)
		}
	}
	return strings.Join(found, ",")
}

// Error is an error as it travels.
type Error struct {
	Code      string     `json:"code"` // as Codes
	Message   string     `json:"message"`
	Retention *Retention `json:"retention,omitempty"`
}

// Retention is a stele.RetentionError as it travels.
type Retention struct {
	Bucket, Key, VersionID, Mode string
	Until                        time.Time
	Hold                         bool
}

// ErrorOf makes the form of an error. nil: there is none.
func ErrorOf(err error) *Error {
	if err == nil {
		return nil
	}
	e := &Error{Code: Codes(err), Message: err.Error()}
	var re *stele.RetentionError
	if errors.As(err, &re) {
		r := Retention(*re)
		e.Retention = &r
	}
	return e
}

// Err undoes ErrorOf: the error that it returns is all the sentinels that the server's error was.
func (e *Error) Err() error {
	if e == nil {
		return nil
	}
	r := &remoteError{message: e.Message}
	for code := range strings.SplitSeq(e.Code, ",") {
		for _, c := range codes {
			if code == c.code {
				r.causes = append(r.causes, c.is)
			}
		}
		for _, c := range systemCodes {
			if code == c.code {
				r.causes = append(r.causes, c.is)
			}
		}
	}
	if e.Retention != nil {
		re := stele.RetentionError(*e.Retention)
		r.causes = append(r.causes, &re)
	}
	return r
}

// remoteError is what the server said; it is all the sentinels that the server's error was.
type remoteError struct {
	message string
	causes  []error
}

func (e *remoteError) Error() string   { return e.message }
func (e *remoteError) Unwrap() []error { return e.causes }

// StatusOf returns the HTTP status of an error.
func StatusOf(err error) int {
	var re *stele.RetentionError
	if errors.As(err, &re) {
		return http.StatusForbidden
	}
	for _, c := range codes {
		if errors.Is(err, c.is) {
			return c.status
		}
	}
	return http.StatusInternalServerError
}
