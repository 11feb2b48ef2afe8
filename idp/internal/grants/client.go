package grants

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Form is the parameters of a form, each with its values in the order they came.
type Form map[string][]string

// Get is the value of a parameter that comes once; "" when it is absent or
// empty, which mean the same (RFC 6749 section 3.1).
func (f Form) Get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// all lists the values of a repeatable parameter in order, empty ones left out.
func (f Form) all(name string) []string {
	return slices.DeleteFunc(slices.Clone(f[name]), func(value string) bool { return value == "" })
}

// once refuses parameters that come more than once, known or not (RFC 6749
// section 3.2), other than those that may.
func (f Form) once(may ...string) error {
	for name, values := range f {
		if len(values) > 1 && !slices.Contains(may, name) {
			return invalid("repeated_parameter", "a parameter is repeated")
		}
	}
	return nil
}

// Wire is a form request as it arrived, copied out of the server's buffers.
type Wire struct {
	Authorization []string // every field of that name
	Query         string   // raw; nothing is ever taken from it
	Form          Form
}

// Method is how a client authenticates.
type Method string

// The methods of RFC 6749 section 2.3.1 and RFC 7523 section 2.2.
const (
	MethodNone       Method = "none"
	MethodBasic      Method = "client_secret_basic"
	MethodPost       Method = "client_secret_post"
	MethodPrivateKey Method = "private_key_jwt"
)

// Client is who claims to ask. Secret and assertion must never be logged.
type Client struct {
	Method    Method
	ID        string
	Secret    string
	Assertion *clientauth.Assertion // of MethodPrivateKey
}

// Attempt is the claim for the Authenticator to judge.
func (c *Client) Attempt(gone func() bool) clientauth.Attempt {
	return clientauth.Attempt{ClientID: c.ID, Secret: c.Secret, Assertion: c.Assertion, Gone: gone}
}

// Credentials have no place in a URL: they end in logs and histories.
var neverInQuery = []string{"client_id", "client_secret", "client_assertion", "access_token", "token", "refresh_token", "assertion", "code"}

// Check refuses credentials in the query, and repeated parameters but those that may be.
func (w Wire) Check(repeatable ...string) error {
	for piece := range strings.SplitSeq(w.Query, "&") {
		raw, _, _ := strings.Cut(piece, "=")
		if name, err := url.QueryUnescape(raw); err == nil && slices.Contains(neverInQuery, name) {
			return invalid("credential_in_query", "credentials and tokens are not accepted in the query")
		}
	}
	return w.Form.once(repeatable...)
}

// Client finds the client's credentials in the Authorization field or in the
// form, never in both. Without any, Method is MethodNone.
func (w Wire) Client() (Client, error) {
	form := w.Form
	inForm := form.Get("client_secret") != ""
	assertion := form.Get("client_assertion") != "" || form.Get("client_assertion_type") != ""
	if len(w.Authorization) > 1 {
		return Client{}, invalid("repeated_authorization", "more than one Authorization field")
	}
	if len(w.Authorization) == 1 {
		if inForm || assertion {
			return Client{}, invalid("two_auth_methods", "more than one client authentication method")
		}
		client, err := readBasic(w.Authorization[0])
		if err == nil && form.Get("client_id") != "" && form.Get("client_id") != client.ID {
			return Client{}, invalid("client_id_mismatch", "client_id is not the authenticated client")
		}
		return client, err
	}
	switch {
	case inForm && assertion:
		return Client{}, invalid("two_auth_methods", "more than one client authentication method")
	case assertion:
		return readAssertion(form)
	case !inForm:
		return Client{Method: MethodNone, ID: form.Get("client_id")}, nil
	case form.Get("client_id") == "":
		return Client{}, invalid("client_id_missing", "client_id is required with client_secret")
	}
	return Client{Method: MethodPost, ID: form.Get("client_id"), Secret: form.Get("client_secret")}, nil
}

// readAssertion reads a client assertion (RFC 7521 section 4.2).
func readAssertion(form Form) (Client, error) {
	if form.Get("client_assertion") == "" || form.Get("client_assertion_type") == "" {
		return Client{}, invalid("assertion_incomplete", "client_assertion and client_assertion_type come together")
	}
	if form.Get("client_assertion_type") != clientauth.AssertionType {
		return Client{}, InvalidClient("unsupported_auth_method")
	}
	assertion, err := clientauth.ParseAssertion(form.Get("client_assertion"))
	if err != nil {
		return Client{}, err
	}
	if id := form.Get("client_id"); id != "" && id != assertion.ClientID {
		return Client{}, invalid("client_id_mismatch", "client_id is not the authenticated client")
	}
	return Client{Method: MethodPrivateKey, ID: assertion.ClientID, Assertion: assertion}, nil
}

// readBasic reads an Authorization field. Another scheme is a failed
// authentication; a malformed value is a malformed request.
func readBasic(field string) (Client, error) {
	id, secret, err := clientauth.ParseBasic(field)
	switch {
	case errors.Is(err, clientauth.ErrNotBasic):
		return Client{}, InvalidClient("unsupported_auth_method")
	case err != nil:
		return Client{}, invalid("malformed_basic", "the Basic credentials are malformed")
	}
	return Client{Method: MethodBasic, ID: id, Secret: secret}, nil
}

// InvalidClient is the one answer to every failed client authentication; the
// reason is for audit and log only.
func InvalidClient(reason string) *apierr.Error {
	return apierr.New(apierr.InvalidClient, "client authentication failed").WithReason(reason)
}

// invalid is an invalid_request. Descriptions are fixed texts: nothing of the
// request is repeated in them.
func invalid(reason, description string) *apierr.Error {
	return apierr.New(apierr.InvalidRequest, "%s", description).WithReason(reason)
}
