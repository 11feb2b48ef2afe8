package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/shared/obs"
)

// Check asks one dependency whether it can be used.
type Check struct {
	Name     string
	Critical bool                            // without it the IdP cannot do its work
	Backend  func() string                   // what serves it now; optional
	Run      func(ctx context.Context) error // ends with ctx; the error is logged, never shown
}

// State is how well something works.
type State string

// The states.
const (
	StateOK          State = "ok"
	StateDegraded    State = "degraded"
	StateUnavailable State = "unavailable"
)

// Health is the answer of /health.
type Health struct {
	Status       State                 `json:"status"`
	Version      string                `json:"version"`
	Dependencies map[string]Dependency `json:"dependencies"`
}

// Dependency is one part of a Health.
type Dependency struct {
	Status  State  `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Backend string `json:"backend,omitempty"`
}

const (
	checkBudget = 2 * time.Second // for all checks together
	checkEvery  = time.Second     // an answer is good for this long: asking is free for everybody
)

// health keeps the last answer.
type health struct {
	sync.Mutex // guards what follows; held while checks run, so that they run once
	at         time.Time
	last       Health
}

// Drain makes /health say 503 and every answer the last of its connection, so
// that callers go elsewhere before the server ends. Requests are served on.
func (a *API) Drain() { a.draining.Store(true) }

// Health asks every dependency, at most once a second.
func (a *API) Health(ctx context.Context) Health {
	if a.draining.Load() {
		return Health{Status: StateUnavailable, Version: a.Version, Dependencies: map[string]Dependency{
			"process": {Status: StateUnavailable, Reason: "stopping"},
		}}
	}
	a.health.Lock()
	defer a.health.Unlock()
	if a.health.at.IsZero() || a.Now().Sub(a.health.at) >= checkEvery {
		a.health.last = a.check(ctx)
		a.health.at = a.Now() // those who waited for this one, however long it took, ask no more
	}
	return a.health.last
}

func (a *API) check(ctx context.Context) Health {
	// The caller's own end must not look like a failure to those who ask next.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkBudget)
	defer cancel()
	answer := Health{Status: StateOK, Version: a.Version, Dependencies: map[string]Dependency{}}
	for _, check := range a.Checks {
		d := Dependency{Status: StateOK}
		if check.Backend != nil {
			d.Backend = check.Backend()
		}
		if err := check.Run(ctx); err != nil {
			a.Logger.WarnContext(ctx, "health check failed", "dependency", check.Name, "critical", check.Critical, "error", err)
			d.Status, d.Reason = StateDegraded, "check failed"
			if check.Critical {
				d.Status, answer.Status = StateUnavailable, StateUnavailable
			} else if answer.Status == StateOK {
				answer.Status = StateDegraded
			}
		}
		answer.Dependencies[check.Name] = d
	}
	return answer
}

func (a *API) getHealth(ctx context.Context, c *call) error {
	answer := a.Health(ctx)
	if answer.Status == StateUnavailable {
		return c.answer(http.StatusServiceUnavailable, answer)
	}
	return c.answer(http.StatusOK, answer)
}

// getLiveness touches nothing.
func (a *API) getLiveness(_ context.Context, c *call) error {
	c.write(http.StatusOK, "application/json", []byte(`{"status":"ok"}`))
	return nil
}

func (a *API) getMetrics(_ context.Context, c *call) error {
	if !a.ServeMetrics {
		return noSuchPath()
	}
	var buffer bytes.Buffer
	obs.WritePrometheus(&buffer, a.Metrics)
	c.write(http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", buffer.Bytes())
	return nil
}
