package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/httpx"
)

// Limits of a client's HTTP/2 connection.
const (
	maxStreams    = 250       // at once
	streamWindow  = 256 << 10 // of a request's body that nobody has read yet
	connectWindow = 1 << 20   // of all of them
	pingAfter     = 30 * time.Second
	pingPatience  = 15 * time.Second
)

// h2Server speaks HTTP/2 on connections that fasthttp accepted and counted, and
// whose client chose it in the TLS handshake (RFC 7301).
type h2Server struct {
	http     *http.Server
	accepted chan net.Conn
	done     chan struct{} // closed with the listener
	close    sync.Once

	mu      sync.Mutex
	open    map[net.Conn]chan struct{} // closed when the server let go of it; guarded by mu
	serving sync.WaitGroup             // handlers, which outlive a stream that its client reset; guarded by mu to add
	ended   bool                       // guarded by mu: nobody waits for more of them
}

func (p *Proxy) newHTTP2() *h2Server {
	s := &h2Server{accepted: make(chan net.Conn), done: make(chan struct{}), open: map[net.Conn]chan struct{}{}}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	s.http = &http.Server{
		Handler: s.handle(p.serveStream), DisableGeneralOptionsHandler: true, Protocols: &protocols, MaxHeaderBytes: headBuffer, IdleTimeout: p.IdleTimeout, ReadHeaderTimeout: p.HeadTimeout,
		BaseContext: func(net.Listener) context.Context { return p.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerOf(c))
		},
		ConnState: s.state,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // it would quote what clients sent; CountError counts
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connectWindow,
			SendPingTimeout: pingAfter, PingTimeout: pingPatience, // the listener's connections have write deadlines of their own
			CountError: p.meters.http2,
		},
	}
	return s
}

// handle has run wait for the handler: a request that is being served is one
// whose record is still to come.
func (s *h2Server) handle(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		s.serving.Add(1)
		s.mu.Unlock()
		defer s.serving.Done()
		serve(w, r)
	}
}

// run serves until ctx ends, and then lets streams finish: clients are told
// with GOAWAY. cut ends the wait; connections are for others to cut. When it
// returns no handler runs.
func (s *h2Server) run(ctx, cut context.Context) {
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.http.Serve(s) }) // ends with the listener only
	select {
	case <-ctx.Done():
	case <-cut.Done():
	}
	if s.http.Shutdown(cut) != nil {
		_ = s.http.Close() // what is left was cut already
	}
	_ = s.Close()
	serving.Wait()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.serving.Wait()
}

// serve is fasthttp's handler of a connection; it returns when the connection is over.
func (s *h2Server) serve(c net.Conn) error {
	client, ours := c.(*secured)
	if !ours {
		return errors.New("a connection that is not ours")
	}
	over := make(chan struct{})
	s.mu.Lock()
	s.open[client.tls] = over
	s.mu.Unlock()
	select {
	case s.accepted <- client.tls:
		<-over
	case <-s.done:
		s.state(client.tls, http.StateClosed)
	}
	return nil
}

func (s *h2Server) state(c net.Conn, state http.ConnState) {
	if state != http.StateClosed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if over := s.open[c]; over != nil {
		close(over)
		delete(s.open, c)
	}
}

// Accept implements net.Listener.
func (s *h2Server) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *h2Server) Close() error {
	s.close.Do(func() { close(s.done) })
	return nil
}

// Addr implements net.Listener; nobody asks.
func (s *h2Server) Addr() net.Addr { return &net.TCPAddr{} }

// secured is a client's connection above TLS, in the form in which fasthttp asks
// a connection what protocol its client chose.
type secured struct {
	*watched
	tls *tls.Conn
}

// NetConn gives what it wraps, as tls.Conn does.
func (c *secured) NetConn() net.Conn { return c.watched }

// Handshake is bounded by the read deadline that fasthttp has set.
func (c *secured) Handshake() error { return c.tls.HandshakeContext(context.Background()) }

// ConnectionState tells which protocol the client chose.
func (c *secured) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// watchSecured is watch for a listener whose clients may choose HTTP/2.
func watchSecured(inner net.Conn) net.Conn {
	w := watch(inner).(*watched) //nolint:forcetypeassert // it is
	if t, ok := inner.(*tls.Conn); ok {
		return &secured{watched: w, tls: t}
	}
	return w
}

// peer is who a connection comes from.
type peer struct {
	address netip.Addr // invalid when it has no IP address
	text    string
}

type peerKey struct{}

func peerOf(c net.Conn) *peer {
	w, _ := watch(httpx.Socket(c)).(*watched)
	return &peer{address: w.peer, text: w.peerText}
}
