package main

import (
	"fmt"
	"time"

	"stele"
)

type clockDoc struct {
	Ledger string `json:"ledger"`
	Wall   string `json:"wall"`
	Held   bool   `json:"held"`
}

func clockDocOf(c *stele.ClockState) clockDoc {
	return clockDoc{momentOr(c.Ledger), momentOr(c.Wall), c.Held}
}

// clockState says that the ledger's clock is held, and what helps; empty while it follows the wall clock.
func clockState(c *stele.ClockState) string {
	if !c.Held {
		return ""
	}
	off, side := c.Wall.Sub(c.Ledger), "ahead of"
	next := "If this machine's clock is wrong, set it right. If it is right, the machine was off for long: the ledger's clock follows at a start of the machine, by 7 days in any 30"
	if off < 0 {
		off, side = -off, "behind"
		next = "If this machine's clock is wrong, set it right. If it is right, it was once ahead: the ledger's clock never goes back, and locks end that much later"
	}
	return fmt.Sprintf("held: this machine's clock is %s %s the ledger's (%s), by which entries are dated and locks end. Reads and writes go on. %s", off.Round(time.Second), side, moment(c.Ledger), next)
}
