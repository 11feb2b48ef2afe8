// Package app turns settings into a running sidecar: it composes everything,
// and is the only place that does.
package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// Feed says whether the IdP is one of ours.
const (
	FeedOn  = "on"  // revocations come from it, decisions go to it
	FeedOff = "off" // a foreign issuer: no revocations, decisions stay in DATA_DIR
)

// Config is every setting of the sidecar. Start from Default; Upstream, Issuer,
// Audience and Routes have none.
type Config struct {
	Name      string `config:"NAME" usage:"what people call this sidecar, as the IdP lists it: at most 128 visible ASCII characters; default: the host's name"`
	Addr      string `config:"ADDR" usage:"address that clients call"`
	AdminAddr string `config:"ADMIN_ADDR" usage:"address of /health, /ready and /metrics, and of /debug/pprof with PPROF; keep it from clients"`
	Pprof     bool   `config:"PPROF" usage:"true: profiles of CPU, heap, allocations, mutexes and blocking at /debug/pprof on ADMIN_ADDR"`
	DataDir   string `config:"DATA_DIR" usage:"folder of the decision spool, keys, revocations and the sidecar's id; one folder for each sidecar"`

	Upstream string `config:"UPSTREAM" usage:"the protected API: http://host[:port] or https://host[:port]; required unless every route names an upstream"`
	Routes   string `config:"ROUTES" usage:"YAML file that says which capability each path demands; required. A change is taken up within seconds, or by SIGHUP"`
	Audience string `config:"AUDIENCE" usage:"the resource that tokens must be for, compared byte for byte; required"`

	Issuer    string `config:"ISSUER" usage:"URL of the IdP, the iss of every token; required"`
	IdPURL    string `config:"IDP_URL" usage:"where to reach the IdP, if not at the issuer's URL"`
	AllowHTTP bool   `config:"ALLOW_HTTP" usage:"allow http to an IdP off loopback"`
	Feed      string `config:"FEED" usage:"on; or off for a foreign issuer: no revocation feed, no central audit, decisions stay in DATA_DIR"`

	ClientID      string   `config:"CLIENT_ID" usage:"client id of the sidecar's own agent; required unless FEED is off"`
	ClientSecret  string   `config:"CLIENT_SECRET" secret:"true" usage:"its secret"`
	Organizations []string `config:"ORGANIZATIONS" usage:"organizations whose agents may pass beside the sidecar's own; with FEED off the only ones, default any"`

	TLSCert      string `config:"TLS_CERT" usage:"PEM file of the certificate chain for clients; with TLS_KEY the data port speaks TLS. Changed files are taken up"`
	TLSKey       string `config:"TLS_KEY" usage:"PEM file of its key"`
	UpstreamCA   string `config:"UPSTREAM_CA" usage:"PEM file of the authorities that the API's certificate may come from; default: the system's"`
	UpstreamCert string `config:"UPSTREAM_CERT" usage:"PEM file of the certificate that the sidecar shows the API (mutual TLS)"`
	UpstreamKey  string `config:"UPSTREAM_KEY" usage:"PEM file of its key"`
	IdPCA        string `config:"IDP_CA" usage:"PEM file of the authorities that the IdP's certificate may come from; default: the system's"`
	IdPCert      string `config:"IDP_CERT" usage:"PEM file of the certificate that the sidecar shows the IdP (mutual TLS)"`
	IdPKey       string `config:"IDP_KEY" usage:"PEM file of its key"`

	JWKSURL            string        `config:"JWKS_URL" usage:"key set of the issuer; default: from its metadata"`
	JWKSTTL            time.Duration `config:"JWKS_TTL" usage:"how often the key set is fetched again"`
	JWKSCooldown       time.Duration `config:"JWKS_COOLDOWN" usage:"time between fetches that an unknown key id causes"`
	JWKSMaxStale       time.Duration `config:"JWKS_MAX_STALE" usage:"how long the last key set is trusted with the IdP away; then 503 keys_stale"`
	RevocationMaxStale time.Duration `config:"REVOCATION_MAX_STALE" usage:"how long revocations are trusted with the IdP away; then 503 revocations_stale"`

	PolicyDir         string         `config:"POLICY_DIR" usage:"folder of Rego files and data that decide; default: built in. A change is taken up within seconds, or by SIGHUP"`
	PolicyBundle      bool           `config:"POLICY_BUNDLE" usage:"true: the IdP's own policy decides, fetched as a signed bundle; the sidecar's agent needs policies:read"`
	SpoolMaxBytes     int64          `config:"SPOOL_MAX_BYTES" usage:"most bytes of decisions on disk, at least 262144"`
	SpoolWhenFull     string         `config:"SPOOL_WHEN_FULL" usage:"block: 503 audit_unavailable; drop_allow: leave allowed ones out; drop_oldest. Default block, drop_oldest with FEED off"`
	ForwardAuthListen string         `config:"FORWARD_AUTH_LISTEN" usage:"address where nginx, Traefik and Caddy ask (forward-auth), with TLS if TLS_CERT is set; default: nowhere. Only TRUSTED_PROXIES may ask"`
	ExtAuthzListen    string         `config:"EXT_AUTHZ_LISTEN" usage:"address where Envoy asks (ext_authz gRPC), with TLS if TLS_CERT is set; default: nowhere. Only TRUSTED_PROXIES may ask"`
	TrustedProxies    []netip.Prefix `config:"TRUSTED_PROXIES" usage:"proxies whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id count"`
	MaxBodyBytes      int64          `config:"MAX_BODY_BYTES" usage:"largest request body"`
	LogLevel          string         `config:"LOG_LEVEL" usage:"debug (allowed requests too), info, warn or error"`
	LogFormat         string         `config:"LOG_FORMAT" usage:"json or text"`
	DrainDelay        time.Duration  `config:"DRAIN_DELAY" usage:"how long /ready says 503 at shutdown while requests are still served; off loopback"`
	DrainTimeout      time.Duration  `config:"DRAIN_TIMEOUT" usage:"how long requests in flight may take at shutdown"`
}

