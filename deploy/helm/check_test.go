//go:build k8s

package helm_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// `make k8s-check` runs these; it builds what they call into .cache first.
var update = flag.Bool("update", false, "write testdata/golden")

const (
	tools      = top + "/.cache/k8s/"
	kubernetes = "1.37.2" // that the schemas are of
)

var charts = []string{"default", "full", "minimal"}

// run returns what a program wrote, and whether it ended with status 0.
func run(t *testing.T, env []string, name string, args ...string) (stdout, stderr string, good bool) {
	t.Helper()
	path, err := filepath.Abs(name)
	require.NoError(t, err)
	require.FileExists(t, path, "run `make k8s-check`")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out, trouble bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...), &out, &trouble
	err = cmd.Run()
	require.NoError(t, ctx.Err(), name)
	return out.String(), trouble.String(), err == nil
}

func helm(t *testing.T, args ...string) (stdout, stderr string, good bool) {
	t.Helper()
	return run(t, nil, tools+"helm", args...)
}

func template(t *testing.T, chart, values string, more ...string) (stdout, stderr string, good bool) {
	t.Helper()
	return helm(t, append([]string{"template", "agentidp", chart, "--namespace", "identity", "--kube-version", kubernetes, "--values", "testdata/values/" + values + ".yaml"}, more...)...)
}

func kubeconform(t *testing.T, manifests string) (stdout string, good bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifests.yaml")
	require.NoError(t, os.WriteFile(file, []byte(manifests), 0o600))
	out, trouble, good := run(t, nil, tools+"kubeconform", "-strict", "-summary", "-verbose", "-schema-location", "testdata/schemas/{{.ResourceKind}}{{.KindSuffix}}.json", file)
	return out + trouble, good
}

// golden holds what was rendered against the file that stands for it, and against
// the schemas of Kubernetes.
func golden(t *testing.T, name, rendered string) {
	t.Helper()
	file := filepath.Join("testdata/golden", name+".yaml")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(rendered), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), rendered, "make k8s-check UPDATE=-update, and look at what changes")
	out, good := kubeconform(t, rendered)
	require.True(t, good, out)
	require.Contains(t, out, "Invalid: 0, Errors: 0, Skipped: 0", "a kind without a schema counts as nothing")
	t.Log(strings.TrimSpace(out[strings.LastIndex(out, "Summary:"):]))
}

func TestChart(t *testing.T) {
	for _, values := range charts {
		t.Run(values, func(t *testing.T) {
			out, trouble, good := helm(t, "lint", "--strict", "--kube-version", kubernetes, "agentidp", "--values", "testdata/values/"+values+".yaml")
			require.True(t, good, out+trouble)
			rendered, trouble, good := template(t, "agentidp", values)
			require.True(t, good, trouble)
			golden(t, "chart-"+values, rendered)
		})
	}
}

// The values that docs/kubernetes.md tells to begin with.
func TestDocumentedValues(t *testing.T) {
	_, rest, found := strings.Cut(read(t, "docs/kubernetes.md"), "```yaml\n# values.yaml\n")
	require.True(t, found)
	values, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	file := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(file, []byte(values), 0o600))
	rendered, trouble, good := helm(t, "template", "agentidp", "agentidp", "--kube-version", kubernetes, "--values", file)
	require.True(t, good, trouble)
	out, good := kubeconform(t, rendered)
	require.True(t, good, out)
}

// Helm shows NOTES.txt to nobody without a cluster; another template includes it.
func TestNotes(t *testing.T) {
	chart := t.TempDir()
	require.NoError(t, os.CopyFS(chart, os.DirFS("agentidp")))
	require.NoError(t, os.WriteFile(filepath.Join(chart, "templates/notes.yaml"), []byte(`notes: {{ include (print $.Template.BasePath "/NOTES.txt") . | quote }}`), 0o600))
	for values, says := range map[string]string{"default": "Without Redis", "full": "in the Secret agentidp-admin", "minimal": "one SQLite file"} {
		notes, trouble, good := template(t, chart, values, "--show-only", "templates/notes.yaml")
		require.True(t, good, trouble)
		require.Contains(t, notes, says, values)
		require.NotContains(t, notes, "WARNING", values)
	}
	notes, trouble, good := template(t, chart, "default", "--show-only", "templates/notes.yaml", "--set", "networkPolicy.enabled=false")
	require.True(t, good, trouble)
	require.Contains(t, notes, "WARNING: networkPolicy is off")
}

func TestExamples(t *testing.T) {
	for _, example := range []string{"plain", "component", "envoy", "istio"} {
		t.Run(example, func(t *testing.T) {
			rendered, trouble, good := run(t, nil, tools+"kustomize", "build", "../kustomize/examples/"+example)
			require.True(t, good, trouble)
			require.Empty(t, trouble, "a warning")
			golden(t, "example-"+example, rendered)
		})
	}
}

func TestSourcesAreNoted(t *testing.T) {
	if *update {
		require.NoError(t, os.WriteFile("testdata/sources.sha256", []byte(sources(t)+"\n"), 0o600))
	}
}

