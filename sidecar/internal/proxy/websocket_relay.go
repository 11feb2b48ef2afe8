package proxy

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/websocket"
)

// How tunnels end, but for those that are not allowed any more.
var (
	closed       = ending{outcome: decision.Allowed, grace: tunnelGrace}
	clientLeft   = ending{outcome: decision.Allowed, reason: clientGone.reason}
	upstreamLeft = ending{outcome: decision.Error, reason: "upstream_aborted", grace: tunnelGrace}
	silent       = ending{outcome: decision.Allowed, reason: "idle_timeout", client: websocket.GoingAway, upstream: websocket.GoingAway, grace: tunnelGrace}
	badFrame     = ending{outcome: decision.Denied, reason: "websocket_protocol", client: websocket.ProtocolError, upstream: websocket.GoingAway, grace: tunnelGrace}
	bigMessage   = ending{outcome: decision.Denied, reason: bodyLarge.reason, client: websocket.TooBig, upstream: websocket.GoingAway, grace: tunnelGrace}
	badUpstream  = ending{outcome: decision.Error, reason: "upstream_invalid", client: websocket.InternalError, upstream: websocket.ProtocolError, grace: tunnelGrace}
	defect       = ending{outcome: decision.Error, reason: internalError.reason, client: websocket.InternalError, upstream: websocket.GoingAway, grace: tunnelGrace}
)

// direction is the frames one way.
type direction struct {
	tracker websocket.Tracker
	bytes   int64       // that were passed on
	goodbye atomic.Bool // a Close frame was; for the other one's goroutine
}

// errWrite is wrapped by the error of the side that frames are passed to.
var errWrite = errors.New("the other side takes nothing")

// shutdown lets the frame that is under way have the time that requests have.
func (p *Proxy) shutdown() ending {
	return ending{outcome: decision.Allowed, reason: "shutdown", client: websocket.GoingAway, upstream: websocket.GoingAway, grace: p.Drain}
}

// stop makes the tunnel end, the way that is told first: nothing more comes
// from the client, from the upstream only the rest of a frame, and after a while
// both are cut off. It reports whether it ends this way. One that the watch does
// not allow any more has no longer grace of another ending.
func (t *tunnel) stop(e ending) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end != nil {
		if !e.judged || t.end.grace <= e.grace {
			return false
		}
		t.sever.Stop()
	}
	t.end, t.until = &e, time.Now().Add(e.grace)
	client, upstream := httpx.Socket(t.client), t.x.answer.Conn
	for _, c := range []net.Conn{client, upstream.Conn} {
		_ = c.SetReadDeadline(past) // one that is closed needs none
	}
	t.sever = time.AfterFunc(e.grace, func() {
		_ = client.Close()
		_ = httpx.Socket(upstream.Conn).Close()
	})
	return true
}

// cut stops the tunnel for a refusal, and says so to the client.
func (t *tunnel) cut(why *refusal) bool {
	if why != clientGone {
		return t.stop(ending{outcome: why.outcome(), reason: why.reason, judged: true, client: websocket.Policy, upstream: websocket.GoingAway, grace: tunnelGrace})
	}
	if t.closing() {
		return false
	}
	// Its last bytes may still be under way to the upstream. One who has not come
	// to read the end by then does not get there.
	if t.missing.IsZero() {
		t.missing = time.Now()
	}
	left := clientLeft
	left.judged = true
	return time.Since(t.missing) >= goneAfter && t.stop(left)
}

func (t *tunnel) ended() *ending {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.end
}

