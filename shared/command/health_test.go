package command_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/command"
)

func TestHealthAsksTheProcessBesideIt(t *testing.T) {
	status := http.StatusOK
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(status)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	addr, port := strings.TrimPrefix(plain.URL, "http://"), plain.URL[strings.LastIndex(plain.URL, ":"):]
	asked := func(environ []string, args ...string) error {
		cmd := command.Health(command.Process{Environ: environ}, command.Probe{Addr: "X_ADDR", Default: addr, Cert: "X_CERT", Path: "/health"})
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		return cmd.ExecuteContext(t.Context())
	}
	require.NoError(t, asked(nil))
	require.NoError(t, asked([]string{"X_ADDR=0.0.0.0" + port}))
	require.NoError(t, asked([]string{"X_ADDR=" + port}))
	require.NoError(t, asked([]string{"X_ADDR=" + strings.TrimPrefix(secure.URL, "https://"), "X_CERT=/etc/tls.crt"}))
	require.NoError(t, asked([]string{"X_ADDR=127.0.0.1:1"}, "--url", plain.URL+"/health"))
	require.ErrorContains(t, asked(nil, "--url", plain.URL+"/elsewhere"), "404")
	require.ErrorContains(t, asked([]string{"X_ADDR=127.0.0.1:1"}), "not well")
	status = http.StatusServiceUnavailable
	require.ErrorContains(t, asked(nil), "503")
}
