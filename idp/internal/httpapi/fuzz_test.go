package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// refused asserts that a refusal is a 4xx that names its reason or its fields.
func refused(t *testing.T, err error) {
	t.Helper()
	e := apierr.From(err)
	require.Less(t, e.Code.Status(), 500, err)
	require.NotEmpty(t, e.Reason, err)
}

// FuzzTokenRequest: no panic; a refusal is a 4xx; what is accepted keeps every
// rule, whatever else came along.
func FuzzTokenRequest(f *testing.F) {
	const form = "application/x-www-form-urlencoded"
	f.Add(form, "Basic aWQ6cw==", "", "grant_type=client_credentials&scope=a:b&resource=https://a.example")
	f.Add(form, "", "client_secret=x", "client_id=a&client_secret=b&grant_type=c")
	f.Add(form+"; charset=utf-8", "Basic Og==", "&&=", "%61=%62&a=c")
	f.Add("multipart/form-data", "bearer ", "%", "\x00=\xff")
	f.Add(form, "Basic aWQ6cw==", "grant_type=client_credentials", "resource=urn:x&resource=urn:y&grant_type=x&scope=")
	f.Fuzz(func(t *testing.T, contentType, authorization, query, body string) {
		var request fasthttp.Request
		request.Header.SetMethod(fasthttp.MethodPost)
		request.SetRequestURI("/api/v1/token")
		request.URI().SetQueryString(query)
		request.Header.SetContentType(contentType)
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		var ctx fasthttp.RequestCtx
		ctx.Init(&request, nil, nil)
		c := &call{http: &ctx, body: []byte(body)}
		wire, err := c.readForm()
		if err != nil {
			refused(t, err)
			return
		}
		r, err := grants.Parse(wire)
		if err != nil {
			refused(t, err)
			require.False(t, strings.ContainsFunc(apierr.From(err).Detail, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }))
			return
		}
		require.NotEmpty(t, r.GrantType)
		require.True(t, slices.IsSorted(r.Scope))
		for _, resource := range r.Resources {
			require.True(t, grants.IsResource(resource))
		}
		require.LessOrEqual(t, len(r.Resources), grants.MaxResources)
		if r.Client.Method == grants.MethodBasic {
			require.NotEmpty(t, authorization)
			require.Empty(t, wire.Form.Get("client_secret"))
		}
		for name, values := range wire.Form {
			require.True(t, len(values) == 1 || name == "resource", name)
		}
	})
}

// FuzzAuditQuery: no panic; a refusal is a 400; what is accepted is in bounds.
func FuzzAuditQuery(f *testing.F) {
	f.Add("agentId=3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11&action=token.issued&outcome=success&limit=100")
	f.Add("from=2026-07-01T12:00:00Z&to=2026-07-01T14:00:00+02:00&cursor=czE")
	f.Add("limit=0&limit=1&&=&%zz=1&x")
	f.Add("from=9999-12-31T23:59:59-23:59&q=a%20b")
	f.Fuzz(func(t *testing.T, raw string) {
		ask, err := parseAuditQuery(raw)
		if err != nil {
			refused(t, err)
			require.NotEmpty(t, apierr.From(err).Fields)
			return
		}
		require.True(t, ask.Limit >= 1 && ask.Limit <= maxLimit)
		require.True(t, ask.AgentID == "" || idp.IsUUID(ask.AgentID))
		require.True(t, ask.Outcome == "" || slices.Contains([]string{"success", "failure", "denied"}, string(ask.Outcome)))
		require.True(t, ask.From.IsZero() || ask.To.IsZero() || ask.From.Before(ask.To))
		require.True(t, ask.From.IsZero() || ask.From.Year() >= 1970 && ask.From.Year() <= 9999)
		require.Empty(t, ask.OrganizationID, "whose log it is, no query says")
	})
}

// FuzzMembers: no panic; what is accepted is an object whose members are all known.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"email":"a@b","capabilities":["a:b"],"metadata":{"x":1}}`))
	f.Add([]byte(`{"email":null,"email":1}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`null`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseMembers(body)
		if err == nil {
			m.text("email")
			m.texts("capabilities")
			m.integer("overlapSeconds")
			m.instant("expiresAt")
			m.value("metadata")
			err = m.done()
		}
		if err != nil {
			refused(t, err)
			return
		}
		var object map[string]json.RawMessage
		require.True(t, len(body) == 0 || json.Unmarshal(body, &object) == nil)
		for name := range object {
			require.Contains(t, []string{"email", "capabilities", "overlapSeconds", "expiresAt", "metadata"}, name)
		}
	})
}
