package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

var (
	upgradeRefused = &refusal{check: atRoute, status: 400, reason: "upgrade_refused", message: "no WebSocket can be opened here"}
	originRefused  = &refusal{check: atRoute, status: 403, reason: "origin_refused", message: "a WebSocket cannot be opened from this origin"}
)

// upgradable judges what a WebSocket handshake needs besides: a route that
// takes it, an origin that may, and a client who speaks HTTP/1.1.
func (x *exchange) upgradable() *refusal {
	if !x.head.WebSocket {
		return nil
	}
	e, tunnels := x.edge.(h1)
	if !x.match.Route.WebSocket || x.edge != nil && (!tunnels || e.conn == nil) {
		return upgradeRefused
	}
	if !x.match.Route.Admits(x.head.Origin, []byte(x.record.Host)) {
		return originRefused
	}
	return nil
}

// switches reports whether the upstream's 101 is the answer to a handshake of
// the client's.
func (x *exchange) switches() (ok bool) {
	if x.head.WebSocket {
		x.answer.agreed, ok = x.head.Switches(&x.answer.Answer)
	}
	return ok
}

// tunnels are the open ones of a proxy.
type tunnels struct {
	open    atomic.Int64
	leaving atomic.Bool // the proxy is to end
}

// tunnel is a WebSocket between client and upstream. Two goroutines relay its
// frames, one each way; either, and the watch, may stop it.
type tunnel struct {
	x        *exchange // of the goroutine that runs the tunnel
	client   *watched
	greeting []byte // the answer to the handshake
	idle     time.Duration
	active   atomic.Int64 // when a byte came, either way; nanoseconds of Unix time
	in, out  direction    // from the client, and to it; each of its goroutine

	mu      sync.Mutex
	end     *ending     // guarded by mu: why it ends; what is set stays
	until   time.Time   // guarded by mu: when a stopped tunnel is severed, or a half closed one ends
	sever   *time.Timer // guarded by mu: does so
	missing time.Time   // since when the client seems gone; of the watching goroutine
}

// ending is how a tunnel ends.
type ending struct {
	outcome          decision.Outcome
	reason           string // of the record; "" is that of the decision
	judged           bool   // the watch ended it, and counts it
	client, upstream uint16 // codes of the Close frames that they get; 0: none
	grace            time.Duration
}

// Variables, so that tests can give what may be stalled for longer its time.
var (
	tunnelGrace = 500 * time.Millisecond // for the frame under way when a tunnel is stopped
	closeWait   = time.Second            // for the upstream when the client has closed its side
	goneAfter   = 500 * time.Millisecond // a client that closed its side is gone when nobody has read so by then
)

const inBuffer = 8 << 10 // of what comes from a client; fasthttp has another

// tunnel answers a client whose handshake the upstream has taken up, and hands
// the connection over to it.
func (p *Proxy) tunnel(x *exchange) {
	t := &tunnel{x: x, client: x.conn, greeting: x.appendSwitch(nil), idle: or(p.Upstream.IdleTimeout, time.Minute)}
	deflated := x.answer.agreed.Extension != nil
	t.in.tracker = websocket.Tracker{Client: true, Compressed: deflated, Limit: p.MaxBody}
	t.out.tracker = websocket.Tracker{Compressed: deflated}
	x.record.Status = x.answer.Status
	_, _ = x.answer.Reader.Discard(x.answer.size) // it was peeked whole
	full := p.tunnels.open.Add(1) > int64(p.Connections)
	p.live(x)
	cut := x.live.attach(t)
	if cut == nil && full {
		cut = overloaded
	}
	if cut != nil {
		p.settle(x)
		t.release()
		p.refuse(x, cut)
		return
	}
	p.meters.tunnels.Inc()
	x.streaming = true
	t.client.tunnel = t
	x.ctx.HijackSetNoResponse(true)
	x.ctx.Hijack(t.run)
}

// appendSwitch writes the client's answer: what was agreed on, and the
// upstream's end-to-end fields.
func (x *exchange) appendSwitch(b []byte) []byte {
	a := &x.answer
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"...)
	b = appendField(b, "Sec-WebSocket-Accept", a.agreed.Accept)
	if a.agreed.Protocol != nil {
		b = appendField(b, "Sec-WebSocket-Protocol", string(a.agreed.Protocol))
	}
	if a.agreed.Extension != nil {
		b = appendField(b, "Sec-WebSocket-Extensions", string(a.agreed.Extension))
	}
	for block := a.Fields; ; {
		name, value, rest, why := guard.Next(block)
		if why != nil || name == nil {
			break // the guard read the block to its end before
		}
		if a.Returns(name) {
			b = appendField(b, string(name), string(value))
		}
		block = rest
	}
	return append(appendField(b, "X-Request-Id", x.record.RequestID), "\r\n"...)
}

