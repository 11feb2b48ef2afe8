package obs

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
)

var seriesName = regexp.MustCompile(`^[a-z0-9_]+`)

// wellFormed demands that every family stands together, under its one type, which
// is that of its name, and returns the types.
func wellFormed(t *testing.T, text string) (kinds map[string]string) {
	t.Helper()
	kinds = map[string]string{}
	var name string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); fields[0] == "#" {
			require.Equal(t, "TYPE", fields[1])
			name = fields[2]
			require.NotContains(t, kinds, name, "said once")
			kinds[name] = fields[3]
			continue
		}
		series := seriesName.FindString(line)
		if kinds[name] == "histogram" || kinds[name] == "summary" {
			series = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(series, "")
		}
		require.Equal(t, name, series, line)
	}
	return kinds
}

func TestEachFamilyStandsTogetherWithItsType(t *testing.T) {
	first, second := metrics.NewSet(), metrics.NewSet()
	for _, set := range []*metrics.Set{first, second} {
		for _, server := range []string{"a", "b"} {
			set.NewCounter(Name("idp_requests_total", "server", server, "set", map[bool]string{true: "1", false: "2"}[set == first])).Inc()
		}
	}
	Durations(first, "idp_wait_seconds", "op", "read").Update(1)
	Durations(first, "idp_wait_seconds", "op", "write").Update(1)
	second.NewGauge("idp_wait_seconds_count_in_hand", func() float64 { return 1 }) // of another family, by its beginning
	second.RegisterMetricsWriter(func(w io.Writer) {
		for _, server := range []string{"a", "b"} { // line by line, as whoever writes by hand does
			metrics.WriteGaugeUint64(w, Name("idp_server_up", "server", server), 1)
			metrics.WriteCounterUint64(w, Name("idp_failures_total", "server", server), 2)
		}
	})
	var b bytes.Buffer
	WritePrometheus(&b, first, second)
	kinds := wellFormed(t, b.String())
	for name, kind := range map[string]string{
		"idp_requests_total": "counter", "idp_wait_seconds": "histogram", "idp_wait_seconds_count_in_hand": "gauge", "idp_server_up": "gauge",
		"idp_failures_total": "counter", "agentidp_build_info": "gauge", "go_goroutines": "gauge", "process_resident_memory_bytes": "gauge",
	} {
		require.Equal(t, kind, kinds[name], name)
	}
	for _, line := range []string{
		`idp_requests_total{server="b",set="2"} 1`, `idp_wait_seconds_bucket{op="write",le="+Inf"} 1`, `idp_wait_seconds_count{op="read"} 1`,
		`idp_server_up{server="b"} 1`, `idp_failures_total{server="b"} 2`, "idp_wait_seconds_count_in_hand 1",
	} {
		require.Equal(t, 1, strings.Count(b.String(), line+"\n"), line)
	}
}

func TestASeriesWithoutATypeIsKept(t *testing.T) {
	var e exposition
	e.add("idp_odd 1\n# TYPE idp_none gauge\nidp_odd{a=\"b c\"} 2\n")
	var b bytes.Buffer
	e.write(&b)
	require.Equal(t, "idp_odd 1\nidp_odd{a=\"b c\"} 2\n", b.String())
}
