// Package deploy_test holds the container files against the program: nothing
// here needs a container engine.
package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
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

type service struct {
	Build struct {
		Context    string
		Dockerfile string
	}
	Command     []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	Healthcheck map[string]any
	StopGrace   string                       `yaml:"stop_grace_period"`
	DependsOn   map[string]map[string]string `yaml:"depends_on"`
}

type compose struct {
	Services map[string]service
	Volumes  map[string]any
}

func readCompose(t *testing.T) compose {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, "docker-compose.yml")))
	decoder.KnownFields(true)
	var c compose
	require.NoError(t, decoder.Decode(&c))
	return c
}

func TestComposeNamesWhatExists(t *testing.T) {
	c, known := readCompose(t), settings(t)
	require.Equal(t, []string{"enrol", "idp", "notes", "sidecar"}, slices.Sorted(maps.Keys(c.Services)))
	used := map[string]bool{}
	for name, s := range c.Services {
		require.FileExists(t, filepath.Join(top, s.Build.Context, s.Build.Dockerfile), name)
		for variable := range s.Environment {
			require.Contains(t, known, variable, name)
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				require.FileExists(t, filepath.Join(top, source), name)
				continue
			}
			require.Contains(t, c.Volumes, source, name)
			used[source] = true
		}
		for dependency, how := range s.DependsOn {
			require.Contains(t, c.Services, dependency, name)
			if how["condition"] == "service_healthy" {
				require.Contains(t, read(t, c.Services[dependency].Build.Dockerfile), "HEALTHCHECK", name)
			}
		}
		for _, port := range s.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s publishes %s beyond this machine", name, port)
		}
	}
	require.Len(t, used, len(c.Volumes), "a volume that nobody uses")
}

func TestComposeFitsTogether(t *testing.T) {
	c := readCompose(t)
	idp, sidecar := c.Services["idp"].Environment, c.Services["sidecar"].Environment
	require.Equal(t, idp["AGENTIDP_ISSUER"], sidecar["AGENTIDP_SIDECAR_ISSUER"])
	require.NotEqual(t, sidecar["AGENTIDP_SIDECAR_ISSUER"], sidecar["AGENTIDP_SIDECAR_AUDIENCE"])
	require.Equal(t, []string{"127.0.0.1:8081:8081"}, c.Services["sidecar"].Ports, "never the admin address")
	out := c.Services["enrol"].Command[slices.Index(c.Services["enrol"].Command, "-out")+1]
	require.Contains(t, c.Services["sidecar"].Command, out)
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
		require.Contains(t, text, "CGO_ENABLED=0", file)
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
