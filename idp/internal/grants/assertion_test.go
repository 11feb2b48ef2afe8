package grants

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func asserted(more string) Wire {
	return form("grant_type=client_credentials&" + assertionType + "&client_assertion=" + signed("id") + more)
}

func TestAssertionIsUsedUpByTheAdmission(t *testing.T) {
	w, h := newWorld()
	_, err := h.Issue(t.Context(), asserted(""), &Caller{})
	require.NoError(t, err)
	require.Equal(t, "once", w.attempts[0].Assertion.ID)
	require.Equal(t, store.AssertionUse{JTI: "once", Expires: time.Unix(1800000000, 0).UTC().Add(2 * time.Minute)}, w.admissions[0].Assertion,
		"as long as a replica whose clock is late by the leeway could take it")
	require.Empty(t, w.used, "the admission alone does it")

	w, h = newWorld()
	w.verdicts = []store.AdmissionResult{store.GateChanged, store.KeyChanged}
	_, err = h.Issue(t.Context(), asserted(""), &Caller{})
	require.NoError(t, err, "an attempt that starts over brings it again")
	require.Len(t, w.admissions, 3)
	require.Equal(t, w.admissions[0].Assertion, w.admissions[2].Assertion)

	_, err = h.Issue(t.Context(), request(""), &Caller{})
	require.NoError(t, err)
	require.Zero(t, w.admissions[3].Assertion)
}

func TestReplayIsAFailedAuthentication(t *testing.T) {
	w, h := newWorld()
	w.verdicts = []store.AdmissionResult{store.Replayed}
	caller := &Caller{}
	_, err := h.Issue(t.Context(), asserted(""), caller)
	refusal(t, err, apierr.InvalidClient, clientauth.ReasonAssertionReplayed)
	require.Equal(t, clientauth.ReasonAssertionReplayed, w.refused[0].Reason, "folded: whoever replays is nobody")
	require.Empty(t, w.appended)
	require.Empty(t, w.admitted)
}

func TestAssertionIsUsedUpByARefusal(t *testing.T) {
	for name, refuse := range map[string]func(w *world) (more string){
		"invalid_scope":       func(*world) string { return "&scope=other:read" },
		"agent_suspended":     func(w *world) string { w.gates[0].Agent.Status = idp.Suspended; return "" },
		"quota_exceeded":      func(w *world) string { w.verdicts = []store.AdmissionResult{store.QuotaExceeded}; return "" },
		"resource_not_listed": func(*world) string { return "&resource=https://c.example" },
	} {
		t.Run(name, func(t *testing.T) {
			w, h := newWorld()
			_, err := h.Issue(t.Context(), asserted(refuse(w)), &Caller{})
			require.Error(t, err)
			require.False(t, apierr.Is(err, apierr.InvalidClient))
			require.Equal(t, []string{"id once"}, w.used)
			require.Len(t, w.appended, 1)

			w, h = newWorld()
			w.useErr = idp.ErrConflict
			_, err = h.Issue(t.Context(), asserted(refuse(w)), &Caller{})
			refusal(t, err, apierr.InvalidClient, clientauth.ReasonAssertionReplayed)
			require.Empty(t, w.appended)
			require.Equal(t, clientauth.ReasonAssertionReplayed, w.refused[0].Reason)
		})
	}
	w, h := newWorld()
	w.auditErr = apierr.New(apierr.AuditUnavailable, "no")
	_, err := h.Issue(t.Context(), asserted("&scope=other:read"), &Caller{})
	require.True(t, apierr.Is(err, apierr.AuditUnavailable), "%v", err)
}

func TestWhatIsNobodysMistakeUsesNothingUp(t *testing.T) {
	w, h := newWorld()
	w.authErr = apierr.New(apierr.Unavailable, "keys").WithReason("keys_unavailable")
	_, err := h.Issue(t.Context(), asserted(""), &Caller{})
	require.True(t, apierr.Is(err, apierr.Unavailable))
	require.Empty(t, w.used)
	require.Empty(t, w.refused)
	require.Empty(t, w.appended)
}
