package app_test

import (
	"context"
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/sentryagent/agentidp/idp/idptest"
	"github.com/sentryagent/agentidp/shared/httpx/tlstest"
	"github.com/sentryagent/agentidp/sidecar/internal/app"
)

// TestExtAuthz asks the running sidecar as Envoy does, over TLS.
func TestExtAuthz(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	s := newStage(t, idptest.Start(t), func(c *app.Config) {
		dir := t.TempDir()
		c.TLSCert, c.TLSKey = dir+"/cert.pem", dir+"/key.pem"
		authority.Write(c.TLSCert, c.TLSKey)
		c.ExtAuthzListen, c.TrustedProxies = "127.0.0.1:0", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}).start()
	conn, err := grpc.NewClient("passthrough:///"+s.app.ExtAuthzAddr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: authority.Pool})))
	require.NoError(t, err)
	defer conn.Close()
	client := auth.NewAuthorizationClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check := func(path, token string) *auth.CheckResponse {
		out, err := client.Check(ctx, &auth.CheckRequest{Attributes: &auth.AttributeContext{
			Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{Address: "192.0.2.1"}}}},
			Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
				Method: "GET", Path: path, Host: "api.example", Scheme: "https", Protocol: "HTTP/2", Headers: map[string]string{"authorization": "Bearer " + token},
			}},
		}})
		require.NoError(t, err)
		return out
	}

	agent, token := s.reader()
	out := check("/notes?x=1", token)
	require.Equal(t, int32(codes.OK), out.Status.Code)
	set := map[string]string{}
	for _, option := range out.GetOkResponse().Headers {
		set[option.Header.Key] = option.Header.Value
	}
	require.Equal(t, agent.AgentID, set["x-agent-id"])
	require.Equal(t, "notes:read", set["x-agent-scope"])
	require.Equal(t, "192.0.2.1", set["x-forwarded-for"])
	require.Equal(t, "https", set["x-forwarded-proto"])
	require.Equal(t, []string{"authorization"}, out.GetOkResponse().HeadersToRemove)
	require.Equal(t, int32(codes.Unauthenticated), check("/notes", token+"x").Status.Code)
	require.Equal(t, int32(codes.PermissionDenied), check("/nowhere", token).Status.Code)

	s.idp.Call("POST", "/api/v1/revocations", map[string]any{"type": "agent", "id": agent.AgentID, "reason": "test"}, nil)
	s.waitFor("the revocation is felt", func() bool { return check("/notes", token).Status.Code == int32(codes.Unauthenticated) })

	require.Empty(t, s.api.seen(), "nothing is forwarded from here")
	s.waitFor("the decisions are in the audit log", func() bool { return len(s.decisions()) >= 4 })
	require.Equal(t, "capability", s.decisions()[0].Reason)
	page := s.admin("/metrics").body
	require.Contains(t, page, `sidecar_asked_total{mode="ext_authz",allowed="true"}`)
	require.Contains(t, page, "sidecar_ext_authz_connections 1\n")

	s.stop()
	_, err = client.Check(ctx, &auth.CheckRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err))
}

// A port that is taken must not touch the data.
func TestExtAuthzPortTaken(t *testing.T) {
	s := newStage(t, idptest.Start(t)).start()
	other := newStage(t, s.idp, func(c *app.Config) {
		c.ExtAuthzListen, c.TrustedProxies = s.app.Addr().String(), []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	_, err := app.New(t.Context(), other.cfg, other.opts)
	require.ErrorContains(t, err, "listen on ext_authz_listen")
	require.Nil(t, s.app.ExtAuthzAddr())
}
