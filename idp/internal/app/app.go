package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/apidocs"
	"github.com/sentryagent/agentidp/idp/dashboard"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/failpoint"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/jwksfetch"
	"github.com/sentryagent/agentidp/idp/internal/ratelimit"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/statuslist"
	"github.com/sentryagent/agentidp/idp/internal/vault"
	"github.com/sentryagent/agentidp/idp/internal/volatile/redis"
	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/trace"
	"github.com/sentryagent/agentidp/shared/trace/otlp"
)

// Options are what a process gives beside the settings; the zero value works.
type Options struct {
	Logger *slog.Logger // default slog.Default
	Now    idp.Clock    // default time.Now
	// Notice is shown the first administrator's secret, once; default: nobody
	// is, it lies in the data folder.
	Notice io.Writer
	// GrantLog stands before the audit log where tokens are issued. The benchmark
	// puts a stub there; default: the log itself.
	GrantLog func(grants.Log) grants.Log
	// Policy says how long decisions and the policy's own tests may take. Tests
	// give them more, on machines that are slow; default: policy's.
	Policy policy.Options
}

// Logger makes the logger that the settings ask for.
func (c *Config) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	return obs.NewLogger(w, c.LogFormat, level)
}

// App is a composed IdP, listening but not yet serving.
type App struct {
	cfg    Config
	logger *slog.Logger
	notice io.Writer
	now    idp.Clock
	// grantLog wraps log for issuance; nil: it does not.
	grantLog func(grants.Log) grants.Log
	options  policy.Options // of the policy
	metrics  *metrics.Set
	db       *database
	sealer   *issuer.Sealer
	vault    *vault.Client // nil without Vault
	shared   shared
	redis    *redis.Client // nil without Redis
	fetcher  *jwksfetch.Fetcher
	issuer   *issuer.Issuer
	log      *auditlog.Log
	clients  *clientauth.Authenticator
	reg      *registry.Service
	revoked  *revocation.Service
	indexes  *statuslist.Indexes
	lists    *statuslist.Lists
	policy   *policy.Holder
	api      *httpapi.API
	main     *httpx.Listener
	tls      *httpx.TLS      // nil without a certificate
	spans    *otlp.Exporter  // nil without a collector
	admin    *httpx.Listener // nil on loopback without profiles: main serves metrics there
	fallback atomic.Bool     // it was said that crypto/rsa signs instead
}

