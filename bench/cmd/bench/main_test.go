package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/bench/scenario"
)

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-quick", "-only", "sidecar,idle", "-store", "postgres"})
	require.NoError(t, err)
	require.Equal(t, 3, o.rounds)
	require.Equal(t, 300*time.Millisecond, o.slice)
	require.Equal(t, []string{"sidecar", "idle"}, o.only)
	require.Equal(t, "postgres", o.Store)
	o, err = parse([]string{"-quick", "-rounds", "9"})
	require.NoError(t, err)
	require.Equal(t, 9, o.rounds)
	for _, args := range [][]string{{"-only", "nothing"}, {"-rounds", "0"}, {"-slice", "1ms"}, {"sidecar"}} {
		_, err := parse(args)
		require.Error(t, err, args)
	}
}

func file() *result.File {
	at := func(n float64) map[string]float64 { return map[string]float64{"connections": n} }
	sample := func(rate, p99, cpu float64) result.Sample {
		return result.Sample{result.PerSecond: rate, result.P50: 10, result.P99: p99, result.CPU: cpu, result.RSS: 1 << 20}
	}
	return &result.File{
		Schema: result.Schema, Started: time.Date(2026, time.November, 22, 1, 2, 3, 0, time.UTC), Settings: result.Settings{Rounds: 3, RoundSeconds: 1},
		Rows: []result.Row{
			{Scenario: "sidecar-warm", Subject: "bare", Params: at(8), Rounds: []result.Sample{sample(100, 50, 10), sample(300, 60, 10), sample(200, 70, 10)}},
			{Scenario: "sidecar-warm", Subject: "sidecar", Params: at(8), Rounds: []result.Sample{sample(90, 70, 12), sample(150, 80, 11), sample(160, 90, 13)}, Invalid: "a record is missing"},
			{Scenario: "idle", Subject: "bare", Params: at(1000), Rounds: []result.Sample{{result.RSS: 3 << 20, "connection_bytes": 2048}}},
		},
		Targets: []result.Target{{ID: "P4", Name: "warm/bare", Value: 0.8, Op: ">=", Bound: 0.9, Verdict: result.Missed}},
	}
}

func TestTheTableHasMediansAndTargets(t *testing.T) {
	var out bytes.Buffer
	writeTable(&out, file())
	require.Regexp(t, `sidecar-warm/sidecar/connections=8 +150 +10 +80`, out.String())
	require.Contains(t, out.String(), "sidecar-warm/sidecar/connections=8 INVALID: a record is missing\n")
	require.Contains(t, out.String(), "P4 warm/bare 0.80 (>= 0.90) missed\n")
}

func TestTheMarkdownKeepsWhatStandsAroundIt(t *testing.T) {
	f := file()
	require.Contains(t, markdown(f), "| warm | 8 | sidecar | 150 | 0.80 | 10 | 80 | +20 | 12.0 | 1.20 |  | 1 |")
	require.Contains(t, markdown(f), "| bare | 1000 | 3 | 2.0 |")
	path := filepath.Join(t.TempDir(), "sidecar.md")
	require.NoError(t, saveMarkdown(path, f))
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append([]byte("# Mine\n"), append(first, "notes\n"...)...), 0o600))
	f.Rows = f.Rows[:1]
	require.NoError(t, saveMarkdown(path, f))
	second, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(second), "# Mine\n")
	require.Contains(t, string(second), "notes\n")
	require.Contains(t, string(second), "| bare |")
	require.NotContains(t, string(second), "| sidecar |")
}

func TestProgressIsALineAMeasurement(t *testing.T) {
	now := time.Unix(0, 0)
	var out bytes.Buffer
	p := newProgress(&out, func() time.Time { return now })
	now = now.Add(90 * time.Second)
	f := file()
	p.begin(scenario.Scenario{Name: "sidecar", About: "x"})
	p.measured(f.Rows[1], 1)
	p.measured(f.Rows[1], 7) // there is no such round
	require.Equal(t, 2, bytes.Count(out.Bytes(), []byte("\n")))
	require.Contains(t, out.String(), "  90.0s  == sidecar: x\n")
	require.Regexp(t, `sidecar-warm/sidecar/connections=8 +2  150/s  p50 10 µs  p99 80 µs  CPU 11.0 µs  1.0 MiB  INVALID: a record is missing`, out.String())
}

func TestTheResultIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	require.NoError(t, save(options{out: path}, file()))
	in, err := os.Open(path)
	require.NoError(t, err)
	defer in.Close()
	f, err := result.Read(in)
	require.NoError(t, err)
	require.Equal(t, file(), f)
	page, err := os.ReadFile(path[:len(path)-len(".json")] + ".html")
	require.NoError(t, err)
	require.NotEmpty(t, page)
}

func TestWithoutBuiltProgramsNothingRuns(t *testing.T) {
	o, err := parse([]string{"-bin", t.TempDir()})
	require.NoError(t, err)
	require.ErrorContains(t, run(t.Context(), o), "make bench")
}
