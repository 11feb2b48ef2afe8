package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/docs"
)

const (
	pathMetadata = "/.well-known/oauth-authorization-server"
	pathOpenID   = "/.well-known/openid-configuration"
	pathJWKS     = "/.well-known/jwks.json"

	cacheSeconds = 300
)

// document is something that never changes while the process lives.
type document struct {
	media string
	body  []byte
	etag  string
}

func newDocument(media string, body []byte) document {
	sum := sha256.Sum256(body)
	return document{media: media, body: body, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
}

type documents struct {
	server, openID, yaml, json document
}

// metadata is RFC 8414 section 2. It comes from the configuration alone.
type metadata struct {
	Issuer                string   `json:"issuer"`
	Authorization         string   `json:"authorization_endpoint"`
	Token                 string   `json:"token_endpoint"`
	JWKS                  string   `json:"jwks_uri"`
	Introspection         string   `json:"introspection_endpoint"`
	Revocation            string   `json:"revocation_endpoint"`
	ResponseTypes         []string `json:"response_types_supported"` // present and empty: client libraries insist
	GrantTypes            []string `json:"grant_types_supported"`
	TokenAuth             []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	SubjectTypes          []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningMethods []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

func newMetadata(issuer string, grantTypes []string) metadata {
	at := strings.TrimRight(issuer, "/")
	methods := []string{"client_secret_basic", "client_secret_post"}
	return metadata{
		Issuer: issuer, Authorization: at + "/authorize", Token: at + prefix + "/token", JWKS: at + pathJWKS,
		Introspection: at + prefix + "/token/introspect", Revocation: at + prefix + "/token/revoke",
		ResponseTypes: []string{}, GrantTypes: grantTypes, TokenAuth: methods,
		IntrospectionAuth: append(methods[:2:2], "Bearer"), RevocationAuth: methods,
	}
}

// newDocuments panics when the description in the binary is broken.
func newDocuments(issuer string, grantTypes []string) documents {
	server := newMetadata(issuer, grantTypes)
	openID := server
	// OpenID Connect Discovery section 3 demands these; no ID token is ever issued.
	openID.SubjectTypes, openID.IDTokenSigningMethods = []string{"public"}, []string{"RS256"}
	var description any
	if err := yaml.Unmarshal(docs.OpenAPI, &description); err != nil {
		panic(fmt.Errorf("openapi.yaml: %w", err))
	}
	return documents{
		server: newDocument("application/json", encode(server)), openID: newDocument("application/json", encode(openID)),
		yaml: newDocument("application/yaml", docs.OpenAPI), json: newDocument("application/json", encode(description)),
	}
}

func encode(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Errorf("encode a document: %w", err))
	}
	return body
}

func (c *call) serveDocument(d document) error {
	c.cacheFor(cacheSeconds)
	if !c.unchanged(d.etag) {
		c.write(http.StatusOK, d.media, d.body)
	}
	return nil
}

func (a *API) getAuthorizationServerMetadata(_ context.Context, c *call) error {
	return c.serveDocument(a.documents.server)
}

func (a *API) getOpenidConfiguration(_ context.Context, c *call) error {
	return c.serveDocument(a.documents.openID)
}

func (a *API) getOpenapiYaml(_ context.Context, c *call) error {
	return c.serveDocument(a.documents.yaml)
}

func (a *API) getOpenapiJSON(_ context.Context, c *call) error {
	return c.serveDocument(a.documents.json)
}

// getJwks serves the key set as it is now.
func (a *API) getJwks(_ context.Context, c *call) error {
	body, etag := a.Keys.JWKS()
	return c.serveDocument(document{media: "application/json", body: body, etag: etag})
}
