package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/authn"
	"github.com/sentryagent/agentidp/sidecar/internal/decide"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
	"github.com/sentryagent/agentidp/sidecar/internal/syncer"
)

// Options are what a process gives beside the settings; the zero value works.
type Options struct {
	Logger *slog.Logger     // default slog.Default
	Now    func() time.Time // default time.Now
}

// App is a composed sidecar, listening but not yet serving.
type App struct {
	cfg      Config
	logger   *slog.Logger
	now      func() time.Time
	metrics  *metrics.Set
	main     net.Listener
	admin    *httpx.Listener
	routes   *routes
	table    *route.Table // the first one; the proxy has the one in force
	policy   *policy.Holder
	spool    *spool.Spool
	syncer   *syncer.Syncer
	tokens   *authn.Authenticator
	decider  *decide.Decider
	proxy    *proxy.Proxy
	extAuthz asked
	forwards forwardAuth
	stopping atomic.Bool

	reloading sync.Mutex
	watched   []*watched // guarded by reloading

	tls, upstreamTLS, idpTLS *tls.Config  // nil: none, the system's authorities
	certificates             []*httpx.TLS // those to reload
}

// New listens, opens the data folder and composes everything. It calls nobody.
func New(ctx context.Context, cfg Config, o Options) (_ *App, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &App{cfg: cfg, logger: o.Logger, now: o.Now, metrics: metrics.NewSet()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if cfg.Pprof {
		obs.RecordContention()
	}
	for _, step := range []func(context.Context) error{a.openTLS, a.listen, a.listenExtAuthz, a.listenForwardAuth, a.load, a.open, a.compose, a.composeExtAuthz, a.composeForwardAuth} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	a.meter()
	return a, nil
}

// listen comes first: a port that is taken must not touch the data.
func (a *App) listen(ctx context.Context) (err error) {
	if a.main, err = (&net.ListenConfig{KeepAlive: time.Minute}).Listen(ctx, "tcp", a.cfg.Addr); err != nil {
		return fmt.Errorf("listen on addr: %w", err)
	}
	if a.admin, err = httpx.Listen(a.cfg.AdminAddr, httpx.ListenOptions{}); err != nil {
		return fmt.Errorf("listen on admin_addr: %w", err)
	}
	return nil
}

// load reads what the operator wrote.
func (a *App) load(ctx context.Context) (err error) {
	a.watchFiles() // before they are read: a change meanwhile is another one
	a.routes = &routes{file: a.cfg.Routes, at: a.now()}
	if a.table, err = a.routes.read(); err != nil {
		return err
	}
	if a.cfg.PolicyBundle {
		a.policy = policy.NewEmptyHolder(a.cfg.policyOptions(a.now)) // the syncer fills it
	} else if a.policy, err = policy.NewHolder(ctx, a.cfg.policyFolder(), a.cfg.policyOptions(a.now)); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

// open opens what lies on disk.
func (a *App) open(ctx context.Context) (err error) {
	a.spool, err = spool.Open(a.cfg.spoolDir(), spool.Options{
		MaxBytes: a.cfg.SpoolMaxBytes, Policy: a.cfg.spoolPolicy(), Local: a.cfg.foreign(), Now: a.now, Logger: a.logger, Metrics: a.metrics,
	})
	if err != nil {
		return err
	}
	options := syncer.Options{
		Issuer: a.cfg.Issuer, IdPURL: a.cfg.IdPURL, JWKSURL: a.cfg.JWKSURL, Local: a.cfg.foreign(),
		ClientID: a.cfg.ClientID, ClientSecret: a.cfg.ClientSecret, DataDir: a.cfg.DataDir,
		Name: a.cfg.name(), Version: obs.ReadBuild().Version, PolicyRevision: a.policy.Revision,
		KeysTTL: a.cfg.JWKSTTL, KeysCooldown: a.cfg.JWKSCooldown, KeysMaxStale: a.cfg.JWKSMaxStale, RevocationMaxStale: a.cfg.RevocationMaxStale,
		PollWait: a.cfg.RevocationMaxStale / 2, // the feed must answer before it counts as silent
		TLS:      a.idpTLS,
		Spool:    a.spool, Now: a.now, Logger: a.logger, Metrics: a.metrics,
	}
	if a.cfg.PolicyBundle {
		options.TakePolicy = a.takePolicy
	}
	a.syncer, err = syncer.New(ctx, options)
	return err
}

// leeway is granted for clocks that differ.
const leeway = 5 * time.Second

func (a *App) compose(context.Context) (err error) {
	a.tokens, err = authn.New(authn.Options{
		Issuer: a.cfg.Issuer, Audience: a.cfg.Audience, Keys: a.syncer.Keys(), Leeway: leeway, AllowForeign: a.cfg.foreign(), Now: a.now, Metrics: a.metrics,
	})
	if err != nil {
		return err
	}
	if a.decider, err = decide.New(a.policy, decide.Options{Metrics: a.metrics, Now: a.now}); err != nil {
		return err
	}
	a.proxy, err = proxy.New(proxy.Options{
		Upstream: proxy.Upstream{URL: a.cfg.Upstream, TLS: a.upstreamTLS}, TLS: a.tls, Routes: a.table, Verifier: verifier{a.tokens}, Revocations: a.syncer.Revocations(),
		Decider: a.decider, Recorder: a.spool, Organizations: a.cfg.allows(a.syncer.Organization), PolicyRevision: a.policy.Revision, Issuer: a.cfg.Issuer,
		TrustedPeers: a.cfg.TrustedProxies, MaxBody: a.cfg.MaxBodyBytes, Drain: a.cfg.DrainTimeout,
		Log: a.logger, Metrics: a.metrics, Now: a.now,
	})
	return err
}

// verifier gives the proxy what the authenticator found.
type verifier struct{ tokens *authn.Authenticator }

func (v verifier) Recall(raw string) (proxy.Identity, bool) {
	identity, known := v.tokens.Recall(raw)
	return proxy.Identity(identity), known
}

func (v verifier) Verify(ctx context.Context, raw string) (proxy.Identity, error) {
	identity, err := v.tokens.Verify(ctx, raw)
	return proxy.Identity(identity), err
}

// Addr is where clients call.
func (a *App) Addr() net.Addr { return a.main.Addr() }

// AdminAddr is where operators look.
func (a *App) AdminAddr() net.Addr { return a.admin.Addr() }

// Reload reads certificates, routes and policy again. What does not load leaves
// the old one in force, which the log, a gauge and /ready say.
func (a *App) Reload(ctx context.Context) {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	for _, certificate := range a.certificates {
		_ = certificate.Reload(ctx) // logged and counted there; the old one stays
	}
	for _, w := range a.watched {
		w.read(ctx)
	}
}

func (a *App) reloaded(ctx context.Context, what string, err error) {
	result := "good"
	if err != nil {
		result = "failed"
		a.logger.ErrorContext(ctx, "not reloaded, the old one stays", "what", what, "error", err)
	} else {
		a.logger.InfoContext(ctx, "reloaded", "what", what, "routes", len(a.proxy.Table().Routes()), "policy", a.policy.Revision())
	}
	a.metrics.GetOrCreateCounter(obs.Name("sidecar_"+what+"_reload_total", "result", result)).Inc()
}

// Close lets go of everything that New took. After Run it does nothing more.
func (a *App) Close() error {
	var errs []error
	closed := func(err error) {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.main != nil {
		closed(a.main.Close())
	}
	if a.extAuthz.listener != nil {
		closed(a.extAuthz.listener.Close())
	}
	if a.forwards.listener != nil {
		closed(a.forwards.listener.Close())
	}
	if a.admin != nil {
		closed(a.admin.Close())
	}
	if a.tokens != nil {
		a.tokens.Close()
		a.tokens = nil
	}
	if a.decider != nil {
		a.decider.Close()
		a.decider = nil
	}
	if a.spool != nil {
		errs = append(errs, a.spool.Close())
		a.spool = nil
	}
	return errors.Join(errs...)
}
