package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's clock, which never ends, and its pools' cleaners, which sleep once more after the last connection.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
	)
}

// listener is a server that accepts connections, and can go away and come back.
type listener struct {
	t        *testing.T
	addr     string
	accepted atomic.Int64
	mu       sync.Mutex
	ln       net.Listener // guarded by mu
	conns    []net.Conn   // guarded by mu
	done     sync.WaitGroup
}

func listen(t *testing.T) *listener {
	l := &listener{t: t, addr: freeAddress(t)}
	l.up()
	t.Cleanup(l.down)
	return l
}

// freeAddress is nobody else's while a server is away.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", commandtest.FreePort(t, 10_000))
}

func (l *listener) url() string { return "http://" + l.addr }

func (l *listener) up() {
	ln, err := net.Listen("tcp", l.addr)
	require.NoError(l.t, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ln = ln
	l.done.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			l.accepted.Add(1)
			l.mu.Lock()
			l.conns = append(l.conns, conn)
			l.mu.Unlock()
		}
	})
}

func (l *listener) down() {
	l.mu.Lock()
	_ = l.ln.Close()
	l.mu.Unlock()
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

// set is the upstreams of a route file, watched until the test ends.
func set(t *testing.T, o upstream.Options, specs string) *upstream.Set {
	t.Helper()
	table, err := route.Load([]byte("upstreams:\n" + specs + "\nroutes: [{path: /a, capability: a:b, upstream: api}]"))
	require.NoError(t, err)
	o.DialTimeout = time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	s, err := upstream.NewSet(ctx, o, table, nil)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { cancel(); s.Retire(nil, true) })
	return s
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 5*time.Millisecond, what)
}

func upOf(s *upstream.Set, url string) bool {
	for _, status := range s.Status() {
		if status.URL == url {
			return status.Up
		}
	}
	return false
}

// Each request goes where the fewest are.
func TestTheLeastBusyServerIsAsked(t *testing.T) {
	a, b, c := listen(t), listen(t), listen(t)
	api := set(t, upstream.Options{}, "  api: {urls: ['"+a.url()+"', '"+b.url()+"', '"+c.url()+"']}").Get("api")
	asked := map[string]int{}
	var lines []upstream.Line
	for range 30 {
		l, err := api.Acquire(nil)
		require.NoError(t, err)
		asked[l.URL()]++
		lines = append(lines, l)
	}
	require.Equal(t, map[string]int{a.url(): 10, b.url(): 10, c.url(): 10}, asked)
	for i := range lines {
		if lines[i].URL() == b.url() {
			lines[i].Release(true)
		}
	}
	for range 10 {
		l, err := api.Acquire(nil)
		require.NoError(t, err)
		require.Equal(t, b.url(), l.URL())
		lines = append(lines, l)
	}
	require.LessOrEqual(t, b.accepted.Load(), int64(10), "its connections were used again")
	l, err := api.Acquire(lines[len(lines)-1].Server)
	require.NoError(t, err)
	require.NotEqual(t, b.url(), l.URL(), "the second attempt goes elsewhere")
	l.Release(false)
	for i := range lines {
		if i >= 30 || lines[i].URL() != b.url() {
			lines[i].Release(false)
		}
	}
}

