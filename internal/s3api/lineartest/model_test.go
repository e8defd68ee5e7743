package lineartest

import (
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"
)

// keysPerGroup is small, so that clients meet. A listing shows a whole group: it must be a moment, not a stroll.
const keysPerGroup = 3

// state is a group of keys: the ETag of each, "" where there is no object.
type state [keysPerGroup]string

type verb uint8

const (
	put verb = iota
	get
	del
	list
)

func (v verb) String() string { return [...]string{"put", "get", "del", "list"}[v] }

// input is what was asked.
type input struct {
	verb  verb
	group int
	key   int
	etag  string // of the body that is put; unlike any other
	match string // If-Match
	fresh bool   // If-None-Match: *
}

type outcome uint8

const (
	done    outcome = iota // 200, 204
	missing                // 404
	refused                // 412
	unknown                // no answer: the server was killed, before or after the commit
)

func (o outcome) String() string { return [...]string{"done", "missing", "refused", "unknown"}[o] }

// output is what was answered.
type output struct {
	outcome outcome
	etag    string // of what get read
	all     state  // what list showed
}

// model is S3 as AWS documents it, for one group. A write without an answer has happened or has not, until the server's end.
var model = (&porcupine.NondeterministicModel{
	Partition: byGroup,
	Init:      func() []any { return []any{state{}} },
	Step: func(st, in, out any) []any {
		before, asked, got := st.(state), in.(input), out.(output)
		after, want := apply(before, asked)
		if got.outcome == unknown {
			return []any{before, after}
		}
		if !slices.Contains(want, got.outcome) || asked.verb == get && got.outcome == done && got.etag != before[asked.key] || asked.verb == list && got.all != before {
			return nil
		}
		return []any{after}
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	DescribeState:     func(st any) string { return fmt.Sprint(st) },
}).ToModel()

// apply gives the state after an operation, and the outcomes that it may have.
func apply(s state, in input) (state, []outcome) {
	now := s[in.key]
	switch {
	case in.verb == list:
		return s, []outcome{done}
	case in.verb == get && now == "":
		return s, []outcome{missing}
	case in.verb == get:
		return s, []outcome{done}
	case in.match != "" && now == "" && in.verb == del:
		return s, []outcome{missing, refused} // refused where a delete marker is current
	case in.match != "" && now == "":
		return s, []outcome{missing}
	case in.match != "" && now != in.match, in.fresh && now != "":
		return s, []outcome{refused}
	}
	s[in.key] = in.etag // of a delete: ""
	return s, []outcome{done}
}

func byGroup(history []porcupine.Operation) [][]porcupine.Operation {
	groups := map[int][]porcupine.Operation{}
	for _, op := range history {
		g := op.Input.(input).group
		groups[g] = append(groups[g], op)
	}
	var out [][]porcupine.Operation
	for _, ops := range groups {
		out = append(out, ops)
	}
	return out
}
