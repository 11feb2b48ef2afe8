package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// metric is the value of one metric, as /metrics shows it.
func (w *world) metric(name string) string {
	var buffer bytes.Buffer
	w.metrics.WritePrometheus(&buffer)
	for line := range strings.Lines(buffer.String()) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// raw sends bytes and reads one response.
func (w *world) raw(text string) *answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.address)
	require.NoError(w.t, err)
	defer conn.Close()
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, text)
	require.NoError(w.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return &answer{status: response.StatusCode, header: response.Header, body: body}
}

// What the server itself refuses has the form of the path, an id, and its
// place in the metrics and the log.
func TestServerRefusals(t *testing.T) {
	w := newWorld(t, setting{})
	const head = " HTTP/1.1\r\nHost: x\r\n"
	bearer := "Authorization: Bearer " + w.token("admin") + "\r\n"
	for _, fact := range []struct {
		name, request string
		status        int
		code          string
	}{
		{"header too large", "GET /health" + head + "X-A: " + strings.Repeat("a", 20_000) + "\r\n\r\n", 431, "HEADER_TOO_LARGE"},
		{"target too long", "GET /" + strings.Repeat("a", 20_000) + head + "\r\n", 414, "URI_TOO_LONG"},
		{"declared body too large", "POST /api/v1/agents" + head + "Content-Length: 70000\r\n\r\n", 413, "PAYLOAD_TOO_LARGE"},
		{"declared form too large", "POST /api/v1/token" + head + "Content-Length: 70000\r\n\r\n", 413, "invalid_request"},
		{"a stranger's decisions are not larger", "POST /api/v1/audit/decisions" + head + "Content-Type: application/x-ndjson\r\nContent-Length: 70000\r\n\r\n", 413, "PAYLOAD_TOO_LARGE"},
		{"decisions not at will", "POST /api/v1/audit/decisions" + head + bearer + "Content-Length: 4194305\r\n\r\n", 413, "PAYLOAD_TOO_LARGE"},
		{"two hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "VALIDATION_FAILED"},
		{"two credentials", "GET /api/v1/agents" + head + "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400, "VALIDATION_FAILED"},
		{"another expectation", "POST /api/v1/agents" + head + "Expect: miracles\r\nContent-Length: 2\r\n\r\n{}", 417, "EXPECTATION_FAILED"},
		{"absolute form", "GET http://evil.example/health" + head + "\r\n", 400, "VALIDATION_FAILED"},
	} {
		a := w.raw(fact.request)
		require.Equal(t, fact.status, a.status, "%s: %s", fact.name, a.body)
		require.NoError(t, w.isError(a), "%s: %s", fact.name, a.body)
		require.Contains(t, []string{a.text("code"), a.text("error")}, fact.code, fact.name)
	}
	require.NotEqual(t, "0", w.metric(`agentidp_http_requests_total{operation="none",status="4xx"}`))
	require.Contains(t, w.logs.String(), `"reason":"header_too_large"`)
}

// A panic is a 500 that says nothing, with its log line and its metrics.
func TestPanic(t *testing.T) {
	w := newWorld(t, setting{checks: []httpapi.Check{{Name: "broken", Run: func(context.Context) error { panic("secret inside") }}}})
	a := w.call("", http.MethodGet, "/health/live", "")
	require.Equal(t, http.StatusOK, a.status)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/health", nil)
	require.NoError(t, err)
	response, err := w.http.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, response.StatusCode)
	require.JSONEq(t, `{"code":"INTERNAL","message":"internal error","details":{}}`, string(body))
	require.NotEmpty(t, response.Header.Get("X-Request-Id"))
	require.Contains(t, w.logs.String(), "secret inside")
	require.Equal(t, "1", w.metric(`agentidp_http_requests_total{operation="getHealth",status="5xx"}`))
}

// Below the server, which refuses it first, two credentials are refused as well.
func TestTwoCredentialsBelowTheServer(t *testing.T) {
	w := newWorld(t, setting{})
	for _, path := range []string{"/api/v1/agents", "/api/v1/token/introspect"} {
		var request fasthttp.Request
		request.SetRequestURI(path)
		request.Header.Add("Authorization", "Bearer a")
		request.Header.Add("Authorization", "Bearer b")
		if strings.Contains(path, "token") {
			request.Header.SetMethod(http.MethodPost)
			request.Header.SetContentType("application/x-www-form-urlencoded")
			request.SetBodyString("token=x")
		}
		var ctx fasthttp.RequestCtx
		ctx.Init(&request, nil, nil)
		w.api.Handler(&ctx)
		require.Equal(t, http.StatusBadRequest, ctx.Response.StatusCode(), path)
		require.Contains(t, string(ctx.Response.Header.Peek("WWW-Authenticate")), `error="invalid_request"`, path)
	}
}

func TestDegradedHealth(t *testing.T) {
	failing := errors.New("password=hunter2")
	w := newWorld(t, setting{checks: []httpapi.Check{{Name: "cache", Run: func(context.Context) error { return failing }}}})
	a := w.call("", http.MethodGet, "/health", "")
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "degraded", a.text("status"))
	require.Equal(t, "degraded", a.text("dependencies.cache.status"))
	require.NotContains(t, string(a.body), "hunter2")

	failing = nil
	require.Equal(t, "degraded", w.call("", http.MethodGet, "/health", "").text("status"), "asking is free: an answer is kept for a second")
	w.clock.advance(time.Second)
	require.Equal(t, "ok", w.call("", http.MethodGet, "/health", "").text("status"))
}

