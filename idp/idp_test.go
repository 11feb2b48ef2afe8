package idp_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/shared/capability"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestStatusMachine(t *testing.T) {
	edge := func(from, to idp.Status, can, kills bool) {
		t.Helper()
		require.Equal(t, can, from.CanBecome(to), "%s to %s", from, to)
		require.Equal(t, kills, from.KillsTokens(to), "%s to %s", from, to)
	}
	edge(idp.Active, idp.Active, true, false)
	edge(idp.Active, idp.Suspended, true, true)
	edge(idp.Active, idp.Decommissioned, true, true)
	edge(idp.Suspended, idp.Active, true, false)
	edge(idp.Suspended, idp.Suspended, true, false)
	edge(idp.Suspended, idp.Decommissioned, true, true)
	require.False(t, idp.Decommissioned.CanBecome(idp.Active))
	require.False(t, idp.Decommissioned.CanBecome(idp.Suspended))
	require.False(t, idp.Decommissioned.CanBecome(idp.Decommissioned))
	require.False(t, idp.Status("").CanBecome(idp.Active))
	require.False(t, idp.Active.CanBecome("gone"))
}

func TestCutsTokens(t *testing.T) {
	cuts := func(before, next capability.Set, want bool) {
		t.Helper()
		a := idp.Agent{Status: idp.Active, Capabilities: before}
		require.Equal(t, want, a.CutsTokens(&idp.Agent{Status: idp.Active, Capabilities: next}), "%v to %v", before, next)
	}
	cuts(capability.Set{"notes:read"}, capability.Set{"notes:read", "notes:write"}, false)
	cuts(capability.Set{"notes:read", "notes:write"}, capability.Set{"notes:read"}, true)
	cuts(capability.Set{"notes:read"}, capability.Set{"notes:*"}, false)
	cuts(capability.Set{"notes:*"}, capability.Set{"notes:read"}, true)
	cuts(capability.Set{"*:*"}, capability.Set{"*:*", "agents:read"}, false)
	cuts(capability.Set{"agents:read"}, capability.Set{"*:*"}, true)
	cuts(nil, nil, false)
	a := idp.Agent{Status: idp.Active}
	require.True(t, a.CutsTokens(&idp.Agent{Status: idp.Suspended}))
}

func TestAdministrator(t *testing.T) {
	operator := idp.Agent{OrganizationID: idp.OperatorOrganization, Status: idp.Active, Capabilities: capability.ReservedAll()}
	require.True(t, operator.Administrator())
	tenant := idp.Agent{OrganizationID: "acme", Status: idp.Active, Capabilities: idp.AdministratorCapabilities("acme")}
	require.True(t, tenant.Administrator())
	require.Empty(t, idp.OperatorOnly(tenant.Capabilities))
	require.True(t, tenant.Capabilities.Covers("policies:read"))
	require.False(t, tenant.Capabilities.Covers("keys:read"))

	tenant.OrganizationID = idp.OperatorOrganization
	require.False(t, tenant.Administrator(), "a tenant's administrator is none of the operator's")

	label := idp.Agent{OrganizationID: "acme", Status: idp.Active, Type: idp.TypeAdministrator}
	require.False(t, label.Administrator(), "the label gives nothing")

	suspended, stripped := operator, operator
	suspended.Status = idp.Suspended
	stripped.Capabilities = capability.Set{"agents:*"}
	require.True(t, operator.StopsAdministrating(&suspended))
	require.True(t, operator.StopsAdministrating(&stripped))
	require.False(t, operator.StopsAdministrating(&operator))
	require.False(t, suspended.StopsAdministrating(&stripped), "one that was none already")
}

func TestOperatorOnly(t *testing.T) {
	set := capability.Set{"agents:*", "keys:read", "organizations:*", "policies:*", "policies:read", "policies:write", "*:*"}
	require.Equal(t, capability.Set{"keys:read", "organizations:*", "policies:*", "policies:write"}, idp.OperatorOnly(set))
}

func TestCredential(t *testing.T) {
	old, fresh := idp.SecretHash{Scheme: "bcrypt", Encoded: "old"}, idp.SecretHash{Scheme: "bcrypt", Encoded: "new"}
	c := idp.Credential{Status: idp.CredentialActive, Method: idp.MethodSecret, Secret: old}
	require.True(t, c.Usable(start, 0))
	require.True(t, c.OverlapSecret(start).Zero())

	c.Rotate(fresh, time.Minute, start)
	require.Equal(t, fresh, c.Secret)
	require.Equal(t, start, c.SecretSetAt)
	require.Equal(t, old, c.OverlapSecret(start.Add(time.Minute-time.Millisecond)))
	require.True(t, c.OverlapSecret(start.Add(time.Minute)).Zero())

	c.Rotate(idp.SecretHash{Scheme: "bcrypt", Encoded: "third"}, 0, start)
	require.True(t, c.OverlapSecret(start).Zero(), "rotation without overlap ends an earlier overlap too")

	c.Rotate(fresh, time.Minute, start)
	c.Revoke(start)
	require.False(t, c.Usable(start, 0))
	require.Equal(t, start, c.RevokedAt)
	require.True(t, c.OverlapSecret(start).Zero())

	c = idp.Credential{Status: idp.CredentialActive, ExpiresAt: start}
	require.True(t, c.Usable(start.Add(-time.Millisecond), 0))
	require.False(t, c.Usable(start, 0))
}

