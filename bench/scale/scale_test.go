package scale

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/idp/idpbench"
	"github.com/sentryagent/agentidp/shared/command"
)

// The test's binary is the IdP as well, as the command's is.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "agentidp" {
		command.Main(idpbench.Run)
		return
	}
	os.Exit(m.Run())
}

// Everything is driven once, on both stores, and the work is done: each part of
// the run fails when a subscriber, an event or an agent is missing.
func TestAShortRun(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	rows, err := Run(t.Context(), Options{
		Subscribers: []int{3, 50}, Connections: []int{20}, Partitions: []int{1, 2}, Batches: []int{5, bulk}, Events: 1, Appends: []int{2}, Agents: []int64{200},
		Rounds: 1, Idle: 100 * time.Millisecond, Appending: 100 * time.Millisecond, Stores: []string{lab.SQLite, lab.PostgreSQL}, Server: os.Getenv("TEST_DATABASE_URL"), Serving: program, Say: t.Logf,
	})
	require.NoError(t, err)
	keys := map[string]bool{}
	for _, row := range rows {
		keys[row.Key()] = true
		require.NotEmpty(t, Line(row))
		for _, sample := range row.Rounds {
			require.NotEmpty(t, sample)
			if row.Scenario == "scale-feed" {
				require.GreaterOrEqual(t, sample[LastMS], sample[FirstMS], row.Key())
				require.Positive(t, sample[PageBytes], row.Key())
			}
			if row.Scenario == "scale-ingest" {
				require.InDelta(t, row.Params["batch"]*row.Params["sidecars"], sample[result.Requests], 0, row.Key())
				require.Greater(t, sample[DiskBytes], sample[LineBytes], row.Key())
				require.Less(t, sample[TileBytes], sample[LineBytes], row.Key())
			}
			if row.Scenario == "scale-agents" {
				require.Greater(t, sample[DiskBytes], 500.0, row.Key())
			}
		}
	}
	for _, key := range []string{
		"scale-feed/sqlite/subscribers=3", "scale-feed/sqlite/subscribers=50", "scale-feed/named/connections=20", "scale-feed/nameless/connections=20",
		"scale-ingest/sqlite/batch=5/logs=1/sidecars=256", "scale-ingest/sqlite/batch=1000/logs=2/sidecars=8", "scale-ingest/postgres/batch=1000/logs=1/sidecars=4",
		"scale-append/sqlite/callers=2", "scale-append/postgres/callers=2", "scale-agents/sqlite/agents=200", "scale-agents/postgres/agents=200",
	} {
		require.True(t, keys[key], "%s is not among %v", key, keys)
	}
	cost, err := CostOf(rows, Store(rows))
	require.NoError(t, err)
	require.Positive(t, cost.EventCPU)
	require.NotEmpty(t, Plan(Asked(), cost))
}
