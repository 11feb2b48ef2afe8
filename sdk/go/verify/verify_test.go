package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/sdk/go/verify"
)

// web answers fetches in process. What its answer names is a document of
// jwks.json, "away", or "status N".
type web struct {
	t       *testing.T
	keys    documents
	answer  string
	fetches int
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.fetches++
	require.Equal(w.t, issuer+"/.well-known/jwks.json", r.URL.String(), "no redirect is followed, no address of a token fetched")
	if w.answer == "away" {
		return nil, errors.New("connection refused")
	}
	if code, isStatus := strings.CutPrefix(w.answer, "status "); isStatus {
		status, err := strconv.Atoi(code)
		require.NoError(w.t, err)
		return respond(r, status, ""), nil
	}
	return respond(r, http.StatusOK, w.keys.body(w.t, w.answer)), nil
}

func respond(r *http.Request, status int, body string) *http.Response {
	header := http.Header{"Location": {"https://elsewhere.example.com/"}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// outcome is what the vectors call the result.
func outcome(t *testing.T, err error) string {
	t.Helper()
	var refused *verify.Error
	var unavailable *verify.Unavailable
	switch {
	case err == nil:
		return "accept"
	case errors.As(err, &refused):
		return string(refused.Reason)
	case errors.As(err, &unavailable):
		return unavailable.Reason
	}
	require.NoError(t, err)
	return ""
}

func verifier(t *testing.T, transport http.RoundTripper, now *int64, revocation func(*verify.Verifier) verify.Revocations) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Options{
		Issuer: issuer, Audience: audience, HTTPClient: &http.Client{Transport: transport},
		Now: func() time.Time { return time.Unix(*now, 0) }, Revocation: revocation,
	})
	require.NoError(t, err)
	t.Cleanup(v.Settle)
	return v
}

func TestVectorsOfTokens(t *testing.T) {
	all, at := read[tokens](t, "tokens.json"), int64(now)
	v := verifier(t, &web{t: t, keys: read[documents](t, "jwks.json"), answer: all.JWKS}, &at, nil)
	for _, row := range all.Cases {
		claims, err := v.Verify(t.Context(), row.Token)
		require.Equal(t, row.Expect, outcome(t, err), row.Name)
		if err == nil {
			require.Equal(t, *row.Claims, acceptClaims{
				claims.Subject, claims.ClientID, claims.Organization, claims.Audience, claims.Scope, claims.JTI, claims.IssuedAt, claims.ExpiresAt, claims.KID,
			}, row.Name)
		}
	}
}

func TestVectorsOfKeyRotations(t *testing.T) {
	keys := read[documents](t, "jwks.json")
	for _, scenario := range read[rotations](t, "jwks-rotations.json").Scenarios {
		at, away := int64(now), &web{t: t, keys: keys}
		v := verifier(t, away, &at, nil)
		for _, step := range scenario.Steps {
			at, away.answer, away.fetches = now+step.At, step.Fetch, 0
			_, err := v.Verify(t.Context(), step.Token)
			v.Settle()
			require.Equal(t, step.Expect, outcome(t, err), "%s, at %d", scenario.Name, step.At)
			require.Equal(t, step.Fetches, away.fetches, "%s, at %d", scenario.Name, step.At)
		}
	}
}

// listed answers with a key set, and with one status list.
type listed struct {
	keys web
	row  statusCase
}

func (l *listed) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case strings.HasSuffix(r.URL.Path, "jwks.json"):
		return l.keys.RoundTrip(r)
	case r.URL.String() != issuer+"/statuslists/0":
		require.Fail(l.keys.t, "fetched", r.URL.String())
		fallthrough
	case l.row.Status == 0:
		return nil, errors.New("connection refused")
	}
	return respond(r, l.row.Status, l.row.Body), nil
}

func TestVectorsOfStatusLists(t *testing.T) {
	all, f, at := read[statusLists](t, "status-lists.json"), readForge(t), int64(now)
	keys := web{t: t, keys: read[documents](t, "jwks.json"), answer: all.JWKS}
	for _, row := range all.Cases {
		v := verifier(t, &listed{keys, row}, &at, verify.StatusLists())
		status, err := json.Marshal(map[string]any{"status_list": map[string]any{"uri": row.URI, "idx": row.Index}})
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), f.rs256(f.header("a"), with(claims("j", now), "status", string(status))))
		require.Equal(t, row.Expect, outcome(t, err), row.Name)
	}
}

func TestAStatusListIsKeptForItsTimeToLiveAndUsedUntilItExpires(t *testing.T) {
	f, at := readForge(t), int64(now)
	answers := &listed{keys: web{t: t, keys: read[documents](t, "jwks.json"), answer: "a"}}
	v := verifier(t, answers, &at, verify.StatusLists())
	ask := func(second int64, index string) string {
		at = now + second
		_, err := v.Verify(t.Context(), f.rs256(f.header("a"), with(claims("j", at), "status", `{"status_list":{"idx":`+index+`,"uri":"`+issuer+`/statuslists/0"}}`)))
		v.Settle()
		return outcome(t, err)
	}
	header := with(f.header("a"), "typ", `"statuslist+jwt"`)
	answers.row = statusCase{Status: 200, Body: f.list("a", header, func(c string) string { return c })}
	require.Equal(t, "accept", ask(0, "0"))
	answers.row.Status = 503
	require.Equal(t, "accept", ask(14, "0"), "kept")
	require.Equal(t, "token_revoked", ask(100, "1"), "the IdP is away: the last edition counts")
	require.Equal(t, "revocations_stale", ask(891, "0"), "until it expires")
	answers.row.Status = 200
	answers.row.Body = f.list("a", header, func(c string) string { return with(with(c, "exp", "1793610000"), "ttl", "0") })
	require.Equal(t, "accept", ask(893, "0"))
	_, err := v.Verify(t.Context(), f.good("a", "without a status", at))
	require.Equal(t, "revocations_stale", outcome(t, err))
	require.ErrorContains(t, err, "no place in a status list")
}