// What the templates do not set can be set.
func TestSchemaKnowsEverySetting(t *testing.T) {
	can := append(managedSettings(t), freeSettings(t)...)
	for name := range documented(t, "docs/operations.md").variables {
		require.Contains(t, can, strings.TrimSuffix(name, "_FILE"), "add it to settings in values.schema.json")
	}
}

func TestUnsafeValuesAreRefused(t *testing.T) {
	_, trouble, good := helm(t, "template", "agentidp", "agentidp", "--kube-version", kubernetes)
	require.False(t, good, "without an issuer")
	require.Contains(t, trouble, "issuer")
	for _, c := range []struct{ values, set, says string }{
		{"default", "replica=3", "replica"},
		{"default", "networkPolicy.metric=x", "metric"},
		{"default", "settings.AGENTIDP_TOKENTTL=30m", "AGENTIDP_TOKENTTL"},
		{"default", "settings.AGENTIDP_MASTER_KEY=0123", "AGENTIDP_MASTER_KEY"},
		{"default", "settings.AGENTIDP_ADDR=:80", "AGENTIDP_ADDR"},
		{"default", "image.tag=latest", "tag"},
		{"default", "issuer=http://idp.example.com", "issuer"},
		{"default", "issuer=https://idp.example.com/", "issuer"},
		{"default", "masterKey.existingSecret=", "masterKey"},
		{"default", "bootstrap.existingSecret=", "bootstrap"},
		{"default", "database.existingSecret=", "replicas"},
		{"default", "persistence.enabled=true", "persistence"},
		{"default", "ingress.enabled=true", "trustedProxies"},
		{"default", "vault.masterKey=kv", "vault"},
		{"default", "vault.address=https://vault:8200", "vault"},
		{"default", "networkPolicy.metrics.from=null", "from"},
		{"default", "resources.limits=null", "resources"},
		{"default", "masterKey.existingSecret=null", "existingSecret"},
		{"default", "database=null", "database"},
		{"minimal", "replicas=2", "replicas"},
		{"minimal", "autoscaling.enabled=true", "autoscaling"},
		{"minimal", "persistence.enabled=false", "persistence"},
		{"full", "vault.masterKey=kv", "masterKey"},
		{"full", "vault.token.existingSecret=x", "vault"},
		{"full", "vault.address=http://vault:8200", "vault"},
		{"full", "autoscaling.minReplicas=10", "minReplicas"},
		{"full", "issuer=http://idp.example.com", "issuer"},
	} {
		t.Run(c.values+"/"+c.set, func(t *testing.T) {
			out, trouble, good := template(t, "agentidp", c.values, "--set", c.set)
			require.False(t, good, out)
			require.Contains(t, trouble, c.says)
		})
	}
}

// The checks can fail: each of these is a chart or an example with one mistake.
func TestBrokenOnesAreRefused(t *testing.T) {
	for _, c := range []struct{ file, from, to, says string }{
		{"templates/_helpers.tpl", "runAsNonRoot: true", "runAsNotRoot: true", "runAsNotRoot"},
		{"templates/deployment.yaml", "containerPort: 8083", "containerPort: metrics", "containerPort"},
		{"templates/deployment.yaml", "      containers:", "      container:", "container"},
		{"templates/metrics.yaml", "endpoints:", "endpoint:", "endpoint"},
		{"templates/autoscaling.yaml", "autoscaling/v2", "autoscaling/v3", "could not find schema"},
		{"templates/networkpolicy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress, Egress]\n  policyTypes: [Ingress]", "policyTypes"},
	} {
		t.Run(c.file+"/"+c.to, func(t *testing.T) {
			chart := t.TempDir()
			require.NoError(t, os.CopyFS(chart, os.DirFS("agentidp")))
			breakFile(t, filepath.Join(chart, c.file), c.from, c.to)
			rendered, trouble, good := template(t, chart, "full")
			require.True(t, good, trouble)
			out, good := kubeconform(t, rendered)
			require.False(t, good, out)
			require.Contains(t, out, c.says)
		})
	}
	t.Run("no template", func(t *testing.T) {
		chart := t.TempDir()
		require.NoError(t, os.CopyFS(chart, os.DirFS("agentidp")))
		breakFile(t, filepath.Join(chart, "templates/service.yaml"), "{{- end }}", "{{- ende }}")
		out, trouble, good := helm(t, "lint", "--strict", chart, "--values", "testdata/values/default.yaml")
		require.False(t, good, out+trouble)
	})
	t.Run("component", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(dir, os.DirFS("../kustomize")))
		breakFile(t, filepath.Join(dir, "components/sidecar/kustomization.yaml"), "patches:", "patch:")
		out, _, good := run(t, nil, tools+"kustomize", "build", filepath.Join(dir, "examples/component"))
		require.False(t, good, out)
	})
}

func breakFile(t *testing.T, file, from, to string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(content), from)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(content), from, to)), 0o600))
}

func TestEnvoyTakesTheExample(t *testing.T) {
	file, err := filepath.Abs("../kustomize/examples/envoy/envoy.yaml")
	require.NoError(t, err)
	out, trouble, good := run(t, nil, top+"/.cache/envoy/bin/envoy", "--mode", "validate", "--disable-hot-restart", "-c", file)
	require.True(t, good, out+trouble)
}
