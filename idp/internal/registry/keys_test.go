package registry_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// The P-256 key of RFC 7515 appendix A.3, and its form here.
const (
	ecKey       = `{"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","crv":"P-256","kty":"EC","kid":"one","x5t":"ignored"}`
	ecKeys      = `{"keys":[` + ecKey + `]}`
	ecCanonical = `{"keys":[{"kty":"EC","use":"sig","kid":"one","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	keysAt      = "https://keys.example.com/a.json"
)

func TestAgentKeys(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	in := newAgent("a", "notes:read")
	in.JWKS = json.RawMessage(ecKeys)
	a, _, err := w.CreateAgent(w.ctx, w.root, in)
	require.NoError(t, err)
	require.JSONEq(t, ecCanonical, string(a.JWKS))
	require.Equal(t, ecCanonical, string(a.JWKS), "known members alone, in one order")
	created := w.happened(idp.ActionAgentCreated)[0]
	require.Equal(t, []any{"jwks"}, created.Metadata["members"])
	require.NotContains(t, created.raw, "P-256", "the log names the member, not what is in it")

	patch := func(p registry.AgentPatch) (idp.Agent, error) { return w.UpdateAgent(w.ctx, w.root, a.ID, p) }
	same, err := patch(registry.AgentPatch{JWKS: json.RawMessage(" " + ecKeys)})
	require.NoError(t, err)
	require.Equal(t, a.Revision, same.Revision, "the same keys are no change")
	w.happened()

	_, err = patch(registry.AgentPatch{JWKSURI: ptr(keysAt)})
	require.Equal(t, "jwks", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")), "never both")
	moved, err := patch(registry.AgentPatch{JWKS: json.RawMessage("null"), JWKSURI: ptr(keysAt)})
	require.NoError(t, err)
	require.Nil(t, moved.JWKS)
	require.Equal(t, keysAt, moved.JWKSURI)
	require.Equal(t, []any{"jwks", "jwksUri"}, w.happened(idp.ActionAgentUpdated)[0].Metadata["members"])
	require.Empty(t, w.feed(), "no token dies of it")
	got, err := w.GetAgent(w.ctx, w.root, a.ID)
	require.NoError(t, err)
	require.Equal(t, moved, got)

	cleared, err := patch(registry.AgentPatch{JWKSURI: ptr("")})
	require.NoError(t, err)
	require.Empty(t, cleared.JWKSURI)
	w.happened(idp.ActionAgentUpdated)
}

func TestAgentKeysAreChecked(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	for _, fact := range []struct{ jwks, uri, fields string }{
		{`[]`, "", "jwks"},
		{`{"keys":[]}`, "", "jwks"},
		{`{"keys":[` + strings.TrimSuffix(strings.Repeat(ecKey+",", 21), ",") + `]}`, "", "jwks"},
		{`{"keys":[` + ecKey + `,` + ecKey + `]}`, "", "jwks.keys[1]"},
		{`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"OKP"}]}`, "", "jwks.keys[0] jwks.keys[1]"},
		{"", "http://127.0.0.1/keys", "jwksUri"},
		{"", "https://user@example.com/keys", "jwksUri"},
		{ecKeys, keysAt, "jwks"},
	} {
		in := newAgent("a")
		in.JWKS, in.JWKSURI = json.RawMessage(fact.jwks), fact.uri
		_, _, err := w.CreateAgent(w.ctx, w.root, in)
		require.Equal(t, fact.fields, fields(w.refused(err, apierr.ValidationFailed, "validation_failed")), fact)
	}
	plain := registry.New(registry.Options{DB: w.db, Log: w.log, Hasher: w.hasher, Now: w.now, AllowHTTP: true})
	in := newAgent("b")
	in.JWKSURI = "http://127.0.0.1:8080/keys"
	b, _, err := plain.CreateAgent(w.ctx, w.root, in)
	require.NoError(t, err)
	_, err = plain.UpdateAgent(w.ctx, w.root, b.ID, registry.AgentPatch{JWKSURI: ptr("http://localhost:8080/keys")})
	require.NoError(t, err)
}

// Keys are as good as credentials: who cannot touch those cannot set these.
func TestWhoSetsKeys(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	auditor := w.agent(w.root, "auditor", "audit:read")
	manager := w.actor(ptr(w.agent(w.root, "manager", "agents:write", "credentials:write")))
	w.seen = len(w.events())
	_, err := w.UpdateAgent(w.ctx, manager, auditor.ID, registry.AgentPatch{JWKS: json.RawMessage(ecKeys)})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")
	_, err = w.UpdateAgent(w.ctx, manager, auditor.ID, registry.AgentPatch{JWKSURI: ptr(keysAt)})
	w.refused(err, apierr.CapabilityCeiling, "capability_ceiling")

	// agents:write alone is not enough, though it can grant notes:read.
	reader := w.agent(w.root, "reader", "notes:read")
	clerk := w.actor(ptr(w.agent(w.root, "clerk", "agents:write")))
	w.seen = len(w.events())
	for _, patch := range []registry.AgentPatch{{JWKS: json.RawMessage(ecKeys)}, {JWKSURI: ptr(keysAt)}} {
		_, err = w.UpdateAgent(w.ctx, clerk, reader.ID, patch)
		require.Equal(t, "credentials:write", w.refused(err, apierr.Forbidden, "capability_missing").Details["capability"])
	}
	_, err = w.UpdateAgent(w.ctx, manager, reader.ID, registry.AgentPatch{JWKSURI: ptr(keysAt)})
	require.NoError(t, err)
	w.seen = len(w.events())

	self := w.actor(&auditor)
	self.Only = []string{"metadata", "version"}
	_, err = w.UpdateAgent(w.ctx, self, auditor.ID, registry.AgentPatch{JWKS: json.RawMessage(ecKeys)})
	require.Equal(t, []string{"jwks"}, w.refused(err, apierr.Forbidden, "self_field_not_allowed").Details["members"])
	_, err = w.UpdateAgent(w.ctx, self, auditor.ID, registry.AgentPatch{JWKSURI: ptr(keysAt)})
	w.refused(err, apierr.Forbidden, "self_field_not_allowed")
}

func TestKeyedCredential(t *testing.T) {
	w := newWorld(t, idp.Limits{Credentials: 2})
	a := w.agent(w.root, "a", "notes:read")
	w.seen = len(w.events())
	keyed := registry.NewCredential{Method: "private_key_jwt", ExpiresAt: w.now().Add(time.Hour)}
	_, err := w.CreateCredential(w.ctx, w.root, a.ID, keyed)
	w.refused(err, apierr.InvalidState, "keys_missing")
	_, err = w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{Method: "none"})
	require.Equal(t, "authMethod", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))

	a, err = w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{JWKS: json.RawMessage(ecKeys)})
	require.NoError(t, err)
	w.happened(idp.ActionAgentUpdated)
	hashes := w.hasher.calls.Load()
	actor := keyedActor(w)
	c, err := w.CreateCredential(w.ctx, actor, a.ID, keyed)
	require.NoError(t, err)
	require.Empty(t, c.ClientSecret)
	require.True(t, c.Secret.Zero())
	require.Equal(t, idp.MethodPrivateKey, c.Method)
	require.Equal(t, a.OrganizationID, c.OrganizationID)
	require.Equal(t, keyed.ExpiresAt, c.ExpiresAt)
	require.Equal(t, hashes, w.hasher.calls.Load())
	require.Equal(t, "private_key_jwt", w.happened(idp.ActionCredentialCreated)[0].Metadata["authMethod"])
	stored, err := w.GetCredential(w.ctx, w.root, a.ID, c.ID)
	require.NoError(t, err)
	require.Equal(t, c.Credential, stored)

	again, err := w.CreateCredential(w.ctx, actor, a.ID, keyed)
	require.NoError(t, err)
	require.Equal(t, registry.IssuedCredential{Credential: stored, Replayed: true}, again, "no secret stands in the way of a repeated answer")
	w.happened()

	_, err = w.RotateCredential(w.ctx, w.root, a.ID, c.ID, registry.Rotation{})
	w.refused(err, apierr.InvalidState, "no_secret")
	w.credential(w.root, a.ID)
	w.seen = len(w.events())
	_, err = w.CreateCredential(w.ctx, w.root, a.ID, keyed)
	w.refused(err, apierr.InvalidState, "credential_limit")
	_, err = w.CreateCredential(w.ctx, w.root, "none", keyed)
	w.refused(err, apierr.NotFound, "agent_not_found")
}

func keyedActor(w *world) registry.Actor {
	return keyed(w.root, "/credentials", "key-1", "{}")
}

// What was proved by keys that were replaced since is worth nothing at admission.
func TestNewKeysRaiseTheVersionOfWhatTheyProve(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	in := newAgent("a", "notes:read")
	in.JWKS = json.RawMessage(ecKeys)
	a, _, err := w.CreateAgent(w.ctx, w.root, in)
	require.NoError(t, err)
	proved, err := w.CreateCredential(w.ctx, w.root, a.ID, registry.NewCredential{Method: "private_key_jwt"})
	require.NoError(t, err)
	secret := w.credential(w.root, a.ID)
	versions := func() (keyed, other int64) {
		w.view(func(tx *store.Tx) {
			for id, version := range map[string]*int64{proved.ID: &keyed, secret.ID: &other} {
				c, err := tx.Credentials.Get(w.ctx, a.ID, id)
				require.NoError(t, err)
				*version = c.Version
			}
		})
		return keyed, other
	}
	_, err = w.UpdateAgent(w.ctx, w.root, a.ID, registry.AgentPatch{Owner: ptr("somebody else")})
	require.NoError(t, err)
	keyed, other := versions()
	require.Equal(t, []int64{1, 1}, []int64{keyed, other})
	for i, patch := range []registry.AgentPatch{
		{JWKS: json.RawMessage(strings.Replace(ecKeys, `"one"`, `"two"`, 1))},
		{JWKS: json.RawMessage("null"), JWKSURI: ptr(keysAt)},
		{JWKSURI: ptr("")},
	} {
		_, err = w.UpdateAgent(w.ctx, w.root, a.ID, patch)
		require.NoError(t, err)
		keyed, other = versions()
		require.Equal(t, []int64{int64(i) + 2, 1}, []int64{keyed, other})
	}
}
