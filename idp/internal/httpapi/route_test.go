package httpapi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/httpapi"
)

// The route table and the document are the same list, authority included.
func TestRoutesAreTheDocument(t *testing.T) {
	type operation struct{ path, method, capability string }
	routed, documented := map[string]operation{}, map[string]operation{}
	for _, r := range httpapi.Routes() {
		require.NotContains(t, routed, r.OperationID)
		routed[r.OperationID] = operation{r.Path, r.Method, r.Capability}
	}
	for path, item := range description().Paths.Map() {
		for method, op := range item.Operations() {
			capability, _ := op.Extensions["x-capability"].(string)
			documented[op.OperationID] = operation{path, method, capability}
		}
	}
	require.Equal(t, documented, routed)
	require.Len(t, routed, 53)
}
