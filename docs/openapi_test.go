package docs_test

import (
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

// Every operation is complete: names, authority, errors.
func TestOperationsAreComplete(t *testing.T) {
	seen := map[string]string{}
	for path, item := range load(t).Paths.Map() {
		for method, op := range item.Operations() {
			where := method + " " + path
			require.NotEmpty(t, op.OperationID, where)
			require.NotEmpty(t, op.Summary, where)
			require.Len(t, op.Tags, 1, where)
			require.Empty(t, seen[op.OperationID], where)
			seen[op.OperationID] = where
			require.NotNil(t, op.Security, where)

			granted, ok := op.Extensions["x-capability"].(string)
			require.True(t, ok, where)
			if granted == "public" {
				continue
			}
			parsed, err := capability.Parse(granted)
			require.NoError(t, err, where)
			require.True(t, parsed.Reserved(), where)
			for _, status := range []int{401, 403, 500, 503} {
				require.NotNil(t, op.Responses.Status(status), "%s: %d", where, status)
			}
			require.True(t, slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool { _, found := r["bearerAuth"]; return found }), where)
		}
	}
}

// Objects that callers send or parse are closed, but for forms (RFC 6749
// section 3.2: unknown parameters are ignored), metadata (RFC 8414 section 3.2)
// and keys (RFC 7517 sections 4 and 5).
func TestObjectsAreClosed(t *testing.T) {
	open := []string{"TokenRequest", "TokenReference", "Metadata", "AgentMetadata", "AgentKeys", "AgentKey"}
	for name, schema := range load(t).Components.Schemas {
		if !schema.Value.Type.Is("object") || slices.Contains(open, name) {
			continue
		}
		require.NotNil(t, schema.Value.AdditionalProperties.Has, name)
		require.False(t, *schema.Value.AdditionalProperties.Has, name)
	}
}
