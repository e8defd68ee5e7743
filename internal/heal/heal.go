// Package heal replaces a damaged file by a proven copy. That is the only way in which a sealed file is ever written again. The caller knows what the file must be
// (the SHA-256 of a pack.seal entry, a chain of leaves and signed roots) and proves it; this package makes sure that nothing unproven takes the name, and that only one heal of a file runs at a time.
// A copy is trusted only after that proof.
//
// The damaged file is not kept. What it was is the proven file plus the difference between the two, and the difference is what a Healed says: where the first and the last
// wrong byte were, how many were wrong, the wrong bytes themselves where they are few, the damaged file's own SHA-256. That goes into a ledger entry, so that an auditor can tell a bit
// that rotted from an edit, without a folder of damaged files that a dying disk would fill.
package heal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"stele/entry"
	"stele/internal/engine"
)

// ErrUnproven: a copy is not the file that it should be.
var ErrUnproven = errors.New("the copy does not prove itself")

// Healed is a file that was replaced.
type Healed struct {
	Name  string // of the file
	From  string // the copy's name
	What  string // what was wrong
	Bytes int64  // of the proven file
	Difference
}

// Difference tells a damaged file from the proven one.
type Difference struct {
	WasBytes    int64      // length of the damaged file; -1: it was gone
	WasSHA256   entry.Hash // zero where it was gone or could not be read
	Wrong       int64      // bytes that differed or could not be read, of those that both have
	First, Last int64      // offsets of the first and the last of them
	Was         []byte     // the damaged bytes from First on, up to Last, at most maxWas
}

const maxWas = 64

// Data is the difference in the words of a heal entry.
func (h *Healed) Data() map[string]string {
	data := map[string]string{"from": h.From, "bytes": strconv.FormatInt(h.Bytes, 10)}
	if h.WasBytes < 0 {
		data["was"] = "gone"
		return data
	}
	data["was-bytes"] = strconv.FormatInt(h.WasBytes, 10)
	if h.WasSHA256 != (entry.Hash{}) {
		data["was-sha256"] = h.WasSHA256.String()
	}
	data["wrong"] = strconv.FormatInt(h.Wrong, 10)
	if h.Wrong > 0 {
		data["wrong-first"], data["wrong-last"] = strconv.FormatInt(h.First, 10), strconv.FormatInt(h.Last, 10)
		data["wrong-was"] = hex.EncodeToString(h.Was)
	}
	return data
}

// Replace puts from's file in the place of e's file of that name, if its first to last byte have the SHA-256 that proven accepts, and says how the two differed.
// Any error leaves the file that was there: ErrUnproven (proven's refusal, another length), engine.ErrFull, engine.ErrFailed, what reading the copy said.
func Replace(ctx context.Context, e engine.Engine, name string, size int64, from engine.Engine, proven func(sum entry.Hash) error) (Difference, error) {
	f, err := from.Open(ctx, name)
	if err != nil {
		return Difference{}, err
	}
	defer f.Close()
	if f.Size() != size {
		return Difference{}, fmt.Errorf("%d bytes, should be %d: %w", f.Size(), size, ErrUnproven)
	}
	return ReplaceWith(ctx, e, name, f, proven)
}

// ReplaceWith is Replace with a file that is at hand: one that was made again of several.
func ReplaceWith(ctx context.Context, e engine.Engine, name string, f engine.File, proven func(sum entry.Hash) error) (Difference, error) {
	to, ok := e.(engine.Replacer)
	if !ok {
		return Difference{}, fmt.Errorf("couldn't replace %s: the engine replaces nothing", name)
	}
	size := f.Size()
	r := &prover{from: io.NewSectionReader(f, 0, size), sum: sha256.New(), proven: proven, diff: Difference{WasBytes: -1}, wasSum: sha256.New()}
	if was, err := e.Open(ctx, name); err == nil {
		defer was.Close()
		r.was, r.diff.WasBytes = was, was.Size()
	}
	if err := to.Replace(ctx, name, size, r); err != nil {
		return Difference{}, err
	}
	return r.difference(), nil
}

// prover yields the copy's bytes, and its end only if they proved themselves. It compares them with the damaged file on the way.
type prover struct {
	from   io.Reader
	sum    hash.Hash
	proven func(entry.Hash) error

	was    engine.File // nil: gone
	wasSum hash.Hash
	unread bool // a part of it could not be read
	at     int64
	buf    []byte
	diff   Difference
}

func (p *prover) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.sum.Write(b[:n])
	p.compare(b[:n])
	if err == io.EOF {
		if why := p.proven(entry.Hash(p.sum.Sum(nil))); why != nil {
			return n, fmt.Errorf("%w: %w", ErrUnproven, why)
		}
	}
	return n, err
}

// compare notes where the damaged file has other bytes than the copy.
func (p *prover) compare(good []byte) {
	off := p.at
	p.at += int64(len(good))
	if p.was == nil || len(good) == 0 || off >= p.was.Size() {
		return
	}
	good = good[:min(int64(len(good)), p.was.Size()-off)]
	if cap(p.buf) < len(good) {
		p.buf = make([]byte, len(good))
	}
	bad := p.buf[:len(good)]
	if n, err := p.was.ReadAt(bad, off); n < len(bad) && err != nil {
		p.unread = true
		clear(bad[n:])
		p.note(off+int64(n), off+int64(len(bad))-1, int64(len(bad)-n), nil)
		bad, good = bad[:n], good[:n]
	}
	p.wasSum.Write(bad)
	if bytes.Equal(bad, good) {
		return
	}
	for i := range bad {
		if bad[i] != good[i] {
			p.note(off+int64(i), off+int64(i), 1, bad[i:i+1])
		} else if d := &p.diff; len(d.Was) > 0 && len(d.Was) < maxWas && d.First+int64(len(d.Was)) == off+int64(i) {
			d.Was = append(d.Was, bad[i]) // between two that differ; cut off behind the last
		}
	}
}

func (p *prover) note(first, last, n int64, was []byte) {
	d := &p.diff
	if d.Wrong == 0 {
		d.First = first
	}
	if len(d.Was) < maxWas && d.First+int64(len(d.Was)) == first {
		d.Was = append(d.Was, was...)
	}
	d.Wrong, d.Last = d.Wrong+n, last
}

func (p *prover) difference() Difference {
	d := p.diff
	if p.was == nil {
		return d
	}
	if keep := d.Last - d.First + 1; int64(len(d.Was)) > keep {
		d.Was = d.Was[:keep]
	}
	if rest := p.was.Size() - p.at; rest > 0 && !p.unread {
		if _, err := io.Copy(p.wasSum, io.NewSectionReader(p.was, p.at, rest)); err != nil {
			p.unread = true
		}
	}
	if !p.unread {
		d.WasSHA256 = entry.Hash(p.wasSum.Sum(nil))
	}
	return d
}

// Joined joins what each copy said, on one line.
func Joined(errs []error) error {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return &joined{strings.Join(texts, "; "), errs}
}

type joined struct {
	text string
	errs []error
}

func (j *joined) Error() string   { return j.text }
func (j *joined) Unwrap() []error { return j.errs }
