package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// document prints v, which has its "v":1, as one line of JSON.
func (a *app) document(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// say prints a remark for people: not with --json, not with --quiet.
func (a *app) say(format string, args ...any) {
	if !a.cli.JSON && !a.cli.Quiet {
		fmt.Fprintf(a.stdout, format+"\n", args...)
	}
}

// note prints a remark beside the output.
func (a *app) note(format string, args ...any) {
	if !a.cli.Quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// warn reports something that could not be done while the rest goes on. --quiet does not silence it.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.stderr, "stele: "+format+"\n", args...)
}

// table prints rows under a heading. It holds them all: for many rows print lines.
type table struct {
	w *tabwriter.Writer
}

func (a *app) table(head ...string) *table {
	t := &table{tabwriter.NewWriter(a.stdout, 0, 4, 2, ' ', 0)}
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t *table) end() error { return t.w.Flush() }

// isTerminal reports whether w is one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours are used on terminals unless NO_COLOR is set (no-color.org).
func (a *app) bold(s string) string {
	if !isTerminal(a.stdout) || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// shown makes a name safe to print: what is not printable, and what would move the cursor, is quoted. A name is anything a client sent.
func shown(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	if strings.HasPrefix(s, `"`) || s == "" {
		return strconv.Quote(s)
	}
	return s
}

// size prints bytes for people.
func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if f /= 1024; f < 999.95 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// count prints a number with its noun: 1 file, 2 files.
func count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(uint64(n)) + " " + noun + "s"
}

func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// moment prints a time: UTC, seconds.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// logger shows the store's warnings in the way of the command line.
func (a *app) logger() *slog.Logger { return slog.New(&lineLog{w: a.stderr, quiet: a.cli.Quiet}) }

type lineLog struct {
	w     io.Writer
	quiet bool
	attrs string
}

func (l *lineLog) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError || level >= slog.LevelWarn && !l.quiet
}

func (l *lineLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("stele: " + r.Message + l.attrs)
	r.Attrs(func(at slog.Attr) bool { b.WriteString(attr(at)); return true })
	_, err := io.WriteString(l.w, b.String()+"\n")
	return err
}

func attr(at slog.Attr) string { return fmt.Sprintf(", %s: %s", at.Key, at.Value) }

func (l *lineLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	for _, at := range attrs {
		c.attrs += attr(at)
	}
	return &c
}

func (l *lineLog) WithGroup(string) slog.Handler { return l }

func trim(b []byte) string { return string(bytes.TrimSpace(b)) }

// who prints an actor or an address: what a client called itself, or what the system calls a user.
func who(s string) string {
	if s == "" {
		return "-"
	}
	return shown(s)
}

// ask puts a question to the person at the terminal; asked is false where there is none.
func (a *app) ask(question string) (yes, asked bool, err error) {
	in, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(a.stderr) || !term.IsTerminal(int(in.Fd())) || a.cli.JSON {
		return false, false, nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, true, fmt.Errorf("couldn't read the answer: %w", err)
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", true, nil
}

// shellWord writes a word as a shell takes it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// input opens a file that is named on the command line; - is standard input.
func (a *app) input(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, sourceError(err)
	}
	return f, nil
}
