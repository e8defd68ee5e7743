package main

import (
	"context"
	"fmt"
	"strings"

	"stele"
	"stele/internal/rpc/client"
)

type historyCmd struct {
	Object string `arg:"" name:"bucket/key" help:"The object."`
}

type changeDoc struct {
	V       int    `json:"v"`
	Entry   uint64 `json:"entry"`
	Time    string `json:"time"`
	Type    string `json:"type"`
	Actor   string `json:"actor"`
	Address string `json:"address,omitempty"`
	Request string `json:"request,omitempty"`
	Version string `json:"version"`
	Marker  bool   `json:"marker,omitempty"`
	Hidden  bool   `json:"hidden,omitempty"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256,omitempty"`
	ETag    string `json:"etag,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func (c *historyCmd) Run(ctx context.Context, a *app) error {
	bucket, key, err := object(c.Object)
	if err != nil {
		return err
	}
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if a.cli.JSON {
		return eachChange(ctx, s, bucket, key, func(h *stele.Change) error {
			return a.document(changeDoc{1, h.Entry, h.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), string(h.Type), h.Actor, h.Address, h.Request, h.Version, h.Marker, h.Hidden, h.Size, h.SHA256, h.ETag, h.Detail, h.Reason})
		})
	}
	t := a.table("ENTRY", "TIME", "CHANGE", "SIZE", "BY", "FROM", "VERSION", "SHA-256")
	err = eachChange(ctx, s, bucket, key, func(h *stele.Change) error {
		bytes, sum := "-", "-"
		if h.SHA256 != "" {
			bytes, sum = size(h.Size), h.SHA256[:16]
		}
		t.row(fmt.Sprint(h.Entry), moment(h.Time), changeText(h), bytes, who(h.Actor), who(h.Address), h.Version, sum)
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.end(); err != nil {
		return err
	}
	if remark := goneRemark(ctx, s, bucket); remark != "" {
		a.note("%s", remark)
	}
	return nil
}

// historyPage is how many changes of a key are asked for at once.
const historyPage = 1000

// eachChange calls fn for each change of a key, newest first.
func eachChange(ctx context.Context, s client.Listing, bucket, key string, fn func(*stele.Change) error) error {
	for q, more := (stele.HistoryRequest{Bucket: bucket, Key: key, Max: historyPage}), true; more; {
		page, next, err := s.History(ctx, q)
		if err != nil {
			return err
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
			q.Before = page[i].Entry
		}
		more = next && len(page) > 0
	}
	return nil
}

// changeText says what a change did.
func changeText(h *stele.Change) string {
	var words []string
	switch {
	case h.Marker:
		words = append(words, "hide (marker)")
	case strings.HasSuffix(string(h.Type), ".hide"):
		words = append(words, "hide")
	default:
		words = append(words, strings.TrimPrefix(string(h.Type), "object."))
		if h.Detail != "" {
			words = append(words, shown(h.Detail))
		}
	}
	if h.Reason != "" {
		words = append(words, "("+shown(h.Reason)+")")
	}
	if h.Hidden {
		words = append(words, "[hidden]")
	}
	return strings.Join(words, " ")
}
