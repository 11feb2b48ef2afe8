package docs_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/docs"
	"github.com/sentryagent/agentidp/shared/capability"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(docs.OpenAPI)
	require.NoError(t, err)
	return doc
}

func TestDocumentIsValidWithItsExamples(t *testing.T) {
	doc := load(t)
	require.NoError(t, doc.Validate(t.Context(),
		openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation(),
		openapi3.EnableSchemaPatternValidation(), openapi3.EnableSchemaFormatValidation(),
		openapi3.ProhibitExtensionsWithRef(), openapi3.EnableMultiError()))
	require.Equal(t, "3.0.3", doc.OpenAPI)
}

// Every operation is complete: names, words, authority, errors. Those that
// anybody may call and that read nothing of a request cannot refuse one.
func TestOperationsAreComplete(t *testing.T) {
	seen := map[string]string{}
	for path, item := range load(t).Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			require.NotEmpty(t, op.OperationID, where)
			require.NotEmpty(t, op.Summary, where)
			require.NotEmpty(t, op.Description, where)
			require.Len(t, op.Tags, 1, where)
			require.Empty(t, seen[op.OperationID], where)
			seen[op.OperationID] = where
			require.NotNil(t, op.Security, where)
			if !slices.Contains([]string{"authorize", "getRoot"}, op.OperationID) {
				require.True(t, slices.ContainsFunc(slices.Collect(maps.Keys(op.Responses.Map())), func(status string) bool { return status[0] == '2' }), where)
			}
			require.True(t, op.Responses.Status(500) != nil || op.Responses.Status(503) != nil, where)

			granted, ok := op.Extensions["x-capability"].(string)
			require.True(t, ok, where)
			if granted == "public" {
				require.True(t, op.RequestBody == nil || op.Responses.Status(400) != nil, where)
				continue
			}
			parsed, err := capability.Parse(granted)
			require.NoError(t, err, where)
			require.True(t, parsed.Reserved(), where)
			for _, status := range []int{401, 403, 500, 503} {
				require.NotNil(t, op.Responses.Status(status), "%s: %d", where, status)
			}
			require.Contains(t, *op.Security, openapi3.SecurityRequirement{"bearerAuth": {}}, where)
			require.Contains(t, *op.Security, openapi3.SecurityRequirement{"clientCredentials": {granted}}, where)
		}
	}
}

// Every body has an example, of itself or of its schema; that they are valid is
// what TestDocumentIsValidWithItsExamples holds.
func TestEveryBodyHasAnExample(t *testing.T) {
	hasExample := func(where string, content openapi3.Content) {
		for media, body := range content {
			require.True(t, body.Example != nil || len(body.Examples) > 0 || body.Schema.Value.Example != nil, "%s: %s", where, media)
			for name, example := range body.Examples {
				require.NotNil(t, example.Value.Value, "%s: %s: %s", where, media, name)
			}
		}
	}
	for path, item := range load(t).Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			if op.RequestBody != nil {
				hasExample(where, op.RequestBody.Value.Content)
			}
			for status, answer := range op.Responses.Map() {
				require.NotEmpty(t, *answer.Value.Description, "%s: %s", where, status)
				hasExample(where+": "+status, answer.Value.Content)
			}
		}
	}
}

// The scopes that the page about the API offers are the capabilities that the
// operations ask for, and the token comes from where the document does.
func TestScopesAreCapabilities(t *testing.T) {
	doc := load(t)
	wanted := map[string]bool{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			wanted[op.Extensions["x-capability"].(string)] = true
		}
	}
	delete(wanted, "public")
	flow := doc.Components.SecuritySchemes["clientCredentials"].Value.Flows.ClientCredentials
	require.Equal(t, slices.Sorted(maps.Keys(wanted)), slices.Sorted(maps.Keys(flow.Scopes)))
	require.Equal(t, ".", doc.Servers[0].URL)
	require.Equal(t, "api/v1/token", flow.TokenURL)
}

// Objects that callers send or parse are closed, but for forms (RFC 6749
// section 3.2: unknown parameters are ignored), metadata (RFC 8414 section 3.2)
// and keys (RFC 7517 sections 4 and 5).
func TestObjectsAreClosed(t *testing.T) {
	open := []string{"TokenRequest", "TokenReference", "TokenRevocation", "Metadata", "AgentMetadata", "AgentKeys", "AgentKey"}
	for name, schema := range load(t).Components.Schemas {
		if !schema.Value.Type.Is("object") || slices.Contains(open, name) {
			continue
		}
		require.NotNil(t, schema.Value.AdditionalProperties.Has, name)
		require.False(t, *schema.Value.AdditionalProperties.Has, name)
	}
}
