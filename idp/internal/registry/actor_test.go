package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// What access control decided about a token may be overtaken before the change
// commits: the change asks again. Each way to die meets every change there is.
func TestDeadActorsChangeNothing(t *testing.T) {
	list := func(kind idp.RevocationType, id func(registry.Actor) string) func(*world, registry.Actor) {
		return func(w *world, by registry.Actor) {
			w.tx(w.db.Update, func(tx *store.Tx) {
				_, err := tx.Revocations.Append(w.ctx, idp.Revocation{Type: kind, ID: id(by), Reason: "test", At: w.now()})
				require.NoError(w.t, err)
			})
		}
	}
	for name, fact := range map[string]struct {
		reason string
		kill   func(*world, registry.Actor)
	}{
		"suspended": {"agent_suspended", func(w *world, by registry.Actor) {
			_, err := w.UpdateAgent(w.ctx, w.root, by.AgentID, registry.AgentPatch{Status: ptr("suspended")})
			require.NoError(w.t, err)
		}},
		"stripped": {"token_revoked", func(w *world, by registry.Actor) {
			_, err := w.UpdateAgent(w.ctx, w.root, by.AgentID, registry.AgentPatch{Capabilities: &[]string{"agents:write"}})
			require.NoError(w.t, err)
		}},
		"decommissioned": {"agent_decommissioned", func(w *world, by registry.Actor) {
			require.NoError(w.t, w.DecommissionAgent(w.ctx, w.root, by.AgentID, registry.Decommission{}))
		}},
		"organization": {"token_revoked", func(w *world, by registry.Actor) {
			w.tx(w.db.Update, func(tx *store.Tx) {
				_, err := registry.CutOrganization(w.ctx, tx, by.OrganizationID, "test", w.now())
				require.NoError(w.t, err)
			})
		}},
		"credential": {"token_revoked", func(w *world, by registry.Actor) {
			w.tx(w.db.Update, func(tx *store.Tx) {
				gate, err := tx.Credentials.Gate(w.ctx, by.ClientID)
				require.NoError(w.t, err)
				_, err = registry.CutCredential(w.ctx, tx, &gate.Credential, "test", w.now())
				require.NoError(w.t, err)
				require.NoError(w.t, tx.Credentials.Update(w.ctx, gate.Credential))
			})
		}},
		"jti": {"token_revoked", list(idp.RevokeJTI, func(a registry.Actor) string { return a.JTI })},
		"kid": {"token_revoked", list(idp.RevokeKID, func(a registry.Actor) string { return a.KID })},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, idp.FreeLimits)
			victim := w.agent(w.root, "victim", "notes:read")
			credential := w.credential(w.root, victim.ID)
			by := w.actor(ptr(w.agent(w.root, "second", w.root.Capabilities.Strings()...)))
			again := keyed(by, "/api/v1/agents", "k", "body")
			_, _, err := w.CreateAgent(w.ctx, again, newAgent("before"))
			require.NoError(t, err)
			fact.kill(w, by)
			w.seen = len(w.events())
			entries := w.feed()
			for change, err := range w.changes(by, victim, credential.ID) {
				refusal := w.refused(err, apierr.Unauthenticated, fact.reason)
				require.Empty(t, refusal.Details, change)
			}
			_, _, err = w.CreateAgent(w.ctx, again, newAgent("before"))
			w.refused(err, apierr.Unauthenticated, fact.reason)
			require.Equal(t, entries, w.feed())
		})
	}
}

// changes tries every change that an actor can ask for.
func (w *world) changes(by registry.Actor, victim idp.Agent, credentialID string) map[string]error {
	errs := map[string]error{}
	_, _, errs["create agent"] = w.CreateAgent(w.ctx, by, newAgent("late"))
	_, errs["update agent"] = w.UpdateAgent(w.ctx, by, victim.ID, registry.AgentPatch{Owner: ptr("late")})
	_, errs["create credential"] = w.CreateCredential(w.ctx, by, victim.ID, registry.NewCredential{})
	_, errs["rotate credential"] = w.RotateCredential(w.ctx, by, victim.ID, credentialID, registry.Rotation{})
	errs["revoke credential"] = w.RevokeCredential(w.ctx, by, victim.ID, credentialID, registry.CredentialRevocation{Tokens: true})
	errs["decommission agent"] = w.DecommissionAgent(w.ctx, by, victim.ID, registry.Decommission{})
	_, errs["create organization"] = w.CreateOrganization(w.ctx, by, registry.NewOrganization{ID: "late", Name: "Late"})
	_, errs["update organization"] = w.UpdateOrganization(w.ctx, by, "default", registry.OrganizationPatch{Name: ptr("Late")})
	return errs
}

// The same changes pass while the token lives: what refuses them above is its death.
func TestLiveActorsChange(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	victim := w.agent(w.root, "victim", "notes:read")
	for change, err := range w.changes(w.root, victim, w.credential(w.root, victim.ID).ID) {
		require.NoError(t, err, change)
	}
}

func TestForeignTokens(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.actor(ptr(w.agent(w.root, "a", "agents:write")))
	w.seen = len(w.events())
	for reason, spoil := range map[string]func(*registry.Actor){
		"client_unknown": func(a *registry.Actor) { a.ClientID = "aidp_c_none" },
		"token_mismatch": func(a *registry.Actor) { a.AgentID = w.root.AgentID },
	} {
		by := a
		spoil(&by)
		_, _, err := w.CreateAgent(w.ctx, by, newAgent("x"))
		w.refused(err, apierr.Unauthenticated, reason)
	}
	by := a
	by.OrganizationID = "acme"
	_, err := w.UpdateAgent(w.ctx, by, a.AgentID, registry.AgentPatch{Owner: ptr("x")})
	w.refused(err, apierr.Unauthenticated, "token_mismatch")
}
