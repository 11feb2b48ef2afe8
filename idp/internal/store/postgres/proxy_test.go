package postgres

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// trick says what a proxy does when it sees a COMMIT.
type trick int

const (
	pass   trick = iota
	before       // the connection ends on both sides, the server never sees the COMMIT
	after        // the server commits; its answer is swallowed and the connection ends
	hang         // the client's side ends; the server's stays open without the COMMIT
	vanish       // as after, and then nobody is let through any more
)

// proxy stands between a store and its server. It plays one trick.
type proxy struct {
	listener net.Listener
	target   string
	pairs    sync.WaitGroup

	mu    sync.Mutex // guards the rest
	armed trick
	taken func() // when the trick is played; nil: nothing
	shut  bool
	mute  bool
	held  []net.Conn
}

// between returns a proxy and the address that leads through it.
func between(t *testing.T, address string) (*proxy, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	p := &proxy{listener: listener, target: parsed.Host}
	p.pairs.Go(p.accept)
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		p.drop()
		p.pairs.Wait()
	})
	parsed.Host = listener.Addr().String()
	return p, parsed.String()
}

func (p *proxy) arm(c trick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = c
}

// open lets clients through again, or not.
func (p *proxy) open(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = !is
	p.mute = p.mute && !is
}

// freeze lets no byte through any more on the connections there are.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
}

// drop ends every connection.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.held {
		_ = conn.Close()
	}
	p.held = nil
}

func (p *proxy) take() trick {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.armed
	p.armed = pass
	if c != pass && p.taken != nil {
		p.taken()
	}
	if c == vanish {
		p.shut = true
	}
	return c
}

func (p *proxy) muted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mute
}

func (p *proxy) keep(conns ...net.Conn) (is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = append(p.held, conns...)
	return !p.shut
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		swallow := make(chan struct{})
		p.pairs.Go(func() { p.up(client, server, swallow) })
		p.pairs.Go(func() { p.down(client, server, swallow) })
	}
}

// up copies to the server. A COMMIT comes as one small packet.
func (p *proxy) up(client, server net.Conn, swallow chan struct{}) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			_ = server.Close()
			return
		}
		if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) {
			switch p.take() {
			case pass:
			case before:
				_, _ = client.Close(), server.Close()
				return
			case hang:
				_ = client.Close()
				return
			case after, vanish:
				close(swallow)
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			_ = client.Close()
			return
		}
	}
}

func (p *proxy) down(client, server net.Conn, swallow chan struct{}) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = server.Close()
			}
			_ = client.Close()
			return
		}
		if p.muted() {
			continue
		}
		select {
		case <-swallow: // the server has answered the COMMIT
			_, _ = client.Close(), server.Close()
			return
		default:
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			_ = server.Close()
			return
		}
	}
}
