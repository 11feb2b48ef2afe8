package httpapi_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
)

// listed waits until the status lists are in step with what was done before.
func (w *world) listed() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		if w.lists.Ready(w.t.Context()) != nil {
			return false
		}
		a := w.call("", http.MethodGet, "/statuslists", "")
		return a.status == http.StatusOK && w.inStep(a)
	}, time.Minute, 5*time.Millisecond)
}

// inStep reports that the aggregation names the lists that the store has.
func (w *world) inStep(a *answer) bool {
	named, _ := lookup(a.json(), "status_lists.length")
	return named == float64(w.liveLists())
}

// invalid looks a token up as a relying party does that knows the token and the
// metadata alone, and demands everything that the draft demands of a list.
func (w *world) invalid(raw string) bool {
	w.t.Helper()
	keys, _, err := token.ParseJWKS(w.call("", http.MethodGet, "/.well-known/jwks.json", "").body)
	require.NoError(w.t, err)
	var claims struct {
		Status struct {
			List struct {
				Index int    `json:"idx"`
				URI   string `json:"uri"`
			} `json:"status_list"`
		}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal(payload, &claims))
	at, found := strings.CutPrefix(claims.Status.List.URI, strings.TrimRight(w.set.issuer, "/"))
	require.True(w.t, found)
	if u, err := url.Parse(w.set.issuer); err == nil {
		at = strings.TrimRight(u.Path, "/") + at
	}
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, strings.TrimSuffix(w.base, issuerPath(w.base))+at, nil)
	require.NoError(w.t, err)
	a := w.send(request, true)
	require.Equal(w.t, http.StatusOK, a.status, string(a.body))
	signed, _, err := token.VerifyJWS(string(a.body), "statuslist+jwt", keys, 1<<20)
	if err != nil {
		return false // signed by a key that was just revoked: not to be believed, asked for again
	}
	var list struct {
		Subject    string `json:"sub"`
		Issued     int64  `json:"iat"`
		Expires    int64  `json:"exp"`
		TTL        int64  `json:"ttl"`
		StatusList struct {
			Bits int    `json:"bits"`
			List string `json:"lst"`
		} `json:"status_list"`
	}
	require.NoError(w.t, json.Unmarshal(signed, &list))
	require.Equal(w.t, claims.Status.List.URI, list.Subject)
	require.LessOrEqual(w.t, list.Issued, w.clock.now().Unix())
	require.Greater(w.t, list.Expires, w.clock.now().Unix())
	require.Equal(w.t, fmt.Sprintf("public, max-age=%d", list.TTL), a.header.Get("Cache-Control"))
	require.Equal(w.t, 1, list.StatusList.Bits)
	packed, err := base64.RawURLEncoding.DecodeString(list.StatusList.List)
	require.NoError(w.t, err)
	reader, err := zlib.NewReader(bytes.NewReader(packed))
	require.NoError(w.t, err)
	bits, err := io.ReadAll(io.LimitReader(reader, 1<<20))
	require.NoError(w.t, err)
	require.Less(w.t, claims.Status.List.Index/8, len(bits))
	return bits[claims.Status.List.Index/8]>>(claims.Status.List.Index%8)&1 == 1
}

func issuerPath(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Path
}

func (w *world) becomesInvalid(raw, why string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return w.invalid(raw) }, time.Minute, 5*time.Millisecond, why)
}

// Whatever kills a token makes its bit 1, and nobody else's.
func TestStatusOfEveryRevocation(t *testing.T) {
	for backend := range stores {
		t.Run(backend, func(t *testing.T) {
			w := newWorld(t, setting{backend: backend})
			w.vars["admin.token"] = w.token("admin")
			w.statusFacts()
		})
	}
}

// The issuer's path leads to the lists too.
func TestStatusBelowAPath(t *testing.T) {
	w := newWorld(t, setting{issuer: "https://example.com/idp"})
	w.vars["admin.token"] = w.token("admin")
	w.statusFacts()
}

