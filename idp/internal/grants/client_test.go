package grants

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func form(body string, authorization ...string) Wire {
	values, err := url.ParseQuery(body)
	if err != nil {
		panic(err)
	}
	return Wire{Form: Form(values), Authorization: authorization}
}

// refusal asserts that err is a refusal with the code and the reason.
func refusal(t *testing.T, err error, code apierr.Code, reason string) {
	t.Helper()
	require.Error(t, err)
	got := apierr.From(err)
	require.Equal(t, code, got.Code, err)
	require.Equal(t, reason, got.Reason, err)
	require.NotContains(t, got.Detail, `"`)
	require.NotContains(t, got.Detail, `\`)
}

func TestClient(t *testing.T) {
	for _, fact := range []struct {
		name string
		wire Wire
		want Client
	}{
		{"basic", form("a=1", basic("id", "s")), Client{Method: MethodBasic, ID: "id", Secret: "s"}},
		{"basic is form-encoded (RFC 6749 section 2.3.1)", form("", basic("a:b +é", "c%d:e")), Client{Method: MethodBasic, ID: "a:b +é", Secret: "c%d:e"}},
		{"plus is a space", form("", "Basic "+encode("a+b:c")), Client{Method: MethodBasic, ID: "a b", Secret: "c"}},
		{"scheme in any case", form("", strings.Replace(basic("id", "s"), "Basic", "bAsIc", 1)), Client{Method: MethodBasic, ID: "id", Secret: "s"}},
		{"client_id in the body equals the user", form("client_id=id", basic("id", "s")), Client{Method: MethodBasic, ID: "id", Secret: "s"}},
		{"empty body secret is absent", form("client_secret=", basic("id", "s")), Client{Method: MethodBasic, ID: "id", Secret: "s"}},
		{"an empty secret is a secret that is wrong", form("", basic("id", "")), Client{Method: MethodBasic, ID: "id", Secret: ""}},
		{"post", form("client_id=id&client_secret=s%2B"), Client{Method: MethodPost, ID: "id", Secret: "s+"}},
		{"none", form("client_id=id"), Client{Method: MethodNone, ID: "id", Secret: ""}},
		{"nothing at all", form(""), Client{Method: MethodNone}},
	} {
		got, err := fact.wire.Client()
		require.NoError(t, err, fact.name)
		require.Equal(t, fact.want, got, fact.name)
	}
}

const assertionType = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"

// signed is an assertion that is well formed and proves nothing.
func signed(clientID string) string {
	segment := base64.RawURLEncoding.EncodeToString
	return segment([]byte(`{"alg":"ES256"}`)) + "." +
		segment([]byte(`{"iss":"`+clientID+`","sub":"`+clientID+`","aud":"x","jti":"once","exp":1800000000}`)) + "." + segment(make([]byte, 64))
}

func TestClientAssertion(t *testing.T) {
	for _, more := range []string{"", "&client_id=id", "&client_id="} {
		got, err := form(assertionType + more + "&client_assertion=" + signed("id")).Client()
		require.NoError(t, err, more)
		require.Equal(t, MethodPrivateKey, got.Method)
		require.Equal(t, "id", got.ID)
		require.Empty(t, got.Secret)
		require.Equal(t, "once", got.Assertion.ID)
		require.Equal(t, clientauth.Attempt{ClientID: "id", Assertion: got.Assertion}, got.Attempt(nil))
	}
}

func TestClientRefusals(t *testing.T) {
	const assertion = assertionType + "&client_assertion=x"
	for _, fact := range []struct {
		name   string
		wire   Wire
		code   apierr.Code
		reason string
	}{
		{"two methods", form("client_id=id&client_secret=s", basic("id", "s")), apierr.InvalidRequest, "two_auth_methods"},
		{"basic and assertion", form(assertion, basic("id", "s")), apierr.InvalidRequest, "two_auth_methods"},
		{"secret and assertion", form("client_id=id&client_secret=s&" + assertion), apierr.InvalidRequest, "two_auth_methods"},
		{"two fields", form("", basic("id", "s"), basic("id", "s")), apierr.InvalidRequest, "repeated_authorization"},
		{"another user", form("client_id=other", basic("id", "s")), apierr.InvalidRequest, "client_id_mismatch"},
		{"secret without id", form("client_secret=s"), apierr.InvalidRequest, "client_id_missing"},
		{"assertion that is none", form(assertion), apierr.InvalidClient, clientauth.ReasonAssertionMalformed},
		{"assertion of another type", form("client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Asaml2-bearer&client_assertion=x"), apierr.InvalidClient, "unsupported_auth_method"},
		{"assertion without its type", form("client_assertion=" + signed("id")), apierr.InvalidRequest, "assertion_incomplete"},
		{"type without an assertion", form(assertionType), apierr.InvalidRequest, "assertion_incomplete"},
		{"assertion of another client", form(assertionType + "&client_id=other&client_assertion=" + signed("id")), apierr.InvalidRequest, "client_id_mismatch"},
		{"bearer", form("", "Bearer x"), apierr.InvalidClient, "unsupported_auth_method"},
		{"empty field", form("", ""), apierr.InvalidClient, "unsupported_auth_method"},
		{"no colon", form("", "Basic "+encode("id")), apierr.InvalidRequest, "malformed_basic"},
		{"no user", form("", "Basic "+encode(":s")), apierr.InvalidRequest, "malformed_basic"},
		{"not base64", form("", "Basic ***"), apierr.InvalidRequest, "malformed_basic"},
		{"no padding", form("", "Basic aTpzcw"), apierr.InvalidRequest, "malformed_basic"},
		{"nothing after the scheme", form("", "Basic"), apierr.InvalidRequest, "malformed_basic"},
		{"bad percent-encoding", form("", "Basic "+encode("id:%zz")), apierr.InvalidRequest, "malformed_basic"},
		{"not UTF-8", form("", "Basic "+encode("id:\xff")), apierr.InvalidRequest, "malformed_basic"},
		{"huge", form("", "Basic "+strings.Repeat("A", 1<<20)), apierr.InvalidRequest, "malformed_basic"},
	} {
		t.Run(fact.name, func(t *testing.T) {
			_, err := fact.wire.Client()
			refusal(t, err, fact.code, fact.reason)
		})
	}
}

func TestNothingComesFromTheQuery(t *testing.T) {
	for _, query := range []string{"client_id=a", "x=1&client_secret=s", "client%5fsecret=s", "access_token=t", "token=t", "client_assertion=x"} {
		refusal(t, Wire{Query: query}.Check(), apierr.InvalidRequest, "credential_in_query")
	}
	w := form("")
	w.Query = "grant_type=client_credentials&%zz"
	require.NoError(t, w.Check())
	_, err := Parse(w)
	refusal(t, err, apierr.InvalidRequest, "grant_type_missing")
}
