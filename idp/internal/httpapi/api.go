// Package httpapi is the IdP's HTTP edge: one route table, one pipeline that
// every request passes, one file for each resource. It turns requests into
// calls of the use cases and their errors into answers, and decides nothing else.
package httpapi

import (
	"context"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/ratelimit"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/statuslist"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/idp/internal/volatile"
	"github.com/sentryagent/agentidp/idp/internal/volatile/local"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/shared/trace"
)

// Options are the collaborators of an API. Those without a default are required.
type Options struct {
	Issuer      string // the issuer identifier; its path, if any, is where the API is mounted as well
	DB          store.DB
	Registry    *registry.Service
	Revocation  *revocation.Service
	Log         *auditlog.Log
	Grants      *grants.Handler
	Clients     *clientauth.Authenticator
	StatusLists *statuslist.Lists
	Keys        *issuer.Issuer
	Policy      *policy.Holder
	// PolicyFolder says that the policy comes from a folder; default: it is built in.
	PolicyFolder bool

	Sightings      volatile.Cache     // of sidecars, which replicas share; default: of this process
	Limiter        *ratelimit.Limiter // by client address or agent; nil: no limit
	TrustedProxies []netip.Prefix     // whose X-Forwarded-For counts; default none
	Checks         []Check            // what /health asks, in order
	MaxPolls       int                // of the revocation feed waiting at once; default 4096
	JWKSMaxAge     time.Duration      // how long the key set may be kept; default 5 min
	MaxTokenTTL    time.Duration      // longest life of a token that is accepted here; default 1 h
	CORSOrigins    []string           // whose pages may call, see CheckOrigin; default none
	Dashboard      fs.FS              // the web dashboard as it was built; nil: none
	APIDocs        fs.FS              // the page about the API; nil: none
	Sampler        *trace.Sampler     // of the traces whose spans Export gets; nil: none
	Export         func(trace.Span)   // gets the span of each request of a sampled trace; must not block; default: nobody does
	ServeMetrics   bool               // answer /metrics here; else 404
	Metrics        *metrics.Set       // default: a set nobody reads
	Logger         *slog.Logger       // default slog.Default
	Version        string
	Now            idp.Clock // default time.Now
}

// API answers the IdP's requests. It is safe for concurrent use.
type API struct {
	Options
	router    *router.Router
	methods   []string // that any route has
	verifier  *token.Verifier
	polls     chan struct{} // one element for each waiting poll
	ingests   chan struct{} // one for each batch of decisions under way
	exports   exports       // of the audit log, under way
	leases    leases
	bundle    bundle
	dryRuns   *turnstile.Turnstile // dry runs of the policy take turns
	deciding  *turnstile.Turnstile // before its decisions
	paced     lines                // before answers that may be ordered at will
	presence  presence
	ending    context.Context // ends with Stop
	end       context.CancelFunc
	health    health
	draining  atomic.Bool // set by Drain
	documents documents
	dashboard site
	apiDocs   site
	observe   *observer
	cors      cors
	preflight fasthttp.RequestHandler
	unmatched *Route // what 404 and 405 are counted and logged under
}

const (
	defaultMaxPolls = 4096
	sightingBytes   = 4 << 20
	leeway          = 30 * time.Second // between replicas' clocks
)