func (w *world) statusFacts() {
	t := w.t
	do := func(want int, method, path, body string) *answer {
		t.Helper()
		a := w.call(w.vars["admin.token"], method, path, body)
		require.Equal(t, want, a.status, string(a.body))
		return a
	}
	w.agent("admin", "bystander", "notes:read")
	bystander := w.vars["bystander.token"]
	var fallen []string
	dies := func(name, why string, kill func()) {
		t.Helper()
		raw := w.token(name)
		w.listed()
		require.False(t, w.invalid(raw), why)
		kill()
		w.becomesInvalid(raw, why)
		require.False(t, w.invalid(bystander), "%s: another's lives", why)
		fallen = append(fallen, raw)
	}
	path := func(name string) string { return "/api/v1/agents/" + w.vars[name+".agent"] }

	w.agent("admin", "suspended", "notes:read")
	dies("suspended", "suspension", func() { do(200, http.MethodPatch, path("suspended"), `{"status":"suspended"}`) })
	do(200, http.MethodPatch, path("suspended"), `{"status":"active"}`)
	require.True(t, w.invalid(fallen[0]), "reactivation revives nothing")
	require.False(t, w.invalid(w.token("suspended")), "a new token is another matter")

	w.agent("admin", "decommissioned", "notes:read")
	dies("decommissioned", "decommission", func() { do(204, http.MethodDelete, path("decommissioned"), "") })

	w.agent("admin", "stripped", "notes:read", "notes:write")
	dies("stripped", "removed capability", func() { do(200, http.MethodPatch, path("stripped"), `{"capabilities":["notes:read"]}`) })

	w.agent("admin", "holder", "notes:read")
	other := do(201, http.MethodPost, path("holder")+"/credentials", "{}")
	w.remember("second", w.vars["holder.agent"], other.text("credentialId"), other.text("clientId"), other.text("clientSecret"))
	second := w.token("second")
	dies("holder", "credential with revokeTokens", func() {
		do(204, http.MethodDelete, path("holder")+"/credentials/"+w.vars["holder.credential"]+"?revokeTokens=true", "")
	})
	require.False(t, w.invalid(second), "of the agent's other credential")

	w.agent("admin", "left", "notes:read")
	left := w.token("left")
	do(204, http.MethodDelete, path("left")+"/credentials/"+w.vars["left.credential"], "")

	w.organization("acme", "founder")
	dies("founder", "organization", func() { do(201, http.MethodPost, "/api/v1/revocations", `{"type":"organization","id":"acme"}`) })

	w.agent("admin", "own", "notes:read")
	spared := w.token("own")
	raw := w.token("own")
	require.Equal(t, 200, w.form("/api/v1/token/revoke", w.vars["own.basic"], url.Values{"token": {raw}}).status)
	w.becomesInvalid(raw, "RFC 7009")
	require.False(t, w.invalid(spared), "the agent's other token")

	one := w.token("own")
	do(201, http.MethodPost, "/api/v1/revocations", `{"type":"jti","id":"00000000-0000-4000-8000-000000000000"}`)
	do(201, http.MethodPost, "/api/v1/revocations", `{"type":"jti","id":"01980000-0000-7000-8000-000000000000"}`)
	do(201, http.MethodPost, "/api/v1/revocations", fmt.Sprintf(`{"type":"jti","id":%q}`, jtiOf(t, one)))
	w.becomesInvalid(one, "jti")
	require.False(t, w.invalid(left), "a credential revoked without revokeTokens leaves its tokens to their exp")
	require.False(t, w.invalid(bystander))

	before := w.issuer.ActiveKID()
	do(202, http.MethodPost, "/api/v1/keys/rotate", `{"emergency":true}`)
	w.becomesInvalid(bystander, "emergency rotation")
	w.becomesInvalid(spared, "every token of the key")
	require.NotEqual(t, before, w.issuer.ActiveKID())
	w.vars["admin.token"] = w.token("admin")
	after := w.token("own")
	require.False(t, w.invalid(after), "tokens of the next key")
	for _, raw := range fallen {
		require.True(t, w.invalid(raw), "nothing comes back")
	}
	do(201, http.MethodPost, "/api/v1/revocations", fmt.Sprintf(`{"type":"kid","id":%q}`, w.issuer.ActiveKID()))
	w.becomesInvalid(after, "kid")
}

func jtiOf(t *testing.T, raw string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	require.NoError(t, err)
	var claims struct{ JTI string }
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims.JTI
}
