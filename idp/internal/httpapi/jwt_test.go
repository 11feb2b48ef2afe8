package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
)

// The issued token is RFC 9068, and a resource server that knows the metadata
// and the JWKS alone accepts it.
func TestIssuedToken(t *testing.T) {
	w := newWorld(t, setting{})
	w.agent("admin", "reader", "notes:read", "a:b")
	answer := w.form("/api/v1/token", w.vars["reader.basic"], url.Values{"grant_type": {"client_credentials"}, "resource": {"https://notes.example.com"}})
	raw := answer.text("access_token")

	parts := strings.Split(raw, ".")
	require.Len(t, parts, 3)
	members := func(segment string) map[string]any {
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(segment)
		require.NoError(t, err)
		var object map[string]any
		require.NoError(t, json.Unmarshal(decoded, &object))
		return object
	}
	header, claims := members(parts[0]), members(parts[1])
	require.Equal(t, []string{"alg", "kid", "typ"}, slices.Sorted(maps.Keys(header)), "no key travels in the header")
	require.Equal(t, "RS256", header["alg"])
	require.Equal(t, "at+jwt", header["typ"])
	require.Equal(t, []string{"aud", "client_id", "exp", "iat", "iss", "jti", "org", "rev", "scope", "status", "sub"}, slices.Sorted(maps.Keys(claims)))
	require.Equal(t, "a:b notes:read", claims["scope"])
	require.Equal(t, w.vars["reader.agent"], claims["sub"])
	require.Equal(t, w.vars["reader.client"], claims["client_id"])
	require.Equal(t, "https://notes.example.com", claims["aud"])
	require.Equal(t, []any{0.0, 0.0, 0.0}, claims["rev"])
	life, _ := lookup(answer.json(), "expires_in")
	require.InDelta(t, life, claims["exp"].(float64)-claims["iat"].(float64), 0)
	require.NotContains(t, parts[1], w.vars["reader.secret"])

	metadata := w.call("", http.MethodGet, "/.well-known/oauth-authorization-server", "")
	published := w.call("", http.MethodGet, strings.TrimPrefix(metadata.text("jwks_uri"), w.set.issuer), "")
	keys, skipped, err := token.ParseJWKS(published.body)
	require.NoError(t, err)
	require.Empty(t, skipped)
	require.Contains(t, keys.KIDs(), header["kid"])
	verifier := &token.Verifier{Issuer: metadata.text("issuer"), Audience: "https://notes.example.com", Keys: keys, Now: w.clock.now}
	verified, err := verifier.Verify(t.Context(), raw)
	require.NoError(t, err)
	require.Equal(t, claims["jti"], verified.JTI)
}

// Endpoints in the metadata are absolute and on the issuer's origin.
func TestMetadataEndpoints(t *testing.T) {
	w := newWorld(t, setting{})
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		members, _ := w.call("", http.MethodGet, path, "").json().(map[string]any)
		require.NotEmpty(t, members)
		for name, value := range members {
			if text, isText := value.(string); isText && name != "issuer" {
				require.True(t, strings.HasPrefix(text, w.set.issuer+"/"), name)
			}
		}
		u, err := url.Parse(members["issuer"].(string))
		require.NoError(t, err)
		require.Empty(t, u.RawQuery+u.Fragment)
	}
}

// The longest token that is issued is one that our own verifier reads.
func TestLongestToken(t *testing.T) {
	w := newWorld(t, setting{})
	var capabilities []string
	for i := range 46 {
		capabilities = append(capabilities, strings.Repeat("x", 98)+string(rune('a'+i/26))+string(rune('a'+i%26))+":read")
	}
	w.agent("admin", "long", capabilities...)
	a := w.form("/api/v1/token/introspect", w.vars["long.basic"], url.Values{"token": {w.vars["long.token"]}})
	live, _ := lookup(a.json(), "active")
	require.Equal(t, true, live)
	require.Greater(t, len(w.vars["long.token"]), 7000)
}

func TestParallelGrants(t *testing.T) {
	w := newWorld(t, setting{})
	w.agent("admin", "busy", "notes:read")
	var group sync.WaitGroup
	tokens := make([]string, 50)
	for i := range tokens {
		group.Go(func() { tokens[i] = w.token("busy") })
	}
	group.Wait()
	slices.Sort(tokens)
	require.Len(t, slices.Compact(tokens), 50)
	w.events("parallel", "token.issued", "*", "53")
}