// New opens the store and the keys, composes everything and listens.
func New(ctx context.Context, cfg Config, o Options) (_ *App, err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Notice == nil {
		o.Notice = io.Discard
	}
	o.Now = failpoint.Clock(o.Now)
	a := &App{cfg: cfg, logger: o.Logger, notice: o.Notice, now: o.Now, grantLog: o.GrantLog, options: o.Policy, metrics: metrics.NewSet()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := a.listen(); err != nil {
		return nil, err
	}
	if cfg.Pprof {
		obs.RecordContention()
	}
	if err := a.open(ctx, o.Now); err != nil {
		return nil, err
	}
	return a, a.compose(ctx, o.Now)
}

// listen comes first: a port that is taken must not touch the data, and
// with port 0 the issuer follows from what was given.
func (a *App) listen() (err error) {
	limits := httpx.ListenOptions{MaxPerAddress: maxPerAddress, Exempt: a.cfg.TrustedProxies}
	if a.cfg.Loopback() {
		limits.MaxPerAddress = 0
	}
	if a.cfg.TLSCert != "" {
		a.tls, err = httpx.OpenTLS(httpx.TLSOptions{CertFile: a.cfg.TLSCert, KeyFile: a.cfg.TLSKey, Now: a.now, Logger: a.logger, Metrics: a.metrics})
		if err != nil {
			return err
		}
		limits.TLS = a.tls.Config()
	}
	if a.main, err = httpx.Listen(a.cfg.Addr, limits); err != nil {
		return fmt.Errorf("listen on addr: %w", err)
	}
	if a.cfg.Issuer == "" {
		a.cfg.Issuer = a.cfg.scheme() + a.main.Addr().String()
	}
	if !a.cfg.Loopback() || a.cfg.Pprof {
		if a.admin, err = httpx.Listen(a.cfg.AdminAddr, httpx.ListenOptions{}); err != nil {
			return fmt.Errorf("listen on admin_addr: %w", err)
		}
	}
	return nil
}

const exportLimit = 5 * time.Second // for the last spans at the end

const maxPerAddress = 1024 // open connections of one client address

// open opens what lies on disk.
func (a *App) open(ctx context.Context, now idp.Clock) error {
	var err error
	if a.vault, err = openVault(ctx, a.cfg, a.logger, a.metrics, now); err != nil {
		return err
	}
	sealer, db, err := openData(ctx, a.cfg, a.vault, a.logger, startPatience)
	if err != nil {
		return err
	}
	a.db, a.sealer = db, sealer
	if a.issuer, err = issuer.Open(ctx, db, sealer, a.cfg.Signer, now); err != nil {
		return err
	}
	a.warnOfFallback(ctx)
	a.issuer.Instrument(a.metrics)
	a.issuer.Follow(a.cfg.schedule())
	origin, err := logOrigin(a.cfg.Issuer)
	if err != nil {
		return err
	}
	key, err := auditlog.OpenCheckpointKey(ctx, db, sealer, origin, now)
	if err != nil {
		return err
	}
	a.log = auditlog.New(db, key, auditlog.Options{Now: now, Logger: a.logger, Metrics: a.metrics, CheckpointFile: a.cfg.CheckpointPath()})
	return nil
}

// logOrigin names the log: the issuer without its scheme (C2SP tlog-checkpoint).
func logOrigin(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("issuer: %w", err)
	}
	return u.Host + u.Path + "/audit", nil
}

