package extauthz

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// listener lets in whom it knows, and a bounded number of them. Everybody else
// finds the connection closed.
type listener struct {
	net.Listener
	peers  []netip.Prefix
	meters *meters
	open   atomic.Int64
}

func newListener(inner net.Listener, peers []netip.Prefix, m *meters) *listener {
	l := &listener{Listener: inner, peers: peers, meters: m}
	m.set.NewGauge("sidecar_ext_authz_connections", func() float64 { return float64(l.open.Load()) })
	return l
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch {
		case !l.knows(c.RemoteAddr()):
			l.meters.strangers.Inc()
		case l.open.Load() >= maxConnections:
			l.meters.crowd.Inc()
		default:
			l.open.Add(1)
			return &conn{Conn: c, left: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		_ = c.Close() // of no use to anyone any more
	}
}

func (l *listener) knows(a net.Addr) bool {
	peer, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	address := peer.Addr().Unmap().WithZone("")
	for _, prefix := range l.peers {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// conn counts as open until it is closed.
type conn struct {
	net.Conn
	left func()
}

func (c *conn) Close() error {
	c.left()
	return c.Conn.Close()
}
