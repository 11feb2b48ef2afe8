package grants

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

func TestParse(t *testing.T) {
	r, err := Parse(form("grant_type=client_credentials&scope=b:y+a:x&resource=https://b.example/&resource=urn:x:y&resource=https://b.example/&unknown=1&resource=", basic("id", "s")))
	require.NoError(t, err)
	require.Equal(t, Request{
		Client: Client{Method: MethodBasic, ID: "id", Secret: "s"}, GrantType: "client_credentials",
		Scope: capability.Set{"a:x", "b:y"}, Resources: []string{"https://b.example/", "urn:x:y"},
	}, r)

	r, err = Parse(form("grant_type=x&scope=&resource=&client_id=id&client_secret=s"))
	require.NoError(t, err)
	require.Nil(t, r.Scope, "an empty scope is an absent one")
	require.Nil(t, r.Resources)
}

func TestParseRefusals(t *testing.T) {
	var many []string
	for i := range MaxResources + 1 {
		many = append(many, "resource=https://"+strings.Repeat("a", i+1)+".example")
	}
	for _, fact := range []struct {
		body   string
		code   apierr.Code
		reason string
	}{
		{"", apierr.InvalidRequest, "grant_type_missing"},
		{"grant_type=", apierr.InvalidRequest, "grant_type_missing"},
		{"grant_type=x&grant_type=x", apierr.InvalidRequest, "repeated_parameter"},
		{"grant_type=x&unknown=1&unknown=2", apierr.InvalidRequest, "repeated_parameter"},
		{"grant_type=x&client_id=&client_id=id", apierr.InvalidRequest, "repeated_parameter"},
		{"grant_type=x&scope=a:b&scope=a:b", apierr.InvalidRequest, "repeated_parameter"},
		{"grant_type=x&scope=%22", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&scope=a%5Cb", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&scope=a:b++c:d", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&scope=+a:b", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&scope=a:b%0A", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&scope=A:b", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&scope=openid", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&scope=%C3%A9:b", apierr.InvalidScope, "malformed_scope"},
		{"grant_type=x&resource=/relative", apierr.InvalidTarget, "malformed_resource"},
		{"grant_type=x&" + strings.Join(many, "&"), apierr.InvalidTarget, "too_many_resources"},
	} {
		_, err := Parse(form(fact.body, basic("id", "s")))
		refusal(t, err, fact.code, fact.reason)
	}
	r, err := Parse(form("client_id=seen", "Bearer x"))
	require.Error(t, err)
	require.Equal(t, "seen", r.Client.ID, "what was claimed is kept for the log")
}

func TestIsResource(t *testing.T) {
	for _, good := range []string{"https://api.example", "https://api.example/", "https://api.example:8443/a/b?c=d", "urn:example:api", "http://127.0.0.1:1", "mcp://x"} {
		require.True(t, IsResource(good), good)
	}
	for _, bad := range []string{
		"", "api.example", "//api.example", "/x", "https://", "https:", "https://a#", "https://a#b", "https://a b", "https://a\n", "https://é.example",
		"https://user@a", "https://user:pw@a", "https://a/<x>", `https://a/"`, `https://a\b`, "https://a/{x}", ":x", "https://a/%zz", "https://a:port",
		"https://a/" + strings.Repeat("x", MaxResourceBytes),
	} {
		require.False(t, IsResource(bad), bad)
	}
}
