package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

func keepAlive(o *proxy.Options) { o.Upstream.KeepAlive = time.Minute }

// counting wraps a script; the number is of the connections it saw.
func counting(script func(*http.Request, net.Conn)) (counted func(*http.Request, net.Conn), number func() int) {
	var connections sync.Map
	return func(r *http.Request, conn net.Conn) {
			connections.Store(conn, true)
			script(r, conn)
		}, func() (n int) {
			connections.Range(func(any, any) bool { n++; return true })
			return n
		}
}

func TestUncertainAnswersEndTheirConnection(t *testing.T) {
	t.Parallel()
	good := tokens(t).good(t)
	for _, c := range []struct {
		method, answer string
		reused         bool
	}{
		{"HEAD", "200 OK\r\nContent-Length: 5\r\n", false},
		{"HEAD", "200 OK\r\nTransfer-Encoding: chunked\r\n", false},
		{"HEAD", "200 OK\r\n", false},
		{"HEAD", "200 OK\r\nContent-Length: 0\r\n", true},
		{"GET", "204 No Content\r\n", false},
		{"GET", "304 Not Modified\r\nContent-Length: 5\r\n", false},
		{"GET", "304 Not Modified\r\nTransfer-Encoding: chunked\r\n", false},
		{"GET", "304 Not Modified\r\n", true},
		{"GET", "200 OK\r\nContent-Length: 0\r\n", true},
	} {
		script, connections := counting(func(_ *http.Request, conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 "+c.answer+"\r\n") })
		w := newWorld(t, scripted(t, script), keepAlive)
		for range 3 {
			require.Less(t, w.raw(request(c.method, "/notes", good)).StatusCode, 400)
		}
		want := 3
		if c.reused {
			want = 1
		}
		require.Equal(t, want, connections(), "%+v", c)
	}
}

const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"

func answerQuery(r *http.Request) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + r.URL.RawQuery[:4]
}

// T18: what comes after an answer was sent on is nobody's answer either.
func TestLateBytesPoisonNobody(t *testing.T) {
	for _, secured := range []bool{false, true} {
		sent := make(chan struct{}, 1)
		script, connections := counting(func(r *http.Request, conn net.Conn) {
			_, _ = io.WriteString(conn, answerQuery(r))
			time.Sleep(20 * time.Millisecond) // the proxy has the answer
			_, _ = io.WriteString(conn, evil)
			sent <- struct{}{}
		})
		w := overTLS(t, secured, script)
		good := tokens(t).good(t)
		for i := range 3 {
			want := fmt.Sprintf("%04d", i)
			require.Equal(t, want, w.get("/notes?"+want, good).body)
			<-sent
			time.Sleep(10 * time.Millisecond)
		}
		require.Equal(t, 3, connections(), "TLS: %v", secured)
	}
}

// A record that TLS has read already is not in the kernel any more.
func TestBufferedRecordsPoisonNobody(t *testing.T) {
	script, connections := counting(func(r *http.Request, conn net.Conn) {
		below := conn.(*tls.Conn).NetConn().(*corked)
		below.hold.Store(true)
		_, _ = io.WriteString(conn, answerQuery(r))
		below.hold.Store(false)
		_, _ = io.WriteString(conn, evil)
	})
	w := overTLS(t, true, script)
	good := tokens(t).good(t)
	for i := range 3 {
		want := fmt.Sprintf("%04d", i)
		require.Equal(t, want, w.get("/notes?"+want, good).body)
	}
	require.Equal(t, 3, connections())
}

func TestTLSConnectionsAreReused(t *testing.T) {
	script, connections := counting(func(r *http.Request, conn net.Conn) { _, _ = io.WriteString(conn, answerQuery(r)) })
	w := overTLS(t, true, script)
	good := tokens(t).good(t)
	for i := range 5 {
		want := fmt.Sprintf("%04d", i)
		require.Equal(t, want, w.get("/notes?"+want, good).body)
	}
	require.Equal(t, 1, connections())
}

// overTLS is a world whose upstream may speak TLS on corked connections.
func overTLS(t *testing.T, secured bool, script func(*http.Request, net.Conn)) *world {
	if !secured {
		return newWorld(t, scripted(t, script), keepAlive)
	}
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer certified.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	serve(t, tls.NewListener(corkedListener{ln}, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS13}), script)
	roots := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return newWorld(t, "https://"+ln.Addr().String(), keepAlive, func(o *proxy.Options) {
		o.Upstream.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	})
}

type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &corked{Conn: conn}, nil
}

// corked holds writes back, for the next one that goes out.
type corked struct {
	net.Conn
	hold atomic.Bool
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	c.held = append(c.held, p...)
	if c.hold.Load() {
		return len(p), nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = nil
	return len(p), err
}
