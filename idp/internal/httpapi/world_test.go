package httpapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/ratelimit"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/statuslist"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/trace"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // fasthttp's own, which sleep a while after the server ended
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// setting is what a test can choose; the zero value is the default install
// without limits.
type setting struct {
	issuer   string
	limits   idp.Limits
	trusted  []netip.Prefix
	audience grants.Audiences
	metrics  bool
	cors     []string
	pages    fs.FS // of the dashboard; default: none
	apiDocs  fs.FS // the page about the API; default: none
	sampler  *trace.Sampler
	export   func(trace.Span)
	maxPolls int
	checks   []httpapi.Check
	backend  string // of stores; default sqlite

	keySource clientauth.KeySource // default: none
}

// stores makes a fresh store of each backend.
var stores = map[string]func(t *testing.T) (store.DB, error){
	"sqlite": func(t *testing.T) (store.DB, error) { return sqlite.OpenMemory(t.Context()) },
	"postgres": func(t *testing.T) (store.DB, error) {
		url := pgtest.Migrated(t, func(ctx context.Context, url string) error {
			return postgres.Migrate(ctx, url, func(string) {})
		})
		return postgres.Open(t.Context(), postgres.Options{URL: url, MaxConns: 4, Patience: 20})
	},
}

// world is a whole IdP behind a real socket, on a real store, with its own clock.
type world struct {
	t       *testing.T
	set     setting
	db      *switchedDB
	api     *httpapi.API
	issuer  *issuer.Issuer
	lists   *statuslist.Lists
	policy  *policy.Holder
	metrics *metrics.Set
	logs    *obstest.Output
	clock   *clock
	address string
	base    string // of requests
	http    *http.Client
	vars    map[string]string
	keys    map[string]*ecdsa.PrivateKey // that assertions are signed with
	stop    func()                       // the server, once
}

type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.offset.Load()))
}

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// switchedDB is a store that can be taken away.
type switchedDB struct {
	store.DB
	noReads, noWrites atomic.Bool
	held              sync.RWMutex           // locked: writes wait
	onRange           atomic.Pointer[func()] // called when events are about to be read in order
}

// watchedEvents tells of Range.
type watchedEvents struct {
	store.Events
	onRange func()
}

func (e watchedEvents) Range(ctx context.Context, organizationID string, from int64, limit int) ([]store.EventRow, error) {
	e.onRange()
	return e.Events.Range(ctx, organizationID, from, limit)
}

func (d *switchedDB) Update(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	if d.noWrites.Load() {
		return errors.Join(store.ErrUnavailable, errors.New("switched off"))
	}
	d.held.RLock()
	defer d.held.RUnlock()
	return d.DB.Update(ctx, fn)
}

func (d *switchedDB) View(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	if d.noReads.Load() {
		return errors.Join(store.ErrUnavailable, errors.New("switched off"))
	}
	return d.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		if onRange := d.onRange.Load(); onRange != nil {
			watched := *tx
			watched.Events = watchedEvents{tx.Events, *onRange}
			tx = &watched
		}
		return fn(ctx, tx)
	})
}

func (d *switchedDB) Read(ctx context.Context, fn func(context.Context, *store.Tx) error) error {
	return d.View(ctx, fn)
}

// cheapHasher keeps secrets as SHA-256, so that the suite does not wait for bcrypt.
type cheapHasher struct{}

func (cheapHasher) Scheme() string { return "cheap" }

func (cheapHasher) Hash(_ context.Context, _, secret string) (idp.SecretHash, error) {
	sum := sha256.Sum256([]byte(secret))
	return idp.SecretHash{Scheme: "cheap", Encoded: hex.EncodeToString(sum[:])}, nil
}

func (h cheapHasher) Verify(ctx context.Context, id string, hash idp.SecretHash, secret string) (bool, error) {
	made, err := h.Hash(ctx, id, secret)
	return made == hash, err
}

func (cheapHasher) Candidate(idp.SecretHash, string) bool { return true }

func (cheapHasher) Current(idp.SecretHash) bool { return true }

func (cheapHasher) Decoys(tried ...idp.SecretHash) []idp.SecretHash {
	if len(tried) > 0 {
		return nil
	}
	return []idp.SecretHash{{Scheme: "cheap", Encoded: "none"}}
}

const defaultIssuer = "https://idp.example.com"

// keyPEM is one signing key for all worlds: making one takes longer than a test.
var keyPEM = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
})

func newWorld(t *testing.T, set setting) *world {
	t.Helper()
	ctx := t.Context()
	if set.issuer == "" {
		set.issuer = defaultIssuer
	}
	set.audience.Issuer = set.issuer
	if set.backend == "" {
		set.backend = "sqlite"
	}
	db, err := stores[set.backend](t)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	w := &world{t: t, set: set, base: strings.Replace(set.issuer, "https:", "http:", 1), db: &switchedDB{DB: db}, metrics: metrics.NewSet(), logs: &obstest.Output{}, clock: &clock{}, vars: map[string]string{}}

	sealer, err := issuer.NewSealer(make([]byte, 32))
	require.NoError(t, err)
	w.issuer, err = issuer.Open(ctx, db, sealer, issuer.Auto, w.clock.now)
	require.NoError(t, err)
	w.issuer.Follow(issuer.Schedule{Ahead: 10 * time.Minute})
	checkpoints, err := auditlog.OpenCheckpointKey(ctx, db, sealer, "idp.example.com/audit", w.clock.now)
	require.NoError(t, err)
	log := auditlog.New(w.db, checkpoints, auditlog.Options{Now: w.clock.now, CheckpointEvery: 20 * time.Millisecond, Patience: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	w.run(log)
	_, err = w.issuer.Import(ctx, func(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
		return log.Commit(ctx, change)
	}, keyPEM())
	require.NoError(t, err)
	w.vars["backend"], w.vars["store"] = w.issuer.Backend(), set.backend
	w.compose(ctx, log)
	w.serve()
	w.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.address)
	}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(w.http.CloseIdleConnections)
	return w
}

