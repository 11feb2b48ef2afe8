package compare

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/bench/result"
)

func row(scenario string, m result.Metric, values ...float64) result.Row {
	r := result.Row{Scenario: scenario, Subject: "idp", Params: map[string]float64{"connections": 8}}
	for _, v := range values {
		r.Rounds = append(r.Rounds, result.Sample{m: v, result.Requests: v * 3})
	}
	return r
}

func files(t *testing.T, old, fresh []result.Row) (string, string) {
	dir := t.TempDir()
	for name, rows := range map[string][]result.Row{"old.json": old, "new.json": fresh} {
		file, err := os.Create(filepath.Join(dir, name))
		require.NoError(t, err)
		f := &result.File{Schema: result.Schema, Rows: rows, Machine: result.Machine{CPU: "Xeon", Cores: 2}, Settings: result.Settings{Store: "sqlite"}}
		require.NoError(t, f.Write(file))
		require.NoError(t, file.Close())
	}
	return filepath.Join(dir, "old.json"), filepath.Join(dir, "new.json")
}

func TestJudgement(t *testing.T) {
	for _, c := range []struct {
		name       string
		old, fresh []float64
		verdict    string
		note       string
	}{
		{"faster", []float64{100, 101, 99, 102, 98}, []float64{121, 120, 119, 122, 118}, "+20.0% (p=0.008 n=5+5)", ""},
		{"slower", []float64{100, 101, 99, 102, 98}, []float64{50, 51, 49, 52, 48}, "-50.0% (p=0.008 n=5+5)", ""},
		{"noise", []float64{100, 140, 80, 120, 90}, []float64{105, 130, 85, 125, 95}, "~ (p=0.841 n=5+5)", ""},
		{"the same", []float64{5, 5, 5, 5}, []float64{5, 5, 5, 5}, "~ (p=1.000 n=4+4)", "all samples are equal"},
		{"too few", []float64{1, 2}, []float64{9, 10}, "~ (p=0.333 n=2+2)", "need >= 4 samples to detect a difference at alpha level 0.05"},
		{"from nothing", []float64{0, 0, 0, 0, 0}, []float64{1, 2, 3, 4, 5}, "~ (p=0.008 n=5+5)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, fresh := row("issuance", result.PerSecond, c.old...), row("issuance", result.PerSecond, c.fresh...)
			got := Files(&result.File{Rows: []result.Row{old}}, &result.File{Rows: []result.Row{fresh}}, "").Rows
			require.Len(t, got, 1, "how many requests a round sent is no result")
			require.Equal(t, c.verdict, verdict(got[0]))
			require.Equal(t, c.note, got[0].Note)
		})
	}
}

func TestText(t *testing.T) {
	gone, come := row("jwks", result.PerSecond, 1), row("introspection", result.PerSecond, 1)
	spoilt := row("ingest", result.PerSecond, 1, 1, 1, 1)
	spoilt.Invalid = "40 of 41 decisions"
	seldom := row("revocation", "median_us", 7, 7, 7, 7)
	both := row("issuance", result.PerSecond, 100, 101, 99, 102, 98)
	both.Rounds[0]["median_us"] = 3
	old, fresh := files(t,
		[]result.Row{both, gone, row("ingest", result.PerSecond, 1, 1, 1, 1), seldom},
		[]result.Row{row("issuance", result.PerSecond, 121, 120, 119, 122, 118), come, spoilt, seldom})
	var out strings.Builder
	require.NoError(t, Command([]string{old, fresh}, &out))
	require.Equal(t, `warning: ingest/idp/connections=8 is not compared, it is invalid: 40 of 41 decisions

issuance/idp/connections=8  old       new       delta
  per_second                100  ±2%  120  ±2%  +20.0% (p=0.008 n=5+5)

revocation/idp/connections=8  old       new       delta
  median_us                   7    ±0%  7    ±0%  ~ (p=1.000 n=4+4)

note: all samples are equal

only in the old file:
  jwks/idp/connections=8

only in the new file:
  introspection/idp/connections=8
`, out.String())
}

func TestFilter(t *testing.T) {
	rows := []result.Row{row("issuance", result.PerSecond, 1, 2, 3, 4), row("sidecar-warm", result.PerSecond, 1, 2, 3, 4), row("sidecar-cold", result.PerSecond, 1, 2, 3, 4)}
	old, fresh := files(t, rows, rows[:2])
	var out strings.Builder
	require.NoError(t, Command([]string{"-o", "json", "-scenario", "sidecar", old, fresh}, &out))
	var c Comparison
	require.NoError(t, json.Unmarshal([]byte(out.String()), &c))
	require.Len(t, c.Rows, 1)
	require.Equal(t, "sidecar-warm/idp/connections=8", c.Rows[0].Key)
	require.Equal(t, Sample{Median: 2.5, Low: 1, High: 4, N: 4}, c.Rows[0].New)
	require.Zero(t, *c.Rows[0].Delta)
	require.Equal(t, []string{"sidecar-cold/idp/connections=8"}, c.OnlyOld)
	out.Reset()
	require.NoError(t, Command([]string{"-scenario", "none", old, fresh}, &out))
	require.Equal(t, "no row is in both files\n", out.String())
}

func TestUnlikeRuns(t *testing.T) {
	old := &result.File{Machine: result.Machine{CPU: "Xeon", Cores: 2}, Settings: result.Settings{Store: "sqlite", ServerCores: []int{0}}}
	fresh := &result.File{Machine: result.Machine{CPU: "EPYC", Cores: 2}, Settings: result.Settings{Store: "postgres", ServerCores: []int{0}}}
	require.Equal(t, []string{"the CPU differs: Xeon, then EPYC", "the store differs: sqlite, then postgres"}, Files(old, fresh, "").Warnings)
	require.Empty(t, Files(old, old, "").Warnings)
}

func TestRefusals(t *testing.T) {
	old, _ := files(t, nil, nil)
	for _, refused := range []struct{ args, why string }{
		{old, "two files are compared, not 1"},
		{old + " " + old + " " + old, "two files are compared, not 3"},
		{"-o yaml " + old + " " + old, "-o is text or json"},
		{old + " " + old + "x", "no such file"},
		{"-x", "flag provided but not defined"},
	} {
		require.ErrorContains(t, Command(strings.Fields(refused.args), io.Discard), refused.why, refused.args)
	}
	var out strings.Builder
	require.NoError(t, Command([]string{"-h"}, &out))
	require.Contains(t, out.String(), "load compare OLD.json NEW.json")
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.934: "0.934", 16.24: "16.2", 39767: "39767", 59768832: "59.77M", 8589934592: "8590M", 1e12: "1e+03G"} {
		require.Equal(t, want, figure(v))
	}
}
