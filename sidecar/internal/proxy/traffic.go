package proxy

import (
	"fmt"
	"io"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

// traffic is a route table and the upstreams that it names: replaced together,
// so that no route is ever without its upstream.
type traffic struct {
	table     *route.Table
	upstreams *upstream.Set
}

// Replace puts a table and its upstreams into force in one step; on an error the
// old ones stay. Requests under way go on with what they found; upstreams that
// both tables define alike keep their connections.
func (p *Proxy) Replace(table *route.Table) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var previous *upstream.Set
	old := p.traffic.Load()
	if old != nil {
		previous = old.upstreams
	}
	if len(table.Resources()) > 0 && p.Issuer == "" {
		return errIssuer
	}
	next, err := upstream.NewSet(p.ctx, p.Upstream, table, previous)
	if err != nil {
		return err
	}
	if p.serving {
		next.Start()
	}
	p.traffic.Store(&traffic{table: table, upstreams: next})
	if old != nil {
		previous.Retire(next, false)
	}
	return nil
}

// watchUpstreams begins to look after the upstreams.
func (p *Proxy) watchUpstreams() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving = true
	p.traffic.Load().upstreams.Start()
}

// Table is the one in force.
func (p *Proxy) Table() *route.Table { return p.traffic.Load().table }

// Upstreams is what is known of the servers of the table in force.
func (p *Proxy) Upstreams() []upstream.Status { return p.traffic.Load().upstreams.Status() }

// WriteMetrics writes those whose labels come and go with the route table; the
// others are in Options.Metrics.
func (p *Proxy) WriteMetrics(w io.Writer) {
	for _, s := range p.Upstreams() {
		labels := fmt.Sprintf("{upstream=%q,url=%q}", s.Upstream, s.URL)
		up := uint64(0)
		if s.Up {
			up = 1
		}
		metrics.WriteGaugeUint64(w, "sidecar_upstream_up"+labels, up)
		metrics.WriteGaugeUint64(w, "sidecar_upstream_in_flight"+labels, uint64(max(s.InFlight, 0)))
		for _, kind := range upstream.Failures {
			metrics.WriteCounterUint64(w, fmt.Sprintf("sidecar_upstream_failures_total{upstream=%q,url=%q,kind=%q}", s.Upstream, s.URL, kind), s.Failures[kind])
		}
	}
}
