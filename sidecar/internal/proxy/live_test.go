package proxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// endless is an upstream that sends chunks until its connection breaks.
type endless struct {
	url  string
	mu   sync.Mutex
	cuts int // connections that broke while it was sending
}

func newEndless(t *testing.T, every time.Duration) *endless {
	e := &endless{}
	e.url = scripted(t, func(_ *http.Request, conn net.Conn) {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		gone := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, conn); close(gone) }()
		for err == nil {
			select {
			case <-gone:
				err = io.EOF
			case <-time.After(every):
				_, err = io.WriteString(conn, "6\r\ndata:\n\r\n")
			}
		}
		_ = conn.Close()
		<-gone
		e.mu.Lock()
		defer e.mu.Unlock()
		e.cuts++
	})
	return e
}

func (e *endless) broken() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.cuts
}

// open asks for a stream and reads its head and first bytes.
func (w *world) open(path, token string) (net.Conn, *http.Response) {
	w.t.Helper()
	conn := w.dial()
	_, err := io.WriteString(conn, request("GET", path, token))
	require.NoError(w.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(w.t, err)
	require.Equal(w.t, 200, response.StatusCode)
	_, err = io.ReadFull(response.Body, make([]byte, 6))
	require.NoError(w.t, err)
	return conn, response
}

// metric waits for a line of the metrics page: some are counted just after what they count.
func (w *world) metric(text string) {
	w.t.Helper()
	waitFor(w.t, text, func() bool {
		var b bytes.Buffer
		w.metrics.WritePrometheus(&b)
		w.proxy.WriteMetrics(&b)
		return strings.Contains(b.String(), text)
	})
}

// A stream ends when a new request with its token would be refused.
func TestStreamsEndWithTheirPermission(t *testing.T) {
	t.Parallel()
	for reason, withdraw := range map[string]func(*world){
		"token_revoked":      func(w *world) { w.revoked.set(func(r *revocations) { r.jti["live"] = true }) },
		"revocations_stale":  func(w *world) { w.revoked.set(func(r *revocations) { r.stale = true }) },
		"capability_missing": func(w *world) { w.decider.set(denying) },
		"no_route":           func(w *world) { w.replace("routes:\n  - {path: /other, capability: notes:read}\n") },
		"expired":            nil, // by a clock of its own
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			api := newEndless(t, 20*time.Millisecond)
			clock := &moment{}
			clock.Store(time.Now().UnixNano())
			w := newWorld(t, api.url, func(o *proxy.Options) { o.Now = clock.now })
			if reason == "expired" {
				withdraw = func(*world) { clock.pass(20 * time.Minute) }
			}
			_, other := w.open("/lasting", tokens(t).good(t, map[string]any{"exp": time.Now().Unix() + 3000})) // onStale: last_good, another token
			_, stream := w.open("/notes", tokens(t).good(t, map[string]any{"jti": "live"}))
			waitFor(t, "the starts are recorded", func() bool { return len(w.records.started()) == 2 })
			withdraw(w)
			began := time.Now()
			_, err := io.Copy(io.Discard, stream.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut, not ended")
			t.Logf("ended after %s", time.Since(began))
			waitFor(t, "the end is recorded", func() bool { return len(w.records.all()) > 0 })
			start, end := w.records.started(), w.records.all()
			for _, records := range []*[]decision.Record{&start, &end} {
				*records = slices.DeleteFunc(*records, func(r decision.Record) bool { return r.Path != "/notes" })
				require.Len(t, *records, 1)
			}
			require.Equal(t, start[0].DecisionID, end[0].DecisionID)
			require.Equal(t, decision.Allowed, start[0].Outcome)
			require.Equal(t, "stream_started", start[0].Reason)
			require.Equal(t, 200, start[0].Status)
			require.Equal(t, agentID, start[0].AgentID)
			require.Equal(t, reason, end[0].Reason)
			require.NotEqual(t, decision.Allowed, end[0].Outcome)
			require.Positive(t, end[0].BytesOut)
			waitFor(t, "the upstream knows", func() bool { return api.broken() >= 1 })
			w.metric(fmt.Sprintf(`sidecar_streams_terminated_total{reason=%q}`, reason))
			if reason == "capability_missing" || reason == "no_route" {
				return // these concern everybody
			}
			_, err = io.ReadFull(other.Body, make([]byte, 60))
			require.NoError(t, err, "others go on")
			require.Len(t, w.records.all(), 1)
		})
	}
}

func denying(policy.Input) (policy.Decision, error) {
	return policy.Decision{Reason: policy.ReasonCapabilityMissing}, nil
}

// A client that takes nothing must not keep what it may not have.
func TestStreamToAClientThatDoesNotReadEnds(t *testing.T) {
	t.Parallel()
	flood := strings.Repeat("x", 64<<10)
	url := scripted(t, func(_ *http.Request, conn net.Conn) {
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
		for err == nil {
			_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(flood), flood)
		}
		_ = conn.Close()
	})
	w := newWorld(t, url, func(o *proxy.Options) { o.WriteTimeout = time.Minute })
	w.open("/notes", tokens(t).good(t, map[string]any{"jti": "live"}))
	waitFor(t, "it is a stream", func() bool { return len(w.records.started()) == 1 })
	w.revoked.set(func(r *revocations) { r.jti["live"] = true })
	waitFor(t, "it ends", func() bool { return len(w.records.all()) == 1 })
	require.Equal(t, "token_revoked", w.records.all()[0].Reason)
}

