package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
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
	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
)

// bulky is a world whose whole log is more pages than the sockets between a
// client and the server hold.
func bulky(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, setting{})
	w.vars["admin.token"] = w.token("admin", w.set.issuer)
	filler := strings.Repeat("x", 4<<10)
	for range 12 {
		events := make([]idp.Event, 300)
		for i := range events {
			events[i] = idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionAgentUpdated, Outcome: idp.Success, Metadata: map[string]any{"filler": filler}}
		}
		require.NoError(t, w.api.Log.Append(t.Context(), events...))
	}
	w.covered()
	return w
}

const bulk = 14 << 20 // bytes, or more, of the log of a bulky world: more than two pages and what sockets hold (4 MiB to send)

// download is an export whose body is read by hand.
type download struct {
	conn net.Conn
	*http.Response
}

// export asks for a log over a connection that buffers little.
func (w *world) export(token, query string) *download {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.address)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(w.t, conn.(*net.TCPConn).SetReadBuffer(64<<10))
	_, err = fmt.Fprintf(conn, "GET /api/v1/audit/export?%s HTTP/1.1\r\nHost: idp.example.com\r\nAuthorization: Bearer %s\r\n\r\n", query, token)
	require.NoError(w.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(w.t, err)
	return &download{conn, response}
}

// whole asks for the operator's whole log.
func (w *world) whole(format string) *download {
	w.t.Helper()
	return w.export(w.vars["admin.token"], "format="+format)
}

// begun reads the first kilobyte.
func (d *download) begun(t *testing.T) {
	t.Helper()
	require.Equal(t, http.StatusOK, d.StatusCode)
	_, err := io.ReadFull(d.Body, make([]byte, 1<<10))
	require.NoError(t, err)
}

// ended waits until the metrics say so.
func (w *world) ended(result string, count int) {
	w.t.Helper()
	var text string
	require.Eventually(w.t, func() bool {
		var b bytes.Buffer
		w.metrics.WritePrometheus(&b)
		text = b.String()
		return strings.Contains(text, fmt.Sprintf(`agentidp_audit_exports_total{result="%s"} %d`, result, count)) && strings.Contains(text, "agentidp_audit_exports_open 0")
	}, time.Minute, 5*time.Millisecond)
}

// lastExport is what the log says of the export that ended last.
func (w *world) lastExport() (said struct {
	Result                 string
	Size, Position, Events int64
}) {
	w.t.Helper()
	for line := range strings.Lines(w.logs.String()) {
		if strings.Contains(line, `"msg":"audit export"`) {
			require.NoError(w.t, json.Unmarshal([]byte(line), &said))
		}
	}
	return said
}

func TestAnExportStreams(t *testing.T) {
	w := bulky(t)

	d := w.whole("ndjson")
	d.begun(t)
	require.NoError(t, d.conn.Close())
	w.ended("abandoned", 1)
	said := w.lastExport()
	require.Positive(t, said.Events)
	require.Less(t, said.Events, said.Size, "no more is read than the client takes")

	d = w.whole("ndjson")
	content, err := io.ReadAll(d.Body)
	require.NoError(t, err)
	require.Greater(t, len(content), bulk)
	w.ended("complete", 1)
	verifier, err := note.NewVerifier(w.api.Log.VerifierKey())
	require.NoError(t, err)
	report, err := auditlog.VerifyExport(bytes.NewReader(content), auditlog.VerifyExportOptions{Verifier: verifier})
	require.NoError(t, err)
	require.True(t, report.Whole(), "%v", report.Problem)

	// The store goes away half-way: the body has no end.
	for i, format := range []string{"ndjson", "csv"} {
		d = w.whole(format)
		d.begun(t)
		w.db.noReads.Store(true)
		content, err = io.ReadAll(d.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Less(t, len(content), bulk)
		w.ended("failed", i+1)
		require.Contains(t, w.logs.String(), `"result":"failed"`)
		require.Contains(t, w.logs.String(), "switched off")
		w.db.noReads.Store(false)
	}

	// A client that takes a page in more than a minute is cut off. Where the server
	// is the slower one of the two, as on a busy machine, nobody waits for the client.
	for tries := 1; ; tries++ {
		w.vars["admin.token"] = w.token("admin", w.set.issuer) // the one before has expired
		d = w.whole("csv")
		d.begun(t)
		for err = nil; err == nil; w.clock.advance(61 * time.Second) {
			_, err = io.CopyN(io.Discard, d.Body, 1<<20)
		}
		if !errors.Is(err, io.EOF) {
			break
		}
		require.Less(t, tries, 20, "never cut off")
	}
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	w.ended("abandoned", 2)
}

// paged is a world whose log is two pages of an export.
func paged(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, setting{})
	w.vars["admin.token"] = w.token("admin", w.set.issuer)
	events := make([]idp.Event, 600)
	for i := range events {
		events[i] = idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionAgentUpdated, Outcome: idp.Success}
	}
	require.NoError(t, w.api.Log.Append(t.Context(), events...))
	w.covered()
	return w
}

