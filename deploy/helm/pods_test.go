package helm_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type networkPolicy struct {
	PodSelector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	} `yaml:"podSelector"`
	PolicyTypes []string `yaml:"policyTypes"`
	Ingress     []struct {
		Ports []struct{ Port int }
		From  []any
	}
}

// A port that no policy names cannot be reached; one that asks for no
// credential is for those who are named only.
func TestNetworkPoliciesNameEveryPort(t *testing.T) {
	withoutCredential := []int{8082, 8083}
	eachPod(t, func(t *testing.T, m manifest, kind string, w workload) {
		labels, open, policies := w.Template.Metadata.Labels, map[int]bool{}, 0
		for _, o := range m.objects {
			if o.Kind != "NetworkPolicy" {
				continue
			}
			var p networkPolicy
			require.NoError(t, o.Spec.Decode(&p))
			require.NotEmpty(t, p.PodSelector.MatchLabels)
			require.Contains(t, p.PolicyTypes, "Ingress")
			if !subset(p.PodSelector.MatchLabels, labels) {
				continue
			}
			policies++
			for _, rule := range p.Ingress {
				require.NotEmpty(t, rule.Ports, "every port is open")
				for _, port := range rule.Ports {
					open[port.Port] = true
					require.False(t, slices.Contains(withoutCredential, port.Port) && len(rule.From) == 0, "%d is open to everybody", port.Port)
				}
			}
		}
		require.NotZero(t, policies, "no policy selects %v", labels)
		listening := map[int]bool{}
		for _, c := range w.Template.Spec.Containers {
			for _, port := range c.Ports {
				listening[port.ContainerPort] = true
			}
		}
		require.Equal(t, kind == "Job", len(listening) == 0)
		require.Equal(t, slices.Sorted(maps.Keys(listening)), slices.Sorted(maps.Keys(open)))
	})
}

func subset(some, all map[string]string) bool {
	for name, value := range some {
		if all[name] != value {
			return false
		}
	}
	return true
}

// The kubelet kills what has not ended by then.
func TestGracePeriodsOutlastTheDrain(t *testing.T) {
	eachPod(t, func(t *testing.T, m manifest, kind string, w workload) {
		if kind == "Job" {
			return
		}
		grace := time.Duration(w.Template.Spec.TerminationGracePeriodSeconds) * time.Second
		for _, c := range w.Template.Spec.Containers {
			waits := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
			if c.program() == (program{}) {
				require.GreaterOrEqual(t, waits, 20*time.Second, "%s has to be there while the sidecar drains", c.Name)
				require.Greater(t, grace, waits, c.Name)
				continue
			}
			delay, drain, ship := 5*time.Second, 10*time.Second, 5*time.Second
			for _, v := range m.environment(t, c) {
				switch {
				case strings.HasSuffix(v.Name, "_DRAIN_DELAY"):
					delay = duration(t, v.Value)
				case strings.HasSuffix(v.Name, "_DRAIN_TIMEOUT"):
					drain = duration(t, v.Value)
				}
			}
			require.Greater(t, grace, waits+delay+drain+ship, c.Name)
		}
	})
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

func TestSQLiteIsServedByOne(t *testing.T) {
	stores := map[string]int{}
	eachPod(t, func(t *testing.T, m manifest, kind string, w workload) {
		c := w.Template.Spec.Containers[0]
		if kind != "Deployment" || c.program() != programs["agentidp/idp"] {
			return
		}
		if slices.ContainsFunc(c.Env, func(v variable) bool { return v.Name == "DATABASE_URL_FILE" }) {
			stores["PostgreSQL"]++
			require.Equal(t, "RollingUpdate", w.Strategy.Type)
			return
		}
		stores["SQLite"]++
		require.Equal(t, 1, *w.Replicas)
		require.Equal(t, "Recreate", w.Strategy.Type)
		require.True(t, slices.ContainsFunc(w.Template.Spec.Volumes, func(v volume) bool { return v.Name == "data" && v.PersistentVolumeClaim != nil }))
		for _, o := range m.objects {
			require.NotContains(t, []string{"HorizontalPodAutoscaler", "PodDisruptionBudget", "Job"}, o.Kind)
		}
	})
	require.Equal(t, map[string]int{"PostgreSQL": 2, "SQLite": 1}, stores)
}

// What a variable names lies in a volume that the container has, under that name.
func TestFilesAreMounted(t *testing.T) {
	eachPod(t, func(t *testing.T, m manifest, _ string, w workload) {
		volumes := map[string]volume{}
		for _, v := range w.Template.Spec.Volumes {
			volumes[v.Name] = v
		}
		for _, claim := range w.VolumeClaimTemplates {
			volumes[claim.Metadata.Name] = volume{Name: claim.Metadata.Name}
		}
		for _, c := range w.Template.Spec.Containers {
			at := map[string]volume{}
			for _, mount := range c.VolumeMounts {
				require.Contains(t, volumes, mount.Name)
				at[mount.MountPath] = volumes[mount.Name]
			}
			for _, v := range m.environment(t, c) {
				if !strings.HasPrefix(v.Value, "/") {
					continue
				}
				if _, folder := at[v.Value]; folder {
					continue
				}
				mounted, there := at[filepath.Dir(v.Value)]
				require.True(t, there, "%s: nothing is mounted at %s", v.Name, v.Value)
				require.Contains(t, files(m, mounted), filepath.Base(v.Value), v.Name)
			}
		}
	})
}

// files are those that a volume has for certain.
func files(m manifest, v volume) (names []string) {
	var sources []*items
	switch {
	case v.Secret != nil:
		sources = append(sources, v.Secret)
		if len(v.Secret.Items) == 0 {
			names = append(names, "tls.crt", "tls.key") // a Secret of type kubernetes.io/tls
		}
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				sources = append(sources, source.Secret)
			}
		}
	case v.ConfigMap != nil:
		for _, o := range m.objects {
			if o.Kind == "ConfigMap" && o.Metadata.Name == v.ConfigMap.Name {
				names = slices.AppendSeq(names, maps.Keys(o.Data))
			}
		}
	}
	for _, source := range sources {
		for _, item := range source.Items {
			names = append(names, item.Path)
		}
	}
	return names
}

