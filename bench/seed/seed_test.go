package seed

import (
	"context"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

const pepper = "7:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// Both stores take what is seeded for their own: the seeded agents get tokens,
// the log lists the seeded events, and its verification holds.
func TestASeededStoreIsValid(t *testing.T) {
	bin := commandtest.Build(t, "", nil, "idp/cmd/agentidp")
	server, err := lab.OpenServer(t.Context(), os.Getenv("TEST_DATABASE_URL"))
	require.NoError(t, err, "the tests need PostgreSQL: make test-servers")
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	database, err := server.Database(t.Context())
	require.NoError(t, err)
	for name, env := range map[string][]string{
		"sqlite":   nil,
		"postgres": {"DATABASE_URL=" + database, "AGENTIDP_MASTER_KEY=" + hex.EncodeToString(make([]byte, 32))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seeded(t, bin, append(env, "AGENTIDP_PEPPER="+pepper, "AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0"))
		})
	}
}

func seeded(t *testing.T, bin string, env []string) {
	addresses, err := stack.Free()
	require.NoError(t, err)
	idp := &stack.Stack{Addresses: addresses, Bin: bin, Dir: t.TempDir(), IdPEnv: env}
	t.Cleanup(func() { require.NoError(t, idp.Close()) })
	require.NoError(t, idp.Prepare())
	require.NoError(t, idp.StartIdP(t.Context()))
	require.NoError(t, idp.StopIdP())

	fill(t, idp)
	require.NoError(t, idp.StartIdP(t.Context()))
	for _, n := range []int64{0, 1, 249} {
		c := ClientAt(n)
		_, err := idp.Client(t.Context(), stack.Credential{ClientID: c.ClientID, ClientSecret: c.ClientSecret})
		require.NoError(t, err)
		_, err = idp.Client(t.Context(), stack.Credential{ClientID: c.ClientID, ClientSecret: ClientAt(n + 1).ClientSecret})
		require.ErrorContains(t, err, "invalid_client")
	}
	admin, err := idp.Administrator()
	require.NoError(t, err)
	client, err := idp.Client(t.Context(), admin)
	require.NoError(t, err)
	look(t, client)
	require.NoError(t, idp.StopIdP())
	verify(t, idp)
}

// fill seeds twice, so that the second events continue a tree of odd size.
func fill(t *testing.T, idp *stack.Stack) {
	require.Equal(t, pepper, Pepper(idp))
	now := time.Now()
	for range 2 {
		store, err := Open(t.Context(), Address(idp))
		require.NoError(t, err)
		store.rows = 1000
		var told int64
		events := Events{Count: 2345, Organizations: 7, First: now.AddDate(0, 0, -40), Last: now, Progress: func(done, of int64) {
			require.Equal(t, int64(2345), of)
			require.Greater(t, done, told)
			told = done
		}}
		require.NoError(t, store.Events(t.Context(), events))
		require.Equal(t, int64(2345), told)
		require.NoError(t, store.Close())
	}
	store, err := Open(t.Context(), Address(idp))
	require.NoError(t, err)
	store.rows = 100
	agents := Agents{Count: 250, Organization: "acme", Capabilities: []string{"tokens:introspect", "notes:read"}, Pepper: pepper, Now: now}
	require.NoError(t, store.Agents(t.Context(), agents))
	require.Error(t, store.Agents(t.Context(), agents), "they are there")
	require.NoError(t, store.Revocations(t.Context(), Revocations{Count: 250, Now: now, Expire: now.Add(time.Hour)}))
	agents.Pepper = "short"
	require.ErrorContains(t, store.Agents(t.Context(), agents), "the pepper must be")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, store.Revocations(ended, Revocations{Count: 1, Now: now, Expire: now}), context.Canceled)
	require.NoError(t, store.Close())
}

// look finds what was seeded through the API.
func look(t *testing.T, client *stack.Client) {
	get := func(path string, out any) {
		require.NoError(t, client.JSON(t.Context(), http.MethodGet, path, nil, out))
	}
	var agents struct{ Total int }
	get("/api/v1/agents?organizationId=acme&capability=notes:read", &agents)
	require.Equal(t, 250, agents.Total)
	answer, err := client.Do(t.Context(), http.MethodGet, "/api/v1/revocations", nil)
	require.NoError(t, err)
	require.Contains(t, answer.Header.Get("Content-Type"), "application/agentidp-revocations+jwt")
	require.Greater(t, len(answer.Body), 250*36)
	var log struct {
		Data []struct{ Action, OrganizationID string }
	}
	get("/api/v1/audit?limit=100&action=token.issued&agentId="+AgentAt(0, 0), &log)
	require.NotEmpty(t, log.Data)
	require.Equal(t, "token.issued", log.Data[0].Action)
	require.Equal(t, OrganizationAt(0), log.Data[0].OrganizationID)
	var proof struct{ Hashes []string }
	get("/api/v1/audit/proof/inclusion?leafIndex=1234&treeSize=4000", &proof)
	require.NotEmpty(t, proof.Hashes)
}

func verify(t *testing.T, idp *stack.Stack) {
	command := exec.CommandContext(t.Context(), filepath.Join(idp.Bin, "agentidp"), "audit", "verify", "--offline", "--data-dir", idp.IdPDir())
	command.Env = append(os.Environ(), idp.IdPEnv...)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	t.Logf("%s", output)
}

func TestWhatIsNoStoreIsNotOpened(t *testing.T) {
	_, err := Open(t.Context(), filepath.Join(t.TempDir(), "none.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
	empty := filepath.Join(t.TempDir(), "empty.db")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = Open(t.Context(), empty)
	require.ErrorContains(t, err, "not a migrated store")
	_, err = Open(t.Context(), "postgres://nobody@127.0.0.1:1/none?connect_timeout=1")
	require.Error(t, err)
}
