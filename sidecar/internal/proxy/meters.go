package proxy

import (
	"fmt"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// maxSeries bounds what policies can make of the reason label.
const maxSeries = 2_000

type series struct{ route, decision, reason string }

// meters are the proxy's metrics on one set.
type meters struct {
	set     *metrics.Set
	seconds *metrics.PrometheusHistogram // of judging
	folded  *metrics.Counter             // anonymous decisions that stand only in a count
	lost    *metrics.Counter             // records that the recorder did not take
	broken  *metrics.Counter             // answers that ended before their end
	hidden  *metrics.Counter             // elements that were left out of lists
	tunnels *metrics.Counter             // WebSockets that opened

	mu       sync.RWMutex
	requests map[series]*metrics.Counter // guarded by mu
	rejected map[string]*metrics.Counter // guarded by mu
	ended    map[string]*metrics.Counter // guarded by mu: live exchanges that were cut off
	framing  map[string]*metrics.Counter // guarded by mu: what net/http found wrong with HTTP/2
}

func newMeters(set *metrics.Set) *meters {
	return &meters{
		set:      set,
		seconds:  set.NewPrometheusHistogramExt("sidecar_decision_seconds", []float64{5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 0.5, 2.5}),
		folded:   set.NewCounter("sidecar_anonymous_folded_total"),
		lost:     set.NewCounter("sidecar_records_refused_total"),
		broken:   set.NewCounter("sidecar_answers_broken_total"),
		hidden:   set.NewCounter("sidecar_rpc_hidden_total"),
		tunnels:  set.NewCounter("sidecar_websockets_total"),
		requests: map[series]*metrics.Counter{},
		rejected: map[string]*metrics.Counter{},
		ended:    map[string]*metrics.Counter{},
		framing:  map[string]*metrics.Counter{},
	}
}

func (m *meters) request(s series) {
	m.mu.RLock()
	counter := m.requests[s]
	m.mu.RUnlock()
	if counter == nil {
		counter = m.newRequest(s)
	}
	counter.Inc()
}

func (m *meters) newRequest(s series) *metrics.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.requests) >= maxSeries {
		s = series{decision: s.decision, reason: "other"}
	}
	counter := m.requests[s]
	if counter == nil {
		counter = m.set.GetOrCreateCounter(fmt.Sprintf("sidecar_requests_total{route=%q,decision=%q,reason=%q}", s.route, s.decision, s.reason))
		m.requests[s] = counter
	}
	return counter
}

func (m *meters) reject(check string) {
	m.labelled(m.rejected, "sidecar_rejected_total", "check", check)
}

// cut counts a live exchange that was cut off.
func (m *meters) cut(reason string) {
	m.labelled(m.ended, "sidecar_streams_terminated_total", "reason", reason)
}

// http2 counts a connection or a request that broke the rules of HTTP/2.
func (m *meters) http2(kind string) {
	m.labelled(m.framing, "sidecar_http2_errors_total", "type", kind)
}

func (m *meters) labelled(family map[string]*metrics.Counter, name, label, value string) {
	m.mu.RLock()
	counter := family[value]
	m.mu.RUnlock()
	if counter == nil {
		counter = m.newLabelled(family, name, label, value)
	}
	counter.Inc()
}

func (m *meters) newLabelled(family map[string]*metrics.Counter, name, label, value string) *metrics.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(family) >= maxSeries {
		value = "other"
	}
	counter := m.set.GetOrCreateCounter(fmt.Sprintf("%s{%s=%q}", name, label, value))
	family[value] = counter
	return counter
}
