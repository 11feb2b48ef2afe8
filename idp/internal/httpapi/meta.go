package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sentryagent/agentidp/docs"
	"github.com/sentryagent/agentidp/idp/internal/grants"
)

const (
	pathMetadata = "/.well-known/oauth-authorization-server"
	pathOpenID   = "/.well-known/openid-configuration"
	pathJWKS     = "/.well-known/jwks.json"

	cacheSeconds = 300
)

// document is something that never changes while the process lives.
type document struct {
	media   string
	body    []byte
	etag    string
	seconds int // how long it may be kept
}

func newDocument(media string, body []byte) document {
	sum := sha256.Sum256(body)
	return document{media: media, body: body, etag: `"` + hex.EncodeToString(sum[:8]) + `"`, seconds: cacheSeconds}
}

type documents struct {
	server, openID document
	yaml, json     func() document // of the description, made when they are first asked for
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
	TokenAlgs             []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs     []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgs        []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	StatusLists           string   `json:"status_list_aggregation_endpoint"` // draft-ietf-oauth-status-list section 9.1
	SubjectTypes          []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningMethods []string `json:"id_token_signing_alg_values_supported,omitempty"`
}

// newMetadata offers client assertions when there are algorithms to sign them with.
func newMetadata(issuer string, grantTypes, algorithms []string) metadata {
	at := strings.TrimRight(issuer, "/")
	methods := []string{string(grants.MethodBasic), string(grants.MethodPost)}
	if len(algorithms) > 0 {
		methods = append(methods, string(grants.MethodPrivateKey))
	}
	return metadata{
		Issuer: issuer, Authorization: at + "/authorize", Token: at + prefix + "/token", JWKS: at + pathJWKS,
		Introspection: at + prefix + "/token/introspect", Revocation: at + prefix + "/token/revoke",
		ResponseTypes: []string{}, GrantTypes: grantTypes, TokenAuth: methods, TokenAlgs: algorithms,
		IntrospectionAuth: append(slices.Clone(methods), "Bearer"), IntrospectionAlgs: algorithms,
		RevocationAuth: methods, RevocationAlgs: algorithms, StatusLists: at + pathStatusLists,
	}
}

// newDocuments makes what clients configure themselves with.
func newDocuments(issuer string, grantTypes, algorithms []string) documents {
	server := newMetadata(issuer, grantTypes, algorithms)
	openID := server
	// OpenID Connect Discovery section 3 demands these; no ID token is ever issued.
	openID.SubjectTypes, openID.IDTokenSigningMethods = []string{"public"}, []string{"RS256"}
	return documents{
		server: newDocument("application/json", encode(server)), openID: newDocument("application/json", encode(openID)),
		yaml: sync.OnceValue(func() document { return newDocument("application/yaml", docs.OpenAPI) }),
		json: sync.OnceValue(func() document { return newDocument("application/json", encode(description())) }),
	}
}

// description panics when the one in the binary is broken.
func description() (description any) {
	if err := yaml.Unmarshal(docs.OpenAPI, &description); err != nil {
		panic(fmt.Errorf("openapi.yaml: %w", err))
	}
	return description
}

func encode(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Errorf("encode a document: %w", err))
	}
	return body
}

func (c *call) serveDocument(d document) error {
	c.cacheFor(d.seconds)
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
	return c.serveDocument(a.documents.yaml())
}

func (a *API) getOpenapiJSON(_ context.Context, c *call) error {
	return c.serveDocument(a.documents.json())
}

// getJwks serves the key set as it is now.
func (a *API) getJwks(_ context.Context, c *call) error {
	body, etag := a.Keys.JWKS()
	return c.serveDocument(document{media: "application/json", body: body, etag: etag, seconds: int(a.JWKSMaxAge / time.Second)})
}