// run runs the log until the test, and the server before it, has ended.
func (w *world) run(log *auditlog.Log) {
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- log.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		require.NoError(w.t, <-stopped)
	})
}

func (w *world) compose(ctx context.Context, log *auditlog.Log) {
	hasher := cheapHasher{}
	clients, err := clientauth.New(clientauth.Options{
		DB: w.db, Hasher: hasher, Issuer: w.set.issuer, KeySource: w.set.keySource, Now: w.clock.now, Metrics: w.metrics,
	})
	require.NoError(w.t, err)
	w.t.Cleanup(clients.Close)
	service := registry.New(registry.Options{DB: w.db, Log: log, Hasher: hasher, Limits: w.set.limits, Now: w.clock.now})
	first, err := service.EnsureBootstrap(ctx, registry.BootstrapInput{})
	require.NoError(w.t, err)
	w.remember("admin", first.Administrator.ID, first.Credential.ID, first.Credential.ClientID, first.Credential.ClientSecret)
	revoked, err := revocation.Open(ctx, revocation.Options{DB: w.db, Log: log, Keys: w.issuer.Keys(), Signer: w.issuer, Issuer: w.set.issuer, Now: w.clock.now})
	require.NoError(w.t, err)
	w.policy, err = policy.NewHolder(ctx, policies.Files, policy.Options{Timeout: time.Minute, TestTimeout: time.Minute})
	require.NoError(w.t, err)
	handler := grants.New(grants.Options{
		Issuer: w.set.issuer, TTL: time.Hour, Limits: w.set.limits, Authenticator: clients, Minter: w.issuer, Log: log,
		Indexes: statuslist.NewIndexes(statuslist.IndexOptions{DB: w.db, Issuer: w.set.issuer, Now: w.clock.now}),
		Grants:  []grants.Grant{grants.ClientCredentials{Audiences: w.set.audience}}, Now: w.clock.now,
	})
	w.api = httpapi.New(httpapi.Options{
		Issuer: w.set.issuer, DB: w.db, Registry: service, Revocation: revoked, Log: log, Grants: handler, Clients: clients,
		StatusLists: w.follow(), Keys: w.issuer, Policy: w.policy, Limiter: ratelimit.New(ratelimit.Options{Limit: w.set.limits.RequestsPerMinute, Now: w.clock.now}),
		CORSOrigins: w.set.cors, Dashboard: w.set.pages, APIDocs: w.set.apiDocs, Sampler: w.set.sampler, Export: w.set.export,
		TrustedProxies: w.set.trusted, Checks: w.checks(log), MaxPolls: w.set.maxPolls, ServeMetrics: w.set.metrics, Metrics: w.metrics,
		Logger: slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "1.2.3", Now: w.clock.now,
	})
}

// follow makes status lists that follow revocations until the test ends.
func (w *world) follow() *statuslist.Lists {
	w.lists = statuslist.New(statuslist.Options{DB: w.db, Signer: w.issuer, Issuer: w.set.issuer, Every: time.Millisecond, Now: w.clock.now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { w.lists.Follow(ctx) })
	w.t.Cleanup(func() {
		cancel()
		following.Wait()
	})
	return w.lists
}

// liveLists counts the status lists that may hold a live token.
func (w *world) liveLists() (count int) {
	require.NoError(w.t, w.db.DB.View(w.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		live, err := tx.StatusLists.Live(ctx, w.clock.now().Add(-2*time.Hour-5*time.Minute))
		count = len(live)
		return err
	}))
	return count
}

func (w *world) checks(log *auditlog.Log) []httpapi.Check {
	return append([]httpapi.Check{
		{Name: "store", Critical: true, Backend: func() string { return w.set.backend }, Run: func(ctx context.Context) error {
			if w.db.noWrites.Load() {
				return errors.New("switched off")
			}
			return w.db.Ping(ctx)
		}},
		{Name: "audit", Critical: true, Run: log.Ready},
		{Name: "signingKey", Critical: true, Backend: w.issuer.Backend, Run: func(context.Context) error { return w.issuer.Ready() }},
		{Name: "policy", Run: func(context.Context) error { return w.policy.Status().LastError }},
	}, w.set.checks...)
}

func (w *world) serve() {
	listener, err := httpx.Listen("127.0.0.1:0", httpx.ListenOptions{})
	require.NoError(w.t, err)
	w.address = listener.Addr().String()
	server := httpx.NewServer(httpx.Options{Handler: w.api.Handler, Limit: w.api.Limit, Refuse: w.api.Refuse, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- httpx.Serve(ctx, server, listener, 10*time.Second) }()
	w.stop = sync.OnceFunc(func() {
		w.api.Stop()
		cancel()
		require.NoError(w.t, <-served)
	})
	w.t.Cleanup(w.stop)
}

// remember puts an identity into the variables, as name.agent, name.basic and so on.
func (w *world) remember(name, agent, credential, client, secret string) {
	w.vars[name+".agent"], w.vars[name+".credential"], w.vars[name+".client"], w.vars[name+".secret"] = agent, credential, client, secret
	w.vars[name+".basic"] = basicOf(client, secret)
	w.vars[name+".basic64"] = strings.TrimPrefix(basicOf(client, secret), "Basic ")
}
