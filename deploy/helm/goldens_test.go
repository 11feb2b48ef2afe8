package helm_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestSettingsExist(t *testing.T) {
	eachPod(t, func(t *testing.T, m manifest, _ string, w workload) {
		for _, c := range w.Template.Spec.Containers {
			p := c.program()
			given := m.environment(t, c)
			if p.binary == "" {
				require.Empty(t, given, c.Name)
				continue
			}
			require.Equal(t, []string{p.binary}, c.Command)
			known := documented(t, p.page)
			seen := map[string]bool{}
			for _, v := range given {
				require.Contains(t, known.variables, v.Name)
				require.False(t, seen[v.Name], "%s stands twice", v.Name)
				seen[v.Name] = true
				require.NotEqual(t, v.Value == "", v.ValueFrom == nil, "%s has one value", v.Name)
				require.False(t, known.variables[v.Name], "%s is a secret: give it as a file", v.Name)
			}
			for _, arg := range c.Args {
				if strings.HasPrefix(arg, "-") {
					name, _, _ := strings.Cut(arg, "=")
					require.Contains(t, known.flags, name)
				}
			}
			require.Contains(t, []string{"serve", "migrate up"}, strings.Join(c.Args, " "))
		}
	})
}

// What may be set freely exists, is no secret, and is not set by the chart itself.
func TestSchemaNamesSettingsThatExist(t *testing.T) {
	known := documented(t, "docs/operations.md").variables
	free, managed := freeSettings(t), managedSettings(t)
	require.Greater(t, len(free), 15)
	for _, name := range free {
		require.Contains(t, known, name)
		require.False(t, known[name], "%s is a secret", name)
		require.NotContains(t, managed, name, "it would stand twice")
	}
}

// freeSettings are those that values.schema.json admits under settings.
func freeSettings(t *testing.T) []string {
	t.Helper()
	var schema struct {
		Properties struct {
			Settings struct {
				PropertyNames struct{ Enum []string } `json:"propertyNames"`
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "deploy/helm/agentidp/values.schema.json")), &schema))
	return schema.Properties.Settings.PropertyNames.Enum
}

var set = regexp.MustCompile(`name: ([A-Z][A-Z_]+)`)

// managedSettings are those that the templates set, without _FILE.
func managedSettings(t *testing.T) (names []string) {
	t.Helper()
	templates, err := filepath.Glob("agentidp/templates/*")
	require.NoError(t, err)
	require.NotEmpty(t, templates)
	for _, file := range templates {
		for _, match := range set.FindAllStringSubmatch(read(t, "deploy/helm/"+file), -1) {
			names = append(names, strings.TrimSuffix(match[1], "_FILE"))
		}
	}
	return names
}

// Whoever changes chart, values or examples renders them again.
func TestGoldensAreOfTheseSources(t *testing.T) {
	require.Equal(t, sources(t), strings.TrimSpace(read(t, "deploy/helm/testdata/sources.sha256")), "make k8s-check UPDATE=-update, and look at what changes")
}

// sources is a digest of the names and contents of all that is rendered.
func sources(t *testing.T) string {
	t.Helper()
	h := sha256.New()
	for _, folder := range []string{"agentidp", "testdata/values", "../kustomize"} {
		require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			fmt.Fprintf(h, "%s %d\n%s", filepath.ToSlash(path), len(content), content)
			return err
		}))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestProbesAskWhatExists(t *testing.T) {
	var api struct{ Paths map[string]any }
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "docs/openapi.yaml")), &api))
	page := read(t, "docs/operations.md")
	require.Contains(t, page, "`/health`")
	require.Contains(t, page, "`/ready`")
	eachPod(t, func(t *testing.T, _ manifest, kind string, w workload) {
		for _, c := range w.Template.Spec.Containers {
			if kind == "Job" || c.program() == (program{}) {
				continue
			}
			ask := func(p *probe) string {
				require.NotNil(t, p, c.Name)
				require.NotNil(t, p.HTTPGet, c.Name)
				return p.HTTPGet.Port + p.HTTPGet.Path
			}
			if c.program() == programs["agentidp/sidecar"] {
				require.Equal(t, "8082/health", ask(c.LivenessProbe))
				require.Equal(t, "8082/ready", ask(c.ReadinessProbe))
				continue
			}
			for _, path := range []string{"/health", "/health/live"} {
				require.Contains(t, api.Paths, path)
			}
			require.Equal(t, "http/health/live", ask(c.StartupProbe))
			require.Equal(t, "http/health/live", ask(c.LivenessProbe))
			require.Equal(t, "http/health", ask(c.ReadinessProbe))
		}
	})
}

func TestNobodyIsRootOrWrites(t *testing.T) {
	eachPod(t, func(t *testing.T, _ manifest, _ string, w workload) {
		pod := w.Template.Spec
		require.NotNil(t, pod.AutomountServiceAccountToken)
		require.False(t, *pod.AutomountServiceAccountToken)
		require.NotNil(t, pod.EnableServiceLinks, "a Service named agentidp would set AGENTIDP_PORT")
		require.False(t, *pod.EnableServiceLinks)
		for _, c := range pod.Containers {
			s := c.SecurityContext
			require.True(t, s.ReadOnlyRootFilesystem, c.Name)
			require.NotNil(t, s.AllowPrivilegeEscalation, c.Name)
			require.False(t, *s.AllowPrivilegeEscalation || s.Privileged, c.Name)
			require.Equal(t, []string{"ALL"}, s.Capabilities.Drop, c.Name)
			require.Empty(t, s.Capabilities.Add, c.Name)
			if s.RunAsUser == nil {
				s = pod.SecurityContext
			}
			require.NotNil(t, s.RunAsNonRoot, c.Name)
			require.True(t, *s.RunAsNonRoot, c.Name)
			require.NotNil(t, s.RunAsUser, c.Name)
			require.Equal(t, 65532, *s.RunAsUser, c.Name)
			require.Equal(t, "RuntimeDefault", s.SeccompProfile.Type, c.Name)
			require.Contains(t, c.Resources.Requests, "cpu", c.Name)
			require.Contains(t, c.Resources.Requests, "memory", c.Name)
			require.Contains(t, c.Resources.Limits, "memory", c.Name)
		}
	})
}

func TestImagesAreExact(t *testing.T) {
	var chart struct {
		AppVersion string `yaml:"appVersion"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/helm/agentidp/Chart.yaml")), &chart))
	exact := regexp.MustCompile(`^[a-z/]+(:[a-z0-9][-.a-z0-9]*|@sha256:[0-9a-f]{64})$`)
	eachPod(t, func(t *testing.T, _ manifest, _ string, w workload) {
		for _, c := range w.Template.Spec.Containers {
			require.Regexp(t, exact, c.Image)
			require.False(t, strings.HasSuffix(c.Image, ":latest"), c.Image)
			if name, tag, tagged := strings.Cut(c.Image, ":"); tagged && strings.HasPrefix(name, "agentidp/") && !strings.Contains(name, "@") {
				require.Equal(t, chart.AppVersion, tag, c.Image)
			}
		}
	})
}
