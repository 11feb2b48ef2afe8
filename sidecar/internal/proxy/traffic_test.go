package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command/commandtest"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// named is an upstream that answers its name.
func named(t *testing.T, name string) string {
	return answering(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name))
}

// unreachable is a URL at which nobody listens, unless the test does.
func unreachable(t *testing.T) string {
	return fmt.Sprintf("http://127.0.0.1:%d", commandtest.FreePort(t, 10_000))
}

// at asks for a path at a host.
func (w *world) at(host, path, token string) reply {
	w.t.Helper()
	return w.raw(strings.Replace(request("GET", path, token, "X-Forwarded-Host: evil.example"), "api.example", host, 1))
}

func TestRoutesLeadToTheirUpstreams(t *testing.T) {
	w := newWorld(t, named(t, "default"))
	w.replace(fmt.Sprintf(`
upstreams:
  a: {urls: [%q]}
  b: {urls: [%q]}
routes:
  - {path: /notes, capability: notes:read}
  - {path: /notes, capability: notes:read, host: a.example, upstream: a}
  - {path: "/{x}", capability: public, host: "a.example:8443", upstream: b}
  - {path: /secret, capability: secret:read, host: a.example, upstream: a}
  - {path: /secret, capability: public, upstream: b}
`, named(t, "a"), named(t, "b")))
	good := tokens(t).good(t)
	for _, fact := range []struct{ host, path, body string }{
		{"other.example", "/notes", "default"}, {"A.Example:80", "/notes", "a"}, {"a.example.", "/notes", "a"}, {"a.example:8443", "/notes", "b"}, {"other", "/secret", "b"},
	} {
		require.Equal(t, fact.body, w.at(fact.host, fact.path, good).body, fact)
	}
	w.refuses(w.at("a.example", "/secret", good), 403, "capability_missing")
	records := w.records.all()
	last := records[len(records)-1]
	require.Equal(t, "a.example/secret", last.RouteID)
	require.Equal(t, "a.example", last.Host)
	require.Contains(t, w.logs.String(), `"host":"a.example","path":"/secret","route":"a.example/secret","upstream":""`)
	w.refuses(w.at("evil.example", "/", good), 403, "no_route")
	w.metric(`sidecar_upstream_up{upstream="default",url="`)
	w.metric(`sidecar_upstream_up{upstream="a",url="`)

	// A table whose routes lack an upstream does not take force.
	alone := newWorld(t, "", func(o *proxy.Options) {
		o.Routes = load(t, "upstreams: {a: {urls: ['"+named(t, "a")+"']}}\nroutes: [{path: /a, capability: public, upstream: a}]")
	})
	require.ErrorIs(t, alone.proxy.Replace(load(t, routes)), route.ErrUpstream)
	require.Equal(t, "a", alone.get("/a", "").body)
}

func load(t *testing.T, file string) *route.Table {
	t.Helper()
	table, err := route.Load([]byte(file))
	require.NoError(t, err)
	return table
}

func pool(timeout string, urls ...string) string {
	return fmt.Sprintf("upstreams: {pool: {urls: ['%s']}}\nroutes: [{path: /notes, methods: [GET, POST], capability: notes:read, upstream: pool, timeout: %s}]", strings.Join(urls, "','"), timeout)
}

// While one address is away nobody is refused: what was not sent goes to the other.
func TestRequestsGoWhereTheyCan(t *testing.T) {
	dead := unreachable(t)
	live := stdUpstream(t)
	w := newWorld(t, "http://127.0.0.1:1")
	w.replace(pool("15s", dead, live.URL))
	good := tokens(t).good(t)
	for i := range 40 {
		r := w.raw(strings.Replace(request("POST", "/notes", good, "Content-Length: 3"), "\r\n\r\n", "\r\n\r\nabc", 1))
		require.Equal(t, 200, r.StatusCode, i)
	}
	require.Len(t, live.all(), 40, "each arrived once")
	for _, request := range live.all() {
		require.Equal(t, "abc", request.Body)
		require.Equal(t, live.URL, "http://"+request.Host)
	}
	w.metric(fmt.Sprintf("sidecar_upstream_up{upstream=\"pool\",url=%q} 0\n", dead))
	w.metric(fmt.Sprintf("sidecar_upstream_up{upstream=\"pool\",url=%q} 1\n", live.URL))
	w.metric(fmt.Sprintf("sidecar_upstream_failures_total{upstream=\"pool\",url=%q,kind=\"connect\"} ", dead))
	w.metric(fmt.Sprintf("sidecar_upstream_in_flight{upstream=\"pool\",url=%q} 0\n", live.URL))
}

