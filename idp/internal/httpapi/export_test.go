package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
)

// bulky is a world whose whole log is more than the sockets between a client
// and the server hold.
func bulky(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, setting{})
	w.vars["admin.token"] = w.token("admin", w.set.issuer)
	filler := strings.Repeat("x", 4<<10)
	for range 16 {
		events := make([]idp.Event, 300)
		for i := range events {
			events[i] = idp.Event{OrganizationID: idp.OperatorOrganization, Action: idp.ActionAgentUpdated, Outcome: idp.Success, Metadata: map[string]any{"filler": filler}}
		}
		require.NoError(t, w.api.Log.Append(t.Context(), events...))
	}
	w.covered()
	return w
}

// download is an export whose body is read by hand.
type download struct {
	conn net.Conn
	*http.Response
}

// export asks for the log over a connection that buffers little.
func (w *world) export(format string) *download {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.address)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(w.t, conn.(*net.TCPConn).SetReadBuffer(64<<10))
	_, err = fmt.Fprintf(conn, "GET /api/v1/audit/export?format=%s HTTP/1.1\r\nHost: idp.example.com\r\nAuthorization: Bearer %s\r\n\r\n", format, w.vars["admin.token"])
	require.NoError(w.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(w.t, err)
	return &download{conn, response}
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
	}, 10*time.Second, 5*time.Millisecond)
}

func TestAnExportStreams(t *testing.T) {
	w := bulky(t)

	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := w.export("ndjson")
	d.begun(t)
	runtime.GC()
	runtime.ReadMemStats(&during)
	require.Less(t, int64(during.HeapAlloc)-int64(before.HeapAlloc), int64(20<<20), "a page at a time")
	require.NoError(t, d.conn.Close())
	w.ended("abandoned", 1)

	d = w.export("ndjson")
	content, err := io.ReadAll(d.Body)
	require.NoError(t, err)
	require.Greater(t, len(content), 14<<20)
	w.ended("complete", 1)
	verifier, err := note.NewVerifier(w.api.Log.VerifierKey())
	require.NoError(t, err)
	report, err := auditlog.VerifyExport(bytes.NewReader(content), auditlog.VerifyExportOptions{Verifier: verifier})
	require.NoError(t, err)
	require.True(t, report.Whole(), "%v", report.Problem)

	// The store goes away half-way: the body has no end.
	for i, format := range []string{"ndjson", "csv"} {
		d = w.export(format)
		d.begun(t)
		w.db.noReads.Store(true)
		content, err = io.ReadAll(d.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Less(t, len(content), 14<<20)
		w.ended("failed", i+1)
		require.Contains(t, w.logs.String(), `"result":"failed"`)
		require.Contains(t, w.logs.String(), "switched off")
		w.db.noReads.Store(false)
	}

	// A client that takes a page in more than a minute is cut off.
	d = w.export("csv")
	d.begun(t)
	for err = nil; err == nil; w.clock.advance(61 * time.Second) {
		_, err = io.CopyN(io.Discard, d.Body, 1<<20)
	}
	w.vars["admin.token"] = w.token("admin", w.set.issuer)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	w.ended("abandoned", 2)

	// A few at once; the next is told to come back.
	var open []*download
	for range 4 {
		d = w.export("csv")
		d.begun(t)
		open = append(open, d)
	}
	d = w.export("csv")
	require.Equal(t, http.StatusServiceUnavailable, d.StatusCode)
	require.Equal(t, "10", d.Header.Get("Retry-After"))
	body, err := io.ReadAll(d.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"code":"OVERLOADED"`)
	for _, d := range open {
		require.NoError(t, d.conn.Close())
	}
	w.ended("abandoned", 6)
	_, err = io.Copy(io.Discard, w.export("csv").Body)
	require.NoError(t, err)
	w.ended("complete", 2)
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