// Default holds every setting that has one.
func Default() Config {
	return Config{
		Addr: "127.0.0.1:8081", AdminAddr: "127.0.0.1:8082", DataDir: "./sidecar-data", Feed: FeedOn,
		JWKSTTL: 5 * time.Minute, JWKSCooldown: 10 * time.Second, JWKSMaxStale: 24 * time.Hour, RevocationMaxStale: 15 * time.Minute,
		SpoolMaxBytes: spool.DefaultMaxBytes, MaxBodyBytes: 10 << 20,
		LogLevel: "info", LogFormat: "json", DrainDelay: 5 * time.Second, DrainTimeout: 10 * time.Second,
	}
}

// name is what people call the sidecar; "" when neither they nor the host say
// anything that the IdP takes.
func (c *Config) name() string {
	if c.Name != "" {
		return c.Name
	}
	if host, err := os.Hostname(); err == nil && validName(host) {
		return host
	}
	return ""
}

// validName holds a name to what the IdP takes.
func validName(name string) bool {
	return len(name) <= 128 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
}

// foreign reports whether the issuer is not an IdP of ours.
func (c *Config) foreign() bool { return c.Feed == FeedOff }

// spoolPolicy is the one in effect.
func (c *Config) spoolPolicy() spool.Policy {
	switch {
	case c.SpoolWhenFull != "":
		return spool.Policy(c.SpoolWhenFull)
	case c.foreign():
		return spool.DropOldest
	}
	return spool.Block
}

func (c *Config) spoolDir() string { return filepath.Join(c.DataDir, "spool") }

// checklist collects what is wrong.
type checklist []config.Problem

func (l *checklist) demand(holds bool, key, format string, args ...any) {
	if !holds {
		*l = append(*l, config.Problem{Key: key, Text: fmt.Sprintf(format, args...)})
	}
}

// Validate implements config.Checker.
func (c *Config) Validate() []config.Problem {
	var l checklist
	l.demand(validName(c.Name), "name", "must be at most 128 visible ASCII characters")
	l.demand(validAddr(c.Addr), "addr", "must be host:port")
	l.demand(validAddr(c.AdminAddr), "admin_addr", "must be host:port")
	l.demand(c.Addr != c.AdminAddr || strings.HasSuffix(c.Addr, ":0"), "admin_addr", "must not be addr")
	l.demand(c.DataDir != "", "data_dir", "must not be empty")
	c.checkForwardAuth(&l)
	c.checkExtAuthz(&l)
	upstreams := c.checkTraffic(&l)
	c.checkIssuer(&l)
	c.checkCredential(&l)
	c.checkBounds(&l)
	c.checkTLS(&l, upstreams)
	if c.PolicyDir != "" {
		info, err := os.Stat(c.PolicyDir)
		l.demand(err == nil && info.IsDir(), "policy_dir", "must be a folder that can be read")
	}
	l.demand(!c.PolicyBundle || c.PolicyDir == "", "policy_bundle", "must not be set together with policy_dir: one policy decides")
	l.demand(!c.PolicyBundle || !c.foreign(), "policy_bundle", "has no use with feed off: bundles come from an AgentIdP")
	return l
}

