package admin

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"stele"
	"stele/internal/guard"
	"stele/internal/node"
	"stele/internal/s3api"
)

// Metrics are what /metrics shows: counters, sizes and timestamps, never booleans. An alert compares a timestamp with now.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	sent     prometheus.Counter
	store    storeMetrics
}

// NewMetrics makes the metrics of a store.
func NewMetrics(s *node.Node) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stele_s3_requests_total", Help: "S3 requests answered."}, []string{"op", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "stele_s3_request_duration_seconds", Help: "From the request's header to the end of the answer.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5, 30}}, []string{"op"}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{Name: "stele_s3_sent_bytes_total", Help: "Bytes of S3 answers."}),
	}
	m.store.store.Store(s)
	m.registry.MustRegister(m.requests, m.seconds, m.sent, &m.store,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Connections adds those of a listener.
func (m *Metrics) Connections(c *guard.Connections) {
	label := prometheus.Labels{"listener": c.Name}
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stele_connections", Help: "Connections that are open.", ConstLabels: label}, func() float64 { return float64(c.Open()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stele_connections_limit", Help: "Connections that may be open.", ConstLabels: label}, func() float64 { return float64(c.Limit) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "stele_connections_refused_total", Help: "Connections closed at once because there were too many.", ConstLabels: label}, func() float64 { return float64(c.Refused()) }))
}

// Certificate adds when the certificate in use expires.
func (m *Metrics) Certificate(expires func() time.Time) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stele_certificate_expires_timestamp_seconds", Help: "When the TLS certificate in use expires."},
		func() float64 { return timestamp(expires()) }))
}

// Answered counts an answer of the S3 door.
func (m *Metrics) Answered(a s3api.Answer) {
	m.requests.WithLabelValues(a.Op, strconv.Itoa(a.Status)).Inc()
	m.seconds.WithLabelValues(a.Op).Observe(a.Took.Seconds())
	m.sent.Add(float64(max(a.Sent, 0)))
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Moved lets the metrics be those of another store, which took the place of the first.
func (m *Metrics) Moved(s *node.Node) { m.store.store.Store(s) }

// storeMetrics asks the store when it is scraped. Adding the files up lists two folders, so that is done once in a while.
type storeMetrics struct {
	store atomic.Pointer[node.Node]
	mu    sync.Mutex
	stats stele.Stats
	taken time.Time
}

const statsFor = 10 * time.Second

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("stele_"+name, help, nil, nil)
}

var (
	descInfo     = prometheus.NewDesc("stele_info", "The store; its value is 1.", []string{"store"}, nil)
	descLedger   = desc("ledger_size", "Entries in the ledger.")
	descObjects  = desc("objects", "Current objects.")
	descBytes    = desc("logical_bytes", "Bytes of current objects.")
	descVersions = desc("versions_total", "Versions ever put.")
	descPut      = desc("put_bytes_total", "Bytes of all versions ever put.")
	descHidden   = desc("hidden_bytes", "Bytes of versions that left the S3 view and are kept.")
	descBuckets  = desc("buckets", "Buckets.")
	descStored   = desc("stored_bytes", "Bytes of segments and packs on disk.")
	descIndex    = desc("index_bytes", "Bytes of the index on disk; it can be deleted.")
	descPacks    = desc("packs", "Sealed packs.")
	descSegments = desc("segments", "Sealed segments.")
	descFailures = desc("storage_failures_total", "Storage failures that ended writing in this process: 0 or 1.")
	descKit      = desc("kit_confirmed_timestamp_seconds", "When the recovery kit was last read back; 0: never.")
	descOldest   = desc("scrub_oldest_verified_timestamp_seconds", "No stored byte has gone unverified since then; 0: not known, or the scrub is off.")
	descRound    = desc("scrub_round_timestamp_seconds", "When the last round of the scrub was finished; 0: never.")
	descUnhealed = desc("scrub_unhealed_files", "Files that are known to be damaged and were not healed, whoever met that: a read, the scrub, a verification, shipping. Kept in the ledger.")
	descFailing  = desc("files_healed_again", "Files that were healed more than once within 30 days: the disk is failing.")
	descHides    = desc("hide_burst_objects", "Objects hidden in bursts by one key that nobody has looked at: see stele status.")
	descHidesAt  = desc("hide_burst_began_timestamp_seconds", "When the oldest of these bursts began; 0: there is none.")
	descNoTarget = desc("backup_promoted_from_no_target", "1: the store was promoted from a backup that is no target of it, so that nothing is shipped there; stele status says how to add it.")
	descFill     = desc("hydration_left_bytes", "Bytes of the backup that is served that its folder has not got yet.")
	descLedgerAt = desc("ledger_clock_timestamp_seconds", "The ledger's clock, by which entries are dated and locks end. It is held while it and this machine's clock are more than 10 minutes apart.")
	descDiskFree = desc("disk_free_bytes", "What is free on the disk that holds the store; the last disk_reserved_bytes of it are for the ledger.")
	descReserved = desc("disk_reserved_bytes", "With less than this free, writes of objects are refused.")
	descFails    = prometheus.NewDesc("stele_failing_since_timestamp_seconds", "Since when work beside requests fails, by its kind and what it works on. What is well is not there.", []string{"work", "of"}, nil)
	descCosigned = prometheus.NewDesc("stele_witness_cosigned_timestamp_seconds", "When the witness last cosigned a checkpoint; 0: never.", []string{"witness"}, nil)
	descAsked    = prometheus.NewDesc("stele_witness_asked_timestamp_seconds", "When the witness was first asked to cosign.", []string{"witness"}, nil)
	descClock    = desc("clock_timestamp_seconds", "This machine's clock, to be compared with the scraper's.")
)

