// Package proxy is the sidecar's data path: a listener for agents, a judgement
// on each request, and a fresh request to the protected API. Nothing of the
// client's request is forwarded that was not judged, and nothing is judged
// twice: the bytes that were accepted are the bytes that go out.
package proxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// Proxy serves one listener. Make it with New.
type Proxy struct {
	Options
	ctx     context.Context // of all work on requests; ends with Serve's drain
	cancel  context.CancelFunc
	gate    *gate
	flood   *flood
	meters  *meters
	limits  *limits
	held    held
	lives   lives
	stamps  stamps
	tunnels tunnels
	streams streams                 // requests over HTTP/2 under way
	traffic atomic.Pointer[traffic] // never nil

	mu      sync.Mutex // of those who replace traffic
	serving bool       // guarded by mu
}

// New checks the options. It starts nothing.
func New(o Options) (*Proxy, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{
		Options: o, ctx: ctx, cancel: cancel,
		gate: newGate(o.Judging, o.JudgingWait), flood: newFlood(&o), meters: newMeters(o.Metrics), limits: newLimits(o.Now),
		lives: lives{open: map[*live]struct{}{}}, streams: streams{most: o.Connections, each: o.MaxPerAddress, from: map[netip.Prefix]int{}},
	}
	if err := p.Replace(o.Routes); err != nil {
		cancel()
		return nil, err
	}
	o.Metrics.NewGauge("sidecar_judging", func() float64 { return float64(len(p.gate.places)) })
	return p, nil
}

// Serve serves the listener until ctx ends, then lets requests in flight finish
// for up to Drain. When it returns, every request has its record. Call it once.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener) error {
	server := httpx.NewServer(httpx.Options{
		Handler: p.handle, Refuse: p.refuseUnread, Expect: p.expect, Log: p.Log,
		Stream: true, MaxHead: headBuffer, HeadTimeout: p.HeadTimeout, IdleTimeout: p.IdleTimeout, Concurrency: p.Connections,
	})
	server.ConnState = state
	server.HeaderReceived = plainExpect
	var multiplexed *h2Server
	options := httpx.ListenOptions{MaxPerAddress: p.MaxPerAddress, Exempt: p.TrustedPeers, WriteTimeout: p.WriteTimeout, Wrap: watch}
	if p.TLS != nil {
		multiplexed = p.newHTTP2()
		server.NextProto("h2", multiplexed.serve)
		options.TLS, options.Wrap = p.TLS.Clone(), watchSecured
		options.TLS.NextProtos = []string{"h2", "http/1.1"}
	}
	bounded := httpx.NewListener(ln, options)
	p.Metrics.NewGauge("sidecar_connections", func() float64 { return float64(bounded.Open()) })
	p.Metrics.NewGauge("sidecar_connections_refused", func() float64 { return float64(bounded.Refused()) })
	p.Metrics.NewGauge("sidecar_http2_requests", func() float64 { return float64(p.streams.count()) })
	p.Metrics.NewGauge("sidecar_streams_open", func() float64 { return float64(p.lives.count()) })
	p.Metrics.NewGauge("sidecar_websockets_open", func() float64 { return float64(p.tunnels.open.Load()) })

	p.watchUpstreams()
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	tasks.Go(func() { p.roll(stop) })
	tasks.Go(func() { p.judgeLive(stop) })
	served, over := context.WithCancel(context.WithoutCancel(ctx))
	var multiplexing sync.WaitGroup
	if multiplexed != nil {
		multiplexing.Go(func() { multiplexed.run(ctx, served) })
	}
	defer p.leaveTunnels(ctx)()
	// Past the drain handlers have nothing to wait for: they end, with their records.
	defer context.AfterFunc(ctx, func() {
		late := time.AfterFunc(p.Drain, p.cancel)
		context.AfterFunc(p.ctx, func() { late.Stop() })
	})()
	err := httpx.Serve(ctx, server, bounded, p.Drain)
	over()
	multiplexing.Wait()
	close(stop)
	tasks.Wait()
	p.cancel()
	p.traffic.Load().upstreams.Retire(nil, true)
	return err
}

// roll turns counts of anonymous decisions into records, each window and at the end.
func (p *Proxy) roll(stop <-chan struct{}) {
	ticker := time.NewTicker(floodWindow)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.flood.roll()
		case <-stop:
			p.flood.roll()
			return
		}
	}
}

// handle serves one request whose head was read.
func (p *Proxy) handle(ctx *fasthttp.RequestCtx) {
	x := exchangeOf(ctx) // judged before its body was asked for
	judge := p.permit    // again: the client chose how long that was ago
	if x == nil {
		x, judge = p.begin(ctx, ctx.Time()), p.judge
	}
	x.asked = false
	if r := judge(x); r != nil {
		p.refuse(x, r)
		return
	}
	p.forward(x)
}

// plainExpect lets the server see an expectation in any case (RFC 9110 section 10.1.1).
func plainExpect(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if value := h.Peek("Expect"); len(value) > 0 && guard.Continue(value) {
		h.Set("Expect", "100-continue")
	}
	return fasthttp.RequestConfig{}
}

// expect judges a request whose client waits with the body: a refusal is
// answered without asking for it.
func (p *Proxy) expect(ctx *fasthttp.RequestCtx) (status int) {
	x := p.begin(ctx, time.Now())
	defer func() {
		if cause := recover(); cause != nil {
			p.Log.Error("panic in judgement", "panic", cause, "decision_id", x.record.DecisionID)
			p.refuse(x, internalError)
			status = internalError.status
		}
	}()
	r := p.judge(x)
	w := watchedOf(ctx.Conn())
	if r == nil && w == nil {
		r = internalError // no connection of ours carries the judgement to the body
	}
	if r != nil {
		return p.refuse(x, r)
	}
	x.asked, w.waiting = true, x
	return http.StatusContinue
}

// deny records the refusal and counts it. An authenticated decision that cannot
// be recorded is answered as such.
func (x *exchange) deny(r *refusal) *refusal {
	if !x.finished {
		x.finished = true
		single, err := x.keep(r.outcome(), r.reason, r.status)
		if err != nil {
			r = auditFull
			x.record.Outcome, x.record.Reason, x.record.Status = r.outcome(), r.reason, r.status
		}
		x.tell(single)
	}
	x.proxy.meters.reject(r.check)
	return x.challenged(r)
}

// refuse records the refusal, then answers it. It returns the status.
func (p *Proxy) refuse(x *exchange, r *refusal) int {
	r = x.deny(r)
	x.edge.refuse(r)
	return r.status
}

// refuseUnread answers what the edge itself refuses: heads that could not be
// read, bodies that did not come, panics.
func (p *Proxy) refuseUnread(ctx *fasthttp.RequestCtx, e *apierr.Error) {
	x := exchangeOf(ctx)
	if x == nil {
		x = p.begin(ctx, time.Now())
		if len(x.request.Fields) > 0 {
			if r := p.inspect(x); r != nil { // it was only the target that fasthttp could not parse
				p.refuse(x, r)
				return
			}
		}
		x.introduce()
	}
	r := &refusal{check: atServer, status: e.Code.Status(), reason: e.Reason, message: malformed}
	if r.status >= 500 {
		r = internalError
		x.abandon()
	}
	p.refuse(x, r)
}
