package upstream_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/upstream"
)

// h2c is a server that speaks HTTP/2 only, and counts its connections.
type h2c struct {
	*httptest.Server
	opened, closed atomic.Int64
}

func newH2C(t *testing.T, streams int, handler http.HandlerFunc) *h2c {
	t.Helper()
	s := &h2c{Server: httptest.NewUnstartedServer(handler)}
	require.NoError(t, s.Listener.Close())
	ln, err := net.Listen("tcp", freeAddress(t))
	require.NoError(t, err)
	s.Listener = lateListener{ln}
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.opened.Add(1)
		}
		if state == http.StateClosed {
			s.closed.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// ask sends one request on a stream and reads the answer.
func ask(s *upstream.Stream) (string, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://ignored/x?y", nil)
	if err != nil {
		return "", err
	}
	answer, err := s.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.Proto + " " + string(body), err
}

// Requests share a connection as long as it has room; then there is another one, up to the limit.
func TestStreamsShareConnections(t *testing.T) {
	entered, release := make(chan struct{}, 16), make(chan struct{})
	server := newH2C(t, 3, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Wait") != "" {
			entered <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, r.Host+r.RequestURI)
	})
	s := set(t, upstream.Options{Wait: 100 * time.Millisecond}, "  api: {urls: ['"+server.URL+"'], protocol: h2, maxConnections: 2}")
	api := s.Get("api")
	require.True(t, api.HTTP2())
	for range 20 {
		stream, err := api.Open(t.Context(), nil)
		require.NoError(t, err)
		text, err := ask(stream)
		require.NoError(t, err)
		require.Equal(t, "HTTP/2.0 "+stream.Authority()+"/x?y", text)
		stream.Release()
	}
	require.EqualValues(t, 1, server.opened.Load())

	var held sync.WaitGroup
	waiting := func() error {
		stream, err := api.Open(t.Context(), nil)
		if err != nil {
			return err
		}
		held.Go(func() {
			defer stream.Release()
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://ignored/", nil)
			require.NoError(t, err)
			r.Header.Set("Wait", "yes")
			answer, err := stream.Do(r)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
		})
		<-entered
		return nil
	}
	for range 6 {
		require.NoError(t, waiting())
	}
	require.EqualValues(t, 2, server.opened.Load())
	_, err := api.Open(t.Context(), nil)
	require.ErrorIs(t, err, upstream.ErrBusy)
	require.EqualValues(t, 6, s.Status()[0].InFlight)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = api.Open(gone, nil)
	require.ErrorIs(t, err, context.Canceled)

	patient := make(chan error, 1)
	go func() {
		for { // its wait is shorter than a loaded machine may need
			stream, err := api.Open(context.Background(), nil)
			if err == nil {
				stream.Release()
				patient <- nil
				return
			}
		}
	}()
	close(release)
	held.Wait()
	require.NoError(t, <-patient)
	waitFor(t, "nothing is under way", func() bool { return s.Status()[0].InFlight == 0 })
}

// late is a connection whose first write waits: the server's settings.
type late struct {
	net.Conn
	once sync.Once
}

func (c *late) Write(p []byte) (int, error) {
	c.once.Do(func() { time.Sleep(50 * time.Millisecond) })
	return c.Conn.Write(p)
}

type lateListener struct{ net.Listener }

func (l lateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &late{Conn: conn}, nil
}

// A burst on a new connection keeps to the server's limit, though that arrives
// after the burst: nothing is refused.
func TestABurstKeepsToALimitThatIsNotKnownYet(t *testing.T) {
	for _, streams := range []int{2, 100, 250} {
		entered := make(chan struct{}, 64)
		server := newH2C(t, streams, func(w http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			_, _ = io.Copy(w, r.Body)
		})
		s := set(t, upstream.Options{Wait: time.Minute}, "  api: {urls: ['"+server.URL+"'], protocol: h2, maxConnections: 1}")
		burst(t, s.Get("api"), 30)
		require.Len(t, entered, 30)
		require.EqualValues(t, 1, server.opened.Load())
	}
}

// burst sends requests with bodies at once and wants each answered.
func burst(t *testing.T, api *upstream.Upstream, requests int) {
	t.Helper()
	failed := make(chan error, requests)
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			stream, err := api.Open(t.Context(), nil)
			if err == nil {
				defer stream.Release()
				err = post(stream, "hello")
			}
			failed <- err
		})
	}
	all.Wait()
	for range requests {
		require.NoError(t, <-failed)
	}
}

