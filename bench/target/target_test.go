package target

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
)

func row(scenario, subject string, params map[string]float64, m result.Metric, values ...float64) result.Row {
	r := result.Row{Scenario: scenario, Subject: subject, Params: params}
	for _, v := range values {
		r.Rounds = append(r.Rounds, result.Sample{m: v})
	}
	return r
}

func conns(n float64) map[string]float64 { return map[string]float64{"connections": n} }

func tokens(n float64) map[string]float64 { return map[string]float64{"tokens": n} }

func run(signer string, rows ...result.Row) *result.File {
	return &result.File{Settings: result.Settings{Signer: signer}, Rows: rows}
}

func lines(f *result.File) []string {
	all := []string{}
	for _, t := range All(f) {
		all = append(all, t.String())
	}
	return all
}

func TestTargetsComeFromRowsOfTheRun(t *testing.T) {
	require.Empty(t, All(run("crypto/rsa")))
	for _, c := range []struct {
		name string
		file *result.File
		want []string
	}{
		{"the ratio is the median of the rounds' ratios", run("x",
			row("sidecar-warm", "bare", conns(64), result.PerSecond, 100, 200, 400),
			row("sidecar-warm", "sidecar", conns(64), result.PerSecond, 93, 186, 100),
		), []string{"P4 warm/bare 0.93 (>= 0.90) ok"}},
		{"a ratio below is missed", run("x",
			row("sidecar-opa", "bare", conns(64), result.PerSecond, 100),
			row("sidecar-opa", "sidecar", conns(64), result.PerSecond, 44),
		), []string{"P6 OPA each request/bare 0.44 (>= 0.45) missed"}},
		{"only at the connections that the target names", run("x",
			row("sidecar-opa", "bare", conns(1), result.PerSecond, 100),
			row("sidecar-opa", "sidecar", conns(1), result.PerSecond, 44),
		), []string{}},
		{"too much is offered, and answered as it can be", run("x",
			row("overload", "idp", map[string]float64{"offered": 1}, result.PerSecond, 800),
			row("overload", "idp", map[string]float64{"offered": 5}, result.PerSecond, 600),
			row("flood", "alone", conns(8), result.PerSecond, 800),
			row("flood", "wrong-secrets", conns(8), result.PerSecond, 500),
			row("sidecar-flood", "alone", conns(8), result.PerSecond, 9000),
			row("sidecar-flood", "random-kids", conns(8), result.PerSecond, 3000),
		), []string{
			"O tokens at five times the capacity/at the capacity 0.75 (>= 0.90) missed",
			"O p99 of those served meanwhile 0.00 ms (<= 2000 ms) invalid: nothing was measured",
			"O IdP, a client alone/beside wrong-secrets 1.60 (<= 2.00) ok",
			"O sidecar, a client alone/beside random-kids 3.00 (<= 2.00) missed",
		}},
		{"half a comparison is none", run("x", row("sidecar-opa", "sidecar", conns(64), result.PerSecond, 44)), []string{}},
		{"the added latency is a difference of neighbours", run("x",
			row("sidecar-pair", "bare", tokens(1), result.P50, 100, 900, 100),
			row("sidecar-pair", "sidecar", tokens(1), result.P50, 125, 930, 190),
			row("sidecar-pair", "bare", tokens(2000), result.P50, 100, 900, 100),
			row("sidecar-pair", "sidecar", tokens(2000), result.P50, 165, 1000, 181),
		), []string{"P7 p50 added, warm 30.0 µs (<= 30.0 µs) ok", "P7 p50 added, cold 81.0 µs (<= 80.0 µs) missed"}},
		{"cores that others had", run("x",
			result.Row{Scenario: "jwks", Subject: "idp", Params: conns(8), Rounds: []result.Sample{
				{result.P99: 7000, result.Foreign: 0.05}, {result.P99: 7000, result.Foreign: 0.34}, {result.P99: 7000, result.Foreign: 0.2},
			}},
		), []string{"E jwks p99 7.00 ms (<= 200 ms) invalid: jwks/idp/connections=8: other programs had 20 % of its cores"}},
		{"shipping is compared with the bare proxy's serving", run("x",
			row("sidecar-warm", "bare", conns(64), result.CPU, 10),
			row("sidecar-warm", "sidecar", conns(64), result.CPUShipped, 12),
		), []string{"P4 warm/bare, CPU per request while serving 0.00 (<= 1.15) invalid: nothing was measured", "P4 warm/bare, CPU per request with shipping 1.20 (<= 1.15) missed"}},
		{"the sign limit has no connections", run("crypto/rsa",
			row("sign", "own", nil, result.PerSecond, 1000),
			row("issuance", "idp", conns(8), result.PerSecond, 800),
		), []string{"P1 issuance/sign limit at 8 connections 0.80 (>= 0.80) ok", "P3 issuance p99 at 8 connections"}},
		{"startup in milliseconds", run("x", row("startup", "idp", nil, result.Duration, 290, 310, 301)),
			[]string{"P9 IdP start to first token, existing data 301 ms (<= 300 ms) missed"}},
		{"queries of a log that is long enough", run("x",
			row("audit-list", "newest", map[string]float64{"events": 10_000, "limit": 100}, result.P99, 100),
			row("audit-list", "newest", map[string]float64{"events": 100_000, "limit": 100}, result.P99, 12_000),
		), []string{"P10 audit query newest, p99 12.0 ms (<= 50.0 ms) ok"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := lines(c.file)
			for _, want := range c.want {
				require.True(t, containsPrefix(got, want), "%q is not in %q", want, got)
			}
			if len(c.want) == 0 {
				require.Empty(t, got)
			}
		})
	}
}

