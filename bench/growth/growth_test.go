package growth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/command/commandtest"
)

// options run the real programs on SQLite.
func options(t *testing.T) *Options {
	bin := commandtest.Build(t, "", nil, "idp/cmd/agentidp", "sidecar/cmd/agentidp-sidecar")
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	t.Cleanup(api.Close)
	routes, err := filepath.Abs("../../deploy/dev/routes.yaml")
	require.NoError(t, err)
	return &Options{
		Rounds: 2, Slice: 300 * time.Millisecond, Say: func(line string) { t.Log(line) },
		Stack: func(_ context.Context, env ...string) (*stack.Stack, error) {
			addresses, err := stack.Free()
			if err != nil {
				return nil, err
			}
			s := &stack.Stack{Addresses: addresses, Bin: bin, Dir: t.TempDir(), Routes: routes, Upstream: api.URL}
			s.IdPEnv = append([]string{
				"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0",
				"AGENTIDP_PEPPER=1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
			}, env...)
			return s, s.Prepare()
		},
	}
}

func TestEverythingThatGrowsIsMeasured(t *testing.T) {
	o := options(t)
	for name, c := range map[string]struct {
		measure func(context.Context, []int64) ([]result.Row, error)
		sizes   []int64
		rows    int
	}{
		"agents": {o.Agents, []int64{100, 300}, 4}, "events": {o.Events, []int64{300}, 18}, "revocations": {o.Revocations, []int64{300}, 1},
	} {
		found, err := c.measure(t.Context(), c.sizes)
		require.NoError(t, err, name)
		require.Len(t, found, c.rows)
		for i, row := range found {
			// On a busy machine the row says that something was too slow, and must.
			require.Regexp(t, `^$|temporarily_unavailable|timeout|not sent in time`, row.Invalid, row.Key())
			found[i].Invalid = ""
			require.NotEmpty(t, row.Histogram, row.Key())
			require.Len(t, row.Rounds, o.Rounds, row.Key())
			require.Contains(t, []float64{100, 300}, row.Params[name], row.Key())
			p50, measured := row.Median(result.P50)
			require.True(t, measured && p50 > 0, row.Key())
		}
		for _, target := range Targets(found) {
			require.Equal(t, result.Invalid, target.Verdict)
			require.Contains(t, target.Why, "measured at 300 "+name+" only")
		}
	}
}

func TestWhatCannotBeOpenedIsAnError(t *testing.T) {
	o := &Options{Stack: func(context.Context, ...string) (*stack.Stack, error) { return nil, context.DeadlineExceeded }}
	for _, measure := range []func(context.Context, []int64) ([]result.Row, error){o.Agents, o.Events, o.Revocations} {
		_, err := measure(t.Context(), []int64{7})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "growth to 7 ")
	}
}

// row has one round for each value.
func row(scenario, subject, param string, size float64, metric result.Metric, values ...float64) result.Row {
	r := result.Row{Scenario: scenario, Subject: subject, Params: map[string]float64{param: size}}
	for _, v := range values {
		r.Rounds = append(r.Rounds, result.Sample{metric: v})
	}
	return r
}

func target(t *testing.T, name string, rows ...result.Row) result.Target {
	t.Helper()
	all := Targets(rows)
	at := slices.IndexFunc(all, func(t result.Target) bool { return t.Name == name })
	require.GreaterOrEqual(t, at, 0, "%v", all)
	return all[at]
}

func TestTargetsOfAgents(t *testing.T) {
	const name = "issuance p50, 1,000,000 agents / 100"
	few := row(Issuance, "idp", "agents", 100, result.P50, 1000, 2000, 1000)
	middle := row(Issuance, "idp", "agents", 10_000, result.P50, 9000, 9000, 9000)
	for values, want := range map[[3]float64]result.Verdict{{1100, 2200, 900}: result.OK, {1300, 2600, 1100}: result.Missed} {
		many := row(Issuance, "idp", "agents", 1_000_000, result.P50, values[:]...)
		got := target(t, name, middle, many, few)
		require.Equal(t, want, got.Verdict)
		require.InDelta(t, values[1]/2000, got.Value, 1e-9, "rounds are divided by each other")
		require.Len(t, got.Rounds, 3)
		many.Invalid = "errors"
		require.Equal(t, result.Invalid, target(t, name, few, many).Verdict)
	}
	many := row(Issuance, "idp", "agents", 1_000_000, result.P50, 1000)
	require.Contains(t, target(t, name, middle, many).Why, "held against 10000 agents")
	require.Contains(t, target(t, name, few, middle).Why, "measured at 10000 agents only")
	require.Contains(t, target(t, "issuance p99, 1,000,000 agents / 100", few, many).Why, "there is no round")
	require.Empty(t, Targets(nil))
}

func TestTargetsOfEvents(t *testing.T) {
	small := row(List, "slow", "events", 100_000, result.P99, 90_000)
	quick := row(List, "quick", "events", 10_000_000, result.P99, 4000)
	slow := row(List, "slow", "events", 10_000_000, result.P99, 49_000, 51_000, 48_000)
	got := target(t, "audit-list at 10,000,000 events, slowest p99 (slow)", small, quick, slow)
	require.Equal(t, result.OK, got.Verdict)
	require.InDelta(t, 49, got.Value, 1e-9)
	slow.Rounds = slow.Rounds[:2]
	slow.Rounds[0][result.P99] = 60_000
	require.Equal(t, result.Missed, target(t, "audit-list at 10,000,000 events, slowest p99 (slow)", small, quick, slow).Verdict)
	quick.Invalid = "errors"
	require.Equal(t, result.Invalid, target(t, "audit-list at 10,000,000 events, slowest p99 (quick)", small, quick, slow).Verdict, "what failed may have been slower")
}

func TestTargetOfTheRevocationsHeap(t *testing.T) {
	few := row(Revocation, "sidecar", "revocations", 100, Heap, 20e6, 20e6)
	many := row(Revocation, "sidecar", "revocations", 100_000, Heap, 29e6, 31e6)
	got := target(t, "heap of 100,000 revocations", few, many)
	require.InDelta(t, 10, got.Value, 1e-9)
	require.Equal(t, result.OK, got.Verdict)
	many.Rounds[0][Heap] = 32e6
	require.Equal(t, result.Missed, target(t, "heap of 100,000 revocations", few, many).Verdict)
}
