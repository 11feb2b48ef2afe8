//go:build envoy

package modes_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A real Envoy is one more mode; AGENTIDP_ENVOY names the program. Debian has no
// package of it, so it has a tag and is tried by make long-envoy.
func init() { modes = append(modes, mode{realEnvoy, behindEnvoy}) }

func behindEnvoy(s *scene) func(*testing.T, request) answer { return s.through(s.envoy()) }

// envoy starts the example of deploy/envoy on a free port.
func (s *scene) envoy() (address string) {
	t := s.t
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "envoy", "envoy.yaml"))
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = ln.Addr().String()
	require.NoError(t, ln.Close())
	var pairs []string
	for example, actual := range map[string]string{"8000": address, "8085": s.extAuthz(), "8090": s.api.Listener.Addr().String()} {
		_, port, err := net.SplitHostPort(actual)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(content), "port_value: "+example))
		pairs = append(pairs, "port_value: "+example, "port_value: "+port)
	}
	config := filepath.Join(t.TempDir(), "envoy.yaml")
	require.NoError(t, os.WriteFile(config, []byte(strings.NewReplacer(pairs...).Replace(string(content))), 0o600))
	program := os.Getenv("AGENTIDP_ENVOY")
	require.NotEmpty(t, program, "AGENTIDP_ENVOY names an Envoy")
	cmd := exec.Command(program, "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ended shows in its log
		require.NoError(t, log.Close())
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	}, 10*time.Second, 20*time.Millisecond, "envoy never listened: %s", log.Name())
	return address
}

// What comes by HTTP/2 is judged as the request it is.
func TestEnvoyOverHTTP2(t *testing.T) {
	w := newWorld(t)
	s := w.scene(t)
	address := s.envoy()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	for _, fact := range []struct {
		credentials []string
		status      int
		reason      string
	}{
		{[]string{"Bearer " + w.tokens["good"]}, 200, "capability"},
		{[]string{"Bearer " + w.tokens["reader"], "Bearer " + w.tokens["good"]}, 400, "credential_duplicate"},
		{nil, 401, "token_missing"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/notes?x=1", nil)
		require.NoError(t, err)
		request.Header["Authorization"], request.Host = fact.credentials, "api.example"
		before := len(s.records.since(0))
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, 2, response.ProtoMajor)
		require.Equal(t, fact.status, response.StatusCode)
		records := s.records.since(before)
		require.Len(t, records, 1)
		require.Equal(t, fact.reason, records[0].Reason)
	}
}