func containsPrefix(all []string, prefix string) bool {
	for _, s := range all {
		if len(s) >= len(prefix) && s[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

func TestWhatWasNotMeasuredAsItShouldIsInvalid(t *testing.T) {
	bare := row("sidecar-warm", "bare", conns(64), result.PerSecond, 100, 100)
	good := row("sidecar-warm", "sidecar", conns(64), result.PerSecond, 95, 95)
	spoilt := good
	spoilt.Invalid = "100 requests, and 99 decisions recorded"
	short := row("sidecar-warm", "sidecar", conns(64), result.PerSecond, 95)
	empty := row("sidecar-warm", "sidecar", conns(64), result.PerSecond)
	require.Equal(t, result.OK, All(run("x", bare, good))[0].Verdict)
	for _, ours := range []result.Row{spoilt, short, empty} {
		target := All(run("x", bare, ours))[0]
		require.Equal(t, result.Invalid, target.Verdict)
		require.NotEmpty(t, target.Why)
	}
	require.Contains(t, All(run("x", bare, spoilt))[0].String(), "99 decisions")

	zero := row("sidecar-warm", "bare", conns(64), result.PerSecond, 0, 0)
	require.Equal(t, result.Invalid, All(run("x", zero, good))[0].Verdict)
}

func TestUnlikeSettingsAreNotCompared(t *testing.T) {
	for _, c := range []struct {
		a, b   map[string]float64
		except []string
		same   bool
	}{
		{nil, nil, nil, true},
		{conns(8), conns(8), nil, true},
		{conns(8), conns(64), nil, false},
		{conns(8), nil, nil, false},
		{nil, conns(8), nil, false},
		{conns(8), nil, []string{"connections"}, true},
		{conns(8), conns(64), []string{"connections"}, true},
		{map[string]float64{"a": 1, "b": 2}, map[string]float64{"a": 1, "b": 3}, []string{"a"}, false},
	} {
		why := unlike(row("s", "x", c.a, result.P50, 1), row("s", "y", c.b, result.P50, 1), c.except)
		require.Equal(t, c.same, why == "", "%v and %v: %s", c.a, c.b, why)
	}
}

func TestFailedAndUnsentRequestsCount(t *testing.T) {
	r := result.Row{Scenario: "jwks", Subject: "idp", Rounds: []result.Sample{
		{result.Requests: 9_980, result.Errors: 5}, {result.Requests: 9_990, result.Errors: 0, result.Unsent: 30},
	}}
	spoilt := result.Row{Scenario: "jwks", Subject: "idp", Invalid: "all failed", Rounds: []result.Sample{{result.Requests: 9_000, result.Errors: 9_000}}}
	targets := All(run("x", r, spoilt))
	require.Len(t, targets, 1)
	require.InDelta(t, 0.175, targets[0].Value, 1e-9)
	require.Equal(t, result.Missed, targets[0].Verdict)
}

func TestTheSignerDecidesWhatIsDemanded(t *testing.T) {
	rows := []result.Row{
		row("issuance", "idp", conns(64), result.PerSecond, 200),
		row("issuance", "oidc-provider", conns(64), result.PerSecond, 100),
	}
	find := func(signer, id string) *result.Target {
		for _, t := range All(run(signer, rows...)) {
			if t.ID == id {
				return &t
			}
		}
		return nil
	}
	require.Equal(t, result.OK, find("libcrypto", "P2").Verdict)
	require.Equal(t, 1.8, find("libcrypto", "P2").Bound)
	rows[0].Rounds[0][result.PerSecond] = 150
	require.Equal(t, result.Missed, find("crypto/rsa", "P2").Verdict)
	require.Contains(t, find("crypto/rsa", "P2").String(), "signing with crypto/rsa")
	require.Empty(t, find("libcrypto", "P2").Why)
	require.Equal(t, result.Missed, find("batch", "P2b").Verdict)
}

func TestWaitingInTurnIsTheMeasureOfP99(t *testing.T) {
	r := result.Row{Scenario: "issuance", Subject: "idp", Params: conns(64), Rounds: []result.Sample{{result.P99: 80_000, result.PerSecond: 1000}}}
	g := (&file{run("x", r)}).queueing(r.Key(), 64)
	require.InDelta(t, 1.25, g.rounds[0], 1e-9)
}
