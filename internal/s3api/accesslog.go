package s3api

import (
	"log/slog"
	"net/http"
	"time"

	"stele/internal/s3api/auth"
)

// Answer is what was answered to a request.
type Answer struct {
	Op     string        // the operation's name
	Status int           // of HTTP
	Took   time.Duration // from the request's header to the end of the answer
	Sent   int64         // bytes of the body
}

// AccessLine is the message of the log's line for each request.
const AccessLine = "s3"

// maxReason bounds what an access line repeats of an error's message, which may hold what a client sent, in bytes.
const maxReason = 200

// logLine logs the request. key is the access key that was proven; what a request only claims, because it failed before or by its signature, is claimed_key.
func (c *call) logLine(took time.Duration) {
	attrs := []slog.Attr{slog.String("id", c.id), slog.String("op", c.q.Op.String()), slog.Int("status", c.status), slog.Duration("took", took.Round(time.Microsecond)),
		slog.String("key", c.by.Key), slog.String("from", clientAddress(c.r)), slog.Int64("sent", c.sent)}
	if claimed := c.claimed(); claimed != "" {
		attrs = append(attrs, slog.String("claimed_key", claimed))
	}
	if c.q.Bucket != "" {
		attrs = append(attrs, slog.String("bucket", c.q.Bucket))
	}
	if c.q.Key != "" {
		attrs = append(attrs, slog.String("object", c.q.Key))
	}
	if e := c.failed; e != nil {
		attrs = append(attrs, slog.String("code", e.Code))
		if e.Status != http.StatusNotFound && e.Status != http.StatusNotModified { // the code says it all
			attrs = append(attrs, slog.String("reason", e.Message[:min(len(e.Message), maxReason)]))
		}
	}
	c.log.LogAttrs(c.ctx, slog.LevelInfo, AccessLine, attrs...)
}

// claimed is the id of the access key that the request names, if it has proven none.
func (c *call) claimed() string {
	if c.by.Key != "" {
		return ""
	}
	return auth.ClaimedKey(c.r.Header, c.q.Query, c.claim.id)
}
