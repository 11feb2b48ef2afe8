package idp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
)

// broken asserts that exactly the members named broke a rule, each with a text.
func broken(t *testing.T, rules []idp.Rule, members ...string) {
	t.Helper()
	var got []string
	for _, r := range rules {
		require.NotEmpty(t, r.Text)
		got = append(got, r.Field)
	}
	require.Equal(t, members, got)
}

func TestNormalizeEmail(t *testing.T) {
	for in, want := range map[string]string{
		"screener-001@example.com":                "screener-001@example.com",
		"Screener@EXAMPLE.com":                    "screener@example.com",
		"admin@localhost":                         "admin@localhost",
		"a.b+tag/x=1@x-1.co":                      "a.b+tag/x=1@x-1.co",
		"a@" + strings.Repeat("b.", 125) + "cc":   "a@" + strings.Repeat("b.", 125) + "cc",
		strings.Repeat("a", 64) + "@example.com":  strings.Repeat("a", 64) + "@example.com",
		"`{|}~@1.example":                         "`{|}~@1.example",
		"x@" + strings.Repeat("d", 63) + ".io":    "x@" + strings.Repeat("d", 63) + ".io",
		"o'brien@sub-domain.example.technology":   "o'brien@sub-domain.example.technology",
		"A0!#$%&'*+-/=?^_`{|}~@a.b.c.d.e.f.g.h.i": "a0!#$%&'*+-/=?^_`{|}~@a.b.c.d.e.f.g.h.i",
	} {
		got, rules := idp.NormalizeEmail(in)
		require.Empty(t, rules, in)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{
		"", "@", "a@", "@b", "a", "a b@c.d", " a@b.c", "a@b.c ", "a@b@c", "a..b@c.d", ".a@c.d", "a.@c.d", "a@c..d", "a@.c", "a@c.",
		"a@-c.d", "a@c-.d", "ä@b.c", "a@bücher.de", "a@b_c.d", `"a b"@c.d`, "a@[127.0.0.1]", "a@b.c\n", "a\x00@b.c",
		strings.Repeat("a", 65) + "@example.com",
		"a@" + strings.Repeat("d", 64) + ".io", "a@" + strings.Repeat("b.", 126) + "c",
	} {
		_, rules := idp.NormalizeEmail(bad)
		broken(t, rules, "email")
	}
}

func TestVersion(t *testing.T) {
	for _, good := range []string{
		"0.0.0", "1.2.3", "10.20.30", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-0.3.7", "1.0.0-x-y-z.--", "1.0.0+20130313144700",
		"1.0.0-beta+exp.sha.5114f85", "1.0.0+21AF26D3----117B344092BD", "999999999999.0.0-" + strings.Repeat("a", 44),
	} {
		require.Empty(t, idp.CheckVersion(good), good)
	}
	for _, bad := range []string{
		"", "1", "1.2", "v1.2.3", "01.2.3", "1.02.3", "1.2.03", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3-a..b", "1.2.3-ä", "1.2.3\n", " 1.2.3", "1.2.3.4",
		"1.2.3-" + strings.Repeat("a", 59),
	} {
		broken(t, idp.CheckVersion(bad), "version")
	}
}

func TestPrintableTexts(t *testing.T) {
	for _, good := range []string{"a", "Team Wörter 組", strings.Repeat("ä", 128)} {
		require.Empty(t, idp.CheckOwner(good), good)
		require.Empty(t, idp.CheckOrganizationName(good), good)
	}
	for _, bad := range []string{"", " ", "a ", " a", "a\tb", "a\nb", "a\x00b", "\xff", "a\u200bb", "a\u202eb", strings.Repeat("ä", 129)} {
		broken(t, idp.CheckOwner(bad), "owner")
		broken(t, idp.CheckOrganizationName(bad), "name")
	}
}

func TestEnumerations(t *testing.T) {
	for _, v := range idp.AgentTypes {
		require.Empty(t, idp.CheckAgentType(v))
	}
	for _, v := range idp.Environments {
		require.Empty(t, idp.CheckEnvironment(v))
	}
	for _, v := range idp.Statuses {
		require.Empty(t, idp.CheckStatus(v))
	}
	for _, v := range idp.Plans {
		require.Empty(t, idp.CheckPlan(v))
	}
	for _, v := range idp.RevocationTypes {
		require.Empty(t, idp.CheckRevocationType(v))
	}
	broken(t, idp.CheckAgentType("Screener"), "agentType")
	broken(t, idp.CheckEnvironment(""), "deploymentEnv")
	broken(t, idp.CheckStatus("deleted"), "status")
	broken(t, idp.CheckPlan("gold"), "plan")
	broken(t, idp.CheckRevocationType("user"), "type")
	broken(t, idp.CheckSwitch(idp.Decommissioned), "status")
	require.Empty(t, idp.CheckSwitch(idp.Active))
	require.Equal(t, "must be one of active, suspended", idp.CheckSwitch("x")[0].Text)
}

func TestOrganizationID(t *testing.T) {
	for _, good := range []string{"a", "0", "default", "acme-2", strings.Repeat("a", 63)} {
		require.Empty(t, idp.CheckOrganizationID("organizationId", good), good)
	}
	for _, bad := range []string{"", "-a", "A", "a_b", "a.b", "a b", "ä", "a\n", strings.Repeat("a", 64)} {
		broken(t, idp.CheckOrganizationID("organizationId", bad), "organizationId")
	}
}

func TestParseCapabilities(t *testing.T) {
	set, rules := idp.ParseCapabilities([]string{"notes:write", "notes:read", "notes:read"})
	require.Empty(t, rules)
	require.Equal(t, "notes:read notes:write", set.String())

	set, rules = idp.ParseCapabilities(nil)
	require.Empty(t, rules)
	require.NotNil(t, set)
	require.Empty(t, set)

	_, rules = idp.ParseCapabilities([]string{"notes:read", "Notes:read", "notes", "*:*", ""})
	broken(t, rules, "capabilities[1]", "capabilities[2]", "capabilities[4]")

	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("notes:%d", i)
	}
	_, rules = idp.ParseCapabilities(many)
	broken(t, rules, "capabilities")
	_, rules = idp.ParseCapabilities(many[:100])
	require.Empty(t, rules)
}