// New makes an API. It panics when the route table contradicts itself.
func New(o Options) *API {
	o = withDefaults(o)
	a := &API{
		Options: o,
		router:  router.New(),
		verifier: &token.Verifier{
			Issuer: o.Issuer, Audience: o.Issuer, Keys: o.Keys.Keys(), MaxLifetime: o.MaxTokenTTL, Leeway: leeway, Now: o.Now,
		},
		polls:     make(chan struct{}, o.MaxPolls),
		ingests:   make(chan struct{}, maxIngests),
		dryRuns:   turnstile.New(1, waitingEvaluations),
		deciding:  turnstile.New(decisionsAtOnce(), waitingDecisions),
		documents: newDocuments(o.Issuer, o.Grants.Types(), o.Clients.Algorithms()),
		dashboard: newSite(pathDashboard, dashboardPolicy, o.Dashboard, issuerPath(o.Issuer)),
		apiDocs:   newSite(pathAPIDocs, apiDocsPolicy, o.APIDocs, issuerPath(o.Issuer)),
		observe:   newObserver(o.Metrics),
		cors:      newCORS(o.CORSOrigins),
		unmatched: &Route{OperationID: "none", Path: prefix + "/", Capability: policy.Public, access: byAnyone, handle: (*API).noRoute},
	}
	a.ending, a.end = context.WithCancel(context.Background())
	o.Metrics.NewGauge("agentidp_feed_polls", func() float64 { return float64(len(a.polls)) })
	o.Metrics.NewGauge("agentidp_refusals_waiting", func() float64 { return float64(a.paced.waiting()) })
	o.Metrics.NewGauge("agentidp_audit_exports_open", func() float64 { return float64(a.exports.open()) })
	for _, result := range exportResults {
		o.Metrics.NewCounter(obs.Name("agentidp_audit_exports_total", "result", result))
	}
	a.mount()
	return a
}

func withDefaults(o Options) Options {
	if o.MaxPolls <= 0 {
		o.MaxPolls = defaultMaxPolls
	}
	if o.JWKSMaxAge <= 0 {
		o.JWKSMaxAge = cacheSeconds * time.Second
	}
	if o.Sightings == nil {
		o.Sightings = local.NewCache(sightingBytes, o.Now)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// mount puts every route at the root, for a proxy in front that strips the
// issuer's path, and below the issuer's path, for none. Of the two metadata
// documents, the issuer's path follows the well-known name (RFC 8414 section 3.1).
func (a *API) mount() {
	r := a.router
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleMethodNotAllowed, r.HandleOPTIONS = false, false, false, false
	base := issuerPath(a.Issuer)
	r.NotFound = a.serve(a.unmatched, base)
	a.observe.add(a.unmatched.OperationID)
	a.preflight = a.serve(newPreflight(), base)
	a.observe.add(newPreflight().OperationID)
	for _, route := range Routes() {
		a.observe.add(route.OperationID)
		a.handle(&route, route.Path, "")
		if base == "" {
			continue
		}
		a.handle(&route, base+route.Path, base)
		if route.Path == pathMetadata || route.Path == pathOpenID {
			a.handle(&route, route.Path+base, "")
		}
	}
}

// handle serves a path, which begins with base where the document's does not.
func (a *API) handle(route *Route, path, base string) {
	methods := []string{route.Method}
	if route.Method == fasthttp.MethodGet {
		methods = append(methods, fasthttp.MethodHead)
	}
	if route.rest {
		path = strings.TrimSuffix(path, "}") + ":*}"
	}
	for _, method := range methods {
		a.router.Handle(method, path, a.serve(route, base))
		if !slices.Contains(a.methods, method) {
			a.methods = append(a.methods, method)
			slices.Sort(a.methods)
		}
	}
}

// issuerPath is the path of the issuer identifier, without a trailing slash.
func issuerPath(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// Handler serves one request.
func (a *API) Handler(http *fasthttp.RequestCtx) {
	if a.isPreflight(http) {
		a.preflight(http)
		return
	}
	a.router.Handler(http)
}

// Refuse answers what the server refused before any route saw it: malformed,
// too large or too slow requests.
func (a *API) Refuse(http *fasthttp.RequestCtx, refusal *apierr.Error) {
	c := a.open(http, a.unmatched, issuerPath(a.Issuer))
	c.failure = refusal
	c.render(refusal)
	a.observe.count(a.unmatched.OperationID, http.Response.StatusCode())
	a.logLine(c, 0)
}

// Stop ends waiting polls with an empty page, and lets answers go that wait for
// their turn, now and later, so that they do not hold up the server's shutdown.
func (a *API) Stop() { a.end() }
