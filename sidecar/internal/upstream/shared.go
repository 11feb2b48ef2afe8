package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	streamBuffer = 256 << 10        // of an answer that its client does not take
	pingAfter    = 15 * time.Second // of silence; a connection that does not answer it as long is lost

	assumedStreams = 100                    // what net/http lets a connection carry before it has read the server's limit
	limitWait      = 500 * time.Millisecond // for that limit, longer than it takes to arrive; shorter than Options.Wait
	limitPoll      = time.Millisecond
)

// shared are the connections to a server that speaks HTTP/2, each of which
// carries many requests. net/http frames them; which one takes a request, and
// whether a request is tried again, is decided by ourselves.
type shared struct {
	server    *Server
	transport *http.Transport // never used as such: it only makes connections
	most      int             // connections
	wait      time.Duration   // for a free place

	mu      sync.Mutex
	conns   []*link  // guarded by mu
	dialing *dialing // guarded by mu; nil: nobody does

	roomMu sync.Mutex
	room   chan struct{} // closed when there may be some; guarded by roomMu
}

// link is a connection. A server may refuse what goes beyond its limit, which
// comes in its first frame, and a request whose body has begun cannot be sent
// again: until the limit is known the connection carries one request.
type link struct {
	*http.ClientConn
	taken atomic.Bool   // by the one request, while the limit is not known
	known chan struct{} // closed when the limit is known
	learn func()        // closes it, more than once if need be
}

func newLink(conn *http.ClientConn) *link {
	l := &link{ClientConn: conn, known: make(chan struct{})}
	l.learn = sync.OnceFunc(func() { close(l.known) })
	return l
}

// reserve takes a place; unknown says that there is none because the limit is not known.
func (l *link) reserve() (reserved, unknown bool) {
	select {
	case <-l.known:
		return l.Reserve() == nil, false
	default:
	}
	if !l.taken.CompareAndSwap(false, true) {
		return false, true
	}
	return l.Reserve() == nil, false
}

// watch waits for the limit, of which net/http tells nothing: what it assumes
// changes. A server that allows just as much is believed after limitWait, or
// when it has answered.
func (l *link) watch(ctx context.Context) {
	defer l.learn()
	ctx, cancel := context.WithTimeout(ctx, limitWait)
	defer cancel()
	poll := time.NewTicker(limitPoll)
	defer poll.Stop()
	for {
		// twice: the one request may move between the two numbers of a sum
		if sum := l.Available() + l.InFlight(); sum != assumedStreams && sum == l.Available()+l.InFlight() {
			return
		}
		select {
		case <-poll.C:
		case <-l.known:
			return
		case <-ctx.Done():
			return
		}
	}
}

// dialing is a connection on its way, for all who wait for it.
type dialing struct {
	done chan struct{}
	err  error // valid after done
}

func newShared(s *Server, o *Options, connections int) *shared {
	h := &shared{server: s, most: connections, wait: o.Wait, room: make(chan struct{})}
	var protocols http.Protocols
	protocols.SetHTTP2(s.tls != nil)
	protocols.SetUnencryptedHTTP2(s.tls == nil)
	h.transport = &http.Transport{
		Protocols: &protocols, DialContext: h.dial, DialTLSContext: h.dial,
		DisableCompression: true, MaxResponseHeaderBytes: bufferSize, IdleConnTimeout: o.KeepAlive,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream: streamBuffer, SendPingTimeout: pingAfter, PingTimeout: pingAfter, WriteByteTimeout: o.IdleTimeout,
		},
	}
	context.AfterFunc(s.ctx, h.retire)
	return h
}

// dial makes a connection that the transport speaks HTTP/2 on.
func (h *shared) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	socket, err := h.server.socket(ctx)
	if err != nil || h.server.tls == nil {
		return socket, err
	}
	secured, err := h.server.secure(ctx, socket)
	if err != nil {
		return nil, err
	}
	if secured.ConnectionState().NegotiatedProtocol != "h2" {
		_ = secured.Close() // of no use
		return nil, errors.New("the server does not speak HTTP/2")
	}
	return secured, nil
}

// connect makes one connection; the dial's limit applies.
func (h *shared) connect(ctx context.Context) (*http.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.server.dialLimit)
	defer cancel()
	scheme := "http"
	if h.server.tls != nil {
		scheme = "https"
	}
	return h.transport.NewClientConn(ctx, scheme, h.server.address)
}