// Of each target.
var (
	descRestorable = targetDesc("backup_last_restorable_timestamp_seconds", "Time of the newest entry that can be restored from the target, as last known where it is not reached; 0: none, or not known yet.")
	descShipped    = targetDesc("backup_last_shipment_timestamp_seconds", "When the last shipment to the target ended; 0: none in this process.")
	descBehind     = targetDesc("backup_behind_entries", "Entries that can't be restored from the target yet.")
	descShippedB   = targetDesc("backup_shipped_bytes_total", "Bytes shipped to the target in this process.")
	descErrSince   = targetDesc("backup_error_since_timestamp_seconds", "Since when the target can't be shipped to; 0: all is well.")
	descDrill      = targetDesc("backup_last_drill_timestamp_seconds", "When a restore from the target was last proven, by a drill that passed; 0: never.")
	descDrillBad   = targetDesc("backup_drill_failing_since_timestamp_seconds", "Of the first drill of the target that failed since one passed; 0: the newest has passed, or there was none.")
	descLacking    = targetDesc("backup_lacking_files", "Files that could not be shipped to the target because they are damaged here.")
	descLoss       = targetDesc("backup_last_loss_timestamp_seconds", "When the target was last found to have lost files that were shipped to it; 0: never. What was drilled before it proves nothing.")
	descListed     = targetDesc("backup_listed_timestamp_seconds", "When the target was last listed and compared with what was shipped to it; 0: not in this process.")
	descBeyond     = targetDesc("backup_beyond_entries", "Entries of a former epoch that the target holds and the store goes on without: a standby or a backup was promoted that never got them, or they were cut off.")
	descLost       = targetDesc("backup_lost_files", "Files that the target lost and that are not shipped again yet.")
)

func targetDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("stele_"+name, help, []string{"target"}, nil)
}

var descs = []*prometheus.Desc{descRestorable, descShipped, descBehind, descShippedB, descErrSince, descDrill, descDrillBad, descLoss, descListed, descLost, descBeyond, descLacking, descInfo, descLedger, descObjects, descBytes, descVersions, descPut, descHidden, descBuckets, descStored, descIndex, descPacks, descSegments, descFailures, descKit, descFill, descOldest, descRound, descUnhealed, descFailing, descHides, descHidesAt, descClock, descLedgerAt, descNoTarget, descDiskFree, descReserved, descFails, descCosigned, descAsked}

