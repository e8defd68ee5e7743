package s3api

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"stele"
	"stele/internal/s3api/s3err"
)

// minioBucket is the name below which MinIO has its own pages. A bucket of that name is served like any other.
const minioBucket = "minio"

// minio answers what tools made for MinIO ask of every server: whether it is up (mc ready, health checks), to anyone; and that there is no such interface for the rest. done is false for a request that
// is about a bucket.
func (c *call) minio() (done bool, err error) {
	health, isHealth := strings.CutPrefix(c.q.Key, "health/")
	if c.q.Bucket != minioBucket || c.q.VirtualHost || !isHealth && !strings.HasPrefix(c.q.Key, "admin/") {
		return false, nil
	}
	if _, err := c.store.Bucket(c.ctx, minioBucket, stele.View{}); err == nil || !errors.Is(err, stele.ErrNoBucket) {
		return false, nil
	}
	if !isHealth {
		return true, s3err.ErrNotImplemented.Msg("This is a Stele server. It has no admin API of MinIO's, and mc admin does not work with it: its command line, stele, does all of that, with --server from another machine.")
	}
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return true, s3err.MethodNotAllowed(c.r.Method, "HEALTH")
	}
	switch health {
	case "live", "cluster/read":
		return true, c.reply(http.StatusOK)
	case "ready", "cluster":
		err := c.store.Failed()
		if err == nil && !c.store.ReadOnly() {
			err = c.store.Room()
		}
		err = cmp.Or(err, c.store.Stuck())
		if err != nil {
			return true, c.reply(http.StatusServiceUnavailable)
		}
		return true, c.reply(http.StatusOK)
	}
	return true, s3err.NoSuchKey(c.q.Key)
}
