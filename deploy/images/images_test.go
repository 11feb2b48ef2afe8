package images_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/images"
)

var dockerfiles = []string{"deploy/idp.Dockerfile", "deploy/sidecar.Dockerfile", "deploy/dev/notes.Dockerfile"}

// top is the project's folder, or a copy with a file changed: a check is seen red so.
func top() string {
	if other := os.Getenv("IMAGES_TOP"); other != "" {
		return other
	}
	return "../.."
}

// secrets are the variables of a new .env.
func secrets(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), ".env")
	require.NoError(t, exec.CommandContext(t.Context(), filepath.Join(top(), "deploy/compose/secrets"), file).Run())
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	var variables []string
	for line := range strings.Lines(string(written)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			require.NotRegexp(t, "^[A-Z_]+=$", line, "left empty")
			variables = append(variables, line)
		}
	}
	return variables
}

// Every secret is asked for: without any one of them Compose starts nothing.
func TestComposeWantsEverySecret(t *testing.T) {
	all := secrets(t)
	_, err := images.Load(t.Context(), top(), all, []string{"*"})
	require.NoError(t, err)
	for i, left := range all {
		name, _, _ := strings.Cut(left, "=")
		for _, variables := range [][]string{slices.Delete(slices.Clone(all), i, i+1), append(slices.Clone(all), name+"=")} {
			_, err := images.Load(t.Context(), top(), variables, []string{"*"})
			require.ErrorContains(t, err, name)
		}
	}
}

func TestComposeIsHardened(t *testing.T) {
	project, err := images.Load(t.Context(), top(), secrets(t), []string{"*"})
	require.NoError(t, err)
	require.Len(t, project.Services, 12)
	for name, s := range project.Services {
		require.True(t, s.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		require.Empty(t, s.CapAdd, name)
		require.False(t, s.Privileged, name)
		require.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt, name)
		require.Regexp(t, `^[1-9]\d*:\d+$`, s.User, name)
		require.Positive(t, s.MemLimit, name)
		require.NotEmpty(t, s.Networks, name)
		for _, port := range s.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, name)
			require.Contains(t, []string{"balancer", "sidecar", "grafana"}, name, "is published")
		}
		for _, volume := range s.Volumes {
			require.NotContains(t, volume.Source, "docker.sock", name)
			require.Equal(t, volume.Type == types.VolumeTypeBind, volume.ReadOnly, "%s: a file of ours is for reading", name)
		}
		if images.Build(project, s) == nil {
			require.Regexp(t, `:v?\d+\.\d+|:17$`, s.Image, "%s: a version is named", name)
		}
	}
	for _, name := range []string{"store", "api", "metrics"} {
		require.True(t, project.Networks[name].Internal, name)
	}
}

// One service builds an image, the others use it, and no registry is asked for one of that name.
func TestComposeBuildsEachImageOnce(t *testing.T) {
	project, err := images.Load(t.Context(), top(), secrets(t), []string{"*"})
	require.NoError(t, err)
	built := map[string]string{}
	for name, s := range project.Services {
		if s.Build != nil {
			require.Empty(t, built[s.Image], "%s and %s build %s", name, built[s.Image], s.Image)
			require.Equal(t, types.PullPolicyBuild, s.PullPolicy, name)
			built[s.Image] = name
		} else if images.Build(project, s) != nil {
			require.Equal(t, types.PullPolicyNever, s.PullPolicy, name)
		}
	}
	require.Len(t, built, len(dockerfiles))
}

// A service that waits for another to be well needs that one to say so.
func TestComposeWaitsForWhatAnswers(t *testing.T) {
	project, err := images.Load(t.Context(), top(), secrets(t), []string{"*"})
	require.NoError(t, err)
	for name, s := range project.Services {
		for dependency, how := range s.DependsOn {
			other := project.Services[dependency]
			switch how.Condition {
			case types.ServiceConditionHealthy:
				tested := other.HealthCheck != nil && !other.HealthCheck.Disable
				if build := images.Build(project, other); build != nil && other.HealthCheck == nil {
					image, err := images.Read(filepath.Join(top(), build.Dockerfile))
					require.NoError(t, err)
					tested = len(image.Test) > 0
				}
				require.True(t, tested, "%s waits for %s", name, dependency)
			case types.ServiceConditionCompletedSuccessfully:
				require.Equal(t, "no", other.Restart, "%s waits for the end of %s", name, dependency)
			default:
				t.Errorf("%s does not wait for %s", name, dependency)
			}
		}
	}
}

func TestImages(t *testing.T) {
	for _, file := range dockerfiles {
		image, err := images.Read(filepath.Join(top(), file))
		require.NoError(t, err)
		require.Equal(t, "scratch", image.Base, file)
		require.Equal(t, "65532:65532", image.User, file)
		require.Equal(t, "CMD", image.Test[0], "%s: there is no shell", file)
		require.Regexp(t, "^/", image.Test[1], file)
		for _, label := range []string{"title", "description", "source", "licenses"} {
			require.NotEmpty(t, image.Labels["org.opencontainers.image."+label], "%s: %s", file, label)
		}
		for _, c := range image.Copies {
			require.NotEmpty(t, c.From, "%s: %v comes from the build's folder", file, c.Sources)
		}
	}
}

// anyImage answers for every base: what the linter asks of one is its environment.
type anyImage struct{}

func (anyImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/usr/bin"]},"rootfs":{"type":"layers"}}`), nil
}

func TestDockerfilesPassBuildKitsLinter(t *testing.T) {
	for _, file := range dockerfiles {
		content, err := os.ReadFile(filepath.Join(top(), file))
		require.NoError(t, err)
		source := llb.NewSourceMap(nil, file, "Dockerfile", content)
		source.Definition = &llb.Definition{}
		results, err := dockerfile2llb.DockerfileLint(t.Context(), content, dockerfile2llb.ConvertOpt{MetaResolver: anyImage{}, SourceMap: source})
		require.NoError(t, err)
		require.Nil(t, results.Error, file)
		require.Empty(t, results.Warnings, file)
		require.NotRegexp(t, regexp.MustCompile(`(?m)^FROM \S+:latest|^FROM [^:\s]+ AS`), string(content), "%s: a version is named", file)
	}
}
