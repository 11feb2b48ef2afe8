package main

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheBareProxyPassesOn(t *testing.T) {
	api, bare := free(t), free(t)
	go func() { _ = run([]string{"api", api}) }() // until the test's process ends
	go func() { _ = run([]string{"bare", bare, api}) }()
	for _, addr := range []string{api, bare} {
		require.Eventually(t, func() bool {
			answer, err := http.Get("http://" + addr + "/notes")
			return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK && answer.Header.Get("Content-Type") == "application/json"
		}, time.Minute, 5*time.Millisecond)
	}
	require.Error(t, run(nil))
}

func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
