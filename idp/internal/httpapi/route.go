package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/feed"
	"github.com/sentryagent/agentidp/shared/policy"
)

// Route is one operation of docs/openapi.yaml; a test holds the two together.
type Route struct {
	Method      string
	Path        string // of the document: below the issuer
	OperationID string
	Capability  string // what policy demands; policy.Public: nothing

	access     access
	oauth      bool          // errors as RFC 6749 section 5.2 has them
	body       body          // zero: none is read
	unlimited  bool          // its refusals alone are under the rate limit
	idempotent bool          // takes an Idempotency-Key
	quiet      bool          // logged at debug level only
	rest       bool          // the last path parameter takes all that follows, slashes included
	budget     time.Duration // for the whole operation; default budgetDefault
	handle     handler

	obligations []string // of a permission, that the operation sees to
}

// handler does the work. It answers through c, or returns an error, which the
// pipeline records and renders.
type handler func(a *API, ctx context.Context, c *call) error

// access says who gets to an operation.
type access int

const (
	byToken  access = iota // a bearer token, then policy
	byClient               // client authentication or a bearer token, then policy
	byAnyone               // the operation itself sees to it
)

// body says what an operation reads.
type body struct {
	media string // "": none
	limit int    // bytes as sent
	gzip  bool   // may be compressed; limit holds after decompression too
}

var (
	jsonBody     = body{media: "application/json", limit: 64 << 10}
	formBody     = body{media: "application/x-www-form-urlencoded", limit: 64 << 10}
	decisionBody = body{media: "application/x-ndjson", limit: decision.MaxBytes, gzip: true}
)

var (
	ownTokens  = []string{policy.ObligationTokens}
	someFields = []string{policy.ObligationFields}
)

const (
	budgetDefault = 5 * time.Second
	budgetSecret  = 10 * time.Second // where a secret may be hashed
	budgetIngest  = 20 * time.Second
	budgetPoll    = (feed.MaxWait + 10) * time.Second

	prefix        = "/api/v1"
	pathDecisions = prefix + "/audit/decisions"
)

// limited reports whether every request of the operation is under the rate limit.
func (r *Route) limited() bool { return !r.unlimited && strings.HasPrefix(r.Path, prefix+"/") }

