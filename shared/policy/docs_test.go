package policy

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// The policy that docs/policies.md shows does what it says there.
func TestDocumentedPolicy(t *testing.T) {
	page, err := os.ReadFile("../../docs/policies.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "```rego\n")
	require.True(t, found)
	text, _, found = strings.Cut(text, "```")
	require.True(t, found)
	for _, fact := range []struct{ method, oncall, reason string }{
		{"GET", "[]", ReasonCapability}, {"DELETE", "[]", "not_on_call"}, {"DELETE", "[a-1]", ReasonCapability},
	} {
		e := engine(t, fstest.MapFS{"authz.rego": {Data: []byte(text)}, "data.yaml": {Data: []byte("oncall: " + fact.oncall)}})
		in := sample()
		in.Request.Method = fact.method
		d, err := e.Decide(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, fact.reason, d.Reason)
	}
	d, err := engine(t, fstest.MapFS{"authz.rego": {Data: []byte(text)}}).Decide(t.Context(), Input{Request: Request{Method: "DELETE"}})
	require.NoError(t, err)
	require.False(t, d.Allow)
}
