package scale

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

func TestHitRate(t *testing.T) {
	require.InDelta(t, 0, HitRate(0, 60), 0)
	require.InDelta(t, 0.5, HitRate(1.0/60, 60), 1e-9) // one expected within the time: every other one
	require.InDelta(t, 0.375, HitRate(0.01, 60), 1e-9)
	require.Greater(t, HitRate(10, 60), 0.998)
}

// What a batch costs is shared by its decisions.
func TestAnEventCostsMoreInASmallBatch(t *testing.T) {
	c := Cost{EventCPU: 30, SmallCPU: 129, SmallBatch: 10} // 99 µs more a piece for 0.099 batches more: 1000 µs a batch
	require.InDelta(t, 30, c.EventAt(1000), 1e-9)
	require.InDelta(t, 129, c.EventAt(10), 1e-9)
	require.InDelta(t, 30+1000*(0.5-0.001), c.EventAt(2), 1e-9)
	require.InDelta(t, 30, c.EventAt(1e9), 1e-9, "no batch makes a decision cheaper than its rows")
	require.InDelta(t, 30, Cost{EventCPU: 30}.EventAt(2), 0, "without a small batch nothing is known of small ones")
}

func TestBatchesGrowWithTheTimeThatSidecarsGather(t *testing.T) {
	g := Asked()
	require.InDelta(t, 2, g.Batch(), 1e-9)
	g.Linger = 10
	require.InDelta(t, 100, g.Batch(), 1e-9)
	g.Decisions = 1
	require.InDelta(t, 1, g.Batch(), 0, "no batch is empty")
}

func TestThePlanIsArithmetic(t *testing.T) {
	g := Goal{Agents: 7.2e6, Sidecars: 30_000, Decisions: 60_000, Regions: 3, TokenLife: 3600, Linger: 500, Polls: 4096, Busy: 0.5, Recent: 2, SignMS: 2, Requests: 1, Remembered: 60}
	c := Cost{
		EachCPU: 100, NamedCPU: 1000, IdleCPU: 10, HeldBytes: 1 << 20, PageBytes: 200, EntryBytes: 64, LogRate: 10_000, AppendRate: 2000, EventCPU: 50, SmallCPU: 100, SmallBatch: 10,
		EventBytes: 1000, WALBytes: 2000, TileBytes: 100, AgentBytes: 3000,
	}
	want := map[string]float64{
		"feed: replicas of a region": 3, "feed: processor time of a revocation, one region": 1, "feed: last sidecar, a core for each replica": 1.0 / 3,
		"feed: the same with every presence written": 10, "feed: presence of idle sidecars, all regions": 500, "feed: idle, one region": 0.1,
		"feed: memory, one region": 10_000.0 / 1024, "feed: sent for a revocation, all regions": 6, "feed: entries in a sidecar's largest snapshot": 1 << 20,
		"ingest: decisions of a batch, as sidecars are set": 1000, "ingest: cores, as sidecars are set": 6, "ingest: cores, in batches of 1000": 6,
		"ingest: logs, each like the measured one": 12, "ingest: rows kept as such": 10.368, "ingest: write-ahead logs": 120,
		"ingest: bundles in object storage, a day": 0.5184, "ingest: bundles written": 234.375,
		"agents: rows and indexes": 21.6, "agents: tokens": 2000, "agents: cores that sign": 8, "agents: logs for their tokens": 2,
		"agents: requests that find their token remembered": 100 * 60.0 / 61,
	}
	needs := Plan(g, c)
	require.Len(t, needs, len(want))
	for _, n := range needs {
		require.InDelta(t, want[n.Name], n.Value, 1e-9, n.Name)
		require.NotEmpty(t, n.How, n.Name)
	}
	var out strings.Builder
	WritePlan(&out, needs)
	require.Contains(t, out.String(), "| agents: rows and indexes | 21.6 GB | 7200000 × 3000 bytes |\n")
}

func row(scenario, subject string, params map[string]float64, samples ...result.Sample) result.Row {
	return result.Row{Scenario: scenario, Subject: subject, Params: params, Rounds: samples}
}

func TestTheCostIsTheMedianOfTheLargest(t *testing.T) {
	logs := func(logs, batch, cpu, rate float64) result.Row {
		return row("scale-ingest", lab.PostgreSQL, map[string]float64{"logs": logs, "batch": batch}, result.Sample{result.CPU: cpu, result.PerSecond: rate, DiskBytes: 7})
	}
	rows := []result.Row{
		row("scale-feed", lab.SQLite, map[string]float64{"subscribers": 10}, result.Sample{EntryBytes: 99}),
		row("scale-feed", lab.SQLite, map[string]float64{"subscribers": 100}, result.Sample{EntryBytes: 300, EachCPU: 20}),
		row("scale-feed", "nameless", map[string]float64{"connections": 100}, result.Sample{EachCPU: 90}, result.Sample{EachCPU: 400}, result.Sample{EachCPU: 100}),
		row("scale-feed", "nameless", map[string]float64{"connections": 10}, result.Sample{EachCPU: 1}),
		row("scale-feed", "named", map[string]float64{"connections": 100}, result.Sample{EachCPU: 900}),
		logs(1, 100, 80, 500), logs(1, 10, 200, 100), logs(1, bulk, 40, 9000), logs(2, bulk, 41, 10_000),
		row("scale-append", lab.PostgreSQL, map[string]float64{"callers": 256}, result.Sample{result.PerSecond: 3000}),
		row("scale-agents", lab.PostgreSQL, map[string]float64{"agents": 10}, result.Sample{DiskBytes: 5000}),
		row("scale-agents", lab.PostgreSQL, map[string]float64{"agents": 1000}, result.Sample{DiskBytes: 3000}),
	}
	require.Equal(t, lab.PostgreSQL, Store(rows))
	c, err := CostOf(rows, lab.PostgreSQL)
	require.NoError(t, err)
	require.Equal(t, Cost{
		EachCPU: 100, NamedCPU: 900, EntryBytes: 300, LogRate: 9000, AppendRate: 3000, EventCPU: 40, SmallCPU: 200, SmallBatch: 10, EventBytes: 7, AgentBytes: 3000,
	}, c)
	require.Equal(t, lab.SQLite, Store(rows[:5]))
	_, err = CostOf(rows[:5], lab.SQLite)
	require.ErrorContains(t, err, "no ingest")
}