func (c *storeMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

func (c *storeMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge(descInfo, 1, c.store.Load().ID())
	failures := 0.0
	if c.store.Load().Failed() != nil {
		failures = 1
	}
	counter(descFailures, failures)
	gauge(descClock, float64(time.Now().UnixMicro())/1e6)
	if at, err := c.store.Load().Keys().KitConfirmed(); err != nil {
		ch <- prometheus.NewInvalidMetric(descKit, err)
	} else if at.IsZero() {
		gauge(descKit, 0)
	} else {
		gauge(descKit, float64(at.Unix()))
	}
	if h, ok := c.store.Load().Hydration(); ok {
		gauge(descFill, float64(h.BytesLeft))
	}
	scrub := c.store.Load().ScrubStatus()
	gauge(descOldest, timestamp(scrub.Oldest))
	gauge(descRound, timestamp(scrub.Round))
	gauge(descUnhealed, float64(len(scrub.Bad)))
	gauge(descFailing, float64(len(scrub.Failing)))
	c.hides(ch)
	c.targets(ch)
	c.beside(ch)
	st, err := c.current()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descStored, err)
		return
	}
	gauge(descLedgerAt, float64(time.Now().Add(st.Clock.Ledger.Sub(st.Clock.Wall)).UnixMicro())/1e6) // the stats may be some seconds old
	noTarget := 0.0
	if st.PromotedFrom != "" {
		noTarget = 1
	}
	gauge(descNoTarget, noTarget)
	gauge(descLedger, float64(c.store.Load().Ledger().Size()))
	gauge(descObjects, float64(st.Objects))
	gauge(descBytes, float64(st.Bytes))
	counter(descVersions, float64(st.Versions))
	counter(descPut, float64(st.PutBytes))
	gauge(descHidden, float64(st.HiddenBytes))
	gauge(descBuckets, float64(st.Buckets))
	gauge(descStored, float64(st.StoredBytes))
	gauge(descIndex, float64(st.IndexBytes))
	gauge(descPacks, float64(st.Packs))
	gauge(descSegments, float64(st.Segments))
}

func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

func (c *storeMetrics) current() (stele.Stats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.taken) < statsFor {
		return c.stats, nil
	}
	st, err := c.store.Load().Stats(context.Background())
	if err == nil {
		c.stats, c.taken = st, time.Now()
	}
	return st, err
}

func (c *storeMetrics) hides(ch chan<- prometheus.Metric) {
	bursts, err := c.store.Load().HideBursts(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descHides, err)
		return
	}
	objects, began := int64(0), time.Time{}
	for _, b := range bursts {
		if objects += b.Objects; began.IsZero() || b.Began.Before(began) {
			began = b.Began
		}
	}
	ch <- prometheus.MustNewConstMetric(descHides, prometheus.GaugeValue, float64(objects))
	ch <- prometheus.MustNewConstMetric(descHidesAt, prometheus.GaugeValue, timestamp(began))
}

// beside are what goes on beside requests, and the disk.
func (c *storeMetrics) beside(ch chan<- prometheus.Metric) {
	s := c.store.Load()
	for _, w := range s.FailingWork() {
		ch <- prometheus.MustNewConstMetric(descFails, prometheus.GaugeValue, timestamp(w.Since), w.Work, w.Of)
	}
	for _, w := range s.Witnesses() {
		ch <- prometheus.MustNewConstMetric(descCosigned, prometheus.GaugeValue, timestamp(w.Cosigned), w.Name)
		ch <- prometheus.MustNewConstMetric(descAsked, prometheus.GaugeValue, timestamp(w.Asked), w.Name)
	}
	if d := s.Disk(); d.Known {
		ch <- prometheus.MustNewConstMetric(descDiskFree, prometheus.GaugeValue, float64(d.Free))
		ch <- prometheus.MustNewConstMetric(descReserved, prometheus.GaugeValue, float64(d.Reserved))
	}
}

func (c *storeMetrics) targets(ch chan<- prometheus.Metric) {
	all, err := c.store.Load().TargetsKnown(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descRestorable, err)
		return
	}
	for _, t := range all {
		for d, at := range map[*prometheus.Desc]time.Time{descRestorable: t.Restorable, descShipped: t.Shipped, descErrSince: t.ErrorSince, descDrill: t.LastDrill, descDrillBad: t.Drill.Since, descLoss: t.LastLoss, descListed: t.Listed} {
			seconds := 0.0
			if !at.IsZero() {
				seconds = float64(at.UnixMicro()) / 1e6
			}
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, seconds, t.Name)
		}
		ch <- prometheus.MustNewConstMetric(descLacking, prometheus.GaugeValue, float64(len(t.Lacking)), t.Name)
		ch <- prometheus.MustNewConstMetric(descBehind, prometheus.GaugeValue, float64(t.Behind), t.Name)
		ch <- prometheus.MustNewConstMetric(descBeyond, prometheus.GaugeValue, float64(t.Beyond), t.Name)
		ch <- prometheus.MustNewConstMetric(descLost, prometheus.GaugeValue, float64(len(t.Lost)), t.Name)
		ch <- prometheus.MustNewConstMetric(descShippedB, prometheus.CounterValue, float64(t.Bytes), t.Name)
	}
}
