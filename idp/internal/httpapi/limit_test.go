package httpapi_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
)

const feedPath = "/api/v1/revocations"

func newLimitedWorld(t *testing.T, requests int) *world {
	w := newWorld(t, setting{limits: idp.Limits{RequestsPerMinute: requests}, trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	w.vars["admin.token"] = w.token("admin", w.set.issuer)
	return w
}

// get asks from an address.
func (w *world) get(token, path, from string) *answer {
	return w.call(token, http.MethodGet, path, "", "X-Forwarded-For", from)
}

// The feed is exempt, its refusals are not: each is an event of the log.
func TestRefusalsOfTheFeedCount(t *testing.T) {
	const most = 50
	w := newLimitedWorld(t, most)
	w.agent("admin", "reader", "notes:read")
	for _, fact := range []struct {
		token, from    string
		status         int
		action, reason string
		events         int
	}{
		{"", "192.0.2.1", http.StatusUnauthorized, "request.unauthenticated", "token_missing", 20},
		{w.vars["reader.token"], "192.0.2.2", http.StatusForbidden, "request.denied", "capability_missing", most},
	} {
		for i := range most {
			a := w.get(fact.token, feedPath, fact.from)
			require.Equal(t, fact.status, a.status, i)
			require.Equal(t, strconv.Itoa(most-1-i), a.header.Get("X-RateLimit-Remaining"))
		}
		for range 5 {
			a := w.get(fact.token, feedPath, fact.from)
			require.Equal(t, http.StatusTooManyRequests, a.status)
			require.Equal(t, "60", a.header.Get("Retry-After"))
		}
		w.clock.advance(time.Millisecond)
		require.Equal(t, http.StatusOK, w.get(w.vars["admin.token"], feedPath, fact.from).status, "a sidecar at the same address goes on")
		w.events(fact.reason, fact.action, fact.reason, strconv.Itoa(fact.events))
	}
}

// On the custom plan an agent pays for itself, wherever it is.
func TestCustomPlanCountsAgents(t *testing.T) {
	w := newLimitedWorld(t, 20)
	w.organization("acme", "boss")
	plan := w.call(w.vars["admin.token"], http.MethodPatch, "/api/v1/organizations/acme", `{"plan":"custom"}`)
	require.Equal(t, http.StatusOK, plan.status, string(plan.body))
	w.agent("boss", "worker")
	boss, worker := w.vars["boss.token"], w.vars["worker.token"]
	w.clock.advance(time.Minute)

	const shared = "192.0.2.1"
	for range 20 {
		require.Equal(t, http.StatusUnauthorized, w.get("", "/api/v1/agents", shared).status)
	}
	require.Equal(t, http.StatusTooManyRequests, w.get("", "/api/v1/agents", shared).status)
	require.Equal(t, http.StatusTooManyRequests, w.get("wrong", "/api/v1/agents", shared).status, "nobody is on no plan")
	require.Equal(t, http.StatusTooManyRequests, w.get(w.vars["admin.token"], "/api/v1/agents", shared).status, "the free plan counts the address")
	for i := range 20 {
		a := w.get(boss, "/api/v1/agents", "192.0.2."+strconv.Itoa(1+i%3))
		require.Equal(t, http.StatusOK, a.status, i)
		require.Equal(t, strconv.Itoa(19-i), a.header.Get("X-RateLimit-Remaining"))
	}
	require.Equal(t, http.StatusTooManyRequests, w.get(boss, "/api/v1/agents", "192.0.2.9").status)
	require.Equal(t, http.StatusOK, w.get(worker, "/api/v1/agents/"+w.vars["worker.agent"], shared).status, "another agent")
	require.Equal(t, http.StatusUnauthorized, w.get("", "/api/v1/agents", "192.0.2.2").status, "no address paid")
}