func makeFolder(cfg Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// openData makes the folder on first use and opens the master key and the store.
// Each has patience to become reachable.
func openData(ctx context.Context, cfg Config, keeper *vault.Client, logger *slog.Logger, patience time.Duration) (sealer *issuer.Sealer, db *database, err error) {
	if err := makeFolder(cfg); err != nil {
		return nil, nil, err
	}
	var master []byte
	err = theVault.await(ctx, patience, logger, func() (err error) {
		master, err = masterKey(ctx, cfg, keeper)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if sealer, err = issuer.NewSealer(master); err != nil {
		return nil, nil, err
	}
	err = theDatabase.await(ctx, patience, logger, func() (err error) {
		db, err = openStore(ctx, cfg, logger)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return sealer, db, nil
}

func (a *App) compose(ctx context.Context, now idp.Clock) (err error) {
	hasher, others, err := a.cfg.hashers(ctx, a.vault, func(err error) { a.logger.WarnContext(ctx, "Vault does not answer yet", "error", err) })
	if err != nil {
		return err
	}
	if err := a.share(ctx, now); err != nil {
		return err
	}
	a.fetcher = jwksfetch.New(jwksfetch.Options{Allow: a.cfg.JWKSAllow, AllowHTTP: a.cfg.AllowHTTP, Now: now, Metrics: a.metrics})
	a.clients, err = clientauth.New(clientauth.Options{
		DB: a.db, Hasher: hasher, Others: others, Commit: clientauth.Commit(commitOf(a.log)), Now: now, Metrics: a.metrics, Logger: a.logger,
		Issuer: a.cfg.Issuer, KeySource: a.fetcher,
	})
	if err != nil {
		return err
	}
	a.reg = registry.New(registry.Options{DB: a.db, Log: a.log, Hasher: a.clients.Hasher(), Limits: a.cfg.limits(), Now: now, AllowHTTP: a.cfg.AllowHTTP, Metrics: a.metrics, Forget: a.forget})
	a.revoked, err = revocation.Open(ctx, revocation.Options{
		DB: a.db, Log: a.log, Keys: a.issuer.Keys(), Signer: a.issuer, Issuer: a.cfg.Issuer, Bus: a.shared, Now: now,
	})
	if err != nil {
		return err
	}
	a.indexes = statuslist.NewIndexes(statuslist.IndexOptions{DB: a.db, Issuer: a.cfg.Issuer, Now: now, Logger: a.logger, Metrics: a.metrics})
	a.lists = statuslist.New(statuslist.Options{DB: a.db, Signer: a.issuer, Issuer: a.cfg.Issuer, Now: now, Logger: a.logger, Metrics: a.metrics})
	a.options.Now = now
	if a.policy, err = policy.NewHolder(ctx, a.policyFolder(), a.options); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	a.policyMetrics()
	var export func(trace.Span)
	if a.cfg.OTLPEndpoint != "" {
		a.spans, err = otlp.Open(ctx, otlp.Options{
			Endpoint: a.cfg.OTLPEndpoint, Service: "agentidp", Version: obs.ReadBuild().Version, Logger: a.logger, Metrics: a.metrics,
		})
		if err != nil {
			return err
		}
		export = a.spans.Export
	}
	audiences := grants.Audiences{Issuer: a.cfg.Issuer, Default: a.cfg.DefaultResource, Allowed: a.cfg.Resources}
	var grantLog grants.Log = a.log
	if a.grantLog != nil {
		grantLog = a.grantLog(grantLog)
	}
	handler := grants.New(grants.Options{
		Issuer: a.cfg.Issuer, TTL: a.cfg.TokenTTL, Limits: a.cfg.limits(), Authenticator: a.clients, Minter: a.issuer, Indexes: a.indexes, Log: grantLog, Quota: a.shared,
		Grants: []grants.Grant{grants.ClientCredentials{Audiences: audiences}}, Now: now,
	})
	a.api = httpapi.New(httpapi.Options{
		Issuer: a.cfg.Issuer, DB: a.db, Registry: a.reg, Revocation: a.revoked, Log: a.log, Grants: handler, Clients: a.clients,
		StatusLists: a.lists, Keys: a.issuer, JWKSMaxAge: a.cfg.JWKSMaxAge, Policy: a.policy, PolicyFolder: a.cfg.PolicyDir != "", TrustedProxies: a.cfg.TrustedProxies, Checks: a.checks(),
		CORSOrigins: a.cfg.CORSOrigins, Dashboard: a.dashboard(), APIDocs: a.apiDocs(), Sampler: &trace.Sampler{Share: a.cfg.TraceRatio, Now: now}, Export: export,
		ServeMetrics: a.cfg.Loopback(), Metrics: a.metrics, Logger: a.logger, Version: obs.ReadBuild().String(), Now: now, Sightings: a.shared,
		Limiter: ratelimit.New(ratelimit.Options{Limit: a.cfg.LimitsRequestsPerMinute, Limiter: a.shared, Now: now}),
	})
	a.meter()
	return nil
}

func (a *App) dashboard() fs.FS {
	if !a.cfg.Dashboard {
		return nil
	}
	return dashboard.Files()
}

func (a *App) apiDocs() fs.FS {
	if !a.cfg.APIDocs {
		return nil
	}
	return apidocs.Files()
}

func (a *App) policyFolder() fs.FS {
	if a.cfg.PolicyDir == "" {
		return policies.Files
	}
	return os.DirFS(a.cfg.PolicyDir)
}

func (a *App) policyMetrics() {
	a.metrics.NewGauge("agentidp_policy_reload_failing", func() float64 {
		if a.policy.Status().LastError != nil {
			return 1
		}
		return 0
	})
	a.metrics.NewGauge("agentidp_policy_epoch", func() float64 { return float64(a.policy.Status().Epoch) })
}

// warnOfFallback says, once, why signatures do not come from the backend that
// the program began with: a key may be the first that it fails with.
func (a *App) warnOfFallback(ctx context.Context) {
	if why := a.issuer.Degraded(); why != nil && !a.fallback.Swap(true) {
		a.logger.WarnContext(ctx, "signing falls back to crypto/rsa", "error", why)
	}
}

// checks are what /health asks.
func (a *App) checks() []httpapi.Check {
	checks := []httpapi.Check{
		{Name: "store", Critical: true, Backend: func() string { return a.db.backend }, Run: a.db.Ping},
		{Name: "audit", Critical: true, Run: a.log.Ready},
		{Name: "signingKey", Critical: true, Backend: a.issuer.Backend, Run: func(context.Context) error { return a.issuer.Ready() }},
		{Name: "policy", Run: func(context.Context) error { return a.policy.Status().LastError }},
		{Name: "statusLists", Run: a.lists.Ready},
	}
	if a.vault != nil {
		checks = append(checks, httpapi.Check{Name: "vault", Run: a.vault.Ready})
	}
	if a.redis != nil {
		checks = append(checks, httpapi.Check{Name: "redis", Backend: func() string { return "redis" }, Run: a.redis.Ready})
	}
	return checks
}

// Issuer is the issuer in effect.
func (a *App) Issuer() string { return a.cfg.Issuer }

// Addr is where the API listens.
func (a *App) Addr() net.Addr { return a.main.Addr() }

// AdminAddr is where profiles, and off loopback the metrics, are; nil when there is nothing to be there.
func (a *App) AdminAddr() net.Addr {
	if a.admin == nil {
		return nil
	}
	return a.admin.Addr()
}

// Reload reads the certificate and the policy again. The policy takes force
// once its event is durable. When it does not compile, fails its tests or cannot
// be audited, the old one stays, which the log, a gauge and /health say.
func (a *App) Reload(ctx context.Context) {
	if a.tls != nil {
		_ = a.tls.Reload(ctx) // logged and counted there; the old certificate stays
	}
	err := a.policy.ReloadAfter(ctx, a.policyFolder(), func(revision string) error {
		return a.log.Append(ctx, idp.Event{
			OrganizationID: idp.OperatorOrganization, Action: idp.ActionPolicyReloaded, Outcome: idp.Success,
			Metadata: map[string]any{"revision": revision},
		})
	})
	if err != nil {
		a.logger.ErrorContext(ctx, "policy not reloaded, the old one stays", "error", err)
		return
	}
	a.logger.InfoContext(ctx, "policy reloaded", "revision", a.policy.Status().Revision)
}

// Close lets go of listeners and store. After Run it does nothing more.
func (a *App) Close() error {
	var errs []error
	for _, listener := range []*httpx.Listener{a.main, a.admin} {
		if listener != nil {
			if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if a.spans != nil {
		limited, cancel := context.WithTimeout(context.Background(), exportLimit)
		defer cancel()
		if err := a.spans.Close(limited); err != nil { // spans are no reason to end with a failure
			a.logger.Warn("spans not exported", "error", err)
		}
		a.spans = nil
	}
	if a.clients != nil {
		a.clients.Close()
		a.clients = nil
	}
	if a.fetcher != nil {
		a.fetcher.Close()
		a.fetcher = nil
	}
	if a.redis != nil {
		errs = append(errs, a.redis.Close())
		a.redis = nil
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
		a.db = nil
	}
	if a.vault != nil {
		a.vault.Close()
		a.vault = nil
	}
	return errors.Join(errs...)
}

// background runs tasks until their context ends and collects their errors.
type background struct {
	group sync.WaitGroup
	mu    sync.Mutex // guards errs
	errs  []error
}

func (b *background) run(task func() error) {
	b.group.Go(func() {
		if err := task(); err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.errs = append(b.errs, err)
		}
	})
}

func (b *background) wait() error {
	b.group.Wait()
	return errors.Join(b.errs...)
}

// SigningBackend names what this binary signs with in that environment, as long as
// it passes the check at start; see /health for what does.
func SigningBackend(environ []string) string {
	for _, pair := range environ {
		if name, found := strings.CutPrefix(pair, config.PrefixIdP+"SIGNER="); found && issuer.Signer(name).Valid() {
			return issuer.Signer(name).Backend()
		}
	}
	return issuer.Auto.Backend()
}
