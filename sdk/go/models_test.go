package agentidp_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/docs"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func schemas(t *testing.T) openapi3.Schemas {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(docs.OpenAPI)
	require.NoError(t, err)
	return document.Components.Schemas
}

// The models have the members of the API's schemas, no more and no less; what
// an answer always has is never left out.
func TestModelsAreTheSchemas(t *testing.T) {
	all := schemas(t)
	for name, model := range map[string]any{
		"Agent": agentidp.Agent{}, "NewAgent": agentidp.NewAgent{}, "AgentPatch": agentidp.AgentPatch{}, "AgentList": agentidp.AgentList{}, "Usage": agentidp.Usage{},
		"Credential": agentidp.Credential{}, "NewCredential": agentidp.NewCredential{}, "NewCredentialAnswer": agentidp.CredentialWithSecret{},
		"Rotation": agentidp.Rotation{}, "CredentialList": agentidp.List[agentidp.Credential]{},
		"Organization": agentidp.Organization{}, "NewOrganization": agentidp.NewOrganization{}, "OrganizationPatch": agentidp.OrganizationPatch{},
		"CreatedOrganization": agentidp.CreatedOrganization{}, "OrganizationList": agentidp.List[agentidp.Organization]{},
		"TokenResponse": agentidp.TokenResponse{}, "Introspection": agentidp.Introspection{},
		"AuditEvent": agentidp.AuditEvent{}, "AuditList": agentidp.AuditList{}, "InclusionProof": agentidp.InclusionProof{}, "ConsistencyProof": agentidp.ConsistencyProof{},
		"KeyList": agentidp.KeyList{}, "Key": agentidp.Key{}, "KeyRotation": agentidp.KeyRotation{},
		"RevocationEntry": agentidp.RevocationEntry{}, "RevocationPage": agentidp.RevocationPage{}, "NewRevocation": agentidp.NewRevocation{},
		"RevocationPreview": agentidp.RevocationPreview{}, "OrganizationUsage": agentidp.OrganizationUsage{},
		"AgentTokens": agentidp.AgentTokens{},
		"Stats":       agentidp.Stats{}, "StatsTopDenied": agentidp.StatsTopDenied{}, "StatsNow": agentidp.StatsNow{},
		"Sidecar": agentidp.Sidecar{}, "SidecarList": agentidp.List[agentidp.Sidecar]{},
		"Policy": agentidp.Policy{}, "PolicyInput": agentidp.PolicyInput{}, "PolicyDecision": agentidp.PolicyDecision{},
		"Health": agentidp.Health{}, "Dependency": agentidp.Dependency{}, "Metadata": agentidp.Metadata{}, "JWKS": agentidp.JWKS{}, "JWK": agentidp.JWK{},
	} {
		require.Contains(t, all, name)
		equalMembers(t, name, all[name].Value, reflect.TypeOf(model))
	}
	details := all["Error"].Value.Properties["details"].Value
	equalMembers(t, "Error.details", details, reflect.TypeFor[agentidp.Details]())
}

func equalMembers(t *testing.T, name string, schema *openapi3.Schema, model reflect.Type) {
	t.Helper()
	for model.Kind() == reflect.Pointer || model.Kind() == reflect.Slice || model.Kind() == reflect.Map {
		model = model.Elem()
	}
	var members, always []string
	for i := range model.NumField() {
		tag := model.Field(i).Tag.Get("json")
		member, options, _ := strings.Cut(tag, ",")
		if member == "-" {
			continue
		}
		members = append(members, member)
		if options == "" {
			always = append(always, member)
		}
		if nested := inner(schema.Properties[member]); nested != nil && structured(model.Field(i).Type) {
			equalMembers(t, name+"."+member, nested, model.Field(i).Type)
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(schema.Properties)), members, "members of %s", name)
	required := slices.DeleteFunc(slices.Clone(schema.Required), func(r string) bool { return name == "Introspection" && r != "active" })
	require.ElementsMatch(t, required, always, "members of %s that are always there", name)
}

// inner is the schema of an object inside that has no name of its own.
func inner(ref *openapi3.SchemaRef) *openapi3.Schema {
	if ref != nil && ref.Ref == "" && ref.Value.Type.Is("array") {
		ref = ref.Value.Items
	}
	if ref == nil || ref.Ref != "" || len(ref.Value.Properties) == 0 {
		return nil
	}
	return ref.Value
}

func structured(of reflect.Type) bool {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	return of.Kind() == reflect.Struct
}

