package proxy

import (
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

const (
	liveEvery  = 250 * time.Millisecond // how often live exchanges are judged again
	liveAfter  = time.Second            // an exchange is a stream, with a start record, when it lasts longer
	liveUnsure = 5 * time.Second        // how long one goes on that cannot be judged
	liveBody   = 256 << 10              // a request body from this length on makes a live exchange
)

// streamStarted is the reason of the record that a stream gets while it lasts;
// the one at its end has the same decision id.
const streamStarted = "stream_started"

// clientGone ends work that nobody waits for; nobody reads its answer either.
var clientGone = &refusal{check: atClient, status: statusClientGone, reason: "client_gone", message: "the client closed its connection"}

// statusClientGone is what servers that forward write down for it.
const statusClientGone = 499

// live is an exchange that outlasts its judgement: a long body either way, or
// an answer that takes its time. It is judged again and again, and cut off when
// it would not be allowed any more.
type live struct {
	probe    *exchange // what judgement reads, apart from the exchange, which another goroutine owns
	upstream io.Closer
	gone     func() bool // the client is
	hang     func()      // ends whatever waits for the client
	started  time.Time
	told     bool      // of its start; of the watching goroutine
	unsure   time.Time // since when it could not be judged; of the watching goroutine

	mu    sync.Mutex
	over  bool     // guarded by mu: the exchange has ended
	cause *refusal // guarded by mu: why it was cut off
	asked question // guarded by mu: of the policy, if that is why
	kept  bool     // guarded by mu: the record of its start is
	owed  bool     // guarded by mu: what the exchange owes, which that record pays

	tunnel *tunnel // guarded by mu: ends it in its own way; nil: is none
}

// question is what a record says that the policy refused.
type question struct{ capability, revision string }

// lives are the live exchanges of a proxy.
type lives struct {
	mu   sync.Mutex
	open map[*live]struct{} // guarded by mu
}

func (s *lives) all() []*live {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*live, 0, len(s.open))
	for l := range s.open {
		all = append(all, l)
	}
	return all
}

func (s *lives) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// live makes the exchange one that is watched, once it has a connection to the upstream.
func (p *Proxy) live(x *exchange) {
	if x.live != nil {
		return
	}
	probe := &exchange{proxy: p, started: x.started, client: x.client, record: x.record, known: x.known, identity: x.identity, call: x.call}
	probe.filtered = x.screened()
	probe.head.Path = slices.Clone(x.head.Path)
	probe.head.Authorization = slices.Clone(x.head.Authorization)
	probe.head.WebSocket, probe.head.Origin = x.head.WebSocket, slices.Clone(x.head.Origin)
	x.live = &live{probe: probe, upstream: x.answer.closer(), started: time.Now()}
	x.live.gone, x.live.hang = x.edge.watch()
	x.live.owed, x.owed = x.owed, false
	p.lives.mu.Lock()
	defer p.lives.mu.Unlock()
	p.lives.open[x.live] = struct{}{}
}

// settle ends the watch; from then on nobody but the caller touches the
// exchange's connections. It returns why the exchange was cut off, if it was.
func (p *Proxy) settle(x *exchange) *refusal {
	l := x.live
	if l == nil {
		return nil
	}
	p.lives.mu.Lock()
	delete(p.lives.open, l)
	p.lives.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	x.owed, l.owed = x.owed || l.owed, false
	if l.cause != nil && l.cause.check == atPolicy {
		x.record.Capability, x.record.PolicyRevision = l.asked.capability, l.asked.revision
	}
	return l.cause
}

// cut ends the exchange: whoever waits for the upstream or the client waits no more.
func (l *live) cut(why *refusal) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.cause != nil {
		return false
	}
	if l.tunnel != nil && !l.tunnel.cut(why) {
		return false
	}
	l.cause, l.asked = why, question{l.probe.record.Capability, l.probe.record.PolicyRevision}
	if l.tunnel != nil {
		return true
	}
	_ = l.upstream.Close() // a second close by its owner does no harm
	l.hang()
	return true
}

// judgeLive judges live exchanges again until stop closes.
func (p *Proxy) judgeLive(stop <-chan struct{}) {
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			for _, l := range p.lives.all() {
				p.look(l)
			}
		case <-stop:
			return
		}
	}
}

// look cuts the exchange off, lets it go on, or writes down that it has become a stream.
func (p *Proxy) look(l *live) {
	why := p.again(l)
	if why == nil && !l.told && time.Since(l.started) >= liveAfter {
		l.told = true
		why = p.tellStart(l)
	}
	if why != nil && l.cut(why) {
		p.meters.cut(why.reason)
	}
}

// again is the judgement of a live exchange, with the routes, the revocations
// and the policy of now. A doubt that is nobody's fault is borne for a while.
func (p *Proxy) again(l *live) *refusal {
	if l.gone() {
		return clientGone
	}
	why := p.rejudge(l.probe)
	if why == nil || why == auditFull { // an open stream asks for no room
		l.unsure = time.Time{}
		return nil
	}
	if why.status < 500 || why == revocationsOld || strings.HasSuffix(why.reason, "_stale") {
		return why
	}
	if l.unsure.IsZero() {
		l.unsure = time.Now()
	}
	if time.Since(l.unsure) < liveUnsure {
		return nil
	}
	return why
}

func (p *Proxy) rejudge(x *exchange) *refusal {
	x.match = p.traffic.Load().table.Match([]byte(x.record.Method), []byte(x.record.Host), x.head.Path)
	switch x.match.Outcome {
	case route.Found:
	case route.NoMethod:
		return methodRefused(x.match.Allow)
	case route.Ambiguous:
		return pathAmbiguous
	default:
		return noRoute
	}
	if !x.match.Open && !x.public() {
		// Verification allows for clocks that differ; a stream has no such need.
		if x.known && !p.Now().Before(time.Unix(x.identity.Claims.ExpiresAt, 0)) {
			return invalidToken(atToken, string(token.Expired))
		}
		if r := p.authenticate(x); r != nil {
			return r
		}
	}
	if r := x.upgradable(); r != nil {
		return r
	}
	if x.unread() {
		return rpcUnseen // the route reads messages since, and this one went by
	}
	return p.decide(x)
}

// tellStart records that a stream has begun, so that one which never ends is
// in the log too. A stream that cannot be recorded does not go on; one that has
// ended has the record of its end already.
func (p *Proxy) tellStart(l *live) *refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.probe.known || l.over {
		return nil // anonymous ones are counted
	}
	r := l.probe.record
	r.Outcome, r.Reason = decision.Allowed, streamStarted
	r.DurationMs = float64(time.Since(l.probe.started).Microseconds()) / 1e3
	if _, err := p.Recorder.Append(&r); err != nil {
		p.meters.lost.Inc()
		return auditFull
	}
	l.kept = true
	if l.owed {
		l.owed = false
		p.Recorder.Owe(-1)
	}
	return nil
}