// relay passes whole heads and payload on until the direction ends. What is
// under way at the end of the tunnel is passed on to the end of its frame if
// finish says so.
func (t *tunnel) relay(d *direction, r *bufio.Reader, w io.Writer, finish bool) error {
	for held := 0; ; {
		if t.ended() != nil && (!finish || d.tracker.Boundary()) {
			return nil
		}
		if _, err := r.Peek(held + 1); err != nil {
			switch {
			case !timedOut(err):
				return err
			case finish && t.goOn():
				continue
			case t.ended() != nil:
				return nil
			}
			return err
		}
		t.active.Store(time.Now().UnixNano())
		came, _ := r.Peek(r.Buffered())
		if t.ended() != nil {
			if !finish {
				return nil
			}
			came = came[:min(int64(len(came)), d.tracker.Left())]
		}
		n, wrong := d.tracker.Next(came)
		if n > 0 {
			if _, err := w.Write(came[:n]); err != nil {
				return errors.Join(errWrite, err)
			}
			d.bytes += int64(n)
			_, _ = r.Discard(n) // buffered
			if d.tracker.Closed() {
				d.goodbye.Store(true)
			}
		}
		if wrong != nil {
			return wrong
		}
		held = len(came) - n
	}
}

// goOn reports whether one who waited for bytes until a deadline may wait
// again, and sets the next.
func (t *tunnel) goOn() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, until := time.Now(), t.until
	if t.end == nil && until.IsZero() {
		until = time.Unix(0, t.active.Load()).Add(t.idle)
	}
	return until.After(now) && t.x.answer.Conn.Conn.SetReadDeadline(until) == nil
}

// send relays the client's frames. conn begins with what was read of them together with the handshake.
func (t *tunnel) send(conn net.Conn) {
	upstream := t.x.answer.Conn
	err := t.relay(&t.in, bufio.NewReaderSize(conn, inBuffer), upstream, false)
	switch {
	case err == nil:
	case errors.Is(err, websocket.ErrProtocol):
		t.stop(badFrame)
	case errors.Is(err, websocket.ErrTooBig):
		t.stop(bigMessage)
	case errors.Is(err, errWrite), t.in.tracker.Closed():
		t.halfClose() // what the upstream said last is still to be read
		return        // and no goodbye belongs behind a piece of a frame
	default:
		t.stop(clientLeft)
	}
	if e := t.ended(); e != nil && e.upstream != 0 && t.in.tracker.Boundary() && !t.in.tracker.Closed() {
		var mask [4]byte
		_, _ = rand.Read(mask[:])                                                // never fails
		_, _ = upstream.Write(websocket.AppendClose(nil, e.upstream, "", &mask)) // it is cut off anyway
	}
}

// halfClose ends our side towards the upstream: the client has said goodbye and
// closed its own, or the upstream takes nothing any more.
func (t *tunnel) halfClose() {
	conn := t.x.answer.Conn
	if !t.closeSoon() {
		return
	}
	// Not under the lock, which the watch of all streams waits for: TLS takes up to 5 s to say so.
	if half, ok := conn.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // an upstream that is gone will be read to its end
	}
}

// closeSoon gives the upstream a moment, unless the tunnel has been stopped.
func (t *tunnel) closeSoon() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end != nil {
		return false
	}
	t.until = time.Now().Add(closeWait)
	_ = t.x.answer.Conn.Conn.SetReadDeadline(t.until) // one that is closed says so when it is read
	return true
}

// closing reports whether the tunnel ends soon.
func (t *tunnel) closing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.until.IsZero()
}

// receive relays the upstream's frames.
func (t *tunnel) receive() {
	err := t.relay(&t.out, t.x.answer.Reader, t.client, true)
	switch {
	case err == nil:
	case errors.Is(err, websocket.ErrProtocol):
		t.stop(badUpstream)
	case errors.Is(err, errWrite):
		t.stop(clientLeft)
	case timedOut(err) && !t.closing():
		t.stop(silent)
	case t.out.tracker.Closed(), t.in.goodbye.Load():
		t.stop(closed)
	default:
		t.stop(upstreamLeft)
	}
	if e := t.ended(); e != nil && e.client != 0 && !errors.Is(err, errWrite) && t.out.tracker.Boundary() && !t.out.tracker.Closed() {
		_, _ = t.client.Write(websocket.AppendClose(nil, e.client, e.reason, nil)) // it is cut off anyway
	}
}
