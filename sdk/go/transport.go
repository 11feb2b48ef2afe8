package agentidp

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Transport is an http.RoundTripper that sends the source's token along. When the
// API answers 401 it sends the request once more with a new token, if it can:
// the body is none, or Request.GetBody is set. A redirect to another origin gets
// no token. It is safe for concurrent use.
type Transport struct {
	Source *TokenSource
	Base   http.RoundTripper // nil: http.DefaultTransport
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if !sameOrigin(request) {
		return t.base().RoundTrip(request)
	}
	response, used, err := t.send(request)
	if err != nil || response.StatusCode != http.StatusUnauthorized || !rereadable(request) || !t.Source.refused(used) {
		return response, err
	}
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return response, nil //nolint:nilerr // the answer there is counts
		}
	}
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	_ = response.Body.Close()
	response, _, err = t.send(again)
	return response, err
}

// send leaves request as it is, and closes its body.
func (t *Transport) send(request *http.Request) (response *http.Response, used string, err error) {
	token, err := t.Source.TokenContext(request.Context())
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // RoundTrip owes it
		}
		return nil, "", fmt.Errorf("agentidp: no token: %w", err)
	}
	authenticated := request.Clone(request.Context())
	authenticated.Header.Set("Authorization", "Bearer "+token.AccessToken)
	response, err = t.base().RoundTrip(authenticated)
	return response, token.AccessToken, err
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

func rereadable(request *http.Request) bool {
	return request.Body == nil || request.Body == http.NoBody || request.GetBody != nil
}

// sameOrigin reports whether every redirect that led to the request stayed where
// the caller sent the first one.
func sameOrigin(request *http.Request) bool {
	for r := request; r.Response != nil; r = r.Response.Request {
		if r.Response.Request == nil {
			return false // of a Base that does not say
		}
		before := r.Response.Request.URL
		if r.URL.Scheme != before.Scheme || !strings.EqualFold(r.URL.Host, before.Host) {
			return false
		}
	}
	return true
}
