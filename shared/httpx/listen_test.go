package httpx_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
)

const plain = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func TestConnectionsPerAddress(t *testing.T) {
	ok := httpx.Options{Handler: func(*fasthttp.RequestCtx) {}}
	r := start(t, ok, httpx.ListenOptions{MaxPerAddress: 2})
	use := func() net.Conn {
		c := r.dial(t)
		_, err := io.WriteString(c, plain)
		require.NoError(t, err)
		require.Equal(t, 200, read(t, c).status)
		return c
	}
	first := use()
	use()
	third := r.dial(t)
	a := read(t, third)
	require.Equal(t, 429, a.status)
	require.JSONEq(t, `{"code":"RATE_LIMITED","message":"too many connections from this address","details":{}}`, a.body)
	require.Equal(t, "1", a.header.Get("Retry-After"))
	require.True(t, a.closed)
	require.EqualValues(t, 1, r.ln.Refused())
	require.NoError(t, first.Close())
	eventually(t, func() bool { return r.ln.Open() == 1 }, "the place is free again")
	use()

	r = start(t, ok, httpx.ListenOptions{MaxPerAddress: 1, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for range 3 {
		use()
	}
	require.Equal(t, 3, r.ln.Open())
}

// failing gives errors before each connection.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	return f.Listener.Accept()
}

type passing struct{ error }

func (passing) Timeout() bool   { return false }
func (passing) Temporary() bool { return true }

func TestAcceptOutlivesPassingErrors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln := httpx.NewListener(&failing{Listener: inner, errs: []error{passing{errors.New("too many open files")}, passing{errors.New("again")}}}, httpx.ListenOptions{})
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer dialed.Close()
	accepted, err := ln.Accept()
	require.NoError(t, err)
	require.Equal(t, 1, ln.Open())
	require.NoError(t, accepted.Close())
	require.NoError(t, accepted.Close(), "closing twice is harmless")
	require.Zero(t, ln.Open())

	_, err = httpx.Listen("256.0.0.1:0", httpx.ListenOptions{})
	require.Error(t, err)
}

// certificate is a key pair for 127.0.0.1 and a client that trusts it.
func certificate(t *testing.T) (*tls.Config, *http.Client) {
	t.Helper()
	authority := tlstest.NewAuthority(t)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool}}}
	t.Cleanup(client.CloseIdleConnections)
	return &tls.Config{Certificates: []tls.Certificate{authority.Pair()}}, client
}

func TestTLS(t *testing.T) {
	config, client := certificate(t)
	r := start(t, httpx.Options{MaxHead: 4 << 10, Handler: func(ctx *fasthttp.RequestCtx) {
		httpx.WriteJSON(ctx, 200, []any{ctx.IsTLS(), httpx.Peer(ctx).String()})
	}}, httpx.ListenOptions{TLS: config, MaxPerAddress: 1})
	response, err := client.Get("https://" + r.addr)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.JSONEq(t, `[true,"127.0.0.1"]`, string(body))

	refused := r.dial(t)
	sent, err := io.ReadAll(refused)
	require.NoError(t, err)
	require.Empty(t, sent, "no plain text on a TLS port")

	request, err := http.NewRequest(http.MethodGet, "https://"+r.addr, nil)
	require.NoError(t, err)
	request.Header.Set("X", strings.Repeat("x", 8<<10))
	response, err = client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 431, response.StatusCode)
}

func TestGone(t *testing.T) {
	config, client := certificate(t)
	var gone atomic.Int64
	waiting := make(chan struct{}, 1)
	handler := func(ctx *fasthttp.RequestCtx) {
		left := httpx.Gone(ctx)
		if left() {
			return
		}
		waiting <- struct{}{}
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if left() {
				gone.Add(1)
				return
			}
		}
	}
	t.Run("plain", func(t *testing.T) {
		r := start(t, httpx.Options{Handler: handler}, httpx.ListenOptions{})
		c := r.dial(t)
		_, err := io.WriteString(c, plain)
		require.NoError(t, err)
		<-waiting
		require.NoError(t, c.Close())
		eventually(t, func() bool { return gone.Load() == 1 }, "seen")
	})
	t.Run("with a request still unread", func(t *testing.T) {
		r := start(t, httpx.Options{Handler: handler}, httpx.ListenOptions{})
		c := r.dial(t)
		_, err := io.WriteString(c, plain)
		require.NoError(t, err)
		<-waiting
		_, err = io.WriteString(c, plain)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		eventually(t, func() bool { return gone.Load() == 2 }, "seen")
	})
	t.Run("TLS", func(t *testing.T) {
		r := start(t, httpx.Options{Handler: handler}, httpx.ListenOptions{TLS: config})
		c, err := tls.Dial("tcp", r.addr, client.Transport.(*http.Transport).TLSClientConfig)
		require.NoError(t, err)
		_, err = io.WriteString(c, plain)
		require.NoError(t, err)
		<-waiting
		require.NoError(t, c.Close())
		eventually(t, func() bool { return gone.Load() == 3 }, "seen")
	})
	t.Run("cannot tell", func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		ctx := &fasthttp.RequestCtx{}
		ctx.Init2(near, nil, true)
		require.False(t, httpx.Gone(ctx)())
	})
	t.Run("closed by us", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		near, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		ctx := &fasthttp.RequestCtx{}
		ctx.Init2(near, nil, true)
		left := httpx.Gone(ctx)
		require.False(t, left())
		require.NoError(t, near.Close())
		require.True(t, left())
	})
}
