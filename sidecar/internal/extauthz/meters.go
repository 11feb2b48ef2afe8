package extauthz

import (
	"strconv"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/obs"
)

// meters are the mode's metrics on one set.
type meters struct {
	set             *metrics.Set
	allowed, denied *metrics.Counter
	strangers       *metrics.Counter // connections of peers that may not ask
	crowd           *metrics.Counter // connections past the bound
	late            *metrics.Counter // calls that nobody waited for any more
	failed          *metrics.Counter // calls that met a defect
}

func newMeters(set *metrics.Set) *meters {
	asked := func(allowed bool) *metrics.Counter {
		return set.GetOrCreateCounter(obs.Name("sidecar_asked_total", "mode", "ext_authz", "allowed", strconv.FormatBool(allowed)))
	}
	rejected := func(reason string) *metrics.Counter {
		return set.GetOrCreateCounter(obs.Name("sidecar_questions_rejected_total", "mode", "ext_authz", "reason", reason))
	}
	return &meters{
		set: set, allowed: asked(true), denied: asked(false),
		strangers: rejected("peer_not_trusted"), crowd: rejected("connections"), late: rejected("expired"), failed: rejected("internal"),
	}
}
