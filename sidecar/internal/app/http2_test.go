package app_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// A gRPC service behind the sidecar, and HTTP/2 on the port that has TLS.
func TestGRPCThroughTheSidecar(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	service := grpc.NewServer()
	state := health.NewServer()
	grpc_health_v1.RegisterHealthServer(service, state)
	served := make(chan error, 1)
	go func() { served <- service.Serve(ln) }()
	t.Cleanup(func() { service.Stop(); require.NoError(t, <-served) })

	ca := tlstest.NewAuthority(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	ca.Write(cert, key)
	s := newStage(t, idptest.Start(t), func(c *app.Config) {
		c.TLSCert, c.TLSKey = cert, key
		c.Routes = writeFile(t, "grpc.yaml", "upstreams: {health: {urls: ['http://"+ln.Addr().String()+"'], protocol: h2}}\n"+
			"routes:\n  - {path: '/grpc.health.v1.Health/**', methods: [POST], capability: notes:read, upstream: health}\n  - {path: /notes, capability: notes:read}\n")
	}).start()
	_, token := s.reader()
	trust := &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}

	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.app.Addr().String()+"/notes", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "HTTP/2.0 200", response.Proto+" "+response.Status[:3])

	conn, err := grpc.NewClient("passthrough:///"+s.app.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	caller := grpc_health_v1.NewHealthClient(conn)
	_, err = caller.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	asAgent := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	answer, err := caller.Check(asAgent, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, answer.GetStatus())

	// A call that lasts ends with its agent. It is told why if that takes no longer
	// than a tenth of a second: on a machine that is busy the next one may be.
	s.waitFor("it is told why", func() bool {
		agent, token := s.reader()
		watch, err := caller.Watch(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), &grpc_health_v1.HealthCheckRequest{})
		require.NoError(t, err)
		_, err = watch.Recv()
		require.NoError(t, err)
		s.idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "suspended"}, nil)
		_, err = watch.Recv()
		require.Error(t, err)
		reason := watch.Trailer().Get("x-agentidp-error")
		return status.Code(err) == codes.Unauthenticated && len(reason) == 1 && reason[0] == "agent_revoked"
	})
	s.waitFor("nothing is under way", func() bool { return strings.Contains(s.admin("/metrics").body, "sidecar_http2_requests 0\n") })
}
