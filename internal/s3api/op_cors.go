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

// corsRules are the bucket's; nil: none. Those of today count for its views too: whom the owner does not trust any more reads nothing of the past either, and preflights, which need no key, tell nothing of it.
func (c *call) corsRules() ([]CORSRule, error) {
	b := &c.b
	if !c.at.Now() || c.q.Op == OpPreflight {
		now, err := c.store.Bucket(c.ctx, ofView(c.q.Bucket), stele.View{})
		if err != nil {
			if errors.Is(err, stele.ErrNoBucket) || errors.Is(err, stele.ErrBadName) {
				err = nil
			}
			return nil, err
		}
		b = &now
	}
	text := b.Settings[stele.SettingCORS]
	if text == "" {
		return nil, nil
	}
	return c.corsets.get(text, DecodeCORS)
}

// setCORS lets a browser show the reply to its page, if the bucket's rules say so. A request that names the method it asks for, as preflights
// do, is judged like one, but not refused.
func (c *call) setCORS() error {
	rules, err := c.corsRules()
	if err != nil || rules == nil {
		return err
	}
	// Whatever the origin, and without one: a cache must not show a page what was answered to another one, or to nobody.
	c.w.Header()["Vary"] = []string{corsVary}
	if c.r.Header["Origin"] == nil {
		return nil
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
	rules, err := c.corsRules() // nobody has proven a key yet: a bucket that is not there is answered as one without rules, and whether there is a view is not looked at
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
