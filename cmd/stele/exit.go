package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"stele"
	"stele/internal/replicate"
	"stele/internal/rpc"
	"stele/verify"
)

// Exit codes: part of the contract, frozen (DESIGN section 10).
const (
	exitError       = 1
	exitUsage       = 2
	exitPartial     = 3
	exitNotFound    = 4
	exitRetention   = 5
	exitVerify      = 6
	exitStale       = 7
	exitLocked      = 10
	exitWrongKey    = 12
	exitInterrupted = 130 // 128 + SIGINT, as a shell reports it
)

// usage is an error in how the verb was called.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// errPartial: the verb did what it could, and said what it could not.
var errPartial = errors.New("not everything could be done")

// hinted is an error with its next step.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// badState is a stele.ErrBadState that says by itself what stands in the way.
func badState(text string) error { return ofKind{errors.New(text), stele.ErrBadState} }

// ofKind is an error of a kind whose message is its own.
type ofKind struct {
	error
	kind error
}

func (o ofKind) Unwrap() []error { return []error{o.error, o.kind} }

// soFar is an error that ended work of which a part is done.
type soFar struct {
	error
	done string
}

func (s soFar) Unwrap() error { return s.error }

func withHint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// exitCode maps an error to the code that scripts see.
func exitCode(err error) int {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	var u usage
	var re *stele.RetentionError
	switch {
	case errors.As(err, &u), is(stele.ErrBadMoment, stele.ErrFuture, stele.ErrWhich):
		return exitUsage
	case is(context.Canceled):
		return exitInterrupted
	case is(errPartial):
		return exitPartial
	case errors.As(err, &re):
		return exitRetention
	case is(errQuiet, errStale):
		return exitStale
	case is(verify.ErrFailed, replicate.ErrLacking, stele.ErrCorrupt, errFrozen):
		return exitVerify
	case is(stele.ErrLocked):
		return exitLocked
	case is(stele.ErrWrongKey, rpc.ErrWho):
		return exitWrongKey
	case is(stele.ErrNoBucket, stele.ErrNoKey, stele.ErrNoVersion, stele.ErrMarker, stele.ErrNoUpload, stele.ErrNoAccessKey, stele.ErrNoTarget, stele.ErrNoStandby, stele.ErrBeforeStore, errNoSource):
		return exitNotFound
	case is(stele.ErrBadName): // a name or a value that was given: behind the others, since some of them are of this kind too
		return exitUsage
	}
	return exitError
}

// hintFor returns the next step for an error, where there is one to name.
func (a *app) hintFor(err error) string {
	var h hinted
	var re *stele.RetentionError
	var u usage
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &u):
		return "`" + strings.TrimSpace("stele "+a.verb) + " --help` shows how"
	case errors.Is(err, stele.ErrLocked):
		return "wait until that process is done, or run `stele serve`: verbs then work through the server, many at once"
	case errors.Is(err, stele.ErrWrongKey):
		return "use the identity file that was made with this store, or its recovery kit: --recovery-key FILE"
	case errors.Is(err, stele.ErrVersion), errors.Is(err, verify.ErrVersion):
		return "install the newest stele: this one reads older formats only"
	case errors.Is(err, stele.ErrFull):
		return "make room on the disk that holds " + a.data() + "; nothing acknowledged was lost, and reads work meanwhile"
	case errors.Is(err, syscall.ENOSPC):
		return "make room on that disk"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files (ulimit -n, or LimitNOFILE= of the service), then start again"
	case errors.Is(err, syscall.EROFS):
		return "that disk is mounted read-only: mount it for writing, or name a folder on another one"
	case errors.Is(err, stele.ErrFailed), errors.Is(err, syscall.EIO):
		return "look at the disk (dmesg), then start again: what was acknowledged is durable"
	case errors.Is(err, stele.ErrCorrupt):
		return "`stele verify --deep --heal` replaces what is damaged by a target's copy, with --from COPY by a folder's; without --heal it lists all that is damaged"
	case errors.Is(err, stele.ErrBehind):
		return "a file of the ledger is missing or older than it should be: put back the newest copy of the data folder"
	case errors.As(err, &re) && re.Hold:
		return "end the legal hold first, if you may"
	case errors.As(err, &re):
		return "wait until then; COMPLIANCE can't be shortened by anyone"
	case errors.Is(err, stele.ErrFuture):
		return "name a moment that is past: 10m (ago), yesterday, \"2026-11-20 10:00\" (UTC) or @SIZE; `stele status` says how many entries there are"
	case errors.Is(err, stele.ErrNoBucket):
		return "`stele ls` lists the buckets; `stele bucket create NAME` makes one"
	case errors.Is(err, stele.ErrBucketNotEmpty):
		return "`stele ls -r --versions BUCKET` shows what is in it"
	case errors.Is(err, stele.ErrNoKey), errors.Is(err, stele.ErrMarker):
		return "`stele history BUCKET/KEY` shows whether it was ever there; --at reads it as it was"
	case errors.Is(err, stele.ErrNoVersion):
		return "`stele ls --versions BUCKET/KEY` lists the versions"
	case errors.Is(err, rpc.ErrWho):
		return "check STELE_ACCESS_KEY and STELE_SECRET_KEY"
	case errors.Is(err, rpc.ErrDenied):
		return "use a key of role admin; auditor may read"
	case errors.Is(err, fs.ErrPermission):
		return "run as the user who owns " + a.data()
	}
	return ""
}

