package grants

import (
	"encoding/base64"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// Wire is a form request as it arrived, copied out of the server's buffers.
type Wire struct {
	ContentType   string
	Authorization []string // every field of that name
	Query         string   // raw; nothing is ever taken from it
	Body          string
}

// Method is how a client authenticates.
type Method string

// The methods of RFC 6749 section 2.3.1.
const (
	MethodNone  Method = "none"
	MethodBasic Method = "client_secret_basic"
	MethodPost  Method = "client_secret_post"
)

// Client is who claims to ask. The secret must never be logged.
type Client struct {
	Method Method
	ID     string
	Secret string
}

const formMediaType = "application/x-www-form-urlencoded"

// Credentials have no place in a URL: they end in logs and histories.
var neverInQuery = []string{"client_id", "client_secret", "client_assertion", "access_token", "token", "refresh_token", "assertion", "code"}

// Form checks the media type, refuses credentials in the query and decodes the body.
func (w Wire) Form(repeatable ...string) (Form, error) {
	for piece := range strings.SplitSeq(w.Query, "&") {
		raw, _, _ := strings.Cut(piece, "=")
		if name, err := url.QueryUnescape(raw); err == nil && slices.Contains(neverInQuery, name) {
			return Form{}, invalid("credential_in_query", "credentials and tokens are not accepted in the query")
		}
	}
	media, _, err := mime.ParseMediaType(w.ContentType)
	if err != nil || media != formMediaType {
		return Form{}, apierr.New(apierr.UnsupportedMediaType, "the body must be %s", formMediaType).WithReason("unsupported_media_type")
	}
	return ParseForm(w.Body, repeatable...)
}

// Client finds the client's credentials in the Authorization field or in the
// form, never in both. Without any, Method is MethodNone.
func (w Wire) Client(form Form) (Client, error) {
	inForm := form.Get("client_secret") != ""
	assertion := form.Get("client_assertion") != "" || form.Get("client_assertion_type") != ""
	if len(w.Authorization) > 1 {
		return Client{}, invalid("repeated_authorization", "more than one Authorization field")
	}
	if len(w.Authorization) == 1 {
		if inForm || assertion {
			return Client{}, invalid("two_auth_methods", "more than one client authentication method")
		}
		client, err := ParseBasic(w.Authorization[0])
		if err == nil && form.Get("client_id") != "" && form.Get("client_id") != client.ID {
			return Client{}, invalid("client_id_mismatch", "client_id is not the authenticated client")
		}
		return client, err
	}
	switch {
	case inForm && assertion:
		return Client{}, invalid("two_auth_methods", "more than one client authentication method")
	case assertion:
		return Client{}, InvalidClient("unsupported_auth_method")
	case !inForm:
		return Client{Method: MethodNone, ID: form.Get("client_id")}, nil
	case form.Get("client_id") == "":
		return Client{}, invalid("client_id_missing", "client_id is required with client_secret")
	}
	return Client{Method: MethodPost, ID: form.Get("client_id"), Secret: form.Get("client_secret")}, nil
}

// maxBasic bounds the field before it is decoded; ours are under 200 bytes.
const maxBasic = 2048

// ParseBasic reads an Authorization field of the Basic scheme, both halves
// form-encoded before base64 (RFC 6749 section 2.3.1). Another scheme is a
// failed authentication; a malformed value is a malformed request.
func ParseBasic(field string) (Client, error) {
	scheme, encoded, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return Client{}, InvalidClient("unsupported_auth_method")
	}
	malformed := invalid("malformed_basic", "the Basic credentials are malformed")
	if len(encoded) > maxBasic {
		return Client{}, malformed
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return Client{}, malformed
	}
	user, password, found := strings.Cut(string(raw), ":")
	id, idErr := url.QueryUnescape(user)
	secret, secretErr := url.QueryUnescape(password)
	if !found || id == "" || idErr != nil || secretErr != nil || !utf8.ValidString(id) || !utf8.ValidString(secret) {
		return Client{}, malformed
	}
	return Client{Method: MethodBasic, ID: id, Secret: secret}, nil
}

// InvalidClient is the one answer to every failed client authentication; the
// reason is for audit and log only.
func InvalidClient(reason string) *apierr.Error {
	return apierr.New(apierr.InvalidClient, "client authentication failed").WithReason(reason)
}
