package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/shared/trace"
)

const (
	callerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan  = "00f067aa0ba902b7"
	traceparent = "00-" + callerTrace + "-" + callerSpan + "-01"
)

// line is the last log line of an operation.
func (w *world) line(operation string) (line map[string]any) {
	w.t.Helper()
	for text := range strings.Lines(w.logs.String()) {
		var next map[string]any
		require.NoError(w.t, json.Unmarshal([]byte(text), &next))
		if next["operation"] == operation {
			line = next
		}
	}
	require.NotNil(w.t, line, operation)
	return line
}

func TestTraceInTheLog(t *testing.T) {
	var inWork trace.Context
	w := newWorld(t, setting{checks: []httpapi.Check{{Name: "outgoing", Run: func(ctx context.Context) error {
		inWork = trace.From(ctx)
		return nil
	}}}})
	send := func(head string) (traceID, spanID string) {
		a := w.raw("GET /health/live HTTP/1.1\r\nHost: x\r\n" + head + "\r\n")
		require.Equal(t, http.StatusOK, a.status)
		require.Empty(t, a.header.Values("Traceparent"), "it is not returned")
		line := w.line("getLiveness")
		traceID, spanID = line["trace_id"].(string), line["span_id"].(string)
		require.Regexp(t, `^[0-9a-f]{32}$`, traceID)
		require.Regexp(t, `^[0-9a-f]{16}$`, spanID)
		return traceID, spanID
	}
	traceID, spanID := send("traceparent: " + traceparent + "\r\n")
	require.Equal(t, callerTrace, traceID)
	require.NotEqual(t, callerSpan, spanID, "a span of its own")
	seen := map[string]bool{callerTrace: true}
	for name, head := range map[string]string{
		"none": "", "upper case": "traceparent: " + strings.ToUpper(traceparent) + "\r\n", "version": "traceparent: 01" + traceparent[2:] + "\r\n",
		"two": strings.Repeat("traceparent: "+traceparent+"\r\n", 2), "forged line": "traceparent: " + traceparent + `","x":"y` + "\r\n",
	} {
		traceID, _ := send(head)
		require.False(t, seen[traceID], "%s: a trace of its own", name)
		seen[traceID] = true
	}

	w.raw("GET /health HTTP/1.1\r\nHost: a\r\ntraceparent: " + traceparent + "\r\n\r\n")
	traceID, spanID = inWork.IDs()
	require.Equal(t, []any{w.line("getHealth")["trace_id"], w.line("getHealth")["span_id"]}, []any{traceID, spanID}, "calls that it causes carry it on")

	w.raw("GET http://evil.example/ HTTP/1.1\r\nHost: a\r\ntraceparent: " + traceparent + "\r\n\r\n")
	require.Equal(t, callerTrace, w.line("none")["trace_id"], "refused by the server")
}

// spans is an exporter that keeps them.
type spans struct {
	mu   sync.Mutex
	kept []trace.Span
}

func (s *spans) keep(span trace.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, span)
}

// last waits for the span of a name: it comes after the answer.
func (s *spans) last(t *testing.T, name string) (found trace.Span) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, span := range s.kept {
			if span.Name == name {
				found = span
			}
		}
		return found.Name != ""
	}, time.Minute, time.Millisecond, name)
	return found
}

func attributesOf(s trace.Span) map[string]any {
	values := map[string]any{}
	for _, text := range s.Text {
		if text[1] != "" {
			values[text[0]] = text[1]
		}
	}
	for _, number := range s.Numbers {
		values[number.Name] = number.Value
	}
	return values
}

func TestExportedSpans(t *testing.T) {
	var kept spans
	w := newWorld(t, setting{sampler: &trace.Sampler{Share: 1}, export: kept.keep, checks: []httpapi.Check{brokenCheck}})
	token := w.token("admin")
	agent := w.vars["admin.agent"]
	require.Equal(t, map[string]any{
		"http.request.method": "POST", "http.route": "/api/v1/token", "agentidp.operation": "issueToken", "agentidp.agent_id": agent,
		"http.response.status_code": 200,
	}, attributesOf(kept.last(t, "POST /api/v1/token")))

	a := w.raw("GET /api/v1/agents/" + agent + "?token=aidp_sk_hidden HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
		"\r\ntraceparent: " + traceparent + "\r\ntracestate: a=1\r\ntracestate: b=2\r\n\r\n")
	require.Equal(t, http.StatusBadRequest, a.status, "no such parameter")
	span := kept.last(t, "GET /api/v1/agents/{agentId}")
	require.Equal(t, map[string]any{
		"http.request.method": "GET", "http.route": "/api/v1/agents/{agentId}", "agentidp.operation": "getAgent", "agentidp.agent_id": agent,
		"agentidp.reason": "validation_failed", "http.response.status_code": 400,
	}, attributesOf(span))
	traceID, spanID := span.Context.IDs()
	require.Equal(t, callerTrace, traceID)
	require.Equal(t, w.line("getAgent")["span_id"], spanID)
	require.Equal(t, traceparent, string(span.Parent.AppendParent(nil)))
	require.Equal(t, "a=1,b=2", span.Context.State)
	require.False(t, span.Failed)

	w.raw("FOO" + strings.Repeat("O", 40) + " /api/v1/secret HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Equal(t, map[string]any{
		"http.request.method": "_OTHER", "agentidp.operation": "none", "agentidp.reason": "no_such_path", "http.response.status_code": 404,
	}, attributesOf(kept.last(t, "_OTHER")), "nothing that a caller made up")

	w.raw("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
	failed := kept.last(t, "GET /health")
	require.True(t, failed.Failed)
	require.Equal(t, "500", attributesOf(failed)["error.type"])

	before := len(kept.kept)
	w.raw("GET /health/live HTTP/1.1\r\nHost: x\r\ntraceparent: " + traceparent[:53] + "00\r\n\r\n")
	w.stop()
	require.Len(t, kept.kept, before, "whom the caller does not sample nobody does")
	for _, span := range kept.kept {
		for _, value := range attributesOf(span) {
			require.NotContains(t, fmt.Sprint(value), "aidp_sk_")
		}
	}
}

// Without an exporter, and without a share, nothing is exported.
func TestExportIsOffByDefault(t *testing.T) {
	var kept spans
	w := newWorld(t, setting{export: kept.keep})
	w.token("admin")
	w.stop()
	require.Empty(t, kept.kept)
}

func TestOrigins(t *testing.T) {
	for _, good := range []string{
		"https://app.example.com", "https://app.example.com:8443", "http://localhost:3000", "http://127.0.0.1", "http://[::1]:5173", "https://xn--bcher-kva.example",
	} {
		require.NoError(t, httpapi.CheckOrigin(good), good)
	}
	for _, bad := range []string{
		"", "*", "null", "https://*", "https://*.example.com", "https://app.example.com/", "https://app.example.com/x", "https://app.example.com?x", "https://app.example.com#x",
		"https://user@app.example.com", "https://APP.example.com", "HTTPS://app.example.com", "https://app.example.com:443", "http://localhost:80", "https://app.example.com:",
		"http://app.example.com", "http://192.0.2.1", "http://localhost.example.com", "app.example.com", "ftp://localhost", "https://", "https://a.example,https://b.example", " https://a.example",
	} {
		require.Error(t, httpapi.CheckOrigin(bad), bad)
	}
}

var brokenCheck = httpapi.Check{Name: "broken", Run: brokenRun}

func brokenRun(context.Context) error { panic("broken") }
