package main

import (
	"net"

	"stele/internal/admin"
	"stele/internal/config"
	"stele/internal/guard"
	"stele/internal/node"
)

// Bounds of connections. Each costs a file descriptor, and what the store needs itself must not be among what strangers can take.
const (
	reserveFiles   = 1024 // file descriptors that are the store's: index, packs, segments, targets
	maxDoor        = 16_384
	maxPort        = 1024
	maxSocket      = 256
	leastOfEach    = 4
	unlimitedFiles = 1 << 20
)

// connectionLimits shares out what is left of the limit of open files among the listeners; wanted is what is configured for the S3 door, 0: as many as go.
func connectionLimits(files uint64, wanted int) (door, port, socket int) {
	if files == 0 || files > unlimitedFiles {
		files = unlimitedFiles
	}
	left := int(files) - min(reserveFiles, int(files)/2)
	door = left / 4 * 3
	if wanted == 0 {
		wanted = maxDoor
	}
	return max(leastOfEach, min(door, wanted)), max(leastOfEach, min(left/8, maxPort)), max(leastOfEach, min(left/8, maxSocket))
}

// bound makes the bound of a listener's connections.
func (s *server) bound(l net.Listener) *guard.Connections {
	door, port, socket := connectionLimits(openFilesLimit(), s.cfg.MaxConnections)
	c := &guard.Connections{Name: "s3", Limit: door, Log: &guard.Repeats{Log: s.log}}
	switch l {
	case s.port:
		c.Name, c.Limit = "admin", port
	case net.Listener(s.socket):
		c.Name, c.Limit = "socket", socket
	default:
		if s.cfg.MaxConnections > door {
			s.log.Warn("max-connections is more than the limit of open files allows. Raise that (ulimit -n, LimitNOFILE=)", "max-connections", s.cfg.MaxConnections, "allowed", door, "open_files", openFilesLimit())
		}
	}
	s.log.Debug("connections are bounded", "listener", c.Name, "limit", c.Limit)
	s.bounds = append(s.bounds, c)
	if s.metrics != nil {
		s.metrics.Connections(c)
	}
	return c
}

// newMetrics makes the metrics of a store, with those of the listeners that there are already.
func (s *server) newMetrics(store *node.Node) *admin.Metrics {
	m := admin.NewMetrics(store)
	for _, c := range s.bounds {
		m.Connections(c)
	}
	if s.certs != nil {
		m.Certificate(s.certs.expires)
	}
	return m
}

// leastRate is how slowly a body may come, in bytes a second; below 0: any rate will do.
func (s *server) leastRate() int64 {
	least, _ := config.Rate(s.cfg.LeastRate) // checked already
	if least == 0 {
		return -1
	}
	return least
}