// post wants the body back.
func post(s *upstream.Stream, body string) error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://ignored/", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return err
	}
	answer, err := s.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != body {
		return fmt.Errorf("%q: %w", text, err)
	}
	return nil
}

// A server that is away goes out of use for HTTP/2 too: those who wait for one connection fail together.
func TestStreamsOfAServerThatIsAway(t *testing.T) {
	server := newH2C(t, 0, func(http.ResponseWriter, *http.Request) {})
	s := set(t, upstream.Options{}, "  api: {urls: ['"+server.URL+"'], protocol: h2}")
	api := s.Get("api")
	stream, err := api.Open(t.Context(), nil)
	require.NoError(t, err)
	_, err = ask(stream)
	require.NoError(t, err)
	stream.Release()
	server.Close()
	waitFor(t, "it is out of use", func() bool {
		stream, err := api.Open(t.Context(), nil)
		if err == nil { // on the connection that there was
			_, err = ask(stream)
			stream.Release()
			require.Error(t, err)
		}
		return !upOf(s, server.URL)
	})
	_, err = api.Open(t.Context(), nil)
	var down *upstream.Unavailable
	require.ErrorAs(t, err, &down)
	require.Positive(t, s.Status()[0].Failures["connect"])
	ln, err := net.Listen("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	waitFor(t, "it is in use again", func() bool { return upOf(s, server.URL) })
}

// Health is asked for in the upstream's own protocol.
func TestHealthChecksOverHTTP2(t *testing.T) {
	var sick atomic.Bool
	var asked atomic.Pointer[http.Request]
	server := newH2C(t, 0, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r)
		if sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := set(t, upstream.Options{}, "  api: {urls: ['"+server.URL+"'], protocol: h2, health: {path: '/healthz?a=1', interval: 1s, timeout: 200ms}}")
	waitFor(t, "it is asked", func() bool { return asked.Load() != nil })
	require.Equal(t, "/healthz?a=1", asked.Load().RequestURI)
	require.Equal(t, "HTTP/2.0", asked.Load().Proto)
	sick.Store(true)
	waitFor(t, "it is out of use", func() bool { return !upOf(s, server.URL) })
	waitFor(t, "and says why", func() bool { return s.Status()[0].Error == "answered 503" }) // once it answered in time
	sick.Store(false)
	waitFor(t, "it is in use again", func() bool { return upOf(s, server.URL) })

	mute := listen(t) // takes connections, and says nothing
	other := set(t, upstream.Options{}, "  api: {urls: ['"+mute.url()+"'], protocol: h2, health: {path: /, interval: 1s, timeout: 100ms}}")
	waitFor(t, "it is out of use", func() bool { return !upOf(other, mute.url()) })
	waitFor(t, "and says why", func() bool { return other.Status()[0].Error == "no answer in time" }) // once it was connected in time
}

// An upstream that is retired keeps the connections that are in use, as long as they are.
func TestRetiredStreamsEnd(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server := newH2C(t, 0, func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Wait") != "" {
			close(entered)
			<-release
		}
	})
	table, err := route.Load([]byte("upstreams: {api: {urls: ['" + server.URL + "'], protocol: h2}}\nroutes: [{path: /a, capability: a:b, upstream: api}]"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := upstream.NewSet(ctx, upstream.Options{KeepAlive: time.Minute}, table, nil)
	require.NoError(t, err)
	s.Start()
	stream, err := s.Get("api").Open(ctx, nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://ignored/", nil)
		r.Header.Set("Wait", "yes")
		if err == nil {
			_, err = stream.Do(r)
		}
		done <- err
	}()
	<-entered
	s.Retire(nil, true)
	close(release)
	require.NoError(t, <-done)
	waitFor(t, "its connection ends", func() bool {
		again, err := s.Get("api").Open(ctx, nil) // a request that had found it before
		if err == nil {
			again.Release()
		}
		return server.closed.Load() > 0
	})
	stream.Release()

	// Whatever is open ends with the proxy.
	late, err := s.Get("api").Open(ctx, nil)
	require.NoError(t, err)
	cancel()
	waitFor(t, "all are closed", func() bool { return server.closed.Load() == server.opened.Load() })
	_, err = ask(late)
	require.Error(t, err)
	late.Release()
	_, err = s.Get("api").Open(context.Background(), nil)
	require.Error(t, err)
}
