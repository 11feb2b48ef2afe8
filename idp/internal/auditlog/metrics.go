package auditlog

import (
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

type logMetrics struct {
	commits            *metrics.PrometheusHistogram
	events             *metrics.Counter
	failures           *metrics.Counter
	overflow           *metrics.Counter
	folded             *metrics.Counter
	pruned             *metrics.Counter
	checkpointFailures *metrics.Counter
	checkpointAt       *atomic.Int64 // Unix seconds of the last time the checkpoint was known to be current
}

func newLogMetrics(set *metrics.Set, queued func() float64) logMetrics {
	m := logMetrics{
		commits:            set.NewPrometheusHistogramExt("agentidp_audit_commit_seconds", []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}),
		events:             set.NewCounter("agentidp_audit_events_total"),
		failures:           set.NewCounter("agentidp_audit_write_failures_total"),
		overflow:           set.NewCounter("agentidp_audit_queue_full_total"),
		folded:             set.NewCounter("agentidp_audit_folded_total"),
		pruned:             set.NewCounter("agentidp_audit_pruned_events_total"),
		checkpointFailures: set.NewCounter("agentidp_audit_checkpoint_failures_total"),
		checkpointAt:       new(atomic.Int64),
	}
	set.NewGauge("agentidp_audit_queue_length", queued)
	set.NewGauge("agentidp_audit_checkpoint_timestamp_seconds", func() float64 { return float64(m.checkpointAt.Load()) })
	return m
}