// A server that takes no connections goes out of use, and comes back by itself;
// nobody's request is what finds out.
func TestAServerThatIsAwayGoesOutOfUseAndComesBack(t *testing.T) {
	away, there := listen(t), listen(t)
	var log obstest.Output
	s := set(t, upstream.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, "  api: {urls: ['"+away.url()+"', '"+there.url()+"']}")
	api := s.Get("api")
	away.down()
	failed := 0
	waitFor(t, "it is out of use", func() bool {
		l, err := api.Acquire(nil)
		if err != nil {
			require.Equal(t, away.url(), l.URL())
			require.True(t, api.Alternative(l.Server))
			failed++
			return false
		}
		l.Release(false)
		return !upOf(s, away.url())
	})
	require.Equal(t, 5, failed)
	for range 20 {
		l, err := api.Acquire(nil)
		require.NoError(t, err)
		require.Equal(t, there.url(), l.URL())
		require.False(t, api.Alternative(l.Server))
		l.Release(true)
	}

	there.down()
	waitFor(t, "none is in use", func() bool {
		_, err := api.Acquire(nil)
		var down *upstream.Unavailable
		return errors.As(err, &down)
	})
	_, err := api.Acquire(nil)
	var down *upstream.Unavailable
	require.ErrorAs(t, err, &down)
	require.LessOrEqual(t, down.RetryAfter, 10*time.Second)
	require.NotEmpty(t, s.Status()[0].Error)

	away.up()
	waitFor(t, "it is in use again", func() bool { return upOf(s, away.url()) })
	l, err := api.Acquire(nil)
	require.NoError(t, err)
	require.Equal(t, away.url(), l.URL())
	l.Release(false)
	require.Contains(t, log.String(), "upstream server out of use")
	require.Contains(t, log.String(), "upstream server in use again")
	require.Positive(t, s.Status()[0].Failures["connect"])
	require.Zero(t, s.Status()[0].Failures["health"])
}

// A server that answers is not out of use because a few connections failed now and then.
func TestSuccessForgetsFailures(t *testing.T) {
	l := listen(t)
	s := set(t, upstream.Options{}, "  api: {urls: ['"+l.url()+"']}")
	api := s.Get("api")
	for range 4 {
		l.down()
		for range 4 {
			_, err := api.Acquire(nil)
			require.Error(t, err)
		}
		l.up()
		line, err := api.Acquire(nil)
		require.NoError(t, err)
		line.Release(false)
	}
	require.True(t, upOf(s, l.url()))
}

// Health checks decide, whatever connections say.
func TestHealthChecks(t *testing.T) {
	var sick, slow atomic.Bool
	var asked atomic.Pointer[http.Request]
	release := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r)
		if slow.Load() {
			<-release
		}
		if sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	s := set(t, upstream.Options{}, "  api: {urls: ['"+server.URL+"'], health: {path: '/healthz?a=1', interval: 1s, timeout: 200ms}}")
	waitFor(t, "it is asked", func() bool { return asked.Load() != nil })
	require.Equal(t, "/healthz?a=1", asked.Load().RequestURI)
	require.Equal(t, server.URL, "http://"+asked.Load().Host)
	waitFor(t, "it is in use", func() bool { return upOf(s, server.URL) })
	for _, illness := range []*atomic.Bool{&sick, &slow} {
		illness.Store(true)
		waitFor(t, "it is out of use", func() bool { return !upOf(s, server.URL) })
		_, err := s.Get("api").Acquire(nil)
		var down *upstream.Unavailable
		require.ErrorAs(t, err, &down)
		illness.Store(false)
		waitFor(t, "it is in use again", func() bool { return upOf(s, server.URL) })
	}
	require.GreaterOrEqual(t, s.Status()[0].Failures["health"], uint64(4))
	require.Zero(t, s.Status()[0].Failures["connect"])
}

// Servers that speak TLS are asked over TLS, and one from elsewhere is not used.
func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig
	spec := "  api: {urls: ['" + server.URL + "'], health: {path: /, interval: 1s}}"
	good := set(t, upstream.Options{TLS: &tls.Config{RootCAs: trusting.RootCAs, MinVersion: tls.VersionTLS12}}, spec)
	line, err := good.Get("api").Acquire(nil)
	require.NoError(t, err)
	line.Release(true)
	again, err := good.Get("api").Acquire(nil)
	require.NoError(t, err)
	require.Same(t, line.Conn, again.Conn)
	again.Release(false)

	stranger := set(t, upstream.Options{}, spec)
	_, err = stranger.Get("api").Acquire(nil)
	require.ErrorContains(t, err, "certificate")
	waitFor(t, "it is out of use", func() bool { return !upOf(stranger, server.URL) })
	require.True(t, upOf(good, server.URL))
}