// A doubt about the policy is borne for a while: it is not the agent's fault.
func TestStreamsOutliveAShortDoubt(t *testing.T) {
	t.Parallel()
	api := newEndless(t, 10*time.Millisecond)
	w := newWorld(t, api.url)
	_, stream := w.open("/notes", tokens(t).good(t))
	asked := make(chan struct{})
	var once sync.Once
	w.decider.set(func(policy.Input) (policy.Decision, error) {
		once.Do(func() { close(asked) })
		return policy.Unavailable(policy.ReasonTimeout, errors.New("slow"))
	})
	<-asked
	w.decider.set(nil)
	waitFor(t, "it is judged on", func() bool { return len(w.records.started()) == 1 })
	_, err := io.ReadFull(stream.Body, make([]byte, 60))
	require.NoError(t, err)
}

// An upload is cut off too, and answered: nothing was said yet.
func TestUploadsEndWithTheirPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stdUpstream(t).URL)
	conn := w.dial()
	_, err := io.WriteString(conn, request("POST", "/notes", tokens(t).good(t, map[string]any{"jti": "live"}), "Transfer-Encoding: chunked")+"3\r\nabc\r\n")
	require.NoError(t, err)
	waitFor(t, "it is a stream", func() bool { return len(w.records.started()) == 1 })
	w.revoked.set(func(r *revocations) { r.jti["live"] = true })
	w.refuses(read(t, bufio.NewReader(conn), "POST"), 401, "token_revoked")
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// So is a request whose upstream thinks for long.
func TestWaitingRequestsEndWithTheirPermission(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	url := scripted(t, func(_ *http.Request, conn net.Conn) {
		<-release
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	w := newWorld(t, url)
	revoked := tokens(t).good(t, map[string]any{"jti": "live"})
	conn, patient := w.dial(), w.dial()
	for c, token := range map[net.Conn]string{conn: revoked, patient: tokens(t).good(t)} {
		_, err := io.WriteString(c, request("GET", "/notes", token))
		require.NoError(t, err)
	}
	waitFor(t, "both wait", func() bool { return len(w.records.started()) == 2 })
	w.revoked.set(func(r *revocations) { r.jti["live"] = true })
	w.refuses(read(t, bufio.NewReader(conn), "GET"), 401, "token_revoked")
	close(release)
	require.Equal(t, "ok", read(t, bufio.NewReader(patient), "GET").body)
}

// Work that nobody waits for ends: fasthttp itself does not notice.
func TestWorkEndsWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	t.Run("an answer that is awaited", func(t *testing.T) {
		left := make(chan struct{})
		w := newWorld(t, scripted(t, func(_ *http.Request, conn net.Conn) {
			_, _ = io.Copy(io.Discard, conn)
			close(left)
		}))
		conn := w.dial()
		_, err := io.WriteString(conn, request("GET", "/notes", tokens(t).good(t)))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		select {
		case <-left:
		case <-time.After(30 * time.Second):
			t.Fatal("the upstream still works")
		}
		waitFor(t, "it is recorded", func() bool { return len(w.records.all()) == 1 })
		require.Equal(t, "client_gone", w.records.all()[0].Reason)
		require.Equal(t, 499, w.records.all()[0].Status)
	})
	t.Run("a silent stream", func(t *testing.T) {
		api := newEndless(t, 10*time.Minute)
		w := newWorld(t, api.url)
		conn := w.dial()
		_, err := io.WriteString(conn, request("GET", "/notes", tokens(t).good(t)))
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		require.NoError(t, conn.Close())
		waitFor(t, "the upstream knows", func() bool { return api.broken() == 1 })
		waitFor(t, "it is recorded", func() bool { return len(w.records.all()) == 1 })
		require.Equal(t, decision.Allowed, w.records.all()[0].Outcome)
	})
}

// What is over at once has one record, and the watch lets go of it.
func TestShortAnswersAreNoStreams(t *testing.T) {
	body := strings.Repeat("x", 1<<20)
	w := newWorld(t, answering(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)))
	require.Equal(t, body, w.get("/notes", tokens(t).good(t)).body)
	waitFor(t, "it is recorded", func() bool { return len(w.records.all()) == 1 })
	require.Equal(t, decision.Allowed, w.records.all()[0].Outcome)
	w.metric("sidecar_streams_open 0\n")
}

// A stream whose start cannot be recorded does not go on.
func TestStreamsNeedTheirStartRecord(t *testing.T) {
	t.Parallel()
	api := newEndless(t, 10*time.Millisecond)
	w := newWorld(t, api.url)
	w.records.refuseStarts()
	_, stream := w.open("/notes", tokens(t).good(t))
	_, err := io.Copy(io.Discard, stream.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	w.metric(`sidecar_streams_terminated_total{reason="audit_unavailable"} 1`)
}