func TestASecretEndsWithTheOrganizationsAge(t *testing.T) {
	c := idp.Credential{Status: idp.CredentialActive, Method: idp.MethodSecret, SecretSetAt: start}
	require.True(t, c.End(0).IsZero())
	require.Equal(t, start.Add(time.Hour), c.End(time.Hour))
	require.True(t, c.Usable(start.Add(time.Hour-time.Millisecond), time.Hour))
	require.False(t, c.Usable(start.Add(time.Hour), time.Hour))
	c.ExpiresAt = start.Add(time.Minute)
	require.Equal(t, c.ExpiresAt, c.End(time.Hour), "the sooner of the two")
	require.Equal(t, start.Add(time.Second), c.End(time.Second))
	c.Method = idp.MethodPrivateKey
	require.Equal(t, c.ExpiresAt, c.End(time.Second), "a key has no age here")
}

func TestThePreviousSecretEndsWithItsOverlapOrTheCredential(t *testing.T) {
	c := idp.Credential{Status: idp.CredentialActive, Method: idp.MethodSecret, Secret: idp.SecretHash{Scheme: "bcrypt", Encoded: "old"}}
	require.Zero(t, c.OverlapEnd(0, start), "no rotation")
	c.Rotate(idp.SecretHash{Scheme: "bcrypt", Encoded: "new"}, time.Hour, start)
	require.Equal(t, start.Add(time.Hour), c.OverlapEnd(0, start))
	require.Zero(t, c.OverlapEnd(0, start.Add(time.Hour)), "it is over")
	require.Equal(t, start.Add(time.Minute), c.OverlapEnd(time.Minute, start), "the organization's age")
	c.ExpiresAt = start.Add(time.Second)
	require.Equal(t, c.ExpiresAt, c.OverlapEnd(time.Minute, start), "its own end")
	require.Zero(t, c.OverlapEnd(0, c.ExpiresAt), "the credential is over")
	c.Revoke(start)
	require.Zero(t, c.OverlapEnd(0, start))
}

func TestCredentialAgeRule(t *testing.T) {
	for _, good := range []int64{0, 86400, 315360000} {
		require.Empty(t, idp.CheckCredentialAge(good), good)
	}
	for _, bad := range []int64{-1, 1, 86399, 315360001} {
		broken(t, idp.CheckCredentialAge(bad), "maxCredentialAge")
	}
}

func TestCredentialRules(t *testing.T) {
	require.Empty(t, idp.CheckExpiry(time.Time{}, start))
	require.Empty(t, idp.CheckExpiry(start.Add(time.Millisecond), start))
	broken(t, idp.CheckExpiry(start, start), "expiresAt")
	require.Empty(t, idp.CheckOverlap(0))
	require.Empty(t, idp.CheckOverlap(604800))
	broken(t, idp.CheckOverlap(-1), "overlapSeconds")
	broken(t, idp.CheckOverlap(604801), "overlapSeconds")
}

func TestRev(t *testing.T) {
	current := idp.Rev{Organization: 1, Agent: 2, Credential: 3}
	require.True(t, current.Live(current))
	require.False(t, idp.Rev{Organization: 0, Agent: 2, Credential: 3}.Live(current))
	require.False(t, idp.Rev{Organization: 1, Agent: 1, Credential: 3}.Live(current))
	require.False(t, idp.Rev{Organization: 1, Agent: 2, Credential: 2}.Live(current))
}

func TestLimits(t *testing.T) {
	require.Equal(t, idp.FreeLimits, idp.FreeLimits.On(idp.PlanFree))
	require.Equal(t, idp.Limits{Credentials: 20}, idp.FreeLimits.On(idp.PlanCustom))
}

func TestTime(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	require.Equal(t, time.Date(2026, 3, 1, 11, 0, 0, 1_000_000, time.UTC), idp.Time(time.Date(2026, 3, 1, 12, 0, 0, 1_999_999, berlin)))
	require.True(t, idp.Time(time.Time{}).IsZero())
}
