package forwardauth

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/obs"
)

// quiet is the time in which one warning is enough: anybody who reaches the
// listener can cause one.
const quiet = 10 * time.Second

// meters are the listener's metrics on one set.
type meters struct {
	set             *metrics.Set
	allowed, denied *metrics.Counter
	warned          atomic.Int64 // when, as Unix nanoseconds
}

func newMeters(set *metrics.Set) *meters {
	asked := func(allowed bool) *metrics.Counter {
		return set.GetOrCreateCounter(obs.Name("sidecar_asked_total", "mode", "forward_auth", "allowed", strconv.FormatBool(allowed)))
	}
	return &meters{set: set, allowed: asked(true), denied: asked(false)}
}

func (m *meters) asked(allowed bool) {
	if allowed {
		m.allowed.Inc()
	} else {
		m.denied.Inc()
	}
}

// rejected counts what was no question; warn: it is time to say so in the log.
func (m *meters) rejected(reason string) (warn bool) {
	m.set.GetOrCreateCounter(obs.Name("sidecar_questions_rejected_total", "mode", "forward_auth", "reason", reason)).Inc()
	last, now := m.warned.Load(), time.Now().UnixNano()
	return now-last >= int64(quiet) && m.warned.CompareAndSwap(last, now)
}
