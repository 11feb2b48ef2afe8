package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/policies"
)

// watched is a world of this process, which answers with the metrics.
func watched(t *testing.T, metrics string) *world {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(metrics)) }))
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	w := &world{Stack: &stack.Stack{Addresses: stack.Addresses{SidecarAdmin: addr, IdPAdmin: addr}, Dir: t.TempDir()}}
	w.programs = [2]program{{"idp", os.Getpid(), addr}, {"sidecar", os.Getpid(), addr}}
	return w
}

func TestWhatAProgramHolds(t *testing.T) {
	w := watched(t, "go_goroutines 41\nsidecar_audit_spooled_bytes 4194304\nsidecar_audit_lost_total 2\nsidecar_records_refused_total 1\n"+
		"sidecar_audit_next_seq 7\nsidecar_audit_acked_seq 7\n")
	before, err := w.look(t.Context())
	require.NoError(t, err)
	require.Equal(t, 41, before.programs[1].Goroutines)
	require.Greater(t, before.programs[0].RSS, int64(1<<20))
	for range 20 {
		file, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer file.Close() //nolint:gocritic // they are to be open together
	}
	after, err := w.look(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, after.programs[0].FDs, before.programs[0].FDs+10)
	lost, err := w.lost(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, lost)
	require.NoError(t, w.shipped(t.Context()))
	after.tokens, after.calls = load.NewResult("tokens"), load.NewResult("calls")
	require.Regexp(t, `tokens +0/s .* sidecar +\d+ MiB +\d+ fds +41 goroutines +spool 4.0 MiB$`, after.String())

	_, err = watched(t, "").look(t.Context())
	require.ErrorContains(t, err, "the idp: there is no metric go_goroutines")
}

func TestReloadsAreCountedOfBothPrograms(t *testing.T) {
	counts, err := watched(t, "agentidp_policy_epoch 3\nsidecar_policy_reload_total{result=\"good\"} 2\nsidecar_routes_reload_total{result=\"good\"} 1\n").reloads(t.Context())
	require.NoError(t, err)
	require.Equal(t, [3]float64{3, 2, 1}, counts)
}

// Every turn changes every file, and leaves nothing else in a folder of policies.
func TestRewrite(t *testing.T) {
	w := watched(t, "")
	w.Routes, w.routes = filepath.Join(w.Dir, "routes.yaml"), []byte("routes:\n")
	idp, sidecar := policyFolders(w.Dir)
	require.NoError(t, os.CopyFS(idp, policies.Files))
	require.NoError(t, os.CopyFS(sidecar, policies.Sidecar))
	seen := map[string]bool{}
	for turn := range 3 {
		require.NoError(t, w.rewrite(turn))
		for _, path := range []string{w.Routes, filepath.Join(idp, changing), filepath.Join(sidecar, changing)} {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			require.False(t, seen[path+string(content)], path)
			seen[path+string(content)] = true
		}
	}
	files, err := os.ReadDir(sidecar)
	require.NoError(t, err)
	require.Len(t, files, 3)
}

func TestSigner(t *testing.T) {
	kid, err := signer(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"one"}`)) + ".payload.signature")
	require.NoError(t, err)
	require.Equal(t, "one", kid)
	_, err = signer("???.payload.signature")
	require.Error(t, err)
}