// hold makes the next n pages of exports wait until goOn; each says when it does.
func (w *world) hold(n int64) (waits <-chan struct{}, goOn func()) {
	reached, release := make(chan struct{}, n), make(chan struct{})
	var begun atomic.Int64
	w.db.onRange.Store(new(func() {
		if begun.Add(1) <= n {
			reached <- struct{}{}
			<-release
		}
	}))
	return reached, sync.OnceFunc(func() { close(release) })
}

// Who is cut off gets nothing more of an export that has begun.
func TestAnExportEndsWithItsToken(t *testing.T) {
	w := paged(t)
	w.agent("admin", "auditor", "audit:read")
	raw := w.token("auditor", w.set.issuer)
	w.covered()
	waits, goOn := w.hold(1)
	defer goOn()
	d := w.export(raw, "format=csv")
	require.Equal(t, http.StatusOK, d.StatusCode)
	<-waits
	a := w.call(w.vars["admin.token"], http.MethodPatch, "/api/v1/agents/"+w.vars["auditor.agent"], `{"status":"suspended"}`)
	require.Equal(t, http.StatusOK, a.status)
	goOn()
	content, err := io.ReadAll(d.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, 1+500, strings.Count(string(content), "\r\n"), "the page that was being read")
	w.ended("revoked", 1)
}

// An organization has two exports at once: the third is told to come back, that
// of another is not concerned.
func TestExportsOfOneOrganizationLeaveRoom(t *testing.T) {
	w := paged(t)
	w.organization("acme", "boss")
	w.covered()
	waits, goOn := w.hold(2)
	defer goOn()
	var open []*download
	for range 2 {
		d := w.whole("csv")
		require.Equal(t, http.StatusOK, d.StatusCode)
		<-waits
		open = append(open, d)
	}
	d := w.whole("csv")
	require.Equal(t, http.StatusServiceUnavailable, d.StatusCode)
	require.Equal(t, "10", d.Header.Get("Retry-After"))
	body, err := io.ReadAll(d.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"code":"OVERLOADED"`)
	_, err = io.Copy(io.Discard, w.export(w.vars["boss.token"], "format=csv").Body)
	require.NoError(t, err)
	for _, d := range open {
		require.NoError(t, d.conn.Close())
	}
	goOn()
	w.ended("abandoned", 2)
	_, err = io.Copy(io.Discard, w.whole("csv").Body)
	require.NoError(t, err)
	w.ended("complete", 2)
}

// A stretch of the log in which nothing is asked for gives nothing to write, by
// which the server would notice that the client left: it looks.
func TestAnExportNobodyWaitsForEnds(t *testing.T) {
	w := paged(t)
	w.clock.advance(3 * time.Minute)
	now := w.clock.now()
	require.NoError(t, w.api.Log.Append(t.Context(), idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionAgentUpdated, Outcome: idp.Success}))
	w.covered()
	waits, goOn := w.hold(1)
	defer goOn()
	between := func(ago time.Duration) string { return now.Add(-ago).UTC().Format(time.RFC3339) }
	d := w.whole("ndjson&from=" + between(2*time.Minute) + "&to=" + between(time.Minute))
	require.Equal(t, http.StatusOK, d.StatusCode)
	<-waits
	require.NoError(t, d.conn.Close())
	goOn()
	w.ended("abandoned", 1)
	require.Zero(t, w.lastExport().Position, "it did not go through the log")
}

// A place is given back when there is nothing to stream.
func TestARefusedExportTakesNoPlace(t *testing.T) {
	w := newWorld(t, setting{})
	w.vars["admin.token"] = w.token("admin", w.set.issuer)
	w.covered()
	w.db.noWrites.Store(true)
	for range 9 {
		a := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/audit/export?format=csv", "")
		require.Equal(t, http.StatusServiceUnavailable, a.status)
		require.Equal(t, "AUDIT_UNAVAILABLE", a.text("code"))
	}
	w.db.noWrites.Store(false)
	require.Equal(t, http.StatusOK, w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/audit/export?format=csv", "").status)
}

// Nothing follows the head of an answer to HEAD: the next byte of the connection
// is the next answer's first.
func TestHeadOfAnExportEndsWithItsHead(t *testing.T) {
	w := newWorld(t, setting{})
	head := "HEAD /api/v1/audit/export?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.token("admin", w.set.issuer) + "\r\n\r\n"
	conn, err := net.Dial("tcp", w.address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, head+head)
	require.NoError(t, err)
	for reader := bufio.NewReader(conn); ; {
		answer, err := http.ReadResponse(reader, &http.Request{Method: http.MethodHead})
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, "text/csv; charset=utf-8; header=present", answer.Header.Get("Content-Type"))
		if head == "" {
			return
		}
		head = ""
	}
}