func TestIntrospection(t *testing.T) {
	f, at, answer := readForge(t), int64(now), ""
	client, err := agentidp.NewClient(agentidp.Config{URL: issuer, ClientID: "c", ClientSecret: "s", HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/api/v1/token" {
			return respond(r, http.StatusOK, `{"access_token":"t","token_type":"Bearer","expires_in":60}`), nil
		}
		require.Equal(t, "/api/v1/token/introspect", r.URL.Path)
		if answer == "" {
			return respond(r, http.StatusInternalServerError, ""), nil
		}
		return respond(r, http.StatusOK, answer), nil
	})}})
	require.NoError(t, err)
	v := verifier(t, &web{t: t, keys: read[documents](t, "jwks.json"), answer: "a"}, &at, verify.Introspection(client))
	for said, expect := range map[string]string{`{"active":true}`: "accept", `{"active":false}`: "token_revoked", "": "revocations_stale"} {
		answer = said
		_, err := v.Verify(t.Context(), f.good("a", "j", now))
		require.Equal(t, expect, outcome(t, err))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestVectorsOfScopes(t *testing.T) {
	f, at := readForge(t), int64(now)
	v := verifier(t, &web{t: t, keys: read[documents](t, "jwks.json"), answer: "a"}, &at, nil)
	for _, row := range read[struct {
		Cases []struct {
			Scope, Demanded string
			Covered         bool
		}
	}](t, "scopes.json").Cases {
		handler := v.Middleware(verify.Require(row.Demanded, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Set("Authorization", "Bearer "+f.rs256(f.header("a"), with(claims("j", now), "scope", `"`+row.Scope+`"`)))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		require.Equal(t, row.Covered, recorder.Code == http.StatusOK, "%s covers %s", row.Scope, row.Demanded)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []verify.Options{{}, {Issuer: "idp.example.com", Audience: "a"}, {Issuer: issuer}} {
		_, err := verify.New(o)
		require.Error(t, err)
	}
	v, err := verify.New(verify.Options{Issuer: issuer, Audience: audience})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = v.Verify(ctx, "a.b.c")
	require.ErrorIs(t, err, context.Canceled)
}

func TestMiddleware(t *testing.T) {
	f, at := readForge(t), int64(now)
	away := &web{t: t, keys: read[documents](t, "jwks.json"), answer: "away"}
	v := verifier(t, away, &at, nil)
	handler := v.Middleware(verify.Require("notes:read", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := verify.FromContext(r.Context())
		require.True(t, ok)
		_, _ = io.WriteString(w, claims.Subject)
	})))
	scoped := func(scope string) string {
		return "Bearer " + f.rs256(f.header("a"), with(claims("j", now), "scope", `"`+scope+`"`))
	}
	good := "Bearer " + f.good("a", "j", now)
	for _, row := range []struct {
		answer        string
		authorization []string
		status        int
		reason        string
		challenge     string
	}{
		{"away", []string{good}, 503, "keys_stale", ""},
		{"a", nil, 401, "token_missing", `Bearer realm="agentidp"`},
		{"a", []string{good, good}, 401, "token_missing", `Bearer realm="agentidp"`},
		{"a", []string{"Basic YTpi"}, 401, "token_missing", `Bearer realm="agentidp"`},
		{"a", []string{"Bearer "}, 401, "token_missing", `Bearer realm="agentidp"`},
		{"a", []string{good}, 200, "", ""},
		{"a", []string{strings.Replace(good, "Bearer ", "bEARER  ", 1)}, 200, "", ""},
		{"a", []string{good + "x"}, 401, "malformed", `Bearer realm="agentidp", error="invalid_token"`},
		{"a", []string{scoped("notes:*")}, 200, "", ""},
		{"a", []string{scoped("*:read")}, 200, "", ""},
		{"a", []string{scoped("notes:write")}, 403, "capability_missing", `Bearer realm="agentidp", error="insufficient_scope", scope="notes:read"`},
		{"a", []string{scoped("")}, 403, "capability_missing", `Bearer realm="agentidp", error="insufficient_scope", scope="notes:read"`},
		{"a", []string{scoped("NOTES")}, 403, "capability_missing", `Bearer realm="agentidp", error="insufficient_scope", scope="notes:read"`},
	} {
		at += 11 // a fetch is allowed again
		away.answer = row.answer
		request := httptest.NewRequest(http.MethodGet, "/notes", nil)
		request.Header["Authorization"] = row.authorization
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		require.Equal(t, row.status, recorder.Code, row.authorization)
		require.Equal(t, row.challenge, recorder.Header().Get("WWW-Authenticate"))
		if row.reason == "" {
			require.Equal(t, subject, recorder.Body.String())
			continue
		}
		var body struct {
			Code    string
			Details struct{ Reason string }
		}
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &body))
		require.Equal(t, row.reason, body.Details.Reason)
		require.Equal(t, row.status == 503, recorder.Header().Get("Retry-After") != "")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/notes", nil)
	request.Header.Set("Authorization", good)
	handler.ServeHTTP(recorder, request)
	require.Equal(t, http.StatusServiceUnavailable, recorder.Code)
	require.Panics(t, func() { verify.Require("notes", nil) })
	recorder = httptest.NewRecorder()
	verify.Require("notes:read", nil).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusForbidden, recorder.Code, "without Middleware before it")
}
