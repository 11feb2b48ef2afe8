package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/extauthz"
)

// asked is the port where Envoy asks; its zero value is off.
type asked struct {
	listener net.Listener
	server   *extauthz.Server
}

func (a *App) listenExtAuthz(ctx context.Context) (err error) {
	if a.cfg.ExtAuthzListen == "" {
		return nil
	}
	if a.extAuthz.listener, err = (&net.ListenConfig{KeepAlive: time.Minute}).Listen(ctx, "tcp", a.cfg.ExtAuthzListen); err != nil {
		return fmt.Errorf("listen on ext_authz_listen: %w", err)
	}
	return nil
}

// composeExtAuthz comes after the proxy, whose engine it asks.
func (a *App) composeExtAuthz(context.Context) (err error) {
	if a.extAuthz.listener == nil {
		return nil
	}
	a.extAuthz.server, err = extauthz.New(extauthz.Options{
		Ask: a.proxy.Ask, Peers: a.cfg.TrustedProxies, TLS: a.tls, Drain: a.cfg.DrainTimeout, Log: a.logger, Metrics: a.metrics,
	})
	return err
}

func (a *App) serveExtAuthz(ctx context.Context) error {
	if a.extAuthz.server == nil {
		<-ctx.Done()
		return nil
	}
	err := a.extAuthz.server.Serve(ctx, a.extAuthz.listener)
	if errors.Is(err, extauthz.ErrCut) {
		a.logger.WarnContext(ctx, "ext_authz calls under way were cut", "error", err)
		return nil
	}
	return err
}

// ExtAuthzAddr is where Envoy asks; nil when that is off.
func (a *App) ExtAuthzAddr() net.Addr {
	if a.extAuthz.listener == nil {
		return nil
	}
	return a.extAuthz.listener.Addr()
}
