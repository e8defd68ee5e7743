package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stele"
	"stele/entry"
	"stele/internal/rpc"
	"stele/internal/rpc/client"
)

type logCmd struct {
	Type   []string `placeholder:"TYPE" help:"Only these types: object.put, or a family: object.*"`
	Bucket string   `help:"Only this bucket."`
	Prefix string   `help:"Only keys that begin so."`
	Actor  string   `help:"Only what this access key did; local is the command line, local:USER one user of it."`
	Since  string   `placeholder:"WHEN" help:"From this moment on: ${when}; @N: from entry N on."`
	Until  string   `placeholder:"WHEN" help:"Up to this moment; the entries of the moment itself are included."`
	Last   int      `short:"n" placeholder:"N" help:"Only the last N that match."`
}

func (c *logCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	q, err := c.query(ctx, s)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	w := *a
	w.stdout = out
	if c.Last > 0 {
		err = c.last(ctx, s, q, &w)
	} else {
		err = s.Ledger().Log(ctx, q, func(e *entry.Entry) error { return printEntry(&w, e) })
	}
	return errors.Join(err, out.Flush())
}

// last prints the last entries that match. It looks backwards, further each time, so that it need not read a long ledger for its end.
func (c *logCmd) last(ctx context.Context, s client.Store, q stele.LogQuery, a *app) error {
	st, err := s.Stats(ctx)
	if err != nil {
		return err
	}
	low, high := q.From, st.Entries
	if q.To != 0 {
		high = min(high, q.To)
	}
	var found []entry.Entry
	for window := uint64(max(1000, 2*c.Last)); high > low && len(found) < c.Last; window *= 4 {
		q.From, q.To = max(low, high-min(high, window)), high
		var part []entry.Entry
		if err := s.Ledger().Log(ctx, q, func(e *entry.Entry) error {
			if part = append(part, *e); len(part) > 2*c.Last {
				part = slices.Delete(part, 0, len(part)-c.Last)
			}
			return nil
		}); err != nil {
			return err
		}
		found, high = append(part, found...), q.From
	}
	for i := max(0, len(found)-c.Last); i < len(found); i++ {
		if err := printEntry(a, &found[i]); err != nil {
			return err
		}
	}
	return nil
}

// query turns moments into ledger sizes: the ledger's clock decides what came first.
func (c *logCmd) query(ctx context.Context, s client.Store) (stele.LogQuery, error) {
	q := stele.LogQuery{Bucket: c.Bucket, Prefix: c.Prefix, Actor: c.Actor}
	for _, t := range c.Type {
		family, wild := strings.CutSuffix(t, "*")
		if !slices.ContainsFunc(entry.Types, func(known entry.Type) bool {
			return string(known) == t || wild && strings.HasPrefix(string(known), family)
		}) {
			return q, usage{fmt.Errorf("%q is no type of entry; there are %s", t, typeList())}
		}
		q.Types = append(q.Types, entry.Type(t))
	}
	for _, m := range []struct {
		flag, text string
		to         *uint64
	}{{"--since", c.Since, &q.From}, {"--until", c.Until, &q.To}} {
		if m.text == "" || m.text == "@0" {
			continue
		}
		v, err := viewAt(ctx, s, m.flag, m.text)
		switch {
		case m.to == &q.From && errors.Is(err, stele.ErrBeforeStore):
			continue // from before the first entry: all
		case err != nil:
			return q, err
		}
		*m.to = v.Size
	}
	return q, nil
}

func typeList() string {
	names := make([]string, len(entry.Types))
	for i, t := range entry.Types {
		names[i] = string(t)
	}
	return strings.Join(names, " ")
}

func printEntry(a *app, e *entry.Entry) error {
	if a.cli.JSON {
		l := rpc.LineOf(e)
		l.Salt = ""
		return a.document(l)
	}
	p := &e.Private
	_, err := fmt.Fprintf(a.stdout, "%8d  %s  %-16s  %-20s  %s\n", e.Index, moment(e.Time), e.Type, who(p.Actor), about(e.Type, p))
	return err
}
