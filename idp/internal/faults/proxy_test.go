package faults

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// what a proxy does with bytes on their way to the server.
type verdict int

const (
	pass   verdict = iota
	keep           // forget these bytes and cut the connection: they never arrive
	cut            // pass them on, then cut: they arrive, the answer does not
	vanish         // pass them on; nothing comes back any more, and nobody says so
)

// proxy is a TCP proxy that misbehaves on demand.
type proxy struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	word   string        // what to wait for on the way to the server; "": nothing
	then   verdict       // what to do when it comes, once
	delay  time.Duration // of every chunk
	hole   chan struct{} // while open, nothing passes in either direction; nil: everything does
	closed bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	p.group.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// when does something, once, to the connection on which the word is sent.
func (p *proxy) when(word string, then verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.word, p.then = word, then
}

// fired reports whether the word was seen.
func (p *proxy) fired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.word == ""
}

// slow delays every chunk to the server.
func (p *proxy) slow(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// blackhole swallows nothing and passes nothing, until restore.
func (p *proxy) blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hole == nil {
		p.hole = make(chan struct{})
	}
}

// restore makes the proxy behave.
func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.word, p.delay = "", 0
	if p.hole != nil {
		close(p.hole)
		p.hole = nil
	}
}

// cutAll ends every connection.
func (p *proxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
}

func (p *proxy) close() {
	p.restore()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.cutAll()
	p.group.Wait()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", p.target, patience)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		if p.closed {
			client.Close()
			server.Close()
		} else {
			p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		}
		p.mu.Unlock()
		pair := &pair{client: client, server: server}
		p.group.Go(func() { p.pipe(pair, client, server) })
		p.group.Go(func() { p.pipe(pair, server, client) })
	}
}

// pair is a connection through the proxy.
type pair struct {
	client, server net.Conn
	silent         atomic.Bool // nothing comes back
}

// pipe passes bytes on until either end is gone.
func (p *proxy) pipe(pair *pair, from, to net.Conn) {
	defer p.forget(from, to)
	chunk, before := make([]byte, 32<<10), ""
	for {
		n, err := from.Read(chunk)
		if n > 0 {
			said := pass
			if p.pace(); from == pair.client {
				said = p.ask(before, string(chunk[:n]))
				before = string(chunk[:n])
			}
			if said == keep {
				return
			}
			if said == cut || said == vanish {
				pair.silent.Store(true) // before the server has heard: its answer may outrun the cut
			}
			if from == pair.client || !pair.silent.Load() {
				if _, err := to.Write(chunk[:n]); err != nil {
					return
				}
			}
			if said == cut {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pace waits while nothing passes.
func (p *proxy) pace() {
	p.mu.Lock()
	hole, delay := p.hole, p.delay
	p.mu.Unlock()
	if hole != nil {
		<-hole
	}
	time.Sleep(delay)
}

// ask says what to do with a chunk to the server. The word may begin in the chunk before.
func (p *proxy) ask(before, chunk string) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	overlap := before[max(0, len(before)-max(0, len(p.word)-1)):]
	if p.word == "" || !strings.Contains(overlap+chunk, p.word) {
		return pass
	}
	p.word = ""
	return p.then
}

func (p *proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if _, known := p.conns[conn]; known {
			delete(p.conns, conn)
			conn.Close()
		}
	}
}

func TestProxy(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	heard := make(chan string, 16)
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					heard <- lines.Text()
					_, _ = io.WriteString(conn, lines.Text()+"\n")
				}
			}()
		}
	}()
	defer echo.Close()
	p := newProxy(t, echo.Addr().String())
	within := patience
	say := func(conn net.Conn, line string) string {
		_ = conn.SetDeadline(time.Now().Add(within))
		_, _ = io.WriteString(conn, line+"\n")
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return "silence"
			}
			return "cut"
		}
		return strings.TrimSpace(answer)
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.addr())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	conn := dial()
	require.Equal(t, "hello", say(conn, "hello"))
	require.Equal(t, "hello", <-heard)
	for _, c := range []struct {
		verdict verdict
		sees    string
		arrives bool
	}{{keep, "cut", false}, {cut, "cut", true}, {vanish, "silence", true}} {
		p.when("COMMIT", c.verdict)
		conn := dial()
		require.Equal(t, "other", say(conn, "other"))
		require.Equal(t, "other", <-heard)
		require.False(t, p.fired())
		if c.verdict == vanish {
			within = 300 * time.Millisecond
		}
		require.Equal(t, c.sees, say(conn, "COMMIT"))
		within = patience
		if c.arrives {
			require.Equal(t, "COMMIT", <-heard)
		}
		require.True(t, p.fired())
		p.restore()
	}
	require.Empty(t, heard)
	p.blackhole()
	conn = dial()
	within = 300 * time.Millisecond
	require.Equal(t, "silence", say(conn, "later"))
	within = patience
	p.restore()
	require.Equal(t, "later", <-heard)
	p.slow(50 * time.Millisecond)
	conn = dial()
	begun := time.Now()
	require.Equal(t, "slow", say(conn, "slow"))
	require.GreaterOrEqual(t, time.Since(begun), 50*time.Millisecond)
	p.cutAll()
	require.Equal(t, "cut", say(conn, "gone"))
}