// attach makes the tunnel what a cut ends. It returns why there was one already.
func (l *live) attach(t *tunnel) *refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tunnel = t
	return l.cause
}

// release gives back what the tunnel holds besides its client.
func (t *tunnel) release() {
	t.x.answer.Release(false)
	t.x.proxy.tunnels.open.Add(-1)
}

// abandon ends a tunnel that fasthttp did not hand its connection to: the
// client's was closed before.
func (t *tunnel) abandon() {
	t.stop(clientLeft)
	t.finish()
	t.release()
}

// run is the tunnel, on the connection with what was read of it already.
func (t *tunnel) run(conn net.Conn) {
	t.own()
	if t.x.proxy.tunnels.leaving.Load() {
		t.stop(t.x.proxy.shutdown())
	}
	if _, err := t.client.Write(t.greeting); err != nil {
		t.stop(clientLeft)
	}
	t.client.line = lineWatch{phase: behind, later: true} // no request line comes any more
	var both sync.WaitGroup
	both.Go(func() { t.guarded(func() { t.send(conn) }) })
	t.guarded(t.receive)
	both.Wait()
	t.finish()
	both.Go(func() { farewell(t.x.answer.Conn.Conn) })
	farewell(t.client)
	both.Wait()
	t.release()
}

// own takes over the read deadlines of both sockets, so that stop can wake who
// reads: for those who had them, time is up whenever they look.
func (t *tunnel) own() {
	now := time.Now()
	t.active.Store(now.UnixNano())
	_ = t.client.SetReadDeadline(past)
	_ = t.x.answer.Conn.Await(-time.Second)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end == nil { // a socket that is closed says so when it is read
		_ = httpx.Socket(t.client).SetReadDeadline(time.Time{})
		_ = t.x.answer.Conn.Conn.SetReadDeadline(now.Add(t.idle))
	}
}

var past = time.Unix(1, 0)

// guarded keeps a defect within its tunnel.
func (t *tunnel) guarded(work func()) {
	defer func() {
		if cause := recover(); cause != nil {
			t.x.proxy.Log.Error("panic in a tunnel", "panic", fmt.Sprint(cause), "decision_id", t.x.record.DecisionID, "stack", string(debug.Stack()))
			t.stop(defect)
		}
	}()
	work()
}

// finish ends the exchange, with its record.
func (t *tunnel) finish() {
	x := t.x
	x.proxy.settle(x)
	t.mu.Lock()
	e := *t.end
	t.sever.Stop()
	t.mu.Unlock()
	if e.reason != "" && !e.judged {
		x.proxy.meters.cut(e.reason)
	}
	x.record.BytesIn, x.record.BytesOut = t.in.bytes, t.out.bytes
	_ = x.finish(e.outcome, or(e.reason, x.record.Reason), x.record.Status) // a record that is not kept is counted; the tunnel is over
}

// farewell lets the last bytes arrive before the connection is closed: input
// that is left unread would make the kernel reset it.
func farewell(c net.Conn) {
	socket := httpx.Socket(c)
	if socket.SetReadDeadline(time.Time{}) != nil {
		return // closed already
	}
	defer time.AfterFunc(httpx.LingerTime, func() { _ = socket.Close() }).Stop()
	if secured := securedOf(c); secured != nil {
		_ = secured.CloseWrite() // says so above TCP
	}
	httpx.Linger(socket)
}

// securedOf finds TLS among a connection and what it wraps.
func securedOf(c net.Conn) *tls.Conn {
	for {
		if secured, ok := c.(*tls.Conn); ok {
			return secured
		}
		wrapper, wraps := c.(interface{ NetConn() net.Conn })
		if !wraps {
			return nil
		}
		c = wrapper.NetConn()
	}
}

// leaveTunnels says goodbye to all when ctx ends, and to those that open later.
func (p *Proxy) leaveTunnels(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, p.stopTunnels)
}

func (p *Proxy) stopTunnels() {
	p.tunnels.leaving.Store(true)
	for _, l := range p.lives.all() {
		l.leave(p.shutdown())
	}
}

// leave stops the tunnel, if it is one. The exchange of one that is over may be another's.
func (l *live) leave(e ending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tunnel != nil && !l.over {
		l.tunnel.stop(e)
	}
}
