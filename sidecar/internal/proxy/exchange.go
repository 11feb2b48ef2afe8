package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/rpc"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

// exchange is one request on its way through the stops. Its record is filled
// on the way and kept once.
type exchange struct {
	proxy     *Proxy
	edge      edge                 // nil when only a judgement is asked for
	ctx       *fasthttp.RequestCtx // of an HTTP/1.1 client, until the handler returned
	request   guard.Request        // views that are good as long as ctx
	conn      *watched             // of an HTTP/1.1 client; nil on a listener that is not ours
	started   time.Time
	client    netip.Addr // behind trusted peers
	proto     string     // http or https, as the client sees it
	head      guard.Head
	match     route.Match
	upstream  *upstream.Upstream // of the route
	server    string             // URL of the upstream's that was asked
	known     bool               // identity is; else the request is anonymous
	identity  Identity
	body      bodySource
	call      *rpc.Message // on a route with a protocol, once the body was read
	filtered  bool         // of a live exchange's probe: the answer is
	answer    answered
	asking    []byte // the head for the upstream
	record    decision.Record
	live      *live // nil while it is not watched
	judged    bool  // was, at least once
	placed    bool  // has a place at the gate
	counted   bool  // against the rate limit
	asked     bool  // for the body, with 100 Continue
	owed      bool  // it may reach the upstream, and has no record yet
	streaming bool  // the answer's body outlives the handler
	finished  bool
}

type exchangeKey struct{}

const mostAsking = 4 << 10 // of its buffer that an exchange keeps

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// begin opens the exchange of a request whose head was read when it started.
// From here on it ends with exactly one record.
func (p *Proxy) begin(ctx *fasthttp.RequestCtx, started time.Time) *exchange {
	x := exchanges.Get().(*exchange)
	asking := x.asking
	*x = exchange{} // in place: a literal with fields is made aside first
	x.proxy, x.ctx, x.conn, x.started, x.proto, x.asking = p, ctx, watchedOf(ctx.Conn()), started, "http", asking
	x.edge = h1{x}
	if x.conn != nil {
		x.client, x.record.Peer = x.conn.peer, x.conn.peerText
	}
	if httpx.Secured(ctx) {
		x.proto = "https"
	}
	x.number()
	h := &ctx.Request.Header
	x.request = guard.Request{Method: h.Method(), Target: h.RequestURI(), Protocol: h.Protocol(), Fields: h.RawHeaders()}
	ctx.SetUserValue(exchangeKey{}, x)
	return x
}

// closes makes this the last request of its connection. doubtful: what follows
// it may be none at all.
func (x *exchange) closes(doubtful bool) {
	if x.edge != nil {
		x.edge.closes(doubtful)
	}
}

// number gives the exchange its ids and its time.
func (x *exchange) number() {
	x.record.DecisionID = x.proxy.NewID()
	x.record.RequestID = x.record.DecisionID
	x.record.Time = x.proxy.stamps.of(x.proxy.Now())
}

// exchangeOf finds the exchange of a request; nil before begin.
func exchangeOf(ctx *fasthttp.RequestCtx) *exchange {
	if w := watchedOf(ctx.Conn()); w != nil && w.waiting != nil {
		x := w.waiting
		w.waiting = nil
		return x
	}
	x, _ := ctx.UserValue(exchangeKey{}).(*exchange)
	return x
}

// trusted reports whether the connection comes from a peer whose word counts.
func (x *exchange) trusted() bool {
	for _, prefix := range x.proxy.TrustedPeers {
		if prefix.Contains(x.client) {
			return true
		}
	}
	return false
}

// introduce takes what trusted peers say about the client.
func (x *exchange) introduce() {
	if !x.trusted() {
		return
	}
	if validID(x.head.RequestID) {
		x.record.RequestID = string(x.head.RequestID)
	}
	switch string(x.head.ForwardedProto) {
	case "http":
		x.proto = "http"
	case "https":
		x.proto = "https"
	}
	if x.head.ForwardedFor != nil {
		x.client = httpx.ClientAddress(x.client, []string{string(x.head.ForwardedFor)}, x.proxy.TrustedPeers)
		x.record.Peer = x.client.String()
	}
}

