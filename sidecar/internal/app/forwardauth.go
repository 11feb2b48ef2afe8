package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/forwardauth"
)

// forwardAuth is the port where nginx, Traefik and Caddy ask; its zero value is off.
type forwardAuth struct {
	listener net.Listener
	server   *forwardauth.Server
}

func (a *App) listenForwardAuth(ctx context.Context) (err error) {
	if a.cfg.ForwardAuthListen == "" {
		return nil
	}
	if a.forwards.listener, err = (&net.ListenConfig{KeepAlive: time.Minute}).Listen(ctx, "tcp", a.cfg.ForwardAuthListen); err != nil {
		return fmt.Errorf("listen on forward_auth_listen: %w", err)
	}
	return nil
}

// composeForwardAuth comes after the proxy, whose engine it asks.
func (a *App) composeForwardAuth(context.Context) (err error) {
	if a.forwards.listener == nil {
		return nil
	}
	a.forwards.server, err = forwardauth.New(forwardauth.Options{
		Ask: a.proxy.Ask, Peers: a.cfg.TrustedProxies, TLS: a.tls, Drain: a.cfg.DrainTimeout, Log: a.logger, Metrics: a.metrics,
	})
	return err
}

func (a *App) serveForwardAuth(ctx context.Context) error {
	if a.forwards.server == nil {
		<-ctx.Done()
		return nil
	}
	err := a.forwards.server.Serve(ctx, a.forwards.listener)
	if errors.Is(err, httpx.ErrCut) {
		a.logger.WarnContext(ctx, "forward-auth questions were cut", "error", err)
		return nil
	}
	return err
}

// ForwardAuthAddr is where proxies ask; nil when that is off.
func (a *App) ForwardAuthAddr() net.Addr {
	if a.forwards.listener == nil {
		return nil
	}
	return a.forwards.listener.Addr()
}
