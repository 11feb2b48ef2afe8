package httpx_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

// shown is the answer's status, body and headers of interest.
func shown(ctx *fasthttp.RequestCtx) (status int, body string, header func(string) string) {
	return ctx.Response.StatusCode(), string(ctx.Response.Body()), func(name string) string { return string(ctx.Response.Header.Peek(name)) }
}

func TestWriteError(t *testing.T) {
	is := func(e *apierr.Error, status int, body string) func(string) string {
		t.Helper()
		ctx := request()
		ctx.SetBodyString("half an answer")
		httpx.WriteError(ctx, e)
		require.Same(t, e, httpx.Refusal(ctx))
		gotStatus, gotBody, header := shown(ctx)
		require.Equal(t, status, gotStatus)
		require.JSONEq(t, body, gotBody)
		require.Equal(t, "application/json", header("Content-Type"))
		require.Equal(t, "no-store", header("Cache-Control"))
		require.Equal(t, "nosniff", header("X-Content-Type-Options"))
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", header("Content-Security-Policy"))
		require.Equal(t, "no-referrer", header("Referrer-Policy"))
		return header
	}
	is(apierr.New(apierr.NotFound, "no such agent"), 404, `{"code":"NOT_FOUND","message":"no such agent","details":{}}`)
	is(apierr.Invalid(apierr.Field{Field: "email", Rule: "must be an address"}), 400,
		`{"code":"VALIDATION_FAILED","message":"the request breaks a rule","details":{"fields":[{"field":"email","rule":"must be an address"}]}}`)
	is(apierr.New(apierr.SequenceGap, "a gap").WithDetail("nextSequence", 7).WithCause(errors.New("internal")), 409,
		`{"code":"SEQUENCE_GAP","message":"a gap","details":{"nextSequence":7}}`)
	is(apierr.New(apierr.Internal, "internal error").WithDetail("x", func() {}), 500, `{"code":"INTERNAL","message":"internal error","details":{}}`)
	is(apierr.New(apierr.UnsupportedMediaType, "m"), 415, `{"code":"UNSUPPORTED_MEDIA_TYPE","message":"m","details":{}}`)
	const busy = `{"code":"OVERLOADED","message":"busy","details":{}}`
	require.Equal(t, "2", is(apierr.New(apierr.Overloaded, "busy").WithRetryAfter(1001*time.Millisecond), 503, busy)("Retry-After"))
	require.Equal(t, "1", is(apierr.New(apierr.Overloaded, "busy").WithRetryAfter(time.Nanosecond), 503, busy)("Retry-After"))
	require.Empty(t, is(apierr.New(apierr.Overloaded, "busy"), 503, busy)("Retry-After"))

	const unauthenticated = `{"code":"UNAUTHENTICATED","message":"m","details":{}}`
	const forbidden = `{"code":"FORBIDDEN","message":"m","details":{}}`
	require.Equal(t, `Bearer realm="agentidp"`, is(apierr.New(apierr.Unauthenticated, "m").WithReason("token_missing"), 401, unauthenticated)("WWW-Authenticate"))
	require.Equal(t, `Bearer realm="agentidp", error="invalid_token"`, is(apierr.New(apierr.Unauthenticated, "m").WithReason("expired"), 401, unauthenticated)("WWW-Authenticate"))
	require.Equal(t, `Bearer realm="agentidp", error="insufficient_scope"`, is(apierr.New(apierr.Forbidden, "m").WithReason("capability_missing"), 403, forbidden)("WWW-Authenticate"))
	require.Empty(t, is(apierr.New(apierr.Forbidden, "m").WithReason("no_route"), 403, forbidden)("WWW-Authenticate"))
	require.Nil(t, httpx.Refusal(request()))
}

func TestOwnHeadersStay(t *testing.T) {
	ctx := request()
	ctx.Response.Header.Set("WWW-Authenticate", "Bearer scope=x")
	ctx.Response.Header.Set("Cache-Control", "max-age=300")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'self'")
	ctx.Response.Header.Set("ETag", `"1"`)
	httpx.WriteError(ctx, apierr.New(apierr.Unauthenticated, "m"))
	_, _, header := shown(ctx)
	require.Equal(t, "Bearer scope=x", header("WWW-Authenticate"))
	require.Equal(t, "max-age=300", header("Cache-Control"))
	require.Equal(t, "default-src 'self'", header("Content-Security-Policy"))
	require.Equal(t, `"1"`, header("ETag"))
}

