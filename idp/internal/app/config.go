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
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/shared/config"
)

// Config is every setting of the IdP. The zero value is not usable; start from Default.
type Config struct {
	Addr      string `config:"ADDR" usage:"address of the API"`
	AdminAddr string `config:"ADMIN_ADDR" usage:"address of /metrics and /debug/pprof when ADDR is not loopback; on loopback ADDR serves them"`
	DataDir   string `config:"DATA_DIR" usage:"folder of the store, the master key and the first administrator's credential"`
	Issuer    string `config:"ISSUER" usage:"public URL of the IdP, the iss of every token; default http://ADDR on loopback, required elsewhere"`
	AllowHTTP bool   `config:"ALLOW_HTTP" usage:"allow an http issuer off loopback"`

	BootstrapClientID     string `config:"BOOTSTRAP_CLIENT_ID" usage:"client id of the first administrator; default: made up"`
	BootstrapClientSecret string `config:"BOOTSTRAP_CLIENT_SECRET" secret:"true" usage:"its secret, 32 to 64 characters; default: made up and written to DATA_DIR/admin.json"`
	MasterKey             string `config:"MASTER_KEY" secret:"true" usage:"32 bytes in hex or base64 that encrypt the signing keys; default: DATA_DIR/master.key, made on first start"`
	BcryptCost            int    `config:"BCRYPT_COST" usage:"bcrypt cost of new secrets, 10 to 15"`

	TokenTTL        time.Duration `config:"TOKEN_TTL" usage:"lifetime of access tokens, 60s to 3600s"`
	DefaultResource string        `config:"DEFAULT_RESOURCE" usage:"audience of tokens asked for without a resource; default: the issuer, good for the management API only"`
	Resources       []string      `config:"RESOURCES" usage:"the only resources tokens may be asked for; default: any"`

	LimitsAgents            int `config:"LIMITS_AGENTS" usage:"free plan: active and suspended agents of an organization; 0: no limit"`
	LimitsTokensPerMonth    int `config:"LIMITS_TOKENS_PER_MONTH" usage:"free plan: tokens of an agent in a calendar month (UTC); 0: no limit"`
	LimitsRequestsPerMinute int `config:"LIMITS_REQUESTS_PER_MINUTE" usage:"requests of a client address a minute over /api/v1; 0: no limit"`

	TrustedProxies []netip.Prefix `config:"TRUSTED_PROXIES" usage:"proxies whose X-Forwarded-For and X-Request-Id count"`
	PolicyDir      string         `config:"POLICY_DIR" usage:"folder of Rego files and data that decide on the management API; default: built in. SIGHUP reloads it"`
	LogLevel       string         `config:"LOG_LEVEL" usage:"debug, info, warn or error"`
	LogFormat      string         `config:"LOG_FORMAT" usage:"json or text"`
	DrainTimeout   time.Duration  `config:"DRAIN_TIMEOUT" usage:"how long requests in flight may take at shutdown"`

	DatabaseURL string `env:"DATABASE_URL" secret:"true" usage:"PostgreSQL; not in this version: must be empty"`
}

// Default is the embedded configuration: everything on loopback, nothing required.
func Default() Config {
	return Config{
		Addr: "127.0.0.1:8080", AdminAddr: "127.0.0.1:8083", DataDir: "./data",
		BcryptCost: bcrypt.DefaultCost, TokenTTL: time.Hour,
		LimitsAgents: idp.FreeLimits.Agents, LimitsTokensPerMonth: idp.FreeLimits.TokensPerMonth, LimitsRequestsPerMinute: idp.FreeLimits.RequestsPerMinute,
		LogLevel: "info", LogFormat: "json", DrainTimeout: 10 * time.Second,
	}
}

// IssuerURL is the issuer: as set, or the loopback address.
func (c *Config) IssuerURL() string {
	if c.Issuer == "" {
		return "http://" + c.Addr
	}
	return c.Issuer
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
	demand(c.BcryptCost >= 10 && c.BcryptCost <= 15, "bcrypt_cost", "must be from 10 to 15")
	demand(c.TokenTTL >= time.Minute && c.TokenTTL <= time.Hour && c.TokenTTL%time.Second == 0, "token_ttl", "must be whole seconds from 60s to 3600s")
	demand(c.DefaultResource == "" || validResource(c.DefaultResource), "default_resource", "must be an absolute URI without a fragment")
	for i, resource := range c.Resources {
		demand(validResource(resource), fmt.Sprintf("resources[%d]", i), "must be an absolute URI without a fragment")
	}
	demand(c.DefaultResource == "" || len(c.Resources) == 0 || slices.Contains(c.Resources, c.DefaultResource), "default_resource", "must be one of resources")
	demand(c.LimitsAgents >= 0, "limits_agents", "must not be negative")
	demand(c.LimitsTokensPerMonth >= 0, "limits_tokens_per_month", "must not be negative")
	demand(c.LimitsRequestsPerMinute >= 0, "limits_requests_per_minute", "must not be negative")
	demand(slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "log_level", "must be debug, info, warn or error")
	demand(slices.Contains([]string{"json", "text"}, c.LogFormat), "log_format", "must be json or text")
	demand(c.DrainTimeout >= 0 && c.DrainTimeout <= 5*time.Minute, "drain_timeout", "must be from 0s to 5m")
	demand(c.DatabaseURL == "", "database_url", "PostgreSQL is not in this version: unset it to use the embedded store in data_dir")
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

func validAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port != ""
}

func validResource(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && !strings.Contains(s, "#") && (u.Host != "" || u.Opaque != "")
}
