package config_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/config"
)

type limits struct {
	Agents int64   `config:"LIMITS_AGENTS" usage:"agents per organization, 0 = none"`
	Share  float64 `config:"SHARE" usage:"share of something"`
}

type example struct {
	Addr      string         `config:"ADDR" usage:"listen address"`
	TTL       time.Duration  `config:"TOKEN_TTL" usage:"token life"`
	AllowHTTP bool           `config:"ALLOW_HTTP" usage:"accept http off loopback"`
	Workers   int            `config:"WORKERS" usage:"workers"`
	Resources []string       `config:"RESOURCES" usage:"allowed resources"`
	Trusted   []netip.Prefix `config:"TRUSTED_PROXIES" usage:"proxies whose X-Forwarded-For counts"`
	Level     slog.Level     `config:"LOG_LEVEL" usage:"log | level"`
	Secret    string         `config:"CLIENT_SECRET" usage:"client secret" secret:"true"`
	Database  string         `env:"DATABASE_URL" usage:"PostgreSQL" secret:"true"`
	Redis     string         `env:"REDIS_URL" usage:"Redis"`
	Limits    limits

	ignored string
	Other   map[string]string
}

func (c *example) Validate() []config.Problem {
	if c.TTL < time.Minute {
		return []config.Problem{{Key: "token_ttl", Text: "must be at least 1m0s"}}
	}
	return nil
}

