package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
)

func TestFigure(t *testing.T) {
	for _, f := range []struct {
		v    float64
		u    unit
		want string
	}{
		{0, micros, "0 µs"},
		{16.24, micros, "16.2 µs"},
		{999.9, micros, "1 ms"},
		{45_000_000, micros, "45 s"},
		{180, millis, "180 ms"},
		{57 << 20, size, "57 MiB"},
		{8 << 30, size, "8 GiB"},
		{39_767, perSecond, "39.8k/s"},
		{1_903, perSecond, "1,903/s"},
		{1e7, plain, "10,000,000"},
		{-1234, plain, "-1,234"},
		{0.934, ratio, "0.93"},
	} {
		require.Equal(t, f.want, figure(f.v, f.u))
	}
}

func TestScale(t *testing.T) {
	for _, s := range []struct {
		low, high float64
		log       bool
		u         unit
		want      string
	}{
		{800, 1903, false, perSecond, "0 500 1,000 1,500 2,000"},
		{0, 57 << 20, false, size, "0 20 MiB 40 MiB 60 MiB"},
		{0, 0, false, perSecond, "0 1"},
		{1000, 1040, true, micros, "200 µs 500 µs 1 ms 2 ms 5 ms"}, // 4 % of noise is no slope
		{12, 34_000, true, micros, "10 µs 100 µs 1 ms 10 ms"},
	} {
		a := scale(s.low, s.high, s.log, s.u)
		require.Equal(t, s.want, texts(a.Ticks))
		require.LessOrEqual(t, a.Low, s.low)
		require.GreaterOrEqual(t, a.High, s.high)
	}
}

func TestColours(t *testing.T) {
	row := func(scenario, subject string) result.Row { return result.Row{Scenario: scenario, Subject: subject} }
	require.Equal(t, "ours", colour(row("issuance", "idp-stub")))
	require.Equal(t, "vermilion", colour(row("sidecar-warm", "haproxy-jwt")))
	require.Equal(t, colour(row("sidecar-warm", "haproxy")), colour(row("sidecar-warm", "haproxy-jwt")), "a family has one")
	require.Equal(t, "ours", colour(row("audit-list", "newest")), "a part of a scenario of ours")
	require.NotEqual(t, "ours", colour(row("theirs", "keycloak")), "somebody else's")
}

func TestLabels(t *testing.T) {
	warm := result.Row{Scenario: "sidecar-warm", Subject: "sidecar", Params: with{"connections": 64}}
	cold := result.Row{Scenario: "sidecar-cold", Subject: "sidecar", Params: with{"connections": 64}}
	bare := result.Row{Scenario: "sidecar-warm", Subject: "bare", Params: with{"connections": 64}}
	bareCold := result.Row{Scenario: "sidecar-cold", Subject: "bare", Params: with{"connections": 64}}
	require.Equal(t, "sidecar", label(warm, "", []result.Row{warm, bare}))
	require.Equal(t, "sidecar cold", label(cold, "", []result.Row{warm, cold, bare}))
	require.Equal(t, "bare proxy, sidecar cold", label(bareCold, "", []result.Row{warm, bare, bareCold}))
	one, many := result.Row{Scenario: "issuance", Subject: "idp", Params: with{"clients": 1}}, result.Row{Scenario: "issuance", Subject: "idp", Params: with{"clients": 10000}}
	require.Equal(t, "AgentIdP, 1 client", label(one, "", []result.Row{one, many}))
	require.Equal(t, "AgentIdP, 10k clients", label(many, "", []result.Row{one, many}))
	require.Equal(t, []result.Row{warm, cold, bare}, once([]result.Row{warm, cold, bare, bareCold}), "the bare proxy is one line")
}

// More series than can be told apart are several charts, and none is lost.
func TestCrowds(t *testing.T) {
	var rows []result.Row
	for i := range 25 {
		scenario := "issuance-" + string(rune('a'+i))
		rows = append(rows, result.Row{Scenario: scenario, Subject: "idp"})
		if i%10 == 3 {
			rows = append(rows, result.Row{Scenario: scenario, Subject: "dex"})
		}
	}
	total := 0
	for _, group := range crowds(rows) {
		require.LessOrEqual(t, len(identities(group)), most)
		total += len(group)
	}
	require.Equal(t, len(rows), total)
}

func TestMargin(t *testing.T) {
	for _, m := range []struct {
		op           string
		value, bound float64
		want         float64
	}{
		{">=", 0.93, 0.9, 0.93 / 0.9}, {"<=", 50, 100, 2}, {">=", 0, 1, floor}, {"<=", 0, 1, 1 / floor}, {"<=", -406, 80, 1 / floor}, {">=", math.NaN(), 1, floor}, {"<=", 1, 1000, 16},
	} {
		require.InDelta(t, m.want, margin(result.Target{Op: m.op, Bound: m.bound}, m.value), 1e-9)
	}
}
