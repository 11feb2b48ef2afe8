package token

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The status claim (draft-ietf-oauth-status-list section 6.2) is optional, and
// of one shape where it is there.
func TestStatusClaim(t *testing.T) {
	v := loadVectors(t)
	verify := func(status string, foreign bool) (Status, error) {
		t.Helper()
		verifier := v.verifier()
		verifier.AllowForeign = foreign
		claims, err := verifier.Verify(context.Background(), seal(testKeys()[0], v.Header, strings.Replace(v.Claims, "{", `{"status":`+status+`,`, 1)))
		return claims.Status, err
	}
	for status, want := range map[string]Status{
		`{"status_list":{"idx":0,"uri":"https://idp.test/statuslists/0"}}`:                                  {URI: "https://idp.test/statuslists/0"},
		`{"other":[1],"status_list":{"later":{},"uri":"https://idp.test/statuslists/7?x&y","idx":1048575}}`: {URI: "https://idp.test/statuslists/7?x&y", Index: 1048575},
		`{"other":{"idx":1}}`: {},
		`{}`:                  {},
	} {
		got, err := verify(status, false)
		require.NoError(t, err, status)
		require.Equal(t, want, got, status)
	}
	const uri = `"uri":"https://idp.test/statuslists/0"`
	for _, bad := range []string{
		`null`, `"active"`, `[]`, `0`, `{"status_list":null}`, `{"status_list":[]}`, `{"status_list":{}}`,
		`{"status_list":{"idx":1}}`, `{"status_list":{` + uri + `}}`, `{"status_list":{"idx":-1,` + uri + `}}`,
		`{"status_list":{"idx":1.0,` + uri + `}}`, `{"status_list":{"idx":"1",` + uri + `}}`, `{"status_list":{"idx":1e3,` + uri + `}}`,
		`{"status_list":{"idx":99999999999999999999,` + uri + `}}`, `{"status_list":{"idx":1,"uri":""}}`, `{"status_list":{"idx":1,"uri":7}}`,
		`{"status_list":{"idx":1,"uri":"a\nb"}}`, `{"status_list":{"idx":1,"uri":"` + strings.Repeat("u", maxReference+1) + `"}}`,
	} {
		_, err := verify(bad, false)
		require.Error(t, err, bad)
		require.Equal(t, ClaimsInvalid, reasonOf(t, err), bad)
		status, err := verify(bad, true)
		require.NoError(t, err, "a foreign issuer may mean something else by it: %s", bad)
		require.Zero(t, status)
	}
	_, err := verify(`{"status_list":{"idx":1,"idx":1,`+uri+`}}`, true)
	require.Equal(t, Malformed, reasonOf(t, err), "a name twice")
}

func TestCheckOfAStatus(t *testing.T) {
	c := Claims{
		Issuer: "i", Subject: "s", Audience: []string{"a"}, ClientID: "c", IssuedAt: 1, ExpiresAt: 2, JTI: "j", Organization: "o",
	}
	for _, good := range []Status{{}, {URI: "u"}, {URI: "u", Index: 9}} {
		c.Status = good
		require.NoError(t, c.Check())
	}
	for _, bad := range []Status{{Index: 1}, {URI: "u", Index: -1}, {URI: "a\nb"}} {
		c.Status = bad
		require.Equal(t, ClaimsInvalid, reasonOf(t, c.Check()))
	}
}
