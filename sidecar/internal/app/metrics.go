package app

import (
	"context"
	"io"
	"net/http"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/obs"
)

// meter shows what /ready says to those who collect metrics.
func (a *App) meter() {
	gauge := func(name string, holds func() bool) {
		a.metrics.NewGauge(name, func() float64 {
			if holds() {
				return 1
			}
			return 0
		})
	}
	gauge("sidecar_ready", func() bool { status, _ := a.ready(context.Background()); return status == http.StatusOK })
	gauge("sidecar_routes_reload_failing", func() bool { _, err := a.routes.status(); return err != nil })
	gauge("sidecar_policy_reload_failing", func() bool { return a.policyError(a.syncer.Status().PolicyFailed) != nil })
	a.metrics.NewGauge("sidecar_audit_spool_max_bytes", func() float64 { return float64(a.cfg.SpoolMaxBytes) })
	a.metrics.RegisterMetricsWriter(func(w io.Writer) {
		metrics.WriteGaugeUint64(w, obs.Name("sidecar_policy_revision_info", "revision", a.policy.Revision()), 1)
		a.proxy.WriteMetrics(w)
	})
	a.metrics.NewGauge("sidecar_policy_epoch", func() float64 { return float64(a.policy.Status().Epoch) })
	for _, result := range []string{"good", "unchanged", "failed"} { // the syncer's, there without a bundle too
		a.metrics.GetOrCreateCounter(obs.Name("sidecar_policy_bundle_total", "result", result))
	}
	for _, what := range []string{"routes", "policy"} {
		for _, result := range []string{"good", "failed"} {
			a.metrics.NewCounter(obs.Name("sidecar_"+what+"_reload_total", "result", result))
		}
	}
}

func (a *App) writeMetrics(w io.Writer) { obs.WritePrometheus(w, a.metrics) }
