// Package extauthz answers Envoy's external authorization over gRPC
// (envoy.service.auth.v3.Authorization): Envoy holds the request, the sidecar
// judges it. Every request that is judged has its answer in the message; an
// error of the call is left to those that were not, because an Envoy with
// failure_mode_allow would let them pass.
package extauthz

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/VictoriaMetrics/metrics"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// ErrCut is wrapped by Serve's error when the drain time ended before all calls did.
var ErrCut = errors.New("calls were cut")

// Bounds of what a peer can hold.
const (
	maxMessage     = 96 << 10 // bytes of a CheckRequest: a whole head, and 64 KiB for the rest
	maxCallHead    = 16 << 10 // bytes of a call's own header
	maxCalls       = 1_000    // at once on a connection
	maxConnections = 1_024    // Envoy has one for each of its threads
	setup          = 10 * time.Second
	drainTime      = 10 * time.Second
)

// Options of a Server. Ask and Peers are required; a zero value of the rest
// takes its default.
type Options struct {
	Ask   func(proxy.Question) proxy.Verdict // the engine
	Peers []netip.Prefix                     // who may ask: they tell of whom a request is
	TLS   *tls.Config                        // nil: plain text

	Drain time.Duration // for calls under way when Serve is to end, default 10 s

	Log     *slog.Logger
	Metrics *metrics.Set
}

// Server serves one listener. Make it with New.
type Server struct {
	auth.UnimplementedAuthorizationServer
	Options
	meters *meters
}

// New checks the options. It starts nothing.
func New(o Options) (*Server, error) {
	if o.Ask == nil {
		return nil, errors.New("extauthz: Options.Ask is required")
	}
	if len(o.Peers) == 0 {
		return nil, errors.New("extauthz: Options.Peers is required: who may ask must be known")
	}
	if o.Drain == 0 {
		o.Drain = drainTime
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	return &Server{Options: o, meters: newMeters(o.Metrics)}, nil
}

// Serve answers calls on the listener until ctx ends, then lets those under way
// finish for up to Drain. It returns when no call is under way any more: nil, an
// error of the listener, or one that wraps ErrCut. Call it once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxHeaderListSize(maxCallHead), grpc.MaxConcurrentStreams(maxCalls),
		grpc.ConnectionTimeout(setup), grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if s.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.TLS)))
	}
	server := grpc.NewServer(options...)
	auth.RegisterAuthorizationServer(server, s)
	bounded := newListener(ln, s.Peers, s.meters)

	served := make(chan error, 1)
	go func() { served <- server.Serve(bounded) }()
	select {
	case err := <-served:
		server.Stop()
		return fmt.Errorf("ext_authz: %w", err)
	case <-ctx.Done():
	}
	cut := time.AfterFunc(s.Drain, server.Stop)
	server.GracefulStop()
	var late error
	if !cut.Stop() {
		late = fmt.Errorf("ext_authz: %w after %v", ErrCut, s.Drain)
	}
	err := <-served
	if errors.Is(err, grpc.ErrServerStopped) { // before it had begun
		err = nil
	}
	return errors.Join(late, err)
}