func TestPolicyThatFails(t *testing.T) {
	w := newWorld(t, setting{})
	token := w.token("admin")
	load := func(rego string) {
		require.NoError(t, w.policy.Reload(t.Context(), fstest.MapFS{"authz.rego": {Data: []byte("package agentidp.authz\n" + rego)}}))
	}
	load(`decision := {"allow": true, "reason": "capability", "obligations": {"watermark": "yes"}}`)
	a := w.call(token, http.MethodGet, "/api/v1/agents", "")
	require.Equal(t, http.StatusServiceUnavailable, a.status, "an obligation that is not understood is no permission")
	require.Equal(t, "1", a.header.Get("Retry-After"))

	self := "/api/v1/agents/" + w.vars["admin.agent"]
	load(`decision := {"allow": true, "reason": "capability", "obligations": {"fields": ["version"]}}`)
	require.Equal(t, http.StatusServiceUnavailable, w.call(token, http.MethodGet, self, "").status, "it does not see to fields")
	require.Equal(t, http.StatusForbidden, w.call(token, http.MethodDelete, self, "").status)
	require.Equal(t, http.StatusForbidden, w.call(token, http.MethodPatch, self, `{"owner":"x"}`).status)
	require.Equal(t, http.StatusOK, w.call(token, http.MethodPatch, self, `{"version":"2.0.0"}`).status)
	load(`decision := {"allow": true, "reason": "capability", "obligations": {"tokens": "own"}}`)
	require.Equal(t, http.StatusServiceUnavailable, w.call(token, http.MethodPatch, self, `{"version":"3.0.0"}`).status, "only introspection and revocation see to tokens")
	require.Equal(t, http.StatusOK, w.form("/api/v1/token/introspect", w.vars["admin.basic"], url.Values{"token": {token}}).status)

	load(`decision := {"allow": false, "reason": "closed_on_sundays"}`)
	a = w.call(token, http.MethodGet, "/api/v1/agents", "")
	require.Equal(t, http.StatusForbidden, a.status)
	require.Equal(t, "closed_on_sundays", a.text("details.reason"))

	require.Error(t, w.policy.Reload(t.Context(), fstest.MapFS{"authz.rego": {Data: []byte("package broken\n}")}}))
	w.clock.advance(time.Second)
	a = w.call("", http.MethodGet, "/health", "")
	require.Equal(t, "degraded", a.text("status"))
	require.Equal(t, "closed_on_sundays", w.call(token, http.MethodGet, "/api/v1/agents", "").text("details.reason"), "the old policy stays")
}

// An issuer with a path is found where RFC 8414 section 3.1 inserts it, where
// OpenID appends it, and at the root, for a proxy that strips the path.
func TestIssuerWithPath(t *testing.T) {
	w := newWorld(t, setting{issuer: "https://example.com/tenants/idp"})
	for _, path := range []string{
		"/.well-known/oauth-authorization-server/tenants/idp", "/.well-known/openid-configuration/tenants/idp",
		"/tenants/idp/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
	} {
		a := w.raw("GET " + path + " HTTP/1.1\r\nHost: evil.example\r\n\r\n")
		require.Equal(t, http.StatusOK, a.status, path)
		require.Equal(t, "https://example.com/tenants/idp", a.text("issuer"), path)
	}
	require.Equal(t, http.StatusNotFound, w.raw("GET /.well-known/oauth-authorization-server/tenants/other HTTP/1.1\r\nHost: x\r\n\r\n").status)
	a := w.raw("GET /api/v1/agents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.token("admin") + "\r\n\r\n")
	require.Equal(t, http.StatusOK, a.status)
}

// Hostile requests make no new series, and no secret or token reaches the log.
func TestMetricsAreBounded(t *testing.T) {
	w := newWorld(t, setting{})
	series := func() int {
		var buffer bytes.Buffer
		w.metrics.WritePrometheus(&buffer)
		return strings.Count(buffer.String(), "\n")
	}
	w.token("admin")
	before := series()
	for _, path := range []string{"/a", "/b?x=1", "/api/v1/x", "/api/v1/agents/%00", "/../etc/passwd", "/api/v1/audit/%2e%2e"} {
		w.raw("GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer aidp_sk_x\r\nUser-Agent: \xff" + strings.Repeat("u", 2000) + "\r\n\r\n")
		w.raw("FOO" + strings.Repeat("O", 40) + " " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	require.Equal(t, before, series())
	require.NotContains(t, w.logs.String(), "aidp_sk_")
}

// Nothing that was logged or audited by any fact may hold a secret or a token.
func (w *world) keepsSecrets(file string) {
	w.t.Helper()
	var events strings.Builder
	require.NoError(w.t, w.db.DB.View(w.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Events.Range(ctx, store.AnyOrganization, 0, 1000)
		for _, row := range rows {
			require.True(w.t, json.Valid(row.Body))
			events.Write(row.Body)
		}
		return err
	}))
	for name, text := range map[string]string{"log": w.logs.String(), "audit": events.String()} {
		require.NotContains(w.t, text, "aidp_sk_", "%s: a secret in the %s", file, name)
		require.NotRegexp(w.t, `eyJ[\w-]{10,}\.[\w-]{10,}\.`, text, "%s: a token in the %s", file, name)
	}
}
