//go:build images

// Package compose_test runs what docker-compose.yml says without a container
// engine: each service in its own network namespace, on its own read-only root,
// as its user and with its environment. Our images are assembled as their
// Dockerfiles say; PostgreSQL, Redis, HAProxy and Prometheus are Debian's.
package compose_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/deploy/dev/story"
)

// notOurs are the services that no package of Debian's can stand in for.
var notOurs = []string{"grafana"}

func TestTheStoryOnTheComposeFile(t *testing.T) {
	if os.Getenv("COMPOSE_WORLD") == "" {
		enter(t)
		return
	}
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, name := range []string{"redis", "migrate", "notes"} {
		require.NoError(t, w.up(ctx, name))
	}
	w.nothingElseIsWritable(t)
	w.networksAreApart(t)
	dir := t.TempDir()
	s := &stack.Stack{Addresses: stack.Addresses{IdP: "balancer:8080", Sidecar: "127.0.0.1:8081", Notes: "notes:8090"}, Bin: w.programs, Dir: dir, Elsewhere: w}
	require.NoError(t, s.Prepare())
	environment := w.Project.Services["idp-1"].Environment
	admin, err := json.Marshal(stack.Credential{ClientID: environment["AGENTIDP_BOOTSTRAP_CLIENT_ID"], ClientSecret: environment["AGENTIDP_BOOTSTRAP_CLIENT_SECRET"]})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.AdminFile(), admin, 0o600))
	passed, failed := story.Play(ctx, s, func(r story.Result) {
		t.Logf("%s (%s) %s", r.Title, r.Took.Round(time.Millisecond), r.Detail)
		require.NoError(t, r.Err, "%s\n%s", r.Title, w.logs())
		if strings.HasPrefix(r.Title, "the audit log lists") {
			w.prometheusSeesAll(t)
		}
	})
	require.Zero(t, failed)
	require.Equal(t, 18, passed)
}

// nothingElseIsWritable: the same images, told to write beside their volume.
func (w *world) nothingElseIsWritable(t *testing.T) {
	for name, command := range map[string][]string{
		"notes": {"/usr/local/bin/notes", "-addr", "127.0.0.1:1", "-file", "/usr/local/notes.jsonl"},
		"idp-1": {"/usr/local/bin/agentidp", "serve", "--data-dir", "/srv/data", "--issuer", "http://127.0.0.1:8080"},
	} {
		c, err := w.command(t.Context(), name, command)
		require.NoError(t, err)
		c.Env = c.Env[:1]
		printed, err := c.CombinedOutput()
		require.Error(t, err, name)
		require.Contains(t, string(printed), "read-only file system", name)
	}
}

// networksAreApart: what is behind the sidecar and the IdPs is out of reach for who is not on its network.
func (w *world) networksAreApart(t *testing.T) {
	reaches := func(from, to, port string) bool {
		address := w.address(to, slices.Sorted(keys(w.Project.Services[to].Networks))[0])
		return exec.CommandContext(t.Context(), "nsenter", "--net=/run/netns/"+from, "timeout", "2", "bash", "-c", "</dev/tcp/"+address+"/"+port).Run() == nil
	}
	require.True(t, reaches("idp-1", "postgres", "5432"))
	require.False(t, reaches("sidecar", "postgres", "5432"))
	require.False(t, reaches("balancer", "redis", "6379"))
	require.True(t, reaches("sidecar", "notes", "8090"))
	require.False(t, reaches("balancer", "notes", "8090"))
}

func (w *world) prometheusSeesAll(t *testing.T) {
	require.NoError(t, w.up(t.Context(), "prometheus"))
	require.EventuallyWithT(t, func(c *assertT) {
		answer, err := http.Get("http://prometheus:9090/api/v1/query?query=up")
		require.NoError(c, err)
		defer answer.Body.Close()
		var body struct {
			Data struct{ Result []struct{ Value []any } }
		}
		require.NoError(c, json.NewDecoder(answer.Body).Decode(&body))
		require.Len(c, body.Data.Result, 3)
		for _, target := range body.Data.Result {
			require.Equal(c, "1", target.Value[1])
		}
	}, time.Minute, time.Second, "both IdPs and the sidecar")
}

// Start runs every service that can be run here, and forwards what is published.
func (w *world) Start(ctx context.Context) error {
	for name := range w.Project.Services {
		if !slices.Contains(notOurs, name) {
			if err := w.up(ctx, name); err != nil {
				return err
			}
		}
		for _, port := range w.Project.Services[name].Ports {
			if err := forward(net.JoinHostPort(port.HostIP, port.Published), net.JoinHostPort(w.address(name, "front"), port.target())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) StartIdP(ctx context.Context) error {
	for _, name := range []string{"idp-1", "idp-2"} {
		if err := w.up(ctx, name); err != nil {
			return err
		}
	}
	return w.healthy(ctx, "balancer")
}

func (w *world) StartSidecar(ctx context.Context) error { return w.up(ctx, "sidecar") }
func (w *world) StopIdP() error                         { return w.stop("idp-1", "idp-2") }
func (w *world) StopSidecar() error                     { return w.stop("sidecar") }

func (w *world) Close() error {
	return w.stop("sidecar", "prometheus", "balancer", "idp-1", "idp-2", "notes", "redis", "postgres")
}

func (w *world) Environment() []string { return environ(w.Project.Services["idp-1"].Environment) }

// logs are the last lines of each service.
func (w *world) logs() string {
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(w.dir, "*.log"))
	for _, file := range files {
		content, _ := os.ReadFile(file)
		all.WriteString(filepath.Base(file) + ":\n" + string(content[max(0, len(content)-2000):]) + "\n")
	}
	return all.String()
}
