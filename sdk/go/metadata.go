package agentidp

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
)

// Metadata describes the IdP (RFC 8414).
type Metadata struct {
	Issuer                                     string   `json:"issuer"`
	AuthorizationEndpoint                      string   `json:"authorization_endpoint"`
	TokenEndpoint                              string   `json:"token_endpoint"`
	JWKSURI                                    string   `json:"jwks_uri"`
	IntrospectionEndpoint                      string   `json:"introspection_endpoint"`
	RevocationEndpoint                         string   `json:"revocation_endpoint"`
	ResponseTypesSupported                     []string `json:"response_types_supported"`
	GrantTypesSupported                        []string `json:"grant_types_supported"`
	TokenEndpointAuthMethodsSupported          []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthSigningAlgsSupported      []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthMethodsSupported  []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointSigningAlgsSupported  []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthMethodsSupported     []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthSigningAlgsSupported []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	StatusListAggregationEndpoint              string   `json:"status_list_aggregation_endpoint,omitempty"`
	SubjectTypesSupported                      []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgsSupported                []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

// JWKS is the IdP's public keys (RFC 7517).
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWK is one RSA key.
type JWK struct {
	KTY string `json:"kty"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	KID string `json:"kid"`
	N   string `json:"n"` // base64url, as E
	E   string `json:"e"`
}

// Metadata gets /.well-known/oauth-authorization-server.
func (c *Client) Metadata(ctx context.Context) (m Metadata, err error) {
	err = c.do(ctx, publicly(get("/.well-known/oauth-authorization-server", nil)), &m)
	return m, err
}

// OpenIDConfiguration gets the same where OpenID clients look for it.
func (c *Client) OpenIDConfiguration(ctx context.Context) (m Metadata, err error) {
	err = c.do(ctx, publicly(get("/.well-known/openid-configuration", nil)), &m)
	return m, err
}

// JWKS gets the keys that verify tokens.
func (c *Client) JWKS(ctx context.Context) (keys JWKS, err error) {
	err = c.do(ctx, publicly(get("/.well-known/jwks.json", nil)), &keys)
	return keys, err
}

// public is the key with the kid.
func (s JWKS) public(kid string) (*rsa.PublicKey, error) {
	for _, k := range s.Keys {
		if k.KID != kid || kid == "" || k.KTY != "RSA" || k.Alg != "RS256" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", kid, err)
		}
		e, err := base64.RawURLEncoding.DecodeString(k.E)
		if err != nil || len(e) == 0 || len(e) > 4 {
			return nil, fmt.Errorf("key %s: exponent", kid)
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	return nil, fmt.Errorf("no key %q", kid)
}

// Health says whether the IdP can do its work.
type Health struct {
	Status       HealthStatus          `json:"status"`
	Version      string                `json:"version"`
	Dependencies map[string]Dependency `json:"dependencies"`
}

// Dependency is something that the IdP needs.
type Dependency struct {
	Status  HealthStatus `json:"status"`
	Reason  string       `json:"reason,omitempty"`
	Backend string       `json:"backend,omitempty"`
}

// HealthStatus is how well.
type HealthStatus string

// The statuses.
const (
	HealthOK          HealthStatus = "ok"
	HealthDegraded    HealthStatus = "degraded"
	HealthUnavailable HealthStatus = "unavailable"
)

// Health gets the IdP's own judgement. That it cannot work is no error here.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	do := publicly(get("/health", nil))
	do.takes = http.StatusServiceUnavailable
	err = c.do(ctx, do, &h)
	return h, err
}
