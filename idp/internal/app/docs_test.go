package app_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/config"
)

var update = flag.Bool("update", false, "write the generated table into docs/operations.md")

func TestDocsListEverySetting(t *testing.T) {
	const page, open, end = "../../../docs/operations.md", "<!-- settings -->\n", "<!-- /settings -->"
	cfg := app.Default()
	want, err := config.Reference(&cfg, config.PrefixIdP)
	require.NoError(t, err)
	content, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(content), open)
	require.True(t, found)
	listed, after, found := strings.Cut(rest, end)
	require.True(t, found)
	if *update {
		listed = want
		require.NoError(t, os.WriteFile(page, []byte(before+open+listed+end+after), 0o644))
	}
	require.Equal(t, want, listed, "go test ./idp/internal/app -run TestDocsListEverySetting -update writes it")
}
