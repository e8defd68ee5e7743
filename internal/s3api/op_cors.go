package s3api

import (
	"errors"
	"net/http"

	"stele"
	"stele/internal/s3api/s3err"
)

func (c *call) getBucketCors() error { return c.show(stele.SettingCORS, s3err.ErrNoSuchCORS) }

func (c *call) putBucketCors() error {
	doc, err := c.readDocument(MaxConfigBytes, false)
	if err != nil {
		return err
	}
	rules, err := DecodeCORS(doc)
	if err != nil {
		return err
	}
	return c.keep(stele.SettingCORS, AppendCORS(nil, rules), http.StatusOK)
}

func (c *call) deleteBucketCors() error { return c.drop(stele.SettingCORS) }

// corsRules are the bucket's; nil: none.
func (c *call) corsRules() ([]CORSRule, error) {
	text := c.b.Settings[stele.SettingCORS]
	if text == "" {
		return nil, nil
	}
	return c.corsets.get(text, DecodeCORS)
}

// setCORS lets a browser show the reply to its page, if the bucket's rules say so. A request that names the method it asks for, as preflights
// do, is judged like one, but not refused.
func (c *call) setCORS() error {
	if c.b.Settings[stele.SettingCORS] == "" {
		return nil
	}
	// Whatever the origin, and without one: a cache must not show a page what was answered to another one, or to nobody.
	c.w.Header()["Vary"] = []string{corsVary}
	if c.r.Header["Origin"] == nil {
		return nil
	}
	rules, err := c.corsRules()
	if err != nil || rules == nil {
		return err
	}
	headers := CORSHeaders(c.r, rules)
	if c.r.Header["Access-Control-Request-Method"] != nil && c.r.Header["Origin"] != nil {
		if headers, err = Preflight(c.r, rules); errors.Is(err, s3err.ErrBadRequest) {
			return err
		}
	}
	for name, values := range headers {
		c.w.Header()[name] = values
	}
	return nil
}

// preflight answers a browser's question before the request itself. It is not signed.
func (c *call) preflight() error {
	if c.q.Bucket == "" {
		return s3err.MethodNotAllowed(http.MethodOptions, "SERVICE")
	}
	var rules []CORSRule // nobody has proven a key yet, so a bucket or a view that is not there is answered as a bucket without rules
	name, at, err := c.viewOf(c.q.Bucket)
	if err == nil {
		c.b, err = c.store.Bucket(c.ctx, name, at)
	}
	if err == nil {
		rules, err = c.corsRules()
	} else if errors.Is(err, stele.ErrNoBucket) || errors.As(err, new(*s3err.Error)) {
		err = nil
	}
	if err != nil {
		return err
	}
	allowed, err := Preflight(c.r, rules)
	if err != nil {
		return err
	}
	h := c.w.Header()
	for n, v := range allowed {
		h[n] = v
	}
	return c.reply(http.StatusOK)
}
