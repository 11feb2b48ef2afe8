package guard

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpells(t *testing.T) {
	is := func(name string, alike, exact bool) {
		t.Helper()
		gotAlike, gotExact := Spells([]byte(name), "mcp-name")
		require.Equal(t, alike, gotAlike, name)
		if alike {
			require.Equal(t, exact, gotExact, name)
		}
	}
	is("mcp-name", true, true)
	is("MCP-Name", true, true)
	is("Mcp_Name", true, false)
	is("mcp.name", true, false)
	is("mcp-names", false, false)
	is("mcpname", false, false)
	is("", false, false)
}
