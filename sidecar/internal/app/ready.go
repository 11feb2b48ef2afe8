package app

import (
	"context"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/sidecar/internal/spool"
)

// readiness is the body of /ready. Ages are seconds.
type readiness struct {
	Status      string           `json:"status"` // ready, not_ready, stopping
	Sidecar     string           `json:"sidecarId"`
	Routes      routesState      `json:"routes"`
	Policy      policyState      `json:"policy"`
	Keys        keysState        `json:"keys"`
	Revocations revocationsState `json:"revocations"`
	Spool       spoolState       `json:"spool"`
	Upstreams   []upstreamState  `json:"upstreams"` // shown only: see ready
}

// part is what every member tells: usable now, how old, and what went wrong last.
type part struct {
	OK         bool     `json:"ok"`
	AgeSeconds *float64 `json:"ageSeconds,omitempty"` // absent: never known
	Error      string   `json:"error,omitempty"`      // of the latest attempt; the state before it stays in force
}

type routesState struct {
	part
	Count int `json:"count"`
}

type policyState struct {
	part
	Revision string `json:"revision"` // "": there is none yet
	Source   string `json:"source"`   // builtIn, folder, bundle
}

type keysState struct {
	part
	Count        int     `json:"count"`
	BoundSeconds float64 `json:"boundSeconds"`
}

type revocationsState struct {
	part
	Feed         string  `json:"feed"`
	Entries      int     `json:"entries"`
	Cursor       string  `json:"cursor,omitempty"`
	BoundSeconds float64 `json:"boundSeconds,omitempty"`
	Organization string  `json:"organization,omitempty"`
}

type spoolState struct {
	part             // age of the oldest decision that was not shipped
	Bytes     int64  `json:"bytes"`
	Unshipped int64  `json:"unshipped"`
	Lost      uint64 `json:"lost"`
}

// upstreamState is of one address of an API.
type upstreamState struct {
	Upstream string `json:"upstream"`
	URL      string `json:"url"`
	OK       bool   `json:"ok"` // in use
	Error    string `json:"error,omitempty"`
}

// live answers /health: the process serves.
func (a *App) live(context.Context) (int, any) {
	return http.StatusOK, map[string]string{"status": "ok"}
}

// ready answers /ready: 200 when requests can be decided. An API that is away
// changes nothing about that: its callers get, and the log keeps, a 503 that
// says so, which is more than they would have of a sidecar taken out of rotation.
func (a *App) ready(context.Context) (int, any) {
	r := a.readiness()
	switch {
	case a.stopping.Load():
		r.Status = "stopping"
	case r.Routes.OK && r.Policy.OK && r.Keys.OK && r.Revocations.OK && r.Spool.OK:
		r.Status = "ready"
		return http.StatusOK, r
	default:
		r.Status = "not_ready"
	}
	return http.StatusServiceUnavailable, r
}

func (a *App) readiness() readiness {
	now, synced := a.now(), a.syncer.Status()
	at, failure := a.routes.status()
	r := readiness{
		Sidecar: a.syncer.ID(),
		Routes:  routesState{part: loadedPart(now, at, failure), Count: len(a.proxy.Table().Routes())},
		Policy:  a.policyState(now, synced.PolicyFailed),
		Keys: keysState{
			part:  syncedPart(!synced.KeysStale, synced.KeysAge, synced.KeysFailed),
			Count: synced.Keys, BoundSeconds: a.cfg.JWKSMaxStale.Seconds(),
		},
		Revocations: revocationsState{part: part{OK: true}, Feed: a.cfg.Feed},
		Spool:       a.spoolState(synced.DecisionLag, synced.DecisionsFailed),
	}
	for _, u := range a.proxy.Upstreams() {
		r.Upstreams = append(r.Upstreams, upstreamState{Upstream: u.Upstream, URL: u.URL, OK: u.Up, Error: u.Error})
	}
	if !a.cfg.foreign() {
		r.Revocations = revocationsState{
			part: syncedPart(!synced.RevocationsStale && a.knowsOrganizations(synced.Organization), synced.RevocationAge, synced.RevocationsFailed), Feed: a.cfg.Feed,
			Entries: synced.Revocations, Cursor: synced.RevocationCursor, BoundSeconds: a.cfg.RevocationMaxStale.Seconds(), Organization: synced.Organization,
		}
	}
	return r
}

// knowsOrganizations reports whether it is known whose agents may pass: those
// that were listed, or the sidecar's own, which its first token tells.
func (a *App) knowsOrganizations(own string) bool { return own != "" || len(a.cfg.Organizations) > 0 }

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// loadedPart is of what was loaded at a time; the error is of a reload that changed nothing.
func loadedPart(now, at time.Time, failure error) part {
	p := part{OK: true, AgeSeconds: seconds(now.Sub(at))}
	if failure != nil {
		p.Error = failure.Error()
	}
	return p
}

func syncedPart(ok bool, age time.Duration, failure string) part {
	p := part{OK: ok, Error: failure}
	if age >= 0 {
		p.AgeSeconds = seconds(age)
	}
	return p
}

func (a *App) spoolState(lag time.Duration, failure string) spoolState {
	s := a.spool.Status()
	state := spoolState{part: syncedPart(a.spool.Admit() == nil, lag, failure), Bytes: s.Bytes, Unshipped: s.Next - s.Acked, Lost: s.Lost}
	if s.Err != nil {
		state.Error = s.Err.Error()
	} else if !state.OK {
		state.Error = spool.ErrFull.Error()
	}
	if a.cfg.foreign() {
		state.AgeSeconds, state.Unshipped = nil, 0
	}
	return state
}
