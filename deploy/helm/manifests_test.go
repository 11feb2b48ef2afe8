// Package helm_test holds the rendered manifests of the chart and of the kustomize
// examples against the programs and their documents. Nothing here needs a tool
// or a cluster: testdata/golden is what `make k8s-check` rendered and validated.
package helm_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const top = "../.."

type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Data map[string]string
	Spec yaml.Node
}

type variable struct {
	Name, Value string
	ValueFrom   map[string]any `yaml:"valueFrom"`
}

type probe struct {
	HTTPGet *struct{ Path, Port string } `yaml:"httpGet"`
}

type securityContext struct {
	RunAsNonRoot             *bool `yaml:"runAsNonRoot"`
	RunAsUser                *int  `yaml:"runAsUser"`
	AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
	Privileged               bool  `yaml:"privileged"`
	Capabilities             struct{ Drop, Add []string }
	SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
}

type container struct {
	Name, Image   string
	Command, Args []string
	Ports         []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	Env     []variable
	EnvFrom []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	StartupProbe    *probe          `yaml:"startupProbe"`
	LivenessProbe   *probe          `yaml:"livenessProbe"`
	ReadinessProbe  *probe          `yaml:"readinessProbe"`
	SecurityContext securityContext `yaml:"securityContext"`
	Resources       struct{ Requests, Limits map[string]string }
	VolumeMounts    []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	Lifecycle struct {
		PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
	}
}

type items struct {
	Name  string
	Items []struct{ Key, Path string }
}

type volume struct {
	Name                  string
	Secret                *items
	ConfigMap             *items `yaml:"configMap"`
	Projected             *struct{ Sources []struct{ Secret *items } }
	PersistentVolumeClaim map[string]string `yaml:"persistentVolumeClaim"`
}

type podSpec struct {
	AutomountServiceAccountToken  *bool           `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            *bool           `yaml:"enableServiceLinks"`
	TerminationGracePeriodSeconds int             `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               securityContext `yaml:"securityContext"`
	Containers                    []container
	InitContainers                []container `yaml:"initContainers"`
	Volumes                       []volume
}

type workload struct {
	Replicas *int
	Strategy struct{ Type string }
	Template struct {
		Metadata struct{ Labels map[string]string }
		Spec     podSpec
	}
	VolumeClaimTemplates []struct{ Metadata struct{ Name string } } `yaml:"volumeClaimTemplates"`
}

// manifest is one golden file.
type manifest struct {
	name    string
	objects []object
}

func manifests(t *testing.T) []manifest {
	t.Helper()
	files, err := filepath.Glob("testdata/golden/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 7, "three renders of the chart, four examples")
	var all []manifest
	for _, file := range files {
		all = append(all, manifest{strings.TrimSuffix(filepath.Base(file), ".yaml"), parse(t, read(t, "deploy/helm/"+file))})
	}
	return all
}

func parse(t *testing.T, text string) (objects []object) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		if o.Kind != "" {
			objects = append(objects, o)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, path))
	require.NoError(t, err)
	return string(content)
}

// eachPod calls see with every workload of every golden file.
func eachPod(t *testing.T, see func(t *testing.T, m manifest, kind string, w workload)) {
	t.Helper()
	for _, m := range manifests(t) {
		found := 0
		for _, o := range m.objects {
			switch o.Kind {
			case "Deployment", "StatefulSet", "Job":
				var w workload
				require.NoError(t, o.Spec.Decode(&w))
				require.NotEmpty(t, w.Template.Spec.Containers, m.name)
				require.Empty(t, w.Template.Spec.InitContainers, "%s: look at them too", m.name)
				found++
				t.Run(m.name+"/"+o.Kind, func(t *testing.T) { see(t, m, o.Kind, w) })
			}
		}
		require.NotZero(t, found, m.name)
	}
}

// program is what an image runs, and the page that documents it.
type program struct{ binary, page string }

var programs = map[string]program{
	"agentidp/idp":     {"/usr/local/bin/agentidp", "docs/operations.md"},
	"agentidp/sidecar": {"/usr/local/bin/agentidp-sidecar", "docs/sidecar.md"},
}

// programOf is zero for images of others.
func (c *container) program() program {
	name, _, _ := strings.Cut(strings.Split(c.Image, "@")[0], ":")
	return programs[name]
}

// environment is what a container is given, its ConfigMaps included.
func (m manifest) environment(t *testing.T, c container) []variable {
	t.Helper()
	given := c.Env
	for _, from := range c.EnvFrom {
		found := false
		for _, o := range m.objects {
			if o.Kind == "ConfigMap" && o.Metadata.Name == from.ConfigMapRef.Name {
				found = true
				for name, value := range o.Data {
					given = append(given, variable{Name: name, Value: value})
				}
			}
		}
		require.True(t, found, "%s: no ConfigMap %s", m.name, from.ConfigMapRef.Name)
	}
	return given
}

// settings are the rows of a page's table.
type settings struct {
	variables map[string]bool // the value: it is a secret's own variable, not its _FILE
	flags     map[string]bool
}

var row = regexp.MustCompile(`(?m)^\| ([A-Z_]+)(\[_FILE\])? *\| (--[-a-z]+)? *\|`)

func documented(t *testing.T, page string) settings {
	t.Helper()
	s := settings{map[string]bool{}, map[string]bool{"--config": true}}
	_, table, found := strings.Cut(read(t, page), "<!-- settings -->")
	require.True(t, found, page)
	for _, match := range row.FindAllStringSubmatch(table, -1) {
		s.variables[match[1]] = match[2] != ""
		if match[2] != "" {
			s.variables[match[1]+"_FILE"] = false
		}
		s.flags[match[3]] = true
	}
	require.Greater(t, len(s.variables), 35, page)
	return s
}
