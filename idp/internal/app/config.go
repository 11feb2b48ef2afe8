// Package app turns settings into a running IdP: it composes everything, and
// is the only place that does.
package app

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/trace/otlp"
)

// Config is every setting of the IdP. The zero value is not usable; start from Default.
type Config struct {
	Addr      string `config:"ADDR" usage:"address of the API"`
	AdminAddr string `config:"ADMIN_ADDR" usage:"address of /metrics when ADDR is not loopback, where ADDR serves it; and of /debug/pprof with PPROF"`
	Pprof     bool   `config:"PPROF" usage:"true: profiles of CPU, heap, allocations, mutexes and blocking at /debug/pprof on ADMIN_ADDR, never on ADDR"`
	DataDir   string `config:"DATA_DIR" usage:"folder of the store, the master key and the first administrator's credential"`
	Issuer    string `config:"ISSUER" usage:"public URL of the IdP, the iss of every token; default http://ADDR on loopback, required elsewhere"`
	TLSCert   string `config:"TLS_CERT" usage:"PEM certificate chain of ADDR, with TLS_KEY; read again on SIGHUP and within 30s of a change; default: plain HTTP"`
	TLSKey    string `config:"TLS_KEY" usage:"PEM key of TLS_CERT"`
	AllowHTTP bool   `config:"ALLOW_HTTP" usage:"allow an http issuer off loopback"`

	BootstrapClientID     string `config:"BOOTSTRAP_CLIENT_ID" usage:"client id of the first administrator; default: made up"`
	BootstrapClientSecret string `config:"BOOTSTRAP_CLIENT_SECRET" secret:"true" usage:"its secret, 32 to 64 characters; default: made up and written to DATA_DIR/admin.json"`
	MasterKey             string `config:"MASTER_KEY" secret:"true" usage:"32 bytes in hex or base64 that encrypt the signing keys; default: DATA_DIR/master.key, made on first start"`

	SecretScheme string `config:"SECRET_SCHEME" usage:"how client secrets rest: bcrypt, hmac-sha256 (with PEPPER) or vault; rows move to it on their next use; default: vault with VAULT_ADDR, hmac-sha256 with PEPPER, else bcrypt"`
	Pepper       string `config:"PEPPER" secret:"true" usage:"peppers of hmac-sha256 as version:base64,version:base64, 32 bytes or more each; the highest version hashes, all verify"`
	BcryptCost   int    `config:"BCRYPT_COST" usage:"bcrypt cost of new secrets, 10 to 15; 0, with another scheme: no bcrypt rows are left"`

	VaultAddr           string `env:"VAULT_ADDR" usage:"Vault, for client secrets and, with VAULT_MASTER_KEY, the master key"`
	VaultToken          string `env:"VAULT_TOKEN" secret:"true" usage:"token for Vault; or log in by role"`
	VaultTokenFile      string `fileof:"VAULT_TOKEN"` // read again at every login: an agent beside us may renew it
	VaultNamespace      string `env:"VAULT_NAMESPACE" usage:"namespace of Vault"`
	VaultCACert         string `env:"VAULT_CACERT" usage:"PEM file of the authorities that Vault's certificate must descend from; default: the system's"`
	VaultMount          string `env:"VAULT_MOUNT" usage:"mount of the KV version 2 engine; default secret"`
	VaultRoleID         string `config:"VAULT_ROLE_ID" usage:"role id of an AppRole login"`
	VaultSecretID       string `config:"VAULT_SECRET_ID" secret:"true" usage:"its secret id"`
	VaultSecretIDFile   string `fileof:"VAULT_SECRET_ID"`
	VaultKubernetesRole string `config:"VAULT_KUBERNETES_ROLE" usage:"role of a login with the pod's service account"`
	VaultMasterKey      string `config:"VAULT_MASTER_KEY" usage:"where the master key is: kv, kept in Vault; transit, wrapped by Vault's transit key agentidp, as MASTER_KEY or in DATA_DIR; default: not in Vault"`

	RedisURL    string `env:"REDIS_URL" secret:"true" usage:"Redis 7 or later that replicas share rate limits and signals through: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; default: each replica on its own"`
	RedisCACert string `env:"REDIS_CACERT" usage:"PEM file of the authorities that Redis's certificate must descend from, with rediss; default: the system's"`

	Signer      issuer.Signer `config:"SIGNER" usage:"who computes the signatures of tokens: go, crypto/rsa; batch, four at a time on processors with AVX-512 IFMA, elsewhere crypto/rsa; auto, libcrypto where it was built in, else crypto/rsa"`
	KeyRotation time.Duration `config:"KEY_ROTATION" usage:"how long a signing key signs before the next takes over; 0: until it is told to"`
	JWKSMaxAge  time.Duration `config:"JWKS_MAX_AGE" usage:"how long verifiers may keep the key set, 1s to 3600s; the next key is published for twice as long before it signs"`

	TokenTTL        time.Duration `config:"TOKEN_TTL" usage:"lifetime of access tokens, 60s to 3600s"`
	DefaultResource string        `config:"DEFAULT_RESOURCE" usage:"audience of tokens asked for without a resource; default: the issuer, good for the management API only"`
	Resources       []string      `config:"RESOURCES" usage:"the only resources tokens may be asked for; default: any"`

	LimitsAgents            int `config:"LIMITS_AGENTS" usage:"free plan: active and suspended agents of an organization; 0: no limit"`
	LimitsTokensPerMonth    int `config:"LIMITS_TOKENS_PER_MONTH" usage:"free plan: tokens of an agent in a calendar month (UTC); 0: no limit"`
	LimitsRequestsPerMinute int `config:"LIMITS_REQUESTS_PER_MINUTE" usage:"requests of a client address a minute over /api/v1; 0: no limit"`
	LimitsAuditDays         int `config:"LIMITS_AUDIT_DAYS" usage:"free plan: days that audit events are kept, from 31; whole months go, their hashes stay; 0: for ever"`
	AuditDaysCustom         int `config:"AUDIT_DAYS_CUSTOM" usage:"plan custom: days that audit events are kept, from 31; 0: for ever"`

	TrustedProxies []netip.Prefix `config:"TRUSTED_PROXIES" usage:"proxies whose X-Forwarded-For and X-Request-Id count"`
	JWKSAllow      []netip.Prefix `config:"JWKS_ALLOW" usage:"private or special addresses that an agent's jwksUri may be fetched from all the same; default: none"`
	PolicyDir      string         `config:"POLICY_DIR" usage:"folder of Rego files and data that decide on the management API; default: built in. SIGHUP reloads it"`
	CORSOrigins    []string       `config:"CORS_ORIGINS" usage:"origins whose pages may call: https://host[:port], or http on loopback; default: none"`
	Dashboard      bool           `config:"DASHBOARD" usage:"serve the web dashboard at /dashboard"`
	APIDocs        bool           `config:"API_DOCS" usage:"serve the page about the API at /api-docs"`
	LogLevel       string         `config:"LOG_LEVEL" usage:"debug, info, warn or error"`
	LogFormat      string         `config:"LOG_FORMAT" usage:"json or text"`
	DrainDelay     time.Duration  `config:"DRAIN_DELAY" usage:"how long /health says 503 at shutdown while requests are still served; off loopback"`
	DrainTimeout   time.Duration  `config:"DRAIN_TIMEOUT" usage:"how long requests in flight may take at shutdown"`

	OTLPEndpoint string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT" usage:"OpenTelemetry collector (OTLP over HTTP) that gets a span of each sampled request; default: none"`
	TraceRatio   float64 `env:"OTEL_TRACES_SAMPLER_ARG" usage:"share of the traces begun here that are sampled, 0 to 1; of callers' traces those that they sample, past the share at most 50 a second"`

	DatabaseURL       string `env:"DATABASE_URL" secret:"true" usage:"PostgreSQL 14 or later, as postgres://user:password@host/database; default: SQLite in DATA_DIR"`
	DatabaseDirectURL string `env:"DATABASE_DIRECT_URL" secret:"true" usage:"the same database past a connection pooler, for LISTEN and migrations; only where DATABASE_URL leads through one"`
	Migrate           bool   `config:"MIGRATE" usage:"bring the database schema up to date at start; false: refuse to start on an older one"`
}

