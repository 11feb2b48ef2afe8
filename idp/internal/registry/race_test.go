package registry_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// atOnce runs n callers together and counts their outcomes: "" is success, else the code.
func atOnce(n int, call func(i int) error) map[apierr.Code]int {
	outcomes := make([]apierr.Code, n)
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() {
			if err := call(i); err != nil {
				outcomes[i] = apierr.From(err).Code
			}
		})
	}
	callers.Wait()
	counts := map[apierr.Code]int{}
	for _, o := range outcomes {
		counts[o]++
	}
	return counts
}

func TestOneWinner(t *testing.T) {
	w := newWorld(t, idp.Limits{Agents: 4, Credentials: 2})
	a := w.agent(w.root, "a")
	require.Equal(t, map[apierr.Code]int{"": 1, apierr.PreconditionFailed: 9}, atOnce(10, func(i int) error {
		_, err := w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Version: ptr(fmt.Sprintf("2.0.%d", i)), IfMatch: registry.ETag(a.Revision)})
		return err
	}), "one update of a revision")
	require.Equal(t, map[apierr.Code]int{"": 1, apierr.AgentAlreadyExists: 9}, atOnce(10, func(int) error {
		_, _, err := w.CreateAgent(w.ctx, w.root, newAgent("same"))
		return err
	}), "one agent of an email")
	require.Equal(t, map[apierr.Code]int{"": 1, apierr.FreeTierLimit: 9}, atOnce(10, func(i int) error {
		_, _, err := w.CreateAgent(w.ctx, w.root, newAgent(fmt.Sprintf("many%d", i)))
		return err
	}), "the last place of the plan")
	require.Equal(t, map[apierr.Code]int{"": 2, apierr.InvalidState: 8}, atOnce(10, func(int) error {
		_, err := w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{})
		return err
	}), "the last credentials")
	require.Equal(t, map[apierr.Code]int{"": 1, apierr.InvalidState: 9}, atOnce(10, func(int) error {
		_, err := w.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: "acme", Name: "Acme"})
		return err
	}), "one organization of an id")
}

func TestReplaysAtOnce(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	ids := make([]string, 10)
	require.Equal(t, map[apierr.Code]int{"": 10}, atOnce(10, func(i int) error {
		a, _, err := w.CreateAgent(w.ctx, keyed(w.root, "/api/v1/agents", "k", "body"), newAgent("a"))
		ids[i] = a.ID
		return err
	}))
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	w.happened(idp.ActionAgentCreated)
}

func TestAdministratorsAgainstEachOther(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	all := []registry.Actor{w.root}
	for i := range 4 {
		all = append(all, w.actor(ptr(w.agent(w.root, fmt.Sprintf("admin%d", i), w.root.Capabilities.Strings()...))))
	}
	require.Equal(t, map[apierr.Code]int{"": 4, apierr.LastAdministrator: 1}, atOnce(len(all), func(i int) error {
		_, err := w.UpdateAgent(w.ctx, all[i], all[i].AgentID, registry.AgentPatch{Status: ptr("suspended")})
		return err
	}))
}

// Of administrators who suspend each other at the same moment, the one whose
// turn comes second has no say any more.
func TestSuspendedInTheMeantime(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	second := w.actor(ptr(w.agent(w.root, "second", w.root.Capabilities.Strings()...)))
	pair := []registry.Actor{w.root, second}
	require.Equal(t, map[apierr.Code]int{"": 1, apierr.Unauthenticated: 1}, atOnce(2, func(i int) error {
		_, err := w.UpdateAgent(w.ctx, pair[i], pair[1-i].AgentID, registry.AgentPatch{Status: ptr("suspended")})
		return err
	}))
}
