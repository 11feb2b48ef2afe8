//go:build k8sschemas

package helm_test

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// `make k8s-schemas` runs this: the schemas that kubeconform uses are what the
// modules of Kubernetes, prometheus-operator and Istio say, and no more of it than is used.
var updateSchemas = flag.Bool("update", false, "write testdata/schemas")

const (
	kubernetesModule = "k8s.io/kubernetes@v1.37.2"
	prometheusModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	istioModule      = "istio.io/api@v1.31.1"
)

var kinds = []kind{
	{"", "v1", "ConfigMap"},
	{"", "v1", "PersistentVolumeClaim"},
	{"", "v1", "Service"},
	{"", "v1", "ServiceAccount"},
	{"apps", "v1", "Deployment"},
	{"apps", "v1", "StatefulSet"},
	{"autoscaling", "v2", "HorizontalPodAutoscaler"},
	{"batch", "v1", "Job"},
	{"networking.k8s.io", "v1", "Ingress"},
	{"networking.k8s.io", "v1", "NetworkPolicy"},
	{"policy", "v1", "PodDisruptionBudget"},
}

type kind struct{ Group, Version, Kind string }

// file is named as kubeconform looks for it.
func (k kind) file() string {
	name := strings.ToLower(k.Kind)
	if k.Group != "" {
		group, _, _ := strings.Cut(k.Group, ".")
		name += "-" + group
	}
	return name + "-" + k.Version + ".json"
}

type schema = map[string]any

func TestSchemasAreOfTheModules(t *testing.T) {
	schemas := builtIn(t)
	resource(t, schemas, filepath.Join(module(t, prometheusModule), "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"), kind{"monitoring.coreos.com", "v1", "ServiceMonitor"})
	istio := filepath.Join(module(t, istioModule), "kubernetes/customresourcedefinitions.gen.yaml")
	resource(t, schemas, istio, kind{"security.istio.io", "v1", "AuthorizationPolicy"})
	resource(t, schemas, istio, kind{"networking.istio.io", "v1", "ServiceEntry"})
	require.Len(t, schemas, len(kinds)+3)
	for name, s := range schemas {
		content, err := json.Marshal(s)
		require.NoError(t, err)
		path := filepath.Join("testdata/schemas", name)
		if *updateSchemas {
			require.NoError(t, os.WriteFile(path, append(content, '\n'), 0o600))
		}
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.JSONEq(t, string(kept), string(content), name)
	}
	kept, err := os.ReadDir("testdata/schemas")
	require.NoError(t, err)
	require.Len(t, kept, len(schemas), "a schema that nobody uses")
}

// Istio's own reader takes the mesh of the example, and nothing that it does not know.
func TestMeshIsIstios(t *testing.T) {
	content, err := os.ReadFile("../kustomize/examples/istio/mesh.yaml")
	require.NoError(t, err)
	var values struct {
		MeshConfig schema `yaml:"meshConfig"`
	}
	require.NoError(t, yaml.Unmarshal(content, &values))
	mesh, err := json.Marshal(values.MeshConfig)
	require.NoError(t, err)
	read := func(mesh string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", "run", ".")
		cmd.Dir, cmd.Env, cmd.Stdin = "testdata/mesh", append(os.Environ(), "GOWORK=off", "GOFLAGS="), strings.NewReader(mesh)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := read(string(mesh))
	require.NoError(t, err, out)
	out, err = read(strings.Replace(string(mesh), "failOpen", "failsOpen", 1))
	require.Error(t, err)
	require.Contains(t, out, "failsOpen")
}

// module is the folder of a module, which the Go command downloads.
func module(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", name)
	cmd.Dir, cmd.Env = t.TempDir(), append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	require.NoError(t, err, string(out))
	var found struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &found))
	return found.Dir
}

