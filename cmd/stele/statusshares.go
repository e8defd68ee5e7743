package main

import (
	"fmt"
	"strings"

	"stele"
	"stele/internal/shares"
)

// shareLines is how many sets a person is shown; --json has all.
const shareLines = 3

// printShares says of each set of recovery shares when each share was last proven.
func printShares(a *app, sets []stele.ShareSet) {
	for i := range sets {
		if i == shareLines {
			a.say("shares   and %s: --json lists them", count(len(sets)-i, "older set"))
			return
		}
		a.say("shares   %s", sharesState(&sets[i]))
	}
}

// sharesState is the line of a set: shares of one day are named together, and those that nobody ever read back come last.
func sharesState(set *stele.ShareSet) string {
	days, never := map[string][]int{}, []int(nil)
	var order, parts []string
	for i, at := range set.Proven {
		if at.IsZero() {
			never = append(never, i+1)
			continue
		}
		day := at.UTC().Format("2006-01-02")
		if days[day] == nil {
			order = append(order, day)
		}
		days[day] = append(days[day], i+1)
	}
	for _, day := range order {
		parts = append(parts, shares.Numbers(days[day])+" proven "+day)
	}
	if len(never) > 0 {
		parts = append(parts, shares.Numbers(never)+" never proven: `stele kit check FILE`")
	}
	text := fmt.Sprintf("set %s, %d shares, any %d: %s", set.Set[:8], len(set.Proven), set.Any, strings.Join(parts, "; "))
	if !set.Opens {
		text += ". They open the copies made before the last rotation of keys only: split the newer kit too"
	}
	return text
}

// shareSetDocs are the sets for a program.
func shareSetDocs(sets []stele.ShareSet) []map[string]any {
	docs := make([]map[string]any, 0, len(sets))
	for i := range sets {
		s := &sets[i]
		proven := make([]string, len(s.Proven))
		for j, at := range s.Proven {
			proven[j] = momentOr(at)
		}
		docs = append(docs, map[string]any{"set": s.Set, "noted": moment(s.Noted), "shares": len(s.Proven), "any": s.Any, "proven": proven, "opens": s.Opens})
	}
	return docs
}