func defaults() *example {
	return &example{Addr: "127.0.0.1:8080", TTL: time.Hour, Limits: limits{Agents: 100}, ignored: "x"}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func problems(t *testing.T, err error) []string {
	t.Helper()
	var p *config.Problems
	require.ErrorAs(t, err, &p)
	lines := make([]string, len(p.List))
	for i, one := range p.List {
		lines[i] = one.String()
	}
	require.Equal(t, len(lines), strings.Count(err.Error(), "\n  "))
	return lines
}

func TestDefaultsStand(t *testing.T) {
	c := defaults()
	require.NoError(t, config.Load(c, config.Options{}))
	require.Equal(t, defaults(), c)
	require.NoError(t, config.Load(c, config.Options{File: write(t, "# nothing\n"), Prefix: "AGENTIDP_", Environ: []string{"AGENTIDP_ADDR=", "HOME=/root"}}))
	require.Equal(t, defaults(), c)
}

func TestEveryTypeFromEverySource(t *testing.T) {
	want := &example{
		Addr: "0.0.0.0:1", TTL: 90 * time.Second, AllowHTTP: true, Workers: 7,
		Resources: []string{"https://a", "https://b"},
		Trusted:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32")},
		Level:     slog.LevelWarn, Secret: "s3cret", Database: "postgres://u:p@h/d", Redis: "redis://h", Limits: limits{Agents: 5, Share: 0.25},
		ignored: "x",
	}
	t.Run("file", func(t *testing.T) {
		c := defaults()
		require.NoError(t, config.Load(c, config.Options{File: write(t, `
addr: 0.0.0.0:1
token_ttl: 1m30s
allow_http: true
workers: 7
resources: [https://a, "https://b"]
trusted_proxies:
  - 10.1.2.3/8
  - 192.0.2.1
  - 2001:db8::/32
log_level: warn
client_secret: s3cret
database_url: postgres://u:p@h/d
redis_url: redis://h
limits_agents: 5
share: 0.25
`)}))
		require.Equal(t, want, c)
	})
	t.Run("environment", func(t *testing.T) {
		c := defaults()
		require.NoError(t, config.Load(c, config.Options{Prefix: "AGENTIDP_", Environ: []string{
			"AGENTIDP_ADDR=0.0.0.0:1", "AGENTIDP_TOKEN_TTL=90", "AGENTIDP_ALLOW_HTTP=1", "AGENTIDP_WORKERS=7",
			"AGENTIDP_RESOURCES=https://a, https://b,", "AGENTIDP_TRUSTED_PROXIES=10.0.0.0/8,::ffff:192.0.2.1,2001:db8::/32",
			"AGENTIDP_LOG_LEVEL=WARN", "AGENTIDP_CLIENT_SECRET=s3cret", "DATABASE_URL=postgres://u:p@h/d", "REDIS_URL=redis://h",
			"AGENTIDP_LIMITS_AGENTS=5", "AGENTIDP_SHARE=0.25",
		}}))
		require.Equal(t, want, c)
	})
	t.Run("flags", func(t *testing.T) {
		c := defaults()
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		config.Flags(fs, c)
		require.NoError(t, fs.Parse([]string{
			"--addr=0.0.0.0:1", "--token-ttl", "90s", "--allow-http", "--workers=7", "--resources=https://a,https://b",
			"--trusted-proxies", "10.0.0.0/8,192.0.2.1,2001:db8::/32", "--log-level=warn", "--redis-url=redis://h", "--limits-agents=5", "--share=0.25",
		}))
		c.Secret, c.Database = want.Secret, want.Database
		require.NoError(t, config.Load(c, config.Options{Flags: fs}))
		require.Equal(t, want, c)
	})
}

func TestOrderOfSources(t *testing.T) {
	load := func(file string, environ []string, args ...string) *example {
		c := defaults()
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		fs.String("other", "", "a flag of the command itself")
		config.Flags(fs, c)
		require.NoError(t, fs.Parse(args))
		options := config.Options{Prefix: "AGENTIDP_", Environ: environ, Flags: fs}
		if file != "" {
			options.File = write(t, file)
		}
		require.NoError(t, config.Load(c, options))
		return c
	}
	require.Equal(t, "file", load("addr: file", nil).Addr)
	require.Equal(t, "env", load("addr: file", []string{"AGENTIDP_ADDR=env"}).Addr)
	require.Equal(t, "flag", load("addr: file", []string{"AGENTIDP_ADDR=env"}, "--addr=flag", "--other=x").Addr)
	require.Equal(t, "file", load("addr: file", []string{"AGENTIDP_ADDR="}).Addr, "an empty variable is not set")
	require.Empty(t, load("addr: file", nil, "--addr=").Addr, "an empty flag is set")
	require.Empty(t, load(`addr: ""`, nil).Addr, "an empty string in the file is set")
	require.Equal(t, "127.0.0.1:8080", load("", nil).Addr, "the default of an unchanged flag changes nothing")
}

func TestSecretFiles(t *testing.T) {
	secret := write(t, "from file\r\n")
	c := defaults()
	require.NoError(t, config.Load(c, config.Options{Prefix: "AGENTIDP_", Environ: []string{"AGENTIDP_CLIENT_SECRET_FILE=" + secret, "DATABASE_URL_FILE=" + secret}}))
	require.Equal(t, "from file", c.Secret)
	require.Equal(t, "from file", c.Database)

	c = defaults()
	require.NoError(t, config.Load(c, config.Options{File: write(t, "client_secret_file: "+secret)}))
	require.Equal(t, "from file", c.Secret)

	c = defaults()
	require.NoError(t, config.Load(c, config.Options{File: write(t, "client_secret: lower"), Prefix: "AGENTIDP_", Environ: []string{"AGENTIDP_CLIENT_SECRET_FILE=" + secret}}))
	require.Equal(t, "from file", c.Secret, "the environment stands over the file")

	var again struct {
		Secret string `config:"CLIENT_SECRET" secret:"true"`
		File   string `fileof:"CLIENT_SECRET"`
	}
	require.NoError(t, config.Load(&again, config.Options{File: write(t, "client_secret_file: "+secret)}))
	require.Equal(t, secret, again.File)
	require.NoError(t, config.Load(&again, config.Options{File: write(t, "client_secret_file: "+secret), Prefix: "AGENTIDP_", Environ: []string{"AGENTIDP_CLIENT_SECRET=value"}}))
	require.Empty(t, again.File, "the value came from elsewhere in the end")
	var lost struct {
		File string `fileof:"CLIENT_SECRET"`
	}
	require.ErrorContains(t, config.Load(&lost, config.Options{}), "its fileof the name of a secret")

	refused := func(want string, options config.Options) {
		t.Helper()
		err := config.Load(defaults(), options)
		require.Equal(t, []string{want}, problems(t, err))
	}
	environ := func(pairs ...string) config.Options { return config.Options{Prefix: "AGENTIDP_", Environ: pairs} }
	refused("client_secret (environment AGENTIDP_CLIENT_SECRET_FILE): names a file that cannot be opened: no such file or directory", environ("AGENTIDP_CLIENT_SECRET_FILE=aidp_sk_pasted"))
	refused("client_secret (environment AGENTIDP_CLIENT_SECRET_FILE): names a file that cannot be read: is a directory", environ("AGENTIDP_CLIENT_SECRET_FILE="+t.TempDir()))
	refused("client_secret (environment AGENTIDP_CLIENT_SECRET_FILE): names an empty file", environ("AGENTIDP_CLIENT_SECRET_FILE="+write(t, "\n")))
	refused("client_secret (environment AGENTIDP_CLIENT_SECRET_FILE): names a file larger than 65536 bytes", environ("AGENTIDP_CLIENT_SECRET_FILE="+write(t, strings.Repeat("x", 65537))))
	refused("client_secret (environment AGENTIDP_CLIENT_SECRET): is given both as a value and as a file", environ("AGENTIDP_CLIENT_SECRET=a", "AGENTIDP_CLIENT_SECRET_FILE="+secret))
	both := write(t, "client_secret: a\nclient_secret_file: "+secret)
	refused("client_secret (file "+both+"): is given both as a value and as a file", config.Options{File: both})
	list := write(t, "client_secret_file: [a]")
	refused("client_secret (file "+list+" line 1): must name a file", config.Options{File: list})
}

func TestEveryProblemAtOnce(t *testing.T) {
	file := write(t, `addr: [a, b]
token_ttl: soon
workers: 1.5
typo: x
"odd key": 1
addr: twice
log_level: loud
limits_agents:
allow_http: {a: b}
trusted_proxies: [10.0.0.0/8, nonsense]
client_secret: {a: hunter2}
share: NaN
`)
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.Flags(fs, defaults())
	require.NoError(t, fs.Parse([]string{"--workers=many", "--token-ttl=1s"}))
	err := config.Load(defaults(), config.Options{File: file, Prefix: "AGENTIDP_", Environ: []string{"AGENTIDP_ALLOW_HTTP=maybe", "AGENTIDP_TRUSTED_PROXIES=10.0.0.0/99"}, Flags: fs})
	at := func(line string) string { return "(file " + file + " line " + line + "): " }
	require.Equal(t, []string{
		"addr " + at("1") + "must be one value, not a list",
		"token_ttl " + at("2") + `must be a duration such as 90s or 15m, not "soon"`,
		"workers " + at("3") + `must be a whole number, not "1.5"`,
		"typo " + at("4") + "is not a setting",
		`"odd key" ` + at("5") + "is not a setting",
		"addr " + at("6") + "is given twice",
		"log_level " + at("7") + `must be a valid slog.Level, not "loud"`,
		"limits_agents " + at("8") + "has no value; leave it out for the default",
		"allow_http " + at("9") + "must be a plain value or a list of plain values",
		"trusted_proxies " + at("10") + `must list addresses or ranges such as 10.0.0.0/8, not "nonsense"`,
		"client_secret " + at("11") + "must be a plain value or a list of plain values",
		"share " + at("12") + `must be a number, not "NaN"`,
		`allow_http (environment AGENTIDP_ALLOW_HTTP): must be true or false, not "maybe"`,
		`trusted_proxies (environment AGENTIDP_TRUSTED_PROXIES): must list addresses or ranges such as 10.0.0.0/8, not "10.0.0.0/99"`,
		`workers (flag --workers): must be a whole number, not "many"`,
		"token_ttl (flag --token-ttl): must be at least 1m0s",
	}, problems(t, err))
	require.NotContains(t, err.Error(), "hunter2")
}

func TestFilesThatAreNotOurs(t *testing.T) {
	for name, fact := range map[string]struct{ content, want string }{
		"a list":            {"- a", "must be a mapping of settings"},
		"not YAML":          {"a: b: c", "is not YAML: mapping values are not allowed in this context"},
		"a secret quoted":   {"client_secret: *hunter2", "is not YAML"},
		"two documents":     {"addr: a\n---\naddr: b", "must hold one YAML document"},
		"too large":         {strings.Repeat("#", 1<<20+1), "names a file larger than 1048576 bytes"},
		"a tab":             {"addr:\n\t- b", "is not YAML: line 2: found character that cannot start any token"},
		"broken after text": {"addr: a\n---\n'", "is not YAML: line 3: found unexpected end of stream"},
	} {
		file := write(t, fact.content)
		require.Equal(t, []string{"config (file " + file + "): " + fact.want}, problems(t, config.Load(defaults(), config.Options{File: file})), name)
	}
	require.Equal(t, []string{"config (file /does/not/exist): names a file that cannot be opened: no such file or directory"},
		problems(t, config.Load(defaults(), config.Options{File: "/does/not/exist"})))
	for _, empty := range []string{"", "~", "---\n", "null"} {
		require.NoError(t, config.Load(defaults(), config.Options{File: write(t, empty)}), empty)
	}
	alias := write(t, "addr: &a x\nredis_url: *a\n<<: {}")
	require.Len(t, problems(t, config.Load(defaults(), config.Options{File: alias})), 2, "no aliases, no merges")
}

func TestUnknownVariablesWarn(t *testing.T) {
	warned := func(prefix string, environ ...string) []string {
		var texts []string
		require.NoError(t, config.Load(defaults(), config.Options{Prefix: prefix, Environ: environ, Warn: func(text string) { texts = append(texts, text) }}))
		return texts
	}
	environ := []string{"AGENTIDP_ADDR=a", "AGENTIDP_TYPO=a", "AGENTIDP_SIDECAR_ADDR=b", "AGENTIDP_SIDECAR_TYPO=b", "AGENTIDP_CLIENT_SECRET=c", "AGENTIDP_ADDR_FILE=d", "PATH=/bin", "AGENTIDP_TYPO=twice"}
	require.Equal(t, []string{
		`environment variable "AGENTIDP_TYPO" is not a setting`,
		`environment variable "AGENTIDP_ADDR_FILE" is not a setting`,
	}, warned(config.PrefixIdP, environ...))
	require.Equal(t, []string{`environment variable "AGENTIDP_SIDECAR_TYPO" is not a setting`}, warned(config.PrefixSidecar, environ...))
	require.Empty(t, warned("", environ...))
}

func TestDescribeMasksSecrets(t *testing.T) {
	c := defaults()
	c.Secret, c.Redis, c.Resources = "hunter2", "redis://:hunter2@host:6379/0", []string{"a", "b"}
	c.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	text, err := config.Describe(c)
	require.NoError(t, err)
	require.Equal(t, `addr: 127.0.0.1:8080
token_ttl: 1h0m0s
allow_http: false
workers: 0
resources: a,b
trusted_proxies: 10.0.0.0/8
log_level: INFO
client_secret: ********
database_url: `+`
redis_url: redis://:xxxxx@host:6379/0
limits_agents: 100
share: 0
`, text)
}

func TestReferenceListsEverySetting(t *testing.T) {
	text, err := config.Reference(defaults(), "AGENTIDP_")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	require.Len(t, lines, 2+12)
	for _, line := range lines {
		require.Len(t, line, len(lines[0]), "columns are aligned: %s", line)
	}
	require.Contains(t, text, "| AGENTIDP_CLIENT_SECRET[_FILE] |                   | client_secret   |                | client secret")
	require.Contains(t, text, "| AGENTIDP_TOKEN_TTL            | --token-ttl       | token_ttl       | 1h0m0s         | token life")
	require.Contains(t, text, "| REDIS_URL                     | --redis-url ")
	require.Contains(t, text, `log \| level`)
}

func TestFlagsShowUsageAndDefault(t *testing.T) {
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.Flags(fs, defaults())
	usage := fs.FlagUsages()
	require.Contains(t, usage, "--token-ttl duration")
	require.Contains(t, usage, "token life (default 1h0m0s)")
	require.Nil(t, fs.Lookup("client-secret"))
	require.Nil(t, fs.Lookup("database-url"))
}

func TestMistakesOfTheProgram(t *testing.T) {
	type unexported struct {
		a string `config:"A"` //nolint:unused // the mistake under test
	}
	for want, dst := range map[string]any{
		"config: config_test.example is not a pointer to a struct": example{},
		"config: *int is not a pointer to a struct":                new(int),
		"config: field a is not exported":                          &unexported{},
		"config: field A has the unsupported type chan int": &struct {
			A chan int `config:"A"`
		}{},
		"config: field A has the unsupported type int": &struct {
			A int `config:"A" secret:"true"`
		}{},
		"config: two settings are named a": &struct {
			A, B string `config:"A"`
		}{},
		"config: two settings are named a_file": &struct {
			A string `config:"A" secret:"true"`
			B string `config:"A_FILE"`
		}{},
	} {
		err := config.Load(dst, config.Options{})
		require.EqualError(t, err, want)
		var p *config.Problems
		require.False(t, errors.As(err, &p))
		_, err = config.Describe(dst)
		require.EqualError(t, err, want)
		_, err = config.Reference(dst, "")
		require.EqualError(t, err, want)
		require.PanicsWithError(t, want, func() { config.Flags(pflag.NewFlagSet("", pflag.ContinueOnError), dst) })
	}
}

// FuzzLoad: whatever the sources hold, Load neither panics nor shows a secret,
// and what it accepts it accepts again from its own description.
func FuzzLoad(f *testing.F) {
	f.Add("addr: a\nworkers: 3\n", "AGENTIDP_TOKEN_TTL=1h\nAGENTIDP_TRUSTED_PROXIES=::1,10.0.0.0/8")
	f.Add("client_secret: hunter2\ntrusted_proxies: [a, {}]", "AGENTIDP_CLIENT_SECRET=hunter2")
	f.Add("&a [*a]", "AGENTIDP_\n=\nDATABASE_URL=hunter2")
	f.Add("? {a: b}\n: c\n<<: *x", "")
	f.Fuzz(func(t *testing.T, file, environ string) {
		path := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
		c := defaults()
		const secret = "hunter2-and-more"
		options := config.Options{File: path, Prefix: "AGENTIDP_", Environ: append(strings.Split(environ, "\n"), "AGENTIDP_CLIENT_SECRET="+secret), Warn: func(string) {}}
		if err := config.Load(c, options); err != nil {
			require.NotContains(t, err.Error(), secret)
			return
		}
		text, err := config.Describe(c)
		require.NoError(t, err)
		require.NotContains(t, text, secret)
		_, err = config.Reference(c, "AGENTIDP_")
		require.NoError(t, err)
	})
}
