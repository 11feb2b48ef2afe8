package main

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write deps.txt")

// The modules that the sidecar links are reviewed text: what stands on every
// request's path must not grow unseen.
func TestDependencies(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	printed, err := list.Output()
	require.NoError(t, err)
	modules := strings.Fields(string(printed))
	slices.Sort(modules)
	linked := strings.Join(slices.Compact(modules), "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("deps.txt", []byte(linked), 0o644))
	}
	golden, err := os.ReadFile("deps.txt")
	require.NoError(t, err)
	require.Equal(t, string(golden), linked,
		"The sidecar links other modules than deps.txt lists. If that is meant: go test ./sidecar/cmd/agentidp-sidecar -update")
}

// The sidecar never imports the IdP or its store.
func TestNothingOfTheIdP(t *testing.T) {
	printed, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(printed)) {
		require.NotEqual(t, "database/sql", path)
		for _, ours := range []string{"idp", "migrations"} {
			require.False(t, strings.HasPrefix(path+"/", "github.com/sentryagent/agentidp/"+ours+"/"), path)
		}
	}
}
