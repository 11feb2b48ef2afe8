package httpapi

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func failing(agentID string, code apierr.Code, reason string) *call {
	return &call{http: &fasthttp.RequestCtx{}, agentID: agentID, failure: apierr.New(code, "no").WithReason(reason)}
}

func TestWhoIsAStranger(t *testing.T) {
	for name, c := range map[string]*call{
		"a forged token":           failing("", apierr.Unauthenticated, "signature_invalid"),
		"a wrong secret":           failing("known by its name", apierr.InvalidClient, clientauth.ReasonSecretWrong),
		"nothing that is a form":   failing("", apierr.InvalidRequest, "malformed"),
		"one too many of somebody": failing("", apierr.RateLimited, "rate_limited"),
		"no room to prove":         failing("", apierr.Overloaded, clientauth.ReasonBusy),
		"about no token":           {inactive: true},
	} {
		require.True(t, c.isStranger(), name)
	}
	for name, c := range map[string]*call{
		"served":               {agentID: "agent"},
		"served, anyone":       {},
		"not allowed":          failing("agent", apierr.Forbidden, "scope_insufficient"),
		"a mistake":            failing("agent", apierr.InvalidState, "state"),
		"the store is away":    failing("", apierr.StoreUnavailable, "store_unavailable"),
		"too much for us":      failing("", apierr.Overloaded, "minting_full"),
		"one too many of ours": failing("agent", apierr.RateLimited, "rate_limited"),
	} {
		require.False(t, c.isStranger(), name)
	}
}

// Strangers' answers leave one after the other, also when nobody waits for them; others' at once.
func TestStrangersLeaveInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &API{strangers: turnstile.New(1, 2)}
		began := time.Now()
		took := func(c *call) time.Duration {
			a.pace(c)
			return time.Since(began)
		}
		forged := func() *call { return failing("", apierr.Unauthenticated, "signature_invalid") }
		require.Zero(t, took(forged()), "the first")
		left := make(chan time.Duration, 2)
		for range 2 {
			go func() { left <- took(forged()) }()
			synctest.Wait()
		}
		require.Equal(t, 2, a.strangers.Waiting())
		require.Zero(t, took(forged()), "more than may wait")
		require.Zero(t, took(&call{agentID: "agent"}))
		require.Equal(t, pacedRest, <-left)
		require.Equal(t, 2*pacedRest, <-left)
		time.Sleep(pacedRest)
		require.Equal(t, 3*pacedRest, took(forged()), "after the rest nobody waits")
		time.Sleep(pacedRest) // all timers have ended
	})
}

func TestStrangersDoNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &API{strangers: turnstile.New(1, 1)}
		require.NoError(t, a.strangers.Enter(t.Context()))
		began := time.Now()
		a.pace(failing("", apierr.Unauthenticated, "signature_invalid"))
		require.Equal(t, pacedLongest, time.Since(began))
	})
}