// builtIn are Kubernetes' own kinds, each with the definitions that it reaches.
func builtIn(t *testing.T) map[string]schema {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(module(t, kubernetesModule), "api/openapi-spec/swagger.json"))
	require.NoError(t, err)
	var spec struct{ Definitions map[string]schema }
	require.NoError(t, json.Unmarshal(content, &spec))
	schemas := map[string]schema{}
	for name, definition := range spec.Definitions {
		gvks, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(gvks) != 1 {
			continue
		}
		gvk := gvks[0].(map[string]any)
		k := kind{gvk["group"].(string), gvk["version"].(string), gvk["kind"].(string)}
		if !slices.Contains(kinds, k) {
			continue
		}
		reached := map[string]any{}
		reach(spec.Definitions, name, reached)
		s := reached[name].(schema)
		delete(reached, name)
		s["definitions"] = reached
		schemas[k.file()] = named(s, k)
	}
	require.Len(t, schemas, len(kinds))
	return schemas
}

// reach adds the definition of that name, and those that it names, made strict.
func reach(all map[string]schema, name string, reached map[string]any) {
	if reached[name] != nil {
		return
	}
	switch name { // what the API takes in more than one form
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
		reached[name] = schema{"type": []any{"integer", "string"}}
		return
	case "io.k8s.apimachinery.pkg.api.resource.Quantity":
		reached[name] = schema{"type": []any{"number", "string"}}
		return
	}
	s := strict(all[name]).(schema)
	reached[name] = s
	references(s, func(other string) { reach(all, strings.TrimPrefix(other, "#/definitions/"), reached) })
}

func references(of any, see func(string)) {
	switch of := of.(type) {
	case schema:
		for key, value := range of {
			if name, isName := value.(string); key == "$ref" && isName {
				see(name)
				continue
			}
			references(value, see)
		}
	case []any:
		for _, value := range of {
			references(value, see)
		}
	}
}

// strict is a copy that takes no member that is not named, without what does not validate.
func strict(of any) any {
	s, isSchema := of.(schema)
	if !isSchema {
		return of
	}
	out := schema{}
	for key, value := range s {
		switch key {
		case "type", "required", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "minProperties", "$ref", "oneOf", "anyOf", "allOf", "not":
			out[key] = value
		case "items", "additionalProperties":
			out[key] = strict(value)
		case "properties":
			members := schema{}
			for name, member := range value.(schema) {
				members[name] = strict(member)
			}
			out[key] = members
		}
	}
	if s["x-kubernetes-int-or-string"] == true {
		delete(out, "anyOf")
		out["type"] = []any{"integer", "string"}
	}
	_, has := out["properties"]
	if _, said := out["additionalProperties"]; has && !said && s["x-kubernetes-preserve-unknown-fields"] != true {
		out["additionalProperties"] = false
	}
	return out
}

// named demands the kind by its name.
func named(s schema, k kind) schema {
	version := k.Version
	if k.Group != "" {
		version = k.Group + "/" + k.Version
	}
	members := s["properties"].(schema)
	if members["metadata"] == nil { // a CustomResourceDefinition need not say it
		members["metadata"] = schema{"type": "object"}
	}
	members["apiVersion"], members["kind"] = schema{"const": version}, schema{"const": k.Kind}
	s["required"] = []any{"apiVersion", "kind", "metadata"}
	return s
}

// resource adds a kind of a CustomResourceDefinition of the file.
func resource(t *testing.T, schemas map[string]schema, file string, k kind) {
	t.Helper()
	content, err := os.Open(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, content.Close()) }()
	decoder := yaml.NewDecoder(content)
	for {
		var definition struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct {
						OpenAPI schema `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		err := decoder.Decode(&definition)
		require.NotErrorIs(t, err, io.EOF, "%v is not in %s", k, file)
		require.NoError(t, err)
		if definition.Spec.Group != k.Group || definition.Spec.Names.Kind != k.Kind {
			continue
		}
		for _, version := range definition.Spec.Versions {
			if version.Name == k.Version {
				schemas[k.file()] = named(strict(version.Schema.OpenAPI).(schema), k)
				return
			}
		}
	}
}