// Stream is the place of one request on a connection. Release it once.
type Stream struct {
	*Server // also of one that could not be had; nil: no server is in use
	conn    *link
	used    bool
}

// Authority is the Host that requests have.
func (s *Stream) Authority() string { return s.authority }

// Do sends the request, once; it is never repeated here. The request's URL is
// completed. An answer's body must be closed before the release.
func (s *Stream) Do(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host, r.Host = "http", s.authority, s.authority
	if s.tls != nil {
		r.URL.Scheme = "https"
	}
	s.used = true
	answer, err := s.conn.RoundTrip(r)
	if err == nil {
		s.conn.learn() // the limit came before the answer
		s.health.served()
	}
	return answer, err
}

// Release ends the exchange.
func (s *Stream) Release() {
	s.inFlight.Add(-1)
	if !s.used {
		s.conn.Release()
	}
	s.conn.taken.Store(false)
	if s.upstream.retired.Load() {
		s.shared.retire()
	}
}

// open finds a place.
func (h *shared) open(ctx context.Context) (*Stream, error) {
	h.server.inFlight.Add(1)
	conn, err := h.reserve(ctx)
	if err != nil {
		h.server.inFlight.Add(-1)
	}
	return &Stream{Server: h.server, conn: conn}, err
}

func (h *shared) reserve(ctx context.Context) (*link, error) {
	var late <-chan time.Time
	for {
		room := h.awaited()
		h.mu.Lock()
		conn, unknown := h.free()
		if conn != nil {
			h.mu.Unlock()
			return conn, nil
		}
		d := h.dialing
		if unknown != nil {
			d, room = nil, unknown.known
		} else if d == nil && len(h.conns) < h.most {
			d = &dialing{done: make(chan struct{})}
			h.dialing = d
			go h.extend(d)
		}
		h.mu.Unlock()
		if d != nil {
			select {
			case <-d.done:
				if d.err != nil {
					return nil, d.err
				}
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			continue
		}
		if late == nil {
			timer := time.NewTimer(h.wait)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-room:
		case <-late:
			return nil, ErrBusy
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// free reserves a place on a connection that there is. Connections that take no
// more requests are forgotten; they end with those that they have. Without a
// place, unknown is a connection that will say whether it has one.
func (h *shared) free() (conn, unknown *link) {
	h.conns = slices.DeleteFunc(h.conns, func(l *link) bool { return l.Err() != nil })
	for _, l := range h.conns {
		switch reserved, soon := l.reserve(); {
		case reserved:
			return l, nil
		case soon:
			unknown = l
		}
	}
	return nil, unknown
}

// extend adds a connection. It is not bound to the request that asked first:
// others wait for it too.
func (h *shared) extend(d *dialing) {
	defer close(d.done)
	conn, err := h.connect(h.server.ctx)
	switch {
	case err == nil:
		h.server.health.served()
		conn.SetStateHook(func(*http.ClientConn) { h.tell() })
	case h.server.ctx.Err() == nil:
		h.server.connectFailed(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dialing, d.err = nil, err
	if err != nil {
		return
	}
	if err = h.server.ctx.Err(); err != nil {
		d.err = errors.Join(err, conn.Close())
		return
	}
	l := newLink(conn)
	go l.watch(h.server.ctx)
	h.conns = append(h.conns, l)
}

// tell wakes those who wait for a place. A connection calls it whenever it has
// one more, also from within its methods: it takes no other lock.
func (h *shared) tell() {
	h.roomMu.Lock()
	defer h.roomMu.Unlock()
	close(h.room)
	h.room = make(chan struct{})
}

func (h *shared) awaited() <-chan struct{} {
	h.roomMu.Lock()
	defer h.roomMu.Unlock()
	return h.room
}

// retire closes connections that are idle, at the proxy's end all. The others
// end some time after their last request.
func (h *shared) retire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		if h.server.ctx.Err() != nil || c.InFlight() == 0 {
			_ = c.Close() // whoever waits on it learns so
		}
	}
}

// check asks over a connection of its own for the server's health, or only connects.
func (h *shared) check(ctx context.Context, path string) error {
	conn, err := h.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it served its purpose
	if path == "" {
		return nil
	}
	s := Stream{Server: h.server, conn: newLink(conn)}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.server.authority+path, nil)
	if err != nil {
		return fmt.Errorf("health check: %w", err)
	}
	request.Header.Set("User-Agent", "agentidp-sidecar")
	answer, err := s.Do(request)
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // not read, as its connection is not used again
	return healthy(answer.StatusCode)
}
