package obs

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// Bounds are the le bounds, in seconds, of every duration histogram of both
// programs, so that their dashboards compare: 25 µs to 10 s.
var Bounds = []float64{
	.000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

var (
	nameForm  = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)+$`)
	labelForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Name writes a metric's name with its labels, given as name, value pairs:
// Name("idp_requests_total", "route", "issueToken"). Values are escaped and cut
// to 128 bytes; they must come from a bounded set. A name out of form is a
// mistake in the program and panics.
func Name(metric string, labels ...string) string {
	if !nameForm.MatchString(metric) {
		panic(fmt.Sprintf("obs: metric name %q is not lower_snake with a subsystem", metric))
	}
	if len(labels)%2 != 0 {
		panic("obs: labels of " + metric + " are not pairs")
	}
	if len(labels) == 0 {
		return metric
	}
	var b strings.Builder
	b.WriteString(metric)
	separator := "{"
	for pair := range slices.Chunk(labels, 2) {
		if !labelForm.MatchString(pair[0]) || pair[0] == "le" {
			panic(fmt.Sprintf("obs: label name %q of %s", pair[0], metric))
		}
		b.WriteString(separator + pair[0] + `="` + escape(pair[1]) + `"`)
		separator = ","
	}
	b.WriteString("}")
	return b.String()
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func escape(value string) string {
	return escaper.Replace(strings.ToValidUTF8(value[:min(len(value), 128)], "\uFFFD"))
}

// Durations gives the set's histogram of seconds under the name and labels,
// with le buckets at Bounds; the same one again for the same name and labels.
// The name must end in _seconds.
func Durations(set *metrics.Set, metric string, labels ...string) *metrics.PrometheusHistogram {
	if !strings.HasSuffix(metric, "_seconds") {
		panic(fmt.Sprintf("obs: histogram name %q does not end in _seconds", metric))
	}
	return set.GetOrCreatePrometheusHistogramExt(Name(metric, labels...), Bounds)
}

// WritePrometheus writes the sets, then agentidp_build_info and the process and
// Go runtime metrics, in the Prometheus text format, each family with its type.
func WritePrometheus(w io.Writer, sets ...*metrics.Set) {
	metrics.ExposeMetadata(true)
	var written strings.Builder
	for _, set := range sets {
		set.WritePrometheus(&written)
	}
	b := ReadBuild()
	metrics.WriteGaugeUint64(&written, Name("agentidp_build_info", "version", b.Version, "revision", b.Revision, "go", b.Go), 1)
	metrics.WriteProcessMetrics(&written)
	metrics.WriteFDMetrics(&written)
	var e exposition
	e.add(written.String())
	e.write(w)
}
