package httpapi

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
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
	} {
		require.True(t, c.isStranger(), name)
	}
	for name, c := range map[string]*call{
		"served":               {agentID: "agent"},
		"served, anyone":       {},
		"about no token":       {agentID: "agent", inactive: true},
		"not allowed":          failing("agent", apierr.Forbidden, "scope_insufficient"),
		"a mistake":            failing("agent", apierr.InvalidState, "state"),
		"the store is away":    failing("", apierr.StoreUnavailable, "store_unavailable"),
		"too much for us":      failing("", apierr.Overloaded, "minting_full"),
		"one too many of ours": failing("agent", apierr.RateLimited, "rate_limited"),
	} {
		require.False(t, c.isStranger(), name)
	}
}

// paced is an API that paces, and how long its answers took.
func paced(t *testing.T) (*API, func(*call) time.Duration) {
	a := &API{}
	a.ending, a.end = context.WithCancel(t.Context())
	return a, func(c *call) time.Duration {
		began := time.Now()
		a.pace(c)
		return time.Since(began)
	}
}

// rested waits, in a bubble, until all timers of turns have ended.
func rested() {
	time.Sleep(pacedRest)
	synctest.Wait()
}

func forged() *call { return failing("", apierr.Unauthenticated, "signature_invalid") }

func about(agentID string) *call {
	return &call{http: &fasthttp.RequestCtx{}, agentID: agentID, inactive: true}
}

// Strangers' answers leave one after the other, also when nobody waits for them;
// others' at once.
func TestStrangersLeaveInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, took := paced(t)
		atOnce := runtime.GOMAXPROCS(0)
		for range atOnce {
			require.Zero(t, took(forged()), "the first")
		}
		left := make(chan time.Duration, 2*atOnce)
		for range 2 * atOnce {
			go func() { left <- took(forged()) }()
			synctest.Wait()
		}
		require.Equal(t, 2*atOnce, a.paced.waiting())
		require.Zero(t, took(&call{agentID: "agent"}))
		for n := range 2 * atOnce {
			require.Equal(t, time.Duration(n/atOnce+1)*pacedRest, <-left)
		}
		rested()
		require.Empty(t, a.paced.open)
		require.Zero(t, took(forged()), "after the rest nobody waits")
		rested()
	})
}

// No client waits for strangers or for another client when it hears that a token is none.
func TestEachClientHasALineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, took := paced(t)
		atOnce := runtime.GOMAXPROCS(0)
		left := make(chan time.Duration, 4*atOnce)
		for range 2 * atOnce {
			go func() { left <- took(forged()) }()
			go func() { left <- took(about("one")) }()
		}
		synctest.Wait()
		require.Equal(t, 2*atOnce, a.paced.waiting())
		require.Zero(t, took(about("another")))
		for range 4 * atOnce {
			require.LessOrEqual(t, <-left, pacedRest)
		}
		rested()
		require.Empty(t, a.paced.open, "no line is kept that nobody stands in")
	})
}

func TestStrangersDoNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, took := paced(t)
		for range runtime.GOMAXPROCS(0) {
			_, err := a.paced.enter(t.Context(), "")
			require.NoError(t, err)
		}
		require.Equal(t, pacedLongest, took(forged()))
		go func() {
			time.Sleep(time.Second)
			a.Stop()
		}()
		require.Equal(t, time.Second, took(forged()), "nor does the end of the program wait for them")
		require.Zero(t, took(forged()))
	})
}

// What is bounded while it is worked on is not kept by those who wait.
func TestNoBodyIsKeptInLine(t *testing.T) {
	_, took := paced(t)
	c := forged()
	c.http.Request.SetBody(make([]byte, 1<<20))
	took(c)
	require.Empty(t, c.http.Request.Body())
}

// OccupyLine takes all turns of a line until leave; the strangers' has no name.
func (a *API) OccupyLine(ctx context.Context, whose string) (leave func(), err error) {
	var leaves []func()
	leave = func() {
		for _, leave := range leaves {
			leave()
		}
	}
	for range runtime.GOMAXPROCS(0) {
		out, err := a.paced.enter(ctx, whose)
		if err != nil {
			leave()
			return nil, err
		}
		leaves = append(leaves, out)
	}
	return leave, nil
}

// Waiting is how many answers wait for their turn.
func (a *API) Waiting() int { return a.paced.waiting() }