// With nobody left the answer comes at once, and all is well when one is back.
func TestNobodyLeft(t *testing.T) {
	dead := unreachable(t)
	w := newWorld(t, "http://127.0.0.1:1")
	w.replace(pool("15s", dead))
	good := tokens(t).good(t)
	var r reply
	persist(t, "it is out of use", func() bool { r = w.get("/notes", good); return r.StatusCode == http.StatusServiceUnavailable })
	w.refuses(r, 503, "upstream_unavailable")
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	ln, err := net.Listen("tcp", strings.TrimPrefix(dead, "http://"))
	require.NoError(t, err)
	serve(t, ln, func(_ *http.Request, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	persist(t, "it is in use again", func() bool { return w.get("/notes", good).StatusCode == http.StatusOK })
}

// What one agent's requests meet is nobody else's concern: neither timeouts nor
// connections that the API cuts put it out of use. And none is sent twice.
func TestOneAgentsTroubleIsItsOwn(t *testing.T) {
	var asked sync.Map // how often, by query
	release := make(chan struct{})
	url := scripted(t, func(r *http.Request, conn net.Conn) {
		times, _ := asked.LoadOrStore(r.URL.RawQuery, new(atomic.Int64))
		times.(*atomic.Int64).Add(1)
		switch {
		case r.URL.Path == "/slow":
			<-release
		case r.URL.RawQuery != "":
			_ = conn.Close()
		default:
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	defer close(release)
	w := newWorld(t, "http://127.0.0.1:1")
	w.replace(strings.Replace(pool("15s", url), "routes: [", "routes: [{path: /slow, capability: notes:read, upstream: pool, timeout: 100ms}, ", 1))
	good := tokens(t).good(t)
	for i := range 8 {
		w.refuses(w.get(fmt.Sprintf("/slow?slow-%d", i), good), 504, "upstream_timeout")
		w.refuses(w.get(fmt.Sprintf("/notes?cut-%d", i), good), 502, "upstream_closed")
	}
	require.Equal(t, 200, w.get("/notes", good).StatusCode)
	asked.Range(func(query, times any) bool {
		require.EqualValues(t, 1, times.(*atomic.Int64).Load(), query)
		return true
	})
	w.metric(fmt.Sprintf("sidecar_upstream_up{upstream=\"pool\",url=%q} 1\n", url))
}

// The route's timeout wins over the upstream's.
func TestTimeoutOfTheRoute(t *testing.T) {
	release := make(chan struct{})
	url := scripted(t, func(r *http.Request, conn net.Conn) {
		if r.URL.Path == "/notes" {
			<-release
		}
		time.Sleep(300 * time.Millisecond)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	defer close(release)
	w := newWorld(t, "http://127.0.0.1:1")
	w.replace(fmt.Sprintf(`
upstreams: {slow: {urls: [%q], timeout: 100ms}}
routes:
  - {path: /notes, capability: notes:read, upstream: slow}
  - {path: /patient, capability: notes:read, upstream: slow, timeout: 15s}
`, url))
	good := tokens(t).good(t)
	w.refuses(w.get("/notes", good), 504, "upstream_timeout")
	require.Equal(t, 200, w.get("/patient", good).StatusCode)
}

// Tables that come and go under load drop nothing: neither requests on new
// connections, nor those on old ones, nor a stream that began long ago.
func TestReplacingUnderLoadDropsNothing(t *testing.T) {
	api := newEndless(t, 10*time.Millisecond)
	a, b := named(t, "a"), named(t, "b")
	w := newWorld(t, named(t, "default"))
	tables := []string{
		pool("15s", a), pool("15s", b), pool("15s", a, b), routes,
		"upstreams: {pool: {urls: ['" + b + "'], maxConnections: 100}, stream: {urls: ['" + api.url + "']}}\nroutes: [{path: /notes, capability: notes:read, upstream: pool}]",
	}
	good := tokens(t).good(t)
	w.replace("upstreams: {stream: {urls: ['" + api.url + "']}}\nroutes: [{path: /notes, capability: notes:read, upstream: stream}]")
	_, stream := w.open("/notes", good)
	w.replace(tables[0])

	var clients sync.WaitGroup
	var answered atomic.Int64
	done := make(chan struct{})
	failures := make(chan string, 100)
	for i := range 8 {
		clients.Go(func() {
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				failures <- err.Error()
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := io.WriteString(conn, request("GET", "/notes", good)); err != nil {
					failures <- err.Error()
					return
				}
				response, err := http.ReadResponse(r, nil)
				if err != nil {
					failures <- fmt.Sprintf("client %d: %v", i, err)
					return
				}
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != http.StatusOK {
					failures <- fmt.Sprintf("client %d: %d %s %v", i, response.StatusCode, body, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for round := range 4 * len(tables) {
		before := answered.Load()
		w.replace(tables[round%len(tables)])
		waitFor(t, "requests pass", func() bool { return answered.Load() >= before+20 || len(failures) > 0 })
	}
	close(done)
	clients.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	_, err := io.ReadFull(stream.Body, make([]byte, 600))
	require.NoError(t, err, "the stream goes on with its old upstream")
}
