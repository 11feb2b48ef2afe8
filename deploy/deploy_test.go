// Package deploy_test holds the container files against the program: nothing
// here needs a container engine.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const top = ".."

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, path))
	require.NoError(t, err)
	return string(content)
}

var variable = regexp.MustCompile(`\bAGENTIDP_[A-Z_]*[A-Z]\b`)

// settings are the variables of both programs, as their generated tables list them.
func settings(t *testing.T) []string {
	t.Helper()
	var known []string
	for _, page := range []string{"docs/operations.md", "docs/sidecar.md"} {
		for line := range strings.Lines(read(t, page)) {
			if rest, isRow := strings.CutPrefix(line, "| AGENTIDP_"); isRow {
				name, _, _ := strings.Cut(rest, " ")
				known = append(known, "AGENTIDP_"+strings.TrimSuffix(name, "[_FILE]"), "AGENTIDP_"+strings.TrimSuffix(name, "[_FILE]")+"_FILE")
			}
		}
	}
	require.Greater(t, len(known), 40, "the tables of settings were not found")
	return known
}

var fileOf = regexp.MustCompile(`"(\./deploy/[^:"]+):`)

// What Compose means by the file is for deploy/images, and what runs of it for
// deploy/compose; here it is held against the programs.
func TestComposeNamesWhatExists(t *testing.T) {
	text, known := read(t, "docker-compose.yml"), settings(t)
	for _, name := range variable.FindAllString(regexp.MustCompile(`\$\{[^}]*`).ReplaceAllString(text, ""), -1) {
		if name == "AGENTIDP_CLIENT_ID" || name == "AGENTIDP_CLIENT_SECRET" {
			continue // of the command line, and of enrol
		}
		require.Contains(t, known, name)
	}
	files := fileOf.FindAllStringSubmatch(text, -1)
	require.Greater(t, len(files), 5)
	for _, match := range files {
		_, err := os.Stat(filepath.Join(top, match[1]))
		require.NoError(t, err)
	}
	issuer, audience := regexp.MustCompile(`(?m)^ *AGENTIDP_SIDECAR_ISSUER: (.*)$`).FindStringSubmatch(text), regexp.MustCompile(`(?m)^ *AGENTIDP_SIDECAR_AUDIENCE: (.*)$`).FindStringSubmatch(text)
	require.Contains(t, text, "    AGENTIDP_ISSUER: "+issuer[1]+"\n", "the IdP's is the sidecar's")
	require.NotEqual(t, issuer[1], audience[1])
}

// What the file asks for and what .env.example names are the same.
func TestTheExampleEnvironmentIsComplete(t *testing.T) {
	asked := map[string]bool{}
	for _, match := range regexp.MustCompile(`\$\{([A-Z_]+)(:\?|:-)`).FindAllStringSubmatch(read(t, "docker-compose.yml"), -1) {
		asked[match[1]] = match[2] == ":?"
	}
	named := map[string]bool{}
	for line := range strings.Lines(read(t, ".env.example")) {
		if name, value, found := strings.Cut(strings.TrimPrefix(line, "#"), "="); found && !strings.Contains(name, " ") {
			named[name] = strings.TrimSpace(value) == ""
		}
	}
	require.Equal(t, asked, named)
}

// A second run would make a database whose passwords nobody has.
func TestSecretsAreWrittenOnceAndForTheirOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	write := func() error { return exec.CommandContext(t.Context(), "compose/secrets", file).Run() }
	require.NoError(t, write())
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotRegexp(t, `(?m)^[A-Z_]+=$`, string(first), "left empty")
	require.Error(t, write())
	second, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, first, second)
}

// The rules want the jobs' names.
func TestPrometheusHasTheSameJobs(t *testing.T) {
	jobs := func(path string) []string {
		return regexp.MustCompile(`job_name: [a-z-]+`).FindAllString(read(t, path), -1)
	}
	require.NotEmpty(t, jobs("deploy/compose/prometheus.yml"))
	require.Equal(t, jobs("deploy/monitoring/prometheus.yml"), jobs("deploy/compose/prometheus.yml"))
}

func TestDockerfiles(t *testing.T) {
	known := settings(t)
	files, err := filepath.Glob(filepath.Join(top, "deploy", "*.Dockerfile"))
	require.NoError(t, err)
	more, err := filepath.Glob(filepath.Join(top, "deploy", "*", "*.Dockerfile"))
	require.NoError(t, err)
	files = append(files, more...)
	require.Len(t, files, 3)
	for _, file := range files {
		text := strings.ReplaceAll(read(t, strings.TrimPrefix(file, top+"/")), "\\\n", " ")
		require.Equal(t, 2, len(regexp.MustCompile(`(?m)^FROM `).FindAllString(text, -1)), "%s: build stage and image", file)
		require.Contains(t, text, "\nUSER 65532:65532\n", file)
		require.Regexp(t, `CGO_ENABLED=0|-extldflags -static`, text, "%s: nothing to link to in the image", file)
		require.Contains(t, text, "HEALTHCHECK", file)
		for _, name := range variable.FindAllString(text, -1) {
			require.Contains(t, known, name, file)
		}
		packages := regexp.MustCompile(`\./\S+/cmd/\S+`).FindAllString(text, -1)
		require.NotEmpty(t, packages, file)
		for _, path := range packages {
			require.FileExists(t, filepath.Join(top, path, "main.go"), file)
		}
	}
}

// The ignore file lists what goes in: a folder that the programs need and that
// it forgets would only fail in the builder.
func TestBuildContextHoldsThePackages(t *testing.T) {
	ignore := read(t, ".dockerignore")
	for _, path := range []string{"go.mod", "go.sum", "idp", "sidecar", "shared", "policies", "migrations", "docs/*.go", "docs/openapi.yaml", "deploy/dev"} {
		require.Contains(t, ignore, "\n!"+path+"\n")
	}
	require.NotContains(t, ignore, "!data")
	require.NotContains(t, ignore, "!.git")
}
