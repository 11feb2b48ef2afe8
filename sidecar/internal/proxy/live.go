package proxy

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/httpx"
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
	client   net.Conn  // the socket; nil on a listener that is not ours
	upstream io.Closer
	gone     func() bool
	started  time.Time
	told     bool      // of its start; of the watching goroutine
	unsure   time.Time // since when it could not be judged; of the watching goroutine

	mu    sync.Mutex
	over  bool     // guarded by mu: the exchange has ended
	cause *refusal // guarded by mu: why it was cut off
}

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
	probe := &exchange{proxy: p, started: x.started, client: x.client, record: x.record, known: x.known, identity: x.identity}
	probe.head.Path = slices.Clone(x.head.Path)
	probe.head.Authorization = slices.Clone(x.head.Authorization)
	x.live = &live{probe: probe, upstream: x.answer.Conn, gone: httpx.Gone(x.ctx), started: time.Now()}
	if x.conn != nil {
		x.live.client = httpx.Socket(x.conn.Conn)
	}
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
	return l.cause
}

// cut ends the exchange: whoever waits for the upstream or the client waits no more.
func (l *live) cut(why *refusal) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.cause != nil {
		return false
	}
	l.cause = why
	_ = l.upstream.Close() // a second close by its owner does no harm
	// A socket that is closed already needs neither. A read deadline would not
	// do: the edge may just be setting its own.
	if half, ok := l.client.(interface{ CloseRead() error }); ok {
		_ = half.CloseRead()
	}
	if l.client != nil {
		_ = l.client.SetWriteDeadline(time.Unix(1, 0)) // of what is being written; the next write sets its own
	}
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
	return p.decide(x)
}

// tellStart records that a stream has begun, so that one which never ends is
// in the log too. A stream that cannot be recorded does not go on.
func (p *Proxy) tellStart(l *live) *refusal {
	if !l.probe.known {
		return nil // anonymous ones are counted
	}
	r := l.probe.record
	r.Outcome, r.Reason = decision.Allowed, streamStarted
	r.DurationMs = float64(time.Since(l.probe.started).Microseconds()) / 1e3
	if _, err := p.Recorder.Append(&r); err != nil {
		p.meters.lost.Inc()
		return auditFull
	}
	return nil
}