func TestNoSecretIsRendered(t *testing.T) {
	for _, m := range manifests(t) {
		for _, o := range m.objects {
			require.NotEqual(t, "Secret", o.Kind, m.name)
		}
	}
}

// The configuration that sidecar/internal/modes runs with a real Envoy, but for the address.
func TestExampleEnvoyIsTheTriedOne(t *testing.T) {
	tried := read(t, "deploy/envoy/envoy.yaml")
	const here = "address: 127.0.0.1, port_value: 8000"
	require.Equal(t, 1, strings.Count(tried, here))
	require.Equal(t, strings.Replace(tried, here, "address: 0.0.0.0, port_value: 8000", 1), read(t, "deploy/kustomize/examples/envoy/envoy.yaml"))
}

// Istio's mesh is told of the address where the sidecar listens.
func TestMeshAsksTheSidecar(t *testing.T) {
	var mesh struct {
		MeshConfig struct {
			ExtensionProviders []struct {
				Name string
				GRPC struct {
					Service  string
					Port     int
					FailOpen bool `yaml:"failOpen"`
				} `yaml:"envoyExtAuthzGrpc"`
			} `yaml:"extensionProviders"`
		} `yaml:"meshConfig"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "deploy/kustomize/examples/istio/mesh.yaml")), &mesh))
	require.Len(t, mesh.MeshConfig.ExtensionProviders, 1)
	provider := mesh.MeshConfig.ExtensionProviders[0]
	require.False(t, provider.GRPC.FailOpen)
	authorization := read(t, "deploy/kustomize/examples/istio/authorization.yaml")
	require.Contains(t, authorization, "provider: { name: "+provider.Name+" }")
	require.Contains(t, authorization, "hosts: ["+provider.GRPC.Service+"]")
	require.Contains(t, authorization, "number: "+strconv.Itoa(provider.GRPC.Port)+", protocol: GRPC")
	require.Contains(t, read(t, "deploy/kustomize/components/ext-authz/container.yaml"), `AGENTIDP_SIDECAR_EXT_AUTHZ_LISTEN, value: "127.0.0.1:`+strconv.Itoa(provider.GRPC.Port)+`"`)
}
