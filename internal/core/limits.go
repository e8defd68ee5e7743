package core

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"stele/entry"
)

const maxReason = 500

// Reason makes of an error what an entry can hold.
func Reason(text string) string {
	text = strings.ToValidUTF8(text, "?")
	for len(text) > maxReason {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// SomeTime stands for any time: all take the same room.
var SomeTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// someClock stands for any state of the ledger's clock: none is longer.
var someClock = entry.Clock{Boot: strings.Repeat("0", 32), Jumped: SomeTime, Mono: entry.MaxInt, Run: SomeTime, Spent: entry.MaxInt, Until: entry.MaxInt}

// Valid refuses what can't be an entry: ErrTooLarge, or ErrBadName for what is not UTF-8. It leaves room for what the ledger adds: the wall time while the
// clocks differ, and the state of its own clock. An entry that is refused after it was folded would leave the index one entry ahead, and nothing could be written any more.
func Valid(p *entry.Private) error {
	full := *p
	full.Wall, full.Clock = SomeTime, &someClock
	err := full.Validate()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, entry.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return OfKind(err, ErrBadName)
}
