package admin

import (
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"stele"
	"stele/internal/guard"
	"stele/internal/rpc"
)

var (
	descLag         = desc("standby_lag_entries", "Entries that the primary had when it was last heard, and that are not accepted here yet.")
	descAccepted    = desc("standby_accepted_entries", "Entries accepted here.")
	descLastTaken   = desc("standby_last_accepted_timestamp_seconds", "When this standby last had everything of the primary's, or took something; 0: never.")
	descLastContact = desc("standby_last_contact_timestamp_seconds", "When the primary was last heard; 0: never.")
	descFrozen      = desc("standby_freezes_total", "Times that this standby refused the primary's history and froze: 0 or 1.")
)

// followMetrics are those of a standby.
type followMetrics struct{ f Follower }

func (c followMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLag, descAccepted, descLastTaken, descLastContact, descFrozen} {
		ch <- d
	}
}

func (c followMetrics) Collect(ch chan<- prometheus.Metric) {
	f := c.f.Following()
	frozen := 0.0
	if f.Frozen {
		frozen = 1
	}
	for d, v := range map[*prometheus.Desc]float64{descLag: float64(max(f.Primary, f.Accepted) - f.Accepted), descAccepted: float64(f.Accepted),
		descLastTaken: seconds(f.LastAccepted), descLastContact: seconds(f.LastContact)} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	ch <- prometheus.MustNewConstMetric(descFrozen, prometheus.CounterValue, frozen)
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// Follow adds a standby's own metrics.
func (m *Metrics) Follow(f Follower) { m.registry.MustRegister(followMetrics{f}) }

// Keyless serves what a standby without keys has to say: health, metrics, and over its socket and to nobody else where it stands.
func Keyless(f Follower, local bool, witness http.Handler) http.Handler {
	mux := http.NewServeMux()
	registry := prometheus.NewRegistry()
	registry.MustRegister(followMetrics{f})
	m := &Metrics{registry: registry}
	mux.HandleFunc("GET /healthz/live", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /healthz/ready", func(w http.ResponseWriter, r *http.Request) {
		if s := f.Following(); s.Frozen {
			http.Error(w, s.Err, http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /healthz/write", func(w http.ResponseWriter, r *http.Request) { writeHealth(w, stele.ErrStandby) })
	mux.Handle("GET /metrics", m.handler())
	if witness != nil {
		mux.Handle("POST /add-checkpoint", witness)
	}
	if local {
		mux.HandleFunc("POST "+rpc.Following.Row().Path(), func(w http.ResponseWriter, r *http.Request) { writeReply(w, f.Following(), nil) })
	}
	return patient(mux, guard.LeastRate)
}