// checkTraffic checks what is protected, and returns the URLs of it that are known.
func (c *Config) checkTraffic(l *checklist) (upstreams []string) {
	if c.Upstream != "" {
		_, err := route.ParseUpstream(c.Upstream)
		l.demand(err == nil, "upstream", "must be http://host[:port] or https://host[:port], nothing behind it")
		upstreams = append(upstreams, c.Upstream)
	}
	if c.Routes == "" {
		l.demand(false, "routes", "is required: the YAML file that says which capability each path demands")
		l.demand(c.Upstream != "", "upstream", "is required")
		return upstreams
	}
	table, err := readRoutes(c.Routes)
	var problems route.Problems
	switch {
	case errors.As(err, &problems):
		for _, problem := range problems {
			l.demand(false, "routes", "%s", problem)
		}
	case err != nil:
		l.demand(false, "routes", "%v", err)
	default:
		l.demand(c.Upstream != "" || !table.NeedsDefault(), "upstream", "is required: a route names none of its own")
		for _, u := range table.Upstreams() {
			upstreams = append(upstreams, u.URLs...)
		}
	}
	return upstreams
}

func (c *Config) checkTLS(l *checklist, upstreams []string) {
	l.demand((c.TLSCert == "") == (c.TLSKey == ""), "tls_cert", "must be set together with tls_key")
	l.demand((c.UpstreamCert == "") == (c.UpstreamKey == ""), "upstream_cert", "must be set together with upstream_key")
	l.demand((c.IdPCert == "") == (c.IdPKey == ""), "idp_cert", "must be set together with idp_key")
	l.demand(c.UpstreamCA+c.UpstreamCert == "" || slices.ContainsFunc(upstreams, secured), "upstream_ca", "has no use: upstream is not https")
	idp := c.IdPURL
	if idp == "" {
		idp = c.Issuer
	}
	l.demand(c.IdPCA+c.IdPCert == "" || strings.HasPrefix(idp, "https:"), "idp_ca", "has no use: the IdP is not reached by https")
}

func secured(url string) bool { return strings.HasPrefix(url, "https:") }

func (c *Config) checkForwardAuth(l *checklist) {
	if c.ForwardAuthListen == "" {
		return
	}
	l.demand(validAddr(c.ForwardAuthListen), "forward_auth_listen", "must be host:port")
	taken := []string{c.Addr, c.AdminAddr, c.ExtAuthzListen}
	l.demand(!slices.Contains(taken, c.ForwardAuthListen) || strings.HasSuffix(c.ForwardAuthListen, ":0"), "forward_auth_listen", "must not be addr, admin_addr or ext_authz_listen")
	l.demand(len(c.TrustedProxies) > 0, "forward_auth_listen", "needs trusted_proxies: nobody else may ask")
}

func (c *Config) checkExtAuthz(l *checklist) {
	if c.ExtAuthzListen == "" {
		return
	}
	l.demand(validAddr(c.ExtAuthzListen), "ext_authz_listen", "must be host:port")
	l.demand(c.ExtAuthzListen != c.Addr && c.ExtAuthzListen != c.AdminAddr || strings.HasSuffix(c.ExtAuthzListen, ":0"), "ext_authz_listen", "must not be addr or admin_addr")
	l.demand(len(c.TrustedProxies) > 0, "ext_authz_listen", "needs trusted_proxies: nobody else may ask")
}

