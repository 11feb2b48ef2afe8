package agentidp_test

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the lists of dependencies")

// What an SDK links, every agent links; what verify links, every API that verifies.
func TestDependencies(t *testing.T) {
	for name, path := range map[string]string{".": "deps.txt", "./verify": "verify/deps.txt"} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", name)
		list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		printed, err := list.Output()
		require.NoError(t, err)
		packages := strings.Fields(string(printed))
		slices.Sort(packages)
		linked := strings.Join(packages, "\n") + "\n"
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(linked), 0o644))
		}
		golden, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(golden), linked, "The SDK links other packages than %s lists. If that is meant: go test ./sdk/go -run Dependencies -update", path)
	}
}