func names[T ~string](values ...T) []string {
	var texts []string
	for _, value := range values {
		texts = append(texts, string(value))
	}
	return texts
}

func TestEnumsAreTheSchemas(t *testing.T) {
	all := schemas(t)
	property := func(schema, member string) *openapi3.Schema {
		require.Contains(t, all[schema].Value.Properties, member, schema)
		return all[schema].Value.Properties[member].Value
	}
	for name, row := range map[string]struct {
		schema *openapi3.Schema
		values []string
	}{
		"AgentType": {all["AgentType"].Value, names(agentidp.AgentScreener, agentidp.AgentClassifier, agentidp.AgentOrchestrator, agentidp.AgentExtractor,
			agentidp.AgentSummarizer, agentidp.AgentRouter, agentidp.AgentMonitor, agentidp.AgentCustom, agentidp.AgentAdministrator, agentidp.AgentSidecar)},
		"AgentStatus":      {all["AgentStatus"].Value, names(agentidp.StatusActive, agentidp.StatusSuspended, agentidp.StatusDecommissioned)},
		"AgentSort":        {all["AgentSort"].Value, names(agentidp.SortNewest, agentidp.SortOldest, agentidp.SortEmail, agentidp.SortEmailDown)},
		"DeploymentEnv":    {all["DeploymentEnv"].Value, names(agentidp.EnvDevelopment, agentidp.EnvStaging, agentidp.EnvProduction)},
		"AuthMethod":       {all["AuthMethod"].Value, names(agentidp.AuthClientSecret, agentidp.AuthPrivateKeyJWT)},
		"CredentialStatus": {property("Credential", "status"), names(agentidp.CredentialActive, agentidp.CredentialRevoked)},
		"Plan":             {all["Plan"].Value, names(agentidp.PlanFree, agentidp.PlanCustom)},
		"Outcome":          {all["AuditOutcome"].Value, names(agentidp.OutcomeSuccess, agentidp.OutcomeFailure, agentidp.OutcomeDenied)},
		"KeyStatus":        {property("Key", "status"), names(agentidp.KeyNext, agentidp.KeyActive, agentidp.KeyRetired)},
		"RevocationType": {all["RevocationType"].Value, names(agentidp.RevokeAgent, agentidp.RevokeCredential, agentidp.RevokeOrganization,
			agentidp.RevokeKey, agentidp.RevokeToken)},
		"StatsStep":    {all["StatsStep"].Value, names(agentidp.StepMinute, agentidp.StepHour, agentidp.StepDay)},
		"PreviewBound": {property("RevocationPreview", "bound"), names(agentidp.BoundExact, agentidp.BoundAtLeast, agentidp.BoundAtMost)},
		"PolicySource": {property("Policy", "source"), names(agentidp.PolicyBuiltIn, agentidp.PolicyFolder)},
		"HealthStatus": {property("Health", "status"), names(agentidp.HealthOK, agentidp.HealthDegraded, agentidp.HealthUnavailable)},
		"RPCProtocol":  {property("PolicyInput", "rpc").Properties["protocol"].Value, names(agentidp.ProtocolMCP, agentidp.ProtocolA2A)},
		"codes": {property("Error", "code"), []string{
			agentidp.CodeValidationFailed, agentidp.CodeUnauthenticated, agentidp.CodeForbidden, agentidp.CodeCapabilityCeiling, agentidp.CodeFreeTierLimitExceeded,
			agentidp.CodeNotFound, agentidp.CodeMethodNotAllowed, agentidp.CodeAgentAlreadyExists, agentidp.CodeInvalidState, agentidp.CodeLastAdministrator,
			agentidp.CodeSequenceGap, agentidp.CodeRequestTimeout, agentidp.CodePreconditionFailed, agentidp.CodePayloadTooLarge, agentidp.CodeURITooLong,
			agentidp.CodeUnsupportedMediaType, agentidp.CodeExpectationFailed, agentidp.CodeIdempotencyKeyReused, agentidp.CodeRateLimited, agentidp.CodeHeaderTooLarge,
			agentidp.CodeInternal, agentidp.CodeNotImplemented, agentidp.CodeOverloaded, agentidp.CodeAuditUnavailable, agentidp.CodeStoreUnavailable, agentidp.CodeUnavailable,
		}},
	} {
		var want []string
		for _, value := range row.schema.Enum {
			want = append(want, value.(string))
		}
		require.ElementsMatch(t, want, row.values, name)
	}
}