func (c *Config) checkIssuer(l *checklist) {
	if c.Issuer == "" {
		l.demand(false, "issuer", "is required")
	} else {
		l.demand(serviceURL(c.Issuer) && !strings.HasSuffix(c.Issuer, "/"), "issuer", "must be an absolute http(s) URL without user, query, fragment or final slash")
	}
	l.demand(c.IdPURL == "" || serviceURL(c.IdPURL), "idp_url", "must be an absolute http(s) URL without user, query or fragment")
	l.demand(c.JWKSURL == "" || serviceURL(c.JWKSURL), "jwks_url", "must be an absolute http(s) URL without user, query or fragment")
	for _, one := range [][2]string{{"issuer", c.Issuer}, {"idp_url", c.IdPURL}, {"jwks_url", c.JWKSURL}} {
		l.demand(c.AllowHTTP || !serviceURL(one[1]) || secure(one[1]), one[0], "must be https off loopback, unless allow_http is true")
	}
	switch u, err := url.Parse(c.Audience); {
	case c.Audience == "":
		l.demand(false, "audience", "is required: the resource that tokens must be for")
	case strings.TrimSuffix(c.Audience, "/") == strings.TrimSuffix(c.Issuer, "/"):
		l.demand(false, "audience", "must not be the issuer: tokens for the management API would pass here, and tokens sent here would pass there")
	default:
		l.demand(err == nil && u.IsAbs() && !strings.Contains(c.Audience, "#"), "audience", "must be an absolute URI without a fragment")
	}
	l.demand(c.Feed == FeedOn || c.Feed == FeedOff, "feed", "must be on or off")
}

func (c *Config) checkCredential(l *checklist) {
	whole := (c.ClientID == "") == (c.ClientSecret == "")
	l.demand(whole, "client_id", "must be set together with client_secret")
	if whole {
		l.demand(c.ClientID != "" || c.foreign(), "client_id", "is required, with client_secret, unless feed is off")
		l.demand(c.ClientID == "" || !c.foreign(), "client_id", "has no use with feed off")
	}
	for i, id := range c.Organizations {
		l.demand(len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == "", fmt.Sprintf("organizations[%d]", i), "must be an organization's id")
	}
}

// minPoll is the shortest wait of a long poll that is worth its while.
const minPoll = 5 * time.Second

func (c *Config) checkBounds(l *checklist) {
	upTo := func(most time.Duration, key string, value time.Duration) {
		l.demand(value >= time.Second && value <= most, key, "must be from 1s to %s", most)
	}
	upTo(24*time.Hour, "jwks_ttl", c.JWKSTTL)
	upTo(time.Hour, "jwks_cooldown", c.JWKSCooldown)
	upTo(30*24*time.Hour, "jwks_max_stale", c.JWKSMaxStale)
	l.demand(c.RevocationMaxStale >= 2*minPoll && c.RevocationMaxStale <= 24*time.Hour, "revocation_max_stale",
		"must be from %s to 24h: the feed must have time to answer", 2*minPoll)
	upTo(5*time.Minute, "drain_timeout", c.DrainTimeout)
	l.demand(c.DrainDelay >= 0 && c.DrainDelay <= time.Minute, "drain_delay", "must be from 0 to 1m")
	l.demand(c.JWKSMaxStale >= c.JWKSTTL, "jwks_max_stale", "must not be less than jwks_ttl")
	l.demand(c.SpoolMaxBytes >= spool.MinMaxBytes, "spool_max_bytes", "must be at least %d", spool.MinMaxBytes)
	policies := []string{"", string(spool.Block), string(spool.DropAllow), string(spool.DropOldest)}
	l.demand(slices.Contains(policies, c.SpoolWhenFull), "spool_when_full", "must be block, drop_allow or drop_oldest")
	l.demand(!c.foreign() || c.spoolPolicy() == spool.DropOldest, "spool_when_full", "must be drop_oldest with feed off: nobody empties the spool")
	l.demand(c.MaxBodyBytes >= 1, "max_body_bytes", "must be at least 1")
	l.demand(slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "log_level", "must be debug, info, warn or error")
	l.demand(slices.Contains([]string{"json", "text"}, c.LogFormat), "log_format", "must be json or text")
}

// loopback reports whether clients can only be of this host.
func (c *Config) loopback() bool {
	for _, addr := range []string{c.Addr, c.ForwardAuthListen, c.ExtAuthzListen} {
		host, _, err := net.SplitHostPort(addr)
		ip := net.ParseIP(host)
		if addr != "" && (err != nil || host != "localhost" && !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

func validAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}

// serviceURL reports whether s is the URL of a service, as far as its form tells.
func serviceURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && !strings.ContainsAny(s, "?#")
}

// secure reports whether nobody on the way can read or change what is sent to the URL.
func secure(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	host, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || err == nil && host.IsLoopback()
}