// Routes lists every operation.
func Routes() []Route {
	return []Route{
		{Method: "POST", Path: "/api/v1/token", OperationID: "issueToken", Capability: policy.Public, access: byAnyone, oauth: true, body: formBody, budget: budgetSecret, handle: (*API).issueToken},
		{Method: "POST", Path: "/api/v1/token/introspect", OperationID: "introspectToken", Capability: "tokens:introspect", access: byClient, oauth: true, body: formBody, budget: budgetSecret, obligations: ownTokens, handle: (*API).introspectToken},
		{Method: "POST", Path: "/api/v1/token/revoke", OperationID: "revokeToken", Capability: "tokens:revoke", access: byClient, oauth: true, body: formBody, budget: budgetSecret, obligations: ownTokens, handle: (*API).revokeToken},
		{Method: "GET", Path: "/authorize", OperationID: "authorize", Capability: policy.Public, access: byAnyone, oauth: true, handle: (*API).authorize},

		{Method: "GET", Path: "/.well-known/jwks.json", OperationID: "getJwks", Capability: policy.Public, access: byAnyone, handle: (*API).getJwks},
		{Method: "GET", Path: pathStatusLists, OperationID: "listStatusLists", Capability: policy.Public, access: byAnyone, handle: (*API).listStatusLists},
		{Method: "GET", Path: pathStatusList, OperationID: "getStatusList", Capability: policy.Public, access: byAnyone, handle: (*API).getStatusList},
		{Method: "GET", Path: pathMetadata, OperationID: "getAuthorizationServerMetadata", Capability: policy.Public, access: byAnyone, handle: (*API).getAuthorizationServerMetadata},
		{Method: "GET", Path: pathOpenID, OperationID: "getOpenidConfiguration", Capability: policy.Public, access: byAnyone, handle: (*API).getOpenidConfiguration},
		{Method: "GET", Path: "/openapi.yaml", OperationID: "getOpenapiYaml", Capability: policy.Public, access: byAnyone, handle: (*API).getOpenapiYaml},
		{Method: "GET", Path: "/openapi.json", OperationID: "getOpenapiJson", Capability: policy.Public, access: byAnyone, handle: (*API).getOpenapiJSON},

		{Method: "GET", Path: pathRoot, OperationID: "getRoot", Capability: policy.Public, access: byAnyone, quiet: true, handle: (*API).getRoot},
		{Method: "GET", Path: pathDashboard, OperationID: "getDashboard", Capability: policy.Public, access: byAnyone, quiet: true, handle: (*API).getDashboard},
		{Method: "GET", Path: pathDashboardFile, OperationID: "getDashboardFile", Capability: policy.Public, access: byAnyone, quiet: true, rest: true, handle: (*API).getDashboard},
		{Method: "GET", Path: pathAPIDocs, OperationID: "getApiDocs", Capability: policy.Public, access: byAnyone, quiet: true, handle: (*API).getAPIDocs},
		{Method: "GET", Path: pathAPIDocsFile, OperationID: "getApiDocsFile", Capability: policy.Public, access: byAnyone, quiet: true, rest: true, handle: (*API).getAPIDocs},

		{Method: "GET", Path: "/api/v1/agents", OperationID: "listAgents", Capability: "agents:read", handle: (*API).listAgents},
		{Method: "POST", Path: "/api/v1/agents", OperationID: "createAgent", Capability: "agents:write", body: jsonBody, idempotent: true, handle: (*API).createAgent},
		{Method: "GET", Path: "/api/v1/agents/{agentId}", OperationID: "getAgent", Capability: "agents:read", handle: (*API).getAgent},
		{Method: "PATCH", Path: "/api/v1/agents/{agentId}", OperationID: "updateAgent", Capability: "agents:write", body: jsonBody, obligations: someFields, handle: (*API).updateAgent},
		{Method: "DELETE", Path: "/api/v1/agents/{agentId}", OperationID: "deleteAgent", Capability: "agents:write", obligations: someFields, handle: (*API).deleteAgent},
		{Method: "GET", Path: "/api/v1/agents/{agentId}/usage", OperationID: "getAgentUsage", Capability: "agents:read", handle: (*API).getAgentUsage},

		{Method: "GET", Path: "/api/v1/agents/{agentId}/credentials", OperationID: "listCredentials", Capability: "credentials:read", handle: (*API).listCredentials},
		{Method: "POST", Path: "/api/v1/agents/{agentId}/credentials", OperationID: "createCredential", Capability: "credentials:write", body: jsonBody, idempotent: true, budget: budgetSecret, handle: (*API).createCredential},
		{Method: "DELETE", Path: "/api/v1/agents/{agentId}/credentials/{credentialId}", OperationID: "revokeCredential", Capability: "credentials:write", handle: (*API).revokeCredential},
		{Method: "POST", Path: "/api/v1/agents/{agentId}/credentials/{credentialId}/rotate", OperationID: "rotateCredential", Capability: "credentials:write", body: jsonBody, idempotent: true, budget: budgetSecret, handle: (*API).rotateCredential},

		{Method: "GET", Path: "/api/v1/organizations", OperationID: "listOrganizations", Capability: "organizations:read", handle: (*API).listOrganizations},
		{Method: "POST", Path: "/api/v1/organizations", OperationID: "createOrganization", Capability: "organizations:write", body: jsonBody, idempotent: true, budget: budgetSecret, handle: (*API).createOrganization},
		{Method: "GET", Path: "/api/v1/organizations/{organizationId}", OperationID: "getOrganization", Capability: "organizations:read", handle: (*API).getOrganization},
		{Method: "PATCH", Path: "/api/v1/organizations/{organizationId}", OperationID: "updateOrganization", Capability: "organizations:write", body: jsonBody, handle: (*API).updateOrganization},
		{Method: "GET", Path: "/api/v1/organizations/{organizationId}/usage", OperationID: "getOrganizationUsage", Capability: "agents:read", handle: (*API).getOrganizationUsage},

		{Method: "GET", Path: "/api/v1/audit", OperationID: "listAudit", Capability: "audit:read", handle: (*API).listAudit},
		{Method: "GET", Path: "/api/v1/audit/checkpoint", OperationID: "getAuditCheckpoint", Capability: "audit:read", handle: (*API).getAuditCheckpoint},
		{Method: "GET", Path: "/api/v1/audit/tile/{level}/{tile}", OperationID: "getAuditTile", Capability: "audit:read", rest: true, handle: (*API).getAuditTile},
		{Method: "GET", Path: "/api/v1/audit/tile/entries/{tile}", OperationID: "getAuditEntries", Capability: "audit:read", rest: true, handle: (*API).getAuditEntries},
		{Method: "GET", Path: "/api/v1/audit/export", OperationID: "exportAudit", Capability: "audit:read", handle: (*API).exportAudit},
		{Method: "GET", Path: "/api/v1/audit/proof/inclusion", OperationID: "getInclusionProof", Capability: "audit:read", handle: (*API).getInclusionProof},
		{Method: "GET", Path: "/api/v1/audit/proof/consistency", OperationID: "getConsistencyProof", Capability: "audit:read", handle: (*API).getConsistencyProof},
		{Method: "POST", Path: pathDecisions, OperationID: "ingestDecisions", Capability: "decisions:write", body: decisionBody, unlimited: true, budget: budgetIngest, handle: (*API).ingestDecisions},
		{Method: "GET", Path: "/api/v1/audit/{eventId}", OperationID: "getAuditEvent", Capability: "audit:read", handle: (*API).getAuditEvent},

		{Method: "GET", Path: "/api/v1/revocations", OperationID: "getRevocations", Capability: "revocations:read", unlimited: true, budget: budgetPoll, handle: (*API).getRevocations},
		{Method: "GET", Path: "/api/v1/revocations/preview", OperationID: "previewRevocation", Capability: "revocations:write", handle: (*API).previewRevocation},
		{Method: "POST", Path: "/api/v1/revocations", OperationID: "createRevocation", Capability: "revocations:write", body: jsonBody, idempotent: true, handle: (*API).createRevocation},
		{Method: "GET", Path: "/api/v1/keys", OperationID: "listKeys", Capability: "keys:read", handle: (*API).listKeys},
		{Method: "POST", Path: "/api/v1/keys/rotate", OperationID: "rotateKey", Capability: "keys:write", body: jsonBody, idempotent: true, budget: budgetSecret, handle: (*API).rotateKey},
		{Method: "GET", Path: "/api/v1/sidecars", OperationID: "listSidecars", Capability: "sidecars:read", handle: (*API).listSidecars},

		{Method: "GET", Path: "/api/v1/stats", OperationID: "getStats", Capability: "audit:read", handle: (*API).getStats},
		{Method: "GET", Path: "/api/v1/policies", OperationID: "getPolicy", Capability: "policies:read", handle: (*API).getPolicy},
		{Method: "POST", Path: "/api/v1/policies/evaluate", OperationID: "evaluatePolicy", Capability: "policies:read", body: jsonBody, handle: (*API).evaluatePolicy},
		{Method: "GET", Path: "/bundles/authz.tar.gz", OperationID: "getPolicyBundle", Capability: "policies:read", budget: budgetPoll, handle: (*API).getPolicyBundle},

		{Method: "GET", Path: "/health", OperationID: "getHealth", Capability: policy.Public, access: byAnyone, quiet: true, handle: (*API).getHealth},
		{Method: "GET", Path: "/health/live", OperationID: "getLiveness", Capability: policy.Public, access: byAnyone, quiet: true, handle: (*API).getLiveness},
		{Method: "GET", Path: "/metrics", OperationID: "getMetrics", Capability: policy.Public, access: byAnyone, quiet: true, handle: (*API).getMetrics},
	}
}