func validID(id []byte) bool {
	for _, c := range id {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 64
}

// describe notes what was asked, as far as it can be said of a request that may
// have been refused: never the query, never an absolute target.
func (x *exchange) describe(accepted bool) {
	x.record.Method = methodName(x.request.Method)
	target := x.request.Target
	if len(target) > 0 && target[0] == '/' {
		if end := bytes.IndexAny(target, "?#"); end >= 0 {
			target = target[:end]
		}
		x.record.Path = clip(target, decision.MaxPathBytes)
	}
	if accepted {
		x.record.Host = x.conn.host(x.head.Host)
	}
}

func clip(b []byte, most int) string { return string(b[:min(len(b), most)]) }

// identify notes who asks.
func (x *exchange) identify(identity *Identity) {
	x.identity, x.known = *identity, true
	c := &x.identity.Claims
	x.record.AgentID, x.record.OrganizationID, x.record.ClientID, x.record.JTI = c.Subject, c.Organization, c.ClientID, c.JTI
}

// finish ends the exchange, once. The error is the recorder's: the record of an
// authenticated decision was not kept.
func (x *exchange) finish(outcome decision.Outcome, reason string, status int) error {
	if x.finished {
		return nil
	}
	x.finished = true
	single, err := x.keep(outcome, reason, status)
	x.tell(single)
	return err
}

// keep records the decision; single reports that it is a record of its own.
func (x *exchange) keep(outcome decision.Outcome, reason string, status int) (single bool, err error) {
	r := &x.record
	r.Outcome, r.Reason, r.Status = outcome, reason, status
	r.DurationMs = float64(time.Since(x.started).Microseconds()) / 1e3
	defer x.pay() // after it was kept, or counted lost
	if !x.known {
		return x.proxy.flood.add(r, prefixOf(x.client)), nil
	}
	if _, err = x.proxy.Recorder.Append(r); err != nil {
		x.proxy.meters.lost.Inc()
	}
	return true, err
}

// owe notes, before anything is sent to the upstream, that there is no record
// yet: should the process be killed, the next one declares that it is missing.
func (x *exchange) owe() {
	owed := &x.owed
	if l := x.live; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.kept {
			return
		}
		owed = &l.owed
	}
	if !*owed {
		*owed = true
		x.proxy.Recorder.Owe(1)
	}
}

func (x *exchange) pay() {
	if x.owed {
		x.owed = false
		x.proxy.Recorder.Owe(-1)
	}
}

// tell counts and logs what was recorded.
func (x *exchange) tell(single bool) {
	if !single {
		x.proxy.meters.folded.Inc()
	}
	r := &x.record
	x.proxy.meters.request(series{route: r.RouteID, decision: string(r.Outcome), reason: r.Reason})
	x.log(single)
}

// prefixOf is the network that anonymous requests are counted under.
func prefixOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // not an IP connection
	}
	return prefix
}

// log writes the request's one line. What is served, and what a flood repeats,
// shows at debug level: the records tell it.
func (x *exchange) log(single bool) {
	r := &x.record
	level := slog.LevelInfo
	switch {
	case r.Outcome == decision.Allowed || !single:
		level = slog.LevelDebug
	case r.Outcome == decision.Error:
		level = slog.LevelWarn
	}
	logger := x.proxy.Log
	if !logger.Enabled(context.Background(), level) {
		return
	}
	logger.LogAttrs(context.Background(), level, "request",
		slog.String("decision_id", r.DecisionID), slog.String("request_id", r.RequestID), slog.String("outcome", string(r.Outcome)),
		slog.String("reason", r.Reason), slog.Int("status", r.Status), slog.String("method", r.Method), slog.String("host", r.Host), slog.String("path", r.Path),
		slog.String("route", r.RouteID), slog.String("upstream", x.server), slog.String("organization_id", r.OrganizationID), slog.String("client_id", r.ClientID),
		slog.String("agent_id", r.AgentID), slog.String("jti", r.JTI), slog.String("peer", r.Peer),
		slog.Int64("bytes_in", r.BytesIn), slog.Int64("bytes_out", r.BytesOut), slog.Float64("duration_ms", r.DurationMs))
}

// Close is the net below: fasthttp calls it when it forgets the request. An
// exchange that nobody ended is one whose body never came, or whose answer
// never went out. One that nobody else holds is used again.
func (x *exchange) Close() error {
	if x.asked {
		return x.finish(decision.Denied, bodyIncomplete.reason, bodyIncomplete.status)
	}
	err := x.finish(decision.Error, "unanswered", 0)
	if !x.streaming {
		if cap(x.asking) > mostAsking {
			x.asking = nil
		}
		exchanges.Put(x)
	}
	return err
}
