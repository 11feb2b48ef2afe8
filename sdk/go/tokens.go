package agentidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

// TokenResponse is the answer of the token endpoint (RFC 6749 section 5.1).
type TokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`      // what was granted
}

// Introspection is the state of a token (RFC 7662). A dead one has Active alone.
type Introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	ExpiresAt int64    `json:"exp,omitempty"` // Unix seconds, as the next two
	IssuedAt  int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub,omitempty"` // agentId
	Audience  Audience `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	JTI       string   `json:"jti,omitempty"`
	Org       string   `json:"org,omitempty"`
}

// Audience is one name or several (RFC 7519 section 4.1.3).
type Audience []string

// MarshalJSON writes one name as a string.
func (a Audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads both forms.
func (a *Audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = Audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// IssueToken asks for a token once, whatever a TokenSource keeps.
func (c Config) IssueToken(ctx context.Context) (TokenResponse, error) {
	if err := c.validate(); err != nil {
		return TokenResponse{}, err
	}
	token, err := c.request(ctx)
	if err != nil {
		return TokenResponse{}, err
	}
	return answered(token), nil
}

func answered(token *oauth2.Token) TokenResponse {
	scope, _ := token.Extra("scope").(string) // absent: none
	return TokenResponse{AccessToken: token.AccessToken, TokenType: token.TokenType, ExpiresIn: token.ExpiresIn, Scope: scope}
}

// Introspect says whether a token is live: one of the client's own, or with
// tokens:introspect one of its organization. Of others it says that they are not.
func (c *Client) Introspect(ctx context.Context, token string) (state Introspection, err error) {
	if token == "" {
		return state, errNoToken
	}
	err = c.do(ctx, call{method: http.MethodPost, path: "/api/v1/token/introspect", form: url.Values{"token": {token}}.Encode(), repeatable: true}, &state)
	return state, err
}

// RevokeToken kills a token: one of the client's own, or with tokens:revoke one
// of its organization. An unknown one is no error. The reason, which may be
// empty, stands in the audit log.
func (c *Client) RevokeToken(ctx context.Context, token, reason string) error {
	if token == "" {
		return errNoToken
	}
	form := set(url.Values{"token": {token}}, "reason", reason)
	return c.do(ctx, call{method: http.MethodPost, path: "/api/v1/token/revoke", form: form.Encode(), repeatable: true}, nil)
}

var errNoToken = fmt.Errorf("agentidp: %w", errors.New("no token was given"))