// What a new table defines as before stays as it is; the rest ends when it is idle.
func TestReplacing(t *testing.T) {
	kept, gone := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	load := func(text string, previous *upstream.Set) *upstream.Set {
		table, err := route.Load([]byte(text + "\nroutes: [{path: /a, capability: a:b, upstream: kept}]"))
		require.NoError(t, err)
		s, err := upstream.NewSet(ctx, upstream.Options{URL: gone.url()}, table, previous)
		require.NoError(t, err)
		s.Start()
		return s
	}
	first := load("upstreams: {kept: {urls: ['"+kept.url()+"']}, gone: {urls: ['"+gone.url()+"']}, changed: {urls: ['"+gone.url()+"']}}", nil)
	running, err := first.Get("gone").Acquire(nil)
	require.NoError(t, err)
	idle, err := first.Get("gone").Acquire(nil)
	require.NoError(t, err)
	conn := idle.Conn
	idle.Release(true)

	second := load("upstreams: {kept: {urls: ['"+kept.url()+"']}, changed: {urls: ['"+gone.url()+"'], timeout: 1s}}", first)
	first.Retire(second, true)
	require.Same(t, first.Get("kept"), second.Get("kept"))
	require.Same(t, first.Get(""), second.Get(""), "the default one")
	require.NotSame(t, first.Get("changed"), second.Get("changed"))
	require.Nil(t, second.Get("gone"))
	require.Equal(t, time.Second, second.Get("changed").Timeout())
	_, err = conn.Write([]byte("x"))
	require.Error(t, err, "closed: it was idle")
	_, err = running.Conn.Write([]byte("x"))
	require.NoError(t, err, "under way")
	conn = running.Conn
	running.Release(true)
	_, err = conn.Write([]byte("x"))
	require.Error(t, err, "closed: it is idle now")
	late, err := first.Get("gone").Acquire(nil) // a request that had found it before
	require.NoError(t, err)
	late.Release(true)
	var names []string
	for _, status := range second.Status() {
		names = append(names, status.Upstream)
	}
	require.Equal(t, []string{"default", "changed", "kept"}, names)
	cancel()
	second.Retire(nil, true)
}

func TestOneConnectionAtATime(t *testing.T) {
	l := listen(t)
	api := set(t, upstream.Options{Wait: 10 * time.Millisecond}, "  api: {urls: ['"+l.url()+"'], maxConnections: 1}").Get("api")
	line, err := api.Acquire(nil)
	require.NoError(t, err)
	_, err = api.Acquire(nil)
	require.ErrorIs(t, err, upstream.ErrBusy)
	line.Release(true)
	line, err = api.Acquire(nil)
	require.NoError(t, err)
	line.Release(false)
	waitFor(t, "it was accepted", func() bool { return l.accepted.Load() > 0 })
	require.Equal(t, int64(1), l.accepted.Load())
}

// The end of the context ends every connection and every wait.
func TestTheEndClosesConnections(t *testing.T) {
	l := listen(t)
	table, err := route.Load([]byte("routes: [{path: /a, capability: a:b}]"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := upstream.NewSet(ctx, upstream.Options{URL: l.url()}, table, nil)
	require.NoError(t, err)
	line, err := s.Get("").Acquire(nil)
	require.NoError(t, err)
	cancel()
	_, err = line.Conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)
	line.Release(false)
	_, err = s.Get("").Acquire(nil)
	require.Error(t, err)
	require.True(t, s.Status()[0].Up, "that was not its fault")

	_, err = upstream.NewSet(context.Background(), upstream.Options{}, table, nil)
	require.ErrorIs(t, err, route.ErrUpstream)
	_, err = upstream.NewSet(context.Background(), upstream.Options{URL: "http://a/b"}, table, nil)
	require.ErrorIs(t, err, route.ErrUpstream)
}
