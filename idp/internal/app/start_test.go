package app_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres/pgtest"
	"github.com/sentryagent/agentidp/idp/internal/vault/vaulttest"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/obs/obstest"
)

const startWait = time.Minute // a server that comes back may take most of it

// opening is an IdP that is about to open what it needs.
type opening struct {
	*testing.T
	log    *obstest.Output
	cancel context.CancelFunc
	ended  chan error
	app    *app.App // once ended said nil
}

func open(t *testing.T, cfg app.Config) *opening {
	t.Helper()
	o := &opening{T: t, log: &obstest.Output{}, ended: make(chan error, 1)}
	logger, err := obs.NewLogger(o.log, obs.FormatJSON, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	t.Cleanup(cancel)
	go func() {
		var err error
		o.app, err = app.New(ctx, cfg, app.Options{Logger: logger, Policy: patient})
		o.ended <- err
	}()
	return o
}

// waits demands that it says what it waits for, and does.
func (o *opening) waits(reason string) {
	o.Helper()
	require.Eventually(o, func() bool { return strings.Contains(o.log.String(), `"reason":"`+reason+`"`) }, startWait, 10*time.Millisecond)
	require.Empty(o, o.ended)
}

func onPostgres(t *testing.T, url string) app.Config {
	cfg := settings(t)
	cfg.DatabaseURL, cfg.MasterKey = url, strings.Repeat("ab", 32)
	return cfg
}

func TestAStartWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	server.Stop(t, "fast")
	o := open(t, onPostgres(t, server.URL("postgres")))
	o.waits("store_unreachable")
	server.Start(t)
	require.NoError(t, <-o.ended, o.log)
	require.NoError(t, o.app.Close())
}

func TestAStartThatWaitsEndsWhenItIsTold(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	server.Stop(t, "fast")
	o := open(t, onPostgres(t, server.URL("postgres")))
	o.waits("store_unreachable")
	told := time.Now()
	o.cancel()
	require.Error(t, <-o.ended)
	require.Less(t, time.Since(told), 10*time.Second)
}

func TestAStartDoesNotWaitForWhatNeverComes(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{Conf: []string{"fsync = off"}})
	for url, reason := range map[string]string{
		server.URL("none"):     "does not exist",
		server.URL("postgres"): `fsync is "off"`,
	} {
		o := open(t, onPostgres(t, url))
		require.ErrorContains(t, <-o.ended, reason)
		require.NotContains(t, o.log.String(), "unreachable")
	}
}

func TestAStartWaitsForAVaultThatHasTheMasterKey(t *testing.T) {
	t.Parallel()
	server := vaulttest.NewDouble(t)
	proxy := server.NewProxy(t)
	cfg := settings(t)
	cfg.VaultAddr, cfg.VaultToken, cfg.VaultMount = proxy.Addr, server.NewToken(t, time.Hour, time.Hour, true), server.Mount(t)
	cfg.VaultMasterKey = "kv"
	proxy.Instead(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	o := open(t, cfg)
	o.waits("vault_unreachable")
	proxy.Instead(nil)
	require.NoError(t, <-o.ended, o.log)
	require.NoError(t, o.app.Close())

	cfg.VaultToken = "not-a-token"
	o = open(t, cfg)
	require.ErrorContains(t, <-o.ended, "permission denied")
	require.NotContains(t, o.log.String(), "vault_unreachable")
}
