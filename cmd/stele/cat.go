package main

import (
	"context"
	"fmt"
	"io"

	"stele"
	"stele/internal/rpc/client"
)

type catCmd struct {
	Objects   []string `arg:"" name:"bucket/key" help:"Objects, written one after the other."`
	At        string   `placeholder:"WHEN" help:"${at}"`
	VersionID string   `placeholder:"ID" help:"A version."`
	Range     string   `placeholder:"A-B" help:"Bytes, as in HTTP: 0-99, 100-, -100."`
}

func (c *catCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, o := range c.Objects {
		p, err := place(ctx, s, o, c.At, c.VersionID)
		if err != nil {
			return err
		}
		if _, err := copyOut(ctx, s, a.stdout, p, c.Range); err != nil {
			return err
		}
	}
	return nil
}

// copyOut writes an object, or a range of its bytes, to w.
func copyOut(ctx context.Context, s client.Store, w io.Writer, p stele.Place, ranged string) (stele.Version, error) {
	v, err := s.Head(ctx, p)
	if err != nil {
		return v, err
	}
	off, n, err := byteRange(ranged, v.Size)
	if err != nil {
		return v, err
	}
	r, err := s.OpenBody(ctx, v, off, n)
	if err != nil {
		return v, fmt.Errorf("couldn't read %s/%s: %w", p.Bucket, shown(p.Key), err)
	}
	defer r.Close()
	if _, err := io.Copy(w, r); err != nil {
		return v, fmt.Errorf("couldn't read %s/%s: %w", p.Bucket, shown(p.Key), err)
	}
	return v, nil
}

// byteRange reads a range as HTTP has it (RFC 9110, section 14.1.2), of an object of total bytes.
func byteRange(text string, total int64) (off, n int64, err error) {
	if text == "" {
		return 0, total, nil
	}
	bad := usage{fmt.Errorf("%q is no range: write 0-99, 100- or -100", text)}
	var from, to int64
	rest := ""
	switch {
	case scan(text, "-%d%s", &to, &rest) == 1 && to > 0:
		n = min(to, total)
		return total - n, n, nil
	case scan(text, "%d-%d%s", &from, &to, &rest) == 2 && to >= from:
		to++
	case scan(text, "%d-%s", &from, &rest) == 1 && text[len(text)-1] == '-':
		to = total
	default:
		return 0, 0, bad
	}
	if from < 0 || from >= total {
		return 0, 0, fmt.Errorf("%w: the object has %d bytes", stele.ErrBadRange, total)
	}
	return from, min(to, total) - from, nil
}

func scan(text, format string, args ...any) int {
	n, _ := fmt.Sscanf(text, format, args...)
	return n
}
