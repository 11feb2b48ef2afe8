//go:build k8s

package helm_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
)

// The programs themselves judge the configuration that the manifests give them:
// `check-config` with the same variables, and files where the Secrets would be.
func TestProgramsTakeTheConfiguration(t *testing.T) {
	binaries := map[string]string{"/usr/local/bin/agentidp": "agentidp", "/usr/local/bin/agentidp-sidecar": "agentidp-sidecar"}
	ran := 0
	eachPod(t, func(t *testing.T, m manifest, kind string, w workload) {
		for _, c := range w.Template.Spec.Containers {
			p := c.program()
			if p.binary == "" {
				continue
			}
			folder, env := mounts(t, m), imageEnvironment(t, binaries[p.binary])
			for _, v := range m.environment(t, c) {
				switch {
				case v.ValueFrom != nil:
					env = append(env, v.Name+"=aidp_c_"+strings.Repeat("0", 22))
				case strings.HasPrefix(v.Value, "/") && !strings.HasSuffix(v.Name, "DATA_DIR"):
					env = append(env, v.Name+"="+folder+v.Value)
				default:
					env = append(env, v.Name+"="+v.Value)
				}
			}
			path := top + "/.cache/programs/" + binaries[p.binary]
			if slices.Contains(c.Args, "migrate") {
				_, trouble, _ := run(t, env, path, "migrate", "status") // of a database that is not there
				require.NotContains(t, trouble, "the configuration has", m.name)
				require.Contains(t, trouble, "db.example.com", m.name)
				ran++
				continue
			}
			out, trouble, good := run(t, env, path, "check-config")
			require.True(t, good, "%s\n%s", out, trouble)
			require.NotContains(t, trouble, "unknown", "a variable that it does not know")
			ran++
		}
	})
	require.Equal(t, 3+2+4, ran, "three servers, two migrations, four sidecars")
}

// imageEnvironment is what the image sets for its program, unless a manifest does.
func imageEnvironment(t *testing.T, binary string) (env []string) {
	t.Helper()
	dockerfile, err := os.ReadFile(map[string]string{"agentidp": "../idp.Dockerfile", "agentidp-sidecar": "../sidecar.Dockerfile"}[binary])
	require.NoError(t, err)
	for line := range strings.Lines(string(dockerfile)) {
		if given, isENV := strings.CutPrefix(line, "ENV AGENTIDP_"); isENV {
			env = append(env, strings.Fields("AGENTIDP_"+given)...)
		}
	}
	require.NotEmpty(t, env)
	return env
}

// mounts is a folder with what the containers find in their volumes.
func mounts(t *testing.T, m manifest) (folder string) {
	t.Helper()
	folder = t.TempDir()
	write := func(path, content string) {
		path = filepath.Join(folder, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	const secrets, key = "run/secrets/agentidp/", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	write(secrets+"database-url", "postgres://agentidp_app:secret@db.example.com/agentidp\n")
	write(secrets+"database-direct-url", "postgres://agentidp_app:secret@db.example.com/agentidp\n")
	write(secrets+"bootstrap-client-secret", strings.Repeat("s", 40)+"\n")
	write(secrets+"master-key", key+"\n")
	if m.name == "chart-full" {
		write(secrets+"master-key", "vault:v1:"+key+"\n")
	}
	write(secrets+"redis-url", "rediss://redis.example.com:6379\n")
	write(secrets+"pepper", "1:"+key+"\n")
	certificate, private := tlstest.NewAuthority(t).Good()
	write(secrets+"vault-ca.crt", string(certificate))
	write(secrets+"redis-ca.crt", string(certificate))
	write("etc/agentidp/tls/tls.crt", string(certificate))
	write("etc/agentidp/tls/tls.key", string(private))
	require.NoError(t, os.CopyFS(filepath.Join(folder, "etc/agentidp/policy"), os.DirFS(top+"/policies")))
	write("run/secrets/agentidp-sidecar/client-secret", strings.Repeat("s", 40)+"\n")
	for _, o := range m.objects {
		if routes, has := o.Data["routes.yaml"]; has {
			write("etc/agentidp-sidecar/routes.yaml", routes)
		}
	}
	return folder
}