func TestCompactMetadata(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"null":                          "",
		" null ":                        "",
		"{}":                            "{}",
		" { \"a\" : [ 1 , \"x y\" ] } ": `{"a":[1,"x y"]}`,
		`{"q":"\"{[{["}`:                `{"q":"\"{[{["}`,
		`{"big":12345678901234567890}`:  `{"big":12345678901234567890}`,
	} {
		got, rules := idp.CompactMetadata(json.RawMessage(in))
		require.Empty(t, rules, in)
		require.Equal(t, want, string(got))
	}
	for _, bad := range []string{"[]", "1", `"x"`, "true", "{", "{}{}", `{"a":1,}`, "{\"a\":\"\xff\"}", "nul"} {
		_, rules := idp.CompactMetadata(json.RawMessage(bad))
		broken(t, rules, "metadata")
	}
	nested := func(levels int) json.RawMessage { // the outer object included
		return json.RawMessage(`{"a":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`)
	}
	_, rules := idp.CompactMetadata(nested(idp.MaxMetadataDepth))
	require.Empty(t, rules)
	_, rules = idp.CompactMetadata(nested(idp.MaxMetadataDepth + 1))
	broken(t, rules, "metadata")
	_, rules = idp.CompactMetadata(json.RawMessage(`{"a":` + strings.Repeat(`[[],`, 40) + `1` + strings.Repeat("]", 40) + `}`))
	broken(t, rules, "metadata")

	sized := func(n int) json.RawMessage { return json.RawMessage(`{"a":"` + strings.Repeat("x", n-8) + `"}`) }
	_, rules = idp.CompactMetadata(append(sized(idp.MaxMetadataBytes), "   "...))
	require.Empty(t, rules, "only the compact size counts")
	_, rules = idp.CompactMetadata(sized(idp.MaxMetadataBytes + 1))
	broken(t, rules, "metadata")
	_, rules = idp.CompactMetadata(json.RawMessage(`{"a":"` + strings.Repeat("x", idp.MaxMetadataBytes) + `","b":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`))
	broken(t, rules, "metadata", "metadata")
}

func TestIsUUID(t *testing.T) {
	require.True(t, idp.IsUUID("3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11"))
	for _, text := range []string{"", "x", "3F2B8C1E-6F0A-4D0E-9A53-0D8B8A7C1F11", "3f2b8c1e06f0a-4d0e-9a53-0d8b8a7c1f11", "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f1g", "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f111"} {
		require.False(t, idp.IsUUID(text), text)
	}
}