func TestWriteOAuthError(t *testing.T) {
	is := func(e *apierr.Error, status int, body string) func(string) string {
		t.Helper()
		ctx := request()
		ctx.Response.Header.Set("Cache-Control", "max-age=300")
		httpx.WriteOAuthError(ctx, e)
		require.Same(t, e, httpx.Refusal(ctx))
		gotStatus, gotBody, header := shown(ctx)
		require.Equal(t, status, gotStatus)
		require.Equal(t, body, gotBody)
		require.Equal(t, "application/json", header("Content-Type"))
		require.Equal(t, "no-store", header("Cache-Control"))
		require.Equal(t, "no-cache", header("Pragma"))
		return header
	}
	require.Empty(t, is(apierr.New(apierr.InvalidScope, "m"), 400, `{"error":"invalid_scope","error_description":"m"}`)("WWW-Authenticate"))
	require.Equal(t, `Basic realm="agentidp"`, is(apierr.New(apierr.InvalidClient, "client authentication failed").WithReason("secret_wrong"), 401,
		`{"error":"invalid_client","error_description":"client authentication failed"}`)("WWW-Authenticate"))
	is(apierr.New(apierr.UnsupportedMediaType, "m"), 400, `{"error":"invalid_request","error_description":"m"}`)
	is(apierr.New(apierr.InvalidRequest, "say \"a\\b\"\r\n\té\U0001F600 ~\x7f"), 400, `{"error":"invalid_request","error_description":"say 'a?b'????? ~?"}`)
	is(apierr.New(apierr.InvalidRequest, ""), 400, `{"error":"invalid_request"}`)
	is(apierr.Invalid(apierr.Field{Field: "grant_type", Rule: "is missing"}), 400, `{"error":"invalid_request","error_description":"the request breaks a rule; grant_type: is missing"}`)
	header := is(apierr.New(apierr.QuotaExceeded, "m").WithRetryAfter(90*time.Second), 429, `{"error":"quota_exceeded","error_description":"m"}`)
	require.Equal(t, "90", header("Retry-After"))
	is(apierr.New(apierr.StoreUnavailable, "m").WithCause(errors.New("disk")), 503, `{"error":"temporarily_unavailable","error_description":"m"}`)
}

func TestWriteJSON(t *testing.T) {
	ctx := request()
	httpx.WriteJSON(ctx, 201, map[string]string{"a": "<b>"})
	status, body, header := shown(ctx)
	require.Equal(t, 201, status)
	require.Equal(t, `{"a":"\u003cb\u003e"}`, body)
	require.Equal(t, "no-store", header("Cache-Control"))
	httpx.WriteJSON(ctx, 200, func() {})
	status, body, _ = shown(ctx)
	require.Equal(t, 500, status)
	require.Contains(t, body, `"INTERNAL"`)
}

func TestCheckMedia(t *testing.T) {
	is := func(want bool, media string, headers ...string) {
		t.Helper()
		err := httpx.CheckMedia(&request(headers...).Request.Header, media)
		if want {
			require.NoError(t, err)
			return
		}
		require.True(t, apierr.Is(err, apierr.UnsupportedMediaType))
	}
	is(true, httpx.MediaJSON, "Content-Type", "application/json")
	is(true, httpx.MediaJSON, "Content-Type", "Application/JSON; charset=UTF-8")
	is(true, httpx.MediaForm, "Content-Type", `application/x-www-form-urlencoded;charset="utf-8"`)
	is(true, httpx.MediaJSON, "Content-Type", "application/json", "Content-Encoding", "identity")
	is(false, httpx.MediaJSON)
	is(false, httpx.MediaJSON, "Content-Type", "text/plain")
	is(false, httpx.MediaJSON, "Content-Type", "application/jsonx")
	is(false, httpx.MediaJSON, "Content-Type", "application/json; charset=utf-16")
	is(false, httpx.MediaJSON, "Content-Type", "application/json; version=1")
	is(false, httpx.MediaJSON, "Content-Type", "application/json; charset=utf-8; charset=utf-16")
	is(false, httpx.MediaJSON, "Content-Type", "application/json, text/plain")
	is(false, httpx.MediaForm, "Content-Type", "multipart/form-data; boundary=x")
	is(false, httpx.MediaJSON, "Content-Type", "application/json", "Content-Encoding", "gzip")
}