// fail prints an error and its next step, each on a line, and returns the exit code.
func (a *app) fail(ctx context.Context, err error) int {
	if ctx.Err() != nil && !errors.Is(err, errPartial) && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", context.Canceled, err)
	}
	code := exitCode(err)
	message, hint := a.words(err)
	if a.cli.JSON {
		b, _ := json.Marshal(struct {
			V      int    `json:"v"`
			Error  string `json:"error"`
			Code   string `json:"code,omitempty"`
			Hint   string `json:"hint,omitempty"`
			ExitAs int    `json:"exit"`
		}{1, message, rpc.Codes(err), hint, code})
		fmt.Fprintf(a.stderr, "%s\n", b)
		return code
	}
	name := "stele"
	if code == exitUsage && a.verb != "" {
		name += " " + a.verb // which of the words was wrong is to be seen at once
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", name, message)
	if hint != "" {
		fmt.Fprintf(a.stderr, "  next: %s\n", hint)
	}
	return code
}

// words splits an error into one line that says what happened and one that says what to do.
func (a *app) words(err error) (message, hint string) {
	message, next := apart(err.Error())
	if errors.Is(err, context.Canceled) {
		message = "interrupted" // by the person who reads it: what broke off where is of no interest
	}
	hint = a.hintFor(err)
	defer func() {
		var s soFar
		if errors.As(err, &s) {
			message += "; " + s.done
		}
	}()
	switch {
	case errors.As(err, new(hinted)): // a hint that was chosen for it counts, and its text stays whole
		message = strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
	case errors.Is(err, context.Canceled):
	case next != "":
		hint = next
	}
	return strings.TrimSuffix(message, "."), strings.TrimSuffix(hint, ".")
}

// apart tells what is wrong from what to do about it: an error of the store may bring its own next step, as a sentence behind the first. Of several errors, a line each, all that is wrong comes first.
func apart(text string) (message, next string) {
	var said, steps []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if i := sentence(line); i > 0 && i+2 < len(line) {
			if c := line[i+2]; c == '`' || 'A' <= c && c <= 'Z' {
				if step := strings.ToLower(line[i+2:i+3]) + strings.TrimSuffix(line[i+3:], "."); !slices.Contains(steps, step) {
					steps = append(steps, step)
				}
				line = line[:i]
			}
		}
		said = append(said, strings.TrimSuffix(line, "."))
	}
	return strings.Join(said, "; "), strings.Join(steps, "; ")
}

// sentence is where the first sentence of a message ends; what stands in brackets are somebody else's words. -1: there is one only.
func sentence(message string) int {
	open := 0
	for i := range len(message) {
		switch message[i] {
		case '(':
			open++
		case ')':
			open--
		case '.':
			if open == 0 && strings.HasPrefix(message[i:], ". ") {
				return i
			}
		}
	}
	return -1
}

// errNoSource: a file that should be put is not there.
var errNoSource = errors.New("no such file")

// sourceError words what went wrong with a file on this side.
func sourceError(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", errNoSource, shown(pe.Path))
		}
		return fmt.Errorf("couldn't read %s: %w", shown(pe.Path), pe.Err)
	}
	return err
}
