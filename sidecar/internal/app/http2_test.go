package app_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
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
	agent, token := s.reader()
	trust := &tls.Config{RootCAs: ca.Pool, MinVersion: tls.VersionTLS12}

	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}}
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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	caller := grpc_health_v1.NewHealthClient(conn)
	_, err = caller.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	asAgent := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	answer, err := caller.Check(asAgent, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, answer.GetStatus())

	// A call that lasts ends with its agent.
	watch, err := caller.Watch(asAgent, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = watch.Recv()
	require.NoError(t, err)
	s.idp.Call(http.MethodPatch, "/api/v1/agents/"+agent.AgentID, map[string]any{"status": "suspended"}, nil)
	_, err = watch.Recv()
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.Equal(t, []string{"agent_revoked"}, watch.Trailer().Get("x-agentidp-error"))
	require.Contains(t, s.admin("/metrics").body, "sidecar_http2_requests 0\n")
}
