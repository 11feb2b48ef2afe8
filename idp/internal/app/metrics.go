package app

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp/internal/httpapi"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/obs"
)

// meter shows what /health and the list of keys say to those who collect
// metrics. It comes after a.api.
func (a *App) meter() {
	a.metrics.RegisterMetricsWriter(a.writeDependencies)
	a.metrics.NewGauge("agentidp_signing_key_age_seconds", func() float64 { return a.keyAge().Seconds() })
	a.metrics.NewGauge("agentidp_signing_key_rotation_seconds", func() float64 { return a.cfg.KeyRotation.Seconds() })
}

// writeDependencies asks once for all: each check may take its time.
func (a *App) writeDependencies(w io.Writer) {
	dependencies := a.api.Health(context.Background()).Dependencies
	for _, name := range slices.Sorted(maps.Keys(dependencies)) {
		up := uint64(0)
		if dependencies[name].Status == httpapi.StateOK {
			up = 1
		}
		metrics.WriteGaugeUint64(w, obs.Name("agentidp_dependency_up", "dependency", name), up)
	}
}

// keyAge is how long the key that signs has done so; 0 when none does.
func (a *App) keyAge() time.Duration {
	for _, key := range a.issuer.List() {
		if key.Status == store.KeyActive {
			return a.now().Sub(key.ActivatedAt)
		}
	}
	return 0
}
