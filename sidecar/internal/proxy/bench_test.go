package proxy_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// cached collaborators: what the hop costs when token and decision are known.
type cached struct {
	identity proxy.Identity
	kept     atomic.Int64
}

func (c *cached) Recall(raw string) (proxy.Identity, bool) {
	id := c.identity
	id.Digest = sha256.Sum256([]byte(raw))
	return id, true
}

func (c *cached) Verify(context.Context, string) (proxy.Identity, error) {
	return proxy.Identity{}, errors.New("it is remembered")
}
func (c *cached) Revoked(*token.Claims) (string, bool) { return "", false }
func (c *cached) Stale() bool                          { return false }
func (c *cached) Known() bool                          { return true }
func (c *cached) Owe(int64)                            {}
func (c *cached) Admit() error                         { return nil }
func (c *cached) Decide(context.Context, [32]byte, policy.Input) (policy.Decision, error) {
	return policy.Decision{Allow: true, Reason: policy.ReasonCapability}, nil
}
func (c *cached) Append(*decision.Record) (int64, error) { return c.kept.Add(1), nil }

// BenchmarkHop compares a bare fasthttp hop with the sidecar's, same upstream,
// same client, warm token and decision.
func BenchmarkHop(b *testing.B) {
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		return ln
	}
	up := listen()
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(`{"data":[],"total":0,"page":1,"limit":20}`) }}
	go func() { _ = server.Serve(up) }()
	defer func() { _ = up.Close() }()

	bareListener := listen()
	hop := &fasthttp.HostClient{Addr: up.Addr().String(), MaxConns: 512}
	bare := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if err := hop.Do(&ctx.Request, &ctx.Response); err != nil {
			ctx.SetStatusCode(502)
		}
	}}
	go func() { _ = bare.Serve(bareListener) }()
	defer func() { _ = bareListener.Close() }()

	table, err := route.Load([]byte(routes))
	require.NoError(b, err)
	c := &cached{identity: proxy.Identity{Scope: []string{"notes:read", "notes:write"}, Claims: token.Claims{
		Subject: agentID, ClientID: clientID, Organization: organization, Scope: "notes:read notes:write", JTI: "jti", Audience: []string{audience},
		ExpiresAt: time.Now().Add(time.Hour).Unix(),
	}}}
	p, err := proxy.New(proxy.Options{
		Upstream: proxy.Upstream{URL: "http://" + up.Addr().String()}, Routes: table, Verifier: c, Revocations: c, Decider: c, Recorder: c,
		Organizations: func(string) bool { return true }, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	sidecar := listen()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, sidecar) }()
	defer func() { cancel(); <-served }()

	raw := tokens(b).good(b)
	for name, addr := range map[string]string{"bare": bareListener.Addr().String(), "sidecar": sidecar.Addr().String()} {
		b.Run(name, func(b *testing.B) {
			client := &fasthttp.HostClient{Addr: addr, MaxConns: 512}
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				request.SetRequestURI("http://" + addr + "/notes/1")
				request.Header.Set("Authorization", "Bearer "+raw)
				for pb.Next() {
					if err := client.Do(request, response); err != nil || response.StatusCode() != 200 {
						b.Error(err, response.StatusCode())
						return
					}
				}
			})
			client.CloseIdleConnections()
		})
	}
}