// Default is the embedded configuration: everything on loopback, nothing required.
func Default() Config {
	return Config{
		Addr: "127.0.0.1:8080", AdminAddr: "127.0.0.1:8083", DataDir: "./data",
		BcryptCost: bcrypt.DefaultCost, TokenTTL: time.Hour, Signer: issuer.Auto, KeyRotation: 30 * 24 * time.Hour, JWKSMaxAge: 5 * time.Minute,
		LimitsAgents: idp.FreeLimits.Agents, LimitsTokensPerMonth: idp.FreeLimits.TokensPerMonth, LimitsRequestsPerMinute: idp.FreeLimits.RequestsPerMinute, LimitsAuditDays: 90,
		Dashboard: true, APIDocs: true, TraceRatio: 1, LogLevel: "info", LogFormat: "json", DrainDelay: 5 * time.Second, DrainTimeout: 10 * time.Second, Migrate: true,
	}
}

// IssuerURL is the issuer: as set, or the loopback address.
func (c *Config) IssuerURL() string {
	if c.Issuer == "" {
		return c.scheme() + c.Addr
	}
	return c.Issuer
}

func (c *Config) scheme() string {
	if c.TLSCert != "" {
		return "https://"
	}
	return "http://"
}

// Loopback reports whether the API listens on loopback only.
func (c *Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (c *Config) limits() idp.Limits {
	return idp.Limits{Agents: c.LimitsAgents, TokensPerMonth: c.LimitsTokensPerMonth, RequestsPerMinute: c.LimitsRequestsPerMinute, Credentials: idp.FreeLimits.Credentials}
}

func (c *Config) retention() auditlog.Retention {
	return auditlog.Retention{Free: c.LimitsAuditDays, Custom: c.AuditDaysCustom}
}

// schedule publishes the next key for twice as long as verifiers keep the key
// set, so that each of them has it before it signs.
func (c *Config) schedule() issuer.Schedule {
	return issuer.Schedule{Period: c.KeyRotation, Ahead: 2 * c.JWKSMaxAge}
}

func (c *Config) bootstrap() registry.BootstrapInput {
	return registry.BootstrapInput{ClientID: c.BootstrapClientID, Secret: c.BootstrapClientSecret}
}

func (c *Config) path(name string) string { return filepath.Join(c.DataDir, name) }

// StorePath is the SQLite file.
func (c *Config) StorePath() string { return c.path("agentidp.db") }

// MasterKeyPath is where the master key lies when it is not a setting.
func (c *Config) MasterKeyPath() string { return c.path("master.key") }

// AdminPath is where the first administrator's credential is written.
func (c *Config) AdminPath() string { return c.path("admin.json") }

// CheckpointPath is the copy of the latest audit checkpoint outside the store.
func (c *Config) CheckpointPath() string { return c.path("audit.checkpoint") }

// Validate implements config.Checker.
func (c *Config) Validate() []config.Problem {
	var problems []config.Problem
	demand := func(holds bool, key, format string, args ...any) {
		if !holds {
			problems = append(problems, config.Problem{Key: key, Text: fmt.Sprintf(format, args...)})
		}
	}
	demand(validAddr(c.Addr), "addr", "must be host:port")
	demand(validAddr(c.AdminAddr), "admin_addr", "must be host:port")
	demand(c.DataDir != "", "data_dir", "must not be empty")
	problems = append(problems, c.issuerProblems()...)
	if err := c.bootstrap().Check(); err != nil {
		demand(false, "bootstrap_client_id", "%v", err)
	}
	demand(c.BcryptCost >= 10 && c.BcryptCost <= 15 || c.BcryptCost == 0 && c.secretScheme() != clientauth.SchemeBcrypt, "bcrypt_cost", "must be from 10 to 15")
	problems = append(problems, c.secretProblems()...)
	problems = append(problems, c.redisProblems()...)
	demand(c.TokenTTL >= time.Minute && c.TokenTTL <= time.Hour && c.TokenTTL%time.Second == 0, "token_ttl", "must be whole seconds from 60s to 3600s")
	demand(c.JWKSMaxAge >= time.Second && c.JWKSMaxAge <= time.Hour && c.JWKSMaxAge%time.Second == 0, "jwks_max_age", "must be whole seconds from 1s to 3600s")
	demand(c.Signer.Valid(), "signer", "must be auto, go or batch")
	demand(c.KeyRotation == 0 || c.KeyRotation >= c.schedule().Ahead, "key_rotation", "must be 0, or at least twice jwks_max_age")
	demand(c.DefaultResource == "" || validResource(c.DefaultResource), "default_resource", "must be an absolute URI without a fragment")
	for i, resource := range c.Resources {
		demand(validResource(resource), fmt.Sprintf("resources[%d]", i), "must be an absolute URI without a fragment")
	}
	demand(c.DefaultResource == "" || len(c.Resources) == 0 || slices.Contains(c.Resources, c.DefaultResource), "default_resource", "must be one of resources")
	demand(c.LimitsAgents >= 0, "limits_agents", "must not be negative")
	demand(c.LimitsTokensPerMonth >= 0, "limits_tokens_per_month", "must not be negative")
	demand(c.LimitsRequestsPerMinute >= 0, "limits_requests_per_minute", "must not be negative")
	demand(c.LimitsAuditDays == 0 || c.LimitsAuditDays >= auditlog.MinRetention, "limits_audit_days", "must be 0, or at least %d", auditlog.MinRetention)
	demand(c.AuditDaysCustom == 0 || c.AuditDaysCustom >= auditlog.MinRetention, "audit_days_custom", "must be 0, or at least %d", auditlog.MinRetention)
	demand(slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "log_level", "must be debug, info, warn or error")
	demand(slices.Contains([]string{"json", "text"}, c.LogFormat), "log_format", "must be json or text")
	demand((c.TLSCert == "") == (c.TLSKey == ""), "tls_cert", "must be set together with tls_key")
	demand(c.TLSCert == "" || strings.HasPrefix(c.IssuerURL(), "https://"), "issuer", "must be https with tls_cert")
	for i, origin := range c.CORSOrigins {
		if err := httpapi.CheckOrigin(origin); err != nil {
			demand(false, fmt.Sprintf("cors_origins[%d]", i), "%v", err)
		}
	}
	if c.OTLPEndpoint != "" {
		if err := otlp.CheckEndpoint(c.OTLPEndpoint); err != nil {
			demand(false, "otel_exporter_otlp_endpoint", "%v", err)
		}
	}
	demand(c.TraceRatio >= 0 && c.TraceRatio <= 1, "otel_traces_sampler_arg", "must be from 0 to 1")
	demand(c.DrainDelay >= 0 && c.DrainDelay <= 5*time.Minute, "drain_delay", "must be from 0s to 5m")
	demand(c.DrainTimeout >= 0 && c.DrainTimeout <= 5*time.Minute, "drain_timeout", "must be from 0s to 5m")
	demand(c.DatabaseURL == "" || postgresURL(c.DatabaseURL), "database_url", "must be a postgres:// URL")
	demand(c.DatabaseDirectURL == "" || postgresURL(c.DatabaseDirectURL), "database_direct_url", "must be a postgres:// URL")
	demand(c.DatabaseURL == "" || c.MasterKey != "" || c.VaultMasterKey == masterKeyKV, "master_key", "is required with database_url, the same for all replicas: a key of one replica's own would be lost with its folder, and the signing keys with it")
	demand(c.DatabaseDirectURL == "" || c.DatabaseURL != "", "database_direct_url", "is of no use without database_url")
	if c.PolicyDir != "" {
		info, err := os.Stat(c.PolicyDir)
		demand(err == nil && info.IsDir(), "policy_dir", "must be a folder that can be read")
	}
	return problems
}

func (c *Config) issuerProblems() []config.Problem {
	if c.Issuer == "" && !c.Loopback() {
		return []config.Problem{{Key: "issuer", Text: "is required when addr is not loopback"}}
	}
	u, err := url.Parse(c.IssuerURL())
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(c.IssuerURL(), "/") || strings.Contains(c.IssuerURL(), "#") || strings.Contains(c.IssuerURL(), "?") {
		return []config.Problem{{Key: "issuer", Text: "must be an absolute http(s) URL without user, query, fragment or final slash"}}
	}
	host, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && host.IsLoopback()
	if u.Scheme == "http" && !loopback && !c.AllowHTTP {
		return []config.Problem{{Key: "issuer", Text: "must be https off loopback, unless allow_http is true"}}
	}
	return nil
}

func postgresURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
}

func validAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}

func validResource(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && !strings.Contains(s, "#") && (u.Host != "" || u.Opaque != "")
}
