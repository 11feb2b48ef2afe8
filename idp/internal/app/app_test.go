package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
	"github.com/sentryagent/agentidp/shared/policy"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends within ten seconds of its server
	)
}

// patient is for policies on a machine that has no time to spare.
var patient = policy.Options{Timeout: time.Minute, TestTimeout: 5 * time.Minute}

// run runs an IdP and returns it with a way to stop it.
func run(t *testing.T, cfg app.Config) (a *app.App, log *obstest.Output, stop func() error) {
	t.Helper()
	log = &obstest.Output{}
	logger, err := obs.NewLogger(log, obs.FormatJSON, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	a, err = app.New(ctx, cfg, app.Options{Logger: logger, Policy: patient})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	require.Eventually(t, func() bool {
		status, _ := get(t, a.Issuer()+"/health")
		return status == http.StatusOK && strings.Contains(log.String(), "serving")
	},
		time.Minute, 5*time.Millisecond)
	return a, log, func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		return <-ended
	}
}

func get(t *testing.T, target string) (int, string) {
	t.Helper()
	answer, err := http.Get(target)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

func settings(t *testing.T) app.Config {
	t.Helper()
	cfg := app.Default()
	cfg.Addr, cfg.DataDir = "127.0.0.1:0", filepath.Join(t.TempDir(), "data")
	return cfg
}

func token(t *testing.T, a *app.App, id, secret string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, a.Issuer()+"/api/v1/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(id, secret)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

type credential struct{ ClientID, ClientSecret string }

func admin(t *testing.T, cfg app.Config) credential {
	t.Helper()
	raw, err := os.ReadFile(cfg.AdminPath())
	require.NoError(t, err)
	var c credential
	require.NoError(t, json.Unmarshal(raw, &c))
	return c
}

func TestTheFirstStartMakesWhatIsNeededAndLaterOnesKeepIt(t *testing.T) {
	cfg := settings(t)
	a, log, stop := run(t, cfg)
	first := admin(t, cfg)
	for _, name := range []string{"admin.json", "master.key", "agentidp.db"} {
		info, err := os.Stat(filepath.Join(cfg.DataDir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	status, body := token(t, a, first.ClientID, first.ClientSecret)
	require.Equal(t, http.StatusOK, status, body)
	require.NotContains(t, log.String(), first.ClientSecret)
	_, keys := get(t, a.Issuer()+"/.well-known/jwks.json")
	require.NoError(t, stop())
	require.FileExists(t, cfg.CheckpointPath())

	a, log, stop = run(t, cfg)
	require.NotContains(t, log.String(), "administrator made")
	status, _ = token(t, a, first.ClientID, first.ClientSecret)
	require.Equal(t, http.StatusOK, status)
	_, again := get(t, a.Issuer()+"/.well-known/jwks.json")
	require.Equal(t, keys, again)
	_, err := app.New(t.Context(), cfg, app.Options{})
	require.ErrorContains(t, err, "in use", "a second process on the same folder")
	require.NoError(t, stop())
}

func TestTheAdministratorFromTheEnvironment(t *testing.T) {
	cfg := settings(t)
	cfg.BootstrapClientID, cfg.BootstrapClientSecret = "aidp_c_0123456789abcdefghijkl", "a secret of at least 32 characters"
	a, _, stop := run(t, cfg)
	status, body := token(t, a, cfg.BootstrapClientID, cfg.BootstrapClientSecret)
	require.Equal(t, http.StatusOK, status, body)
	require.NoFileExists(t, cfg.AdminPath())
	require.NoError(t, stop())
}

func TestMetricsOnLoopback(t *testing.T) {
	a, _, stop := run(t, settings(t))
	require.Nil(t, a.AdminAddr())
	status, body := get(t, a.Issuer()+"/metrics")
	require.Equal(t, http.StatusOK, status)
	for _, name := range []string{"agentidp_audit_events_total", "agentidp_build_info", "agentidp_policy_epoch", "process_resident_memory_bytes", `_bucket{`} {
		require.Contains(t, body, name)
	}
	for _, dependency := range []string{"audit", "signingKey", "policy"} {
		require.Contains(t, body, `agentidp_dependency_up{dependency="`+dependency+`"} 1`+"\n")
	}
	require.Contains(t, body, "agentidp_signing_key_rotation_seconds 2592000\n")
	require.Regexp(t, `(?m)^agentidp_signing_key_age_seconds \d`, body)
	require.Contains(t, body, `agentidp_dependency_up{dependency="store"} `)
	status, _ = get(t, a.Issuer()+"/debug/pprof/")
	require.Equal(t, http.StatusNotFound, status)
	require.NoError(t, stop())
}

// Profiles tell of every request: they are where no client can ask, on loopback too.
func TestProfilesAreOnTheAdminAddressAlone(t *testing.T) {
	cfg := settings(t)
	cfg.Pprof, cfg.AdminAddr = true, "127.0.0.1:0"
	a, _, stop := run(t, cfg)
	for path, want := range map[string][2]int{"/debug/pprof/": {404, 200}, "/debug/pprof/mutex?debug=1": {404, 200}, "/metrics": {200, 200}} {
		status, _ := get(t, a.Issuer()+path)
		require.Equal(t, want[0], status, path)
		status, _ = get(t, "http://"+a.AdminAddr().String()+path)
		require.Equal(t, want[1], status, path)
	}
	require.Positive(t, runtime.SetMutexProfileFraction(-1))
	require.NoError(t, stop())
}

func TestMetricsMoveOffTheMainAddress(t *testing.T) {
	cfg := settings(t)
	cfg.Addr, cfg.AdminAddr, cfg.AllowHTTP = "0.0.0.0:0", "127.0.0.1:0", true
	cfg.Issuer = "http://idp.example.com"
	log := &obstest.Output{}
	logger, err := obs.NewLogger(log, obs.FormatJSON, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, cfg, app.Options{Logger: logger, Policy: patient})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	main := "http://127.0.0.1:" + strings.TrimPrefix(a.Addr().String(), "[::]:")
	require.Eventually(t, func() bool { status, _ := get(t, main+"/health"); return status == http.StatusOK }, time.Minute, 5*time.Millisecond)
	for path, want := range map[string]int{"/metrics": http.StatusOK, "/debug/pprof/": http.StatusNotFound} {
		status, _ := get(t, main+path)
		require.Equal(t, http.StatusNotFound, status, path)
		status, _ = get(t, "http://"+a.AdminAddr().String()+path)
		require.Equal(t, want, status, path)
	}
	status, _ := get(t, "http://"+a.AdminAddr().String()+"/health")
	require.Equal(t, http.StatusOK, status)
	cancel()
	http.DefaultClient.CloseIdleConnections()
	require.NoError(t, <-ended)
}

func TestReloadKeepsTheOldPolicyWhenTheNewOneIsBad(t *testing.T) {
	cfg := settings(t)
	cfg.PolicyDir = t.TempDir()
	write := func(content string) {
		require.NoError(t, os.WriteFile(filepath.Join(cfg.PolicyDir, "authz.rego"), []byte(content), 0o600))
	}
	const good = "package agentidp.authz\n\ndefault decision := {\"allow\": false, \"reason\": \"capability_missing\"}\n"
	write(good)
	a, log, stop := run(t, cfg)
	write("package agentidp.authz\n\ndecision := {")
	a.Reload(t.Context())
	require.Contains(t, log.String(), "the old one stays")
	require.Eventually(t, func() bool { _, body := get(t, a.Issuer()+"/health"); return strings.Contains(body, "degraded") }, time.Minute, 20*time.Millisecond)
	write(good + "# changed\n")
	a.Reload(t.Context())
	require.Contains(t, log.String(), "policy reloaded")
	require.NoError(t, stop())
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	taken, _, stop := run(t, settings(t))
	cfg := settings(t)
	cfg.Addr = taken.Addr().String()
	_, err := app.New(t.Context(), cfg, app.Options{})
	require.ErrorContains(t, err, "listen on addr")
	require.NoDirExists(t, cfg.DataDir, "the data is not touched")
	require.NoError(t, stop())

	cfg = settings(t)
	cfg.MasterKey = "too short"
	_, err = app.New(t.Context(), cfg, app.Options{})
	require.ErrorContains(t, err, "master key")
	cfg = settings(t)
	cfg.PolicyDir = t.TempDir()
	_, err = app.New(t.Context(), cfg, app.Options{})
	require.ErrorContains(t, err, "policy")
}
