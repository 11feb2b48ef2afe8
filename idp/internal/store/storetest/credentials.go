package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var credentialFacts = []fact{
	{"get returns what was inserted, to its agent only", func(t *testing.T, b Backend) {
		_, a, _ := seed(t, b.DB)
		want := credential(a, "full")
		want.Previous = idp.SecretHash{Scheme: "bcrypt", Encoded: "$2a$10$old"}
		want.PreviousUntil, want.ExpiresAt = zoned.Add(time.Hour), zoned.Add(2*time.Hour)
		want.Method, want.SecretSetAt, want.WarnedFor = idp.MethodPrivateKey, zoned.Add(5*time.Hour), zoned.Add(6*time.Hour)
		want.RevokedAt, want.LastUsedAt, want.Status = zoned.Add(3*time.Hour), zoned.Add(4*time.Hour), idp.CredentialRevoked
		insertCredentials(t, b.DB, want)
		want.PreviousUntil, want.ExpiresAt = noon.Add(time.Hour), noon.Add(2*time.Hour)
		want.RevokedAt, want.LastUsedAt = noon.Add(3*time.Hour), noon.Add(4*time.Hour)
		want.SecretSetAt, want.WarnedFor = noon.Add(5*time.Hour), noon.Add(6*time.Hour)
		require.Equal(t, want, getCredential(t, b.DB, a.ID, "full"))
		for _, key := range [][2]string{{"other", "full"}, {a.ID, "none"}, {"", "full"}} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (idp.Credential, error) {
				return tx.Credentials.Get(ctx, key[0], key[1])
			})
		}
	}},
	{"what is empty stays empty", func(t *testing.T, b Backend) {
		_, a, want := seed(t, b.DB)
		got := getCredential(t, b.DB, a.ID, want.ID)
		require.Equal(t, want, got)
		require.True(t, got.Previous.Zero())
		require.True(t, got.ExpiresAt.IsZero())
	}},
	{"id and client id are taken once, byte for byte", func(t *testing.T, b Backend) {
		_, a, first := seed(t, b.DB)
		sameID, sameClient, upper := credential(a, first.ID), credential(a, "2"), credential(a, "3")
		sameID.ClientID, sameClient.ClientID, upper.ClientID = "aidp_c_fresh", first.ClientID, "aidp_c_CREDENTIAL"
		for _, c := range []idp.Credential{sameID, sameClient} {
			refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Insert(ctx, c) })
		}
		insertCredentials(t, b.DB, upper)
	}},
	{"list is newest first with revoked ones, live without", func(t *testing.T, b Backend) {
		_, a, first := seed(t, b.DB)
		old, revoked, expired := credential(a, "old"), credential(a, "revoked"), credential(a, "expired")
		old.CreatedAt = noon.Add(-time.Second)
		revoked.CreatedAt, revoked.Status, revoked.RevokedAt = noon.Add(time.Second), idp.CredentialRevoked, noon
		expired.ExpiresAt = noon.Add(-time.Hour)
		insertCredentials(t, b.DB, old, revoked, expired)
		list := func(agentID string, number, limit int) listed[idp.Credential] {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) (listed[idp.Credential], error) {
				return page(tx.Credentials.List(ctx, agentID, store.Page{Number: number, Limit: limit}))
			})
		}
		require.Equal(t, listed[idp.Credential]{[]idp.Credential{revoked, first, expired}, 4}, list(a.ID, 1, 3))
		require.Equal(t, listed[idp.Credential]{[]idp.Credential{old}, 4}, list(a.ID, 2, 3))
		require.Equal(t, listed[idp.Credential]{}, list("other", 1, 3))
		live := read(t, b.DB, func(ctx context.Context, tx *store.Tx) ([]idp.Credential, error) {
			return tx.Credentials.Live(ctx, a.ID)
		})
		require.ElementsMatch(t, []idp.Credential{first, expired, old}, live)
	}},
	{"update writes secrets, status, epoch and times and raises the version", func(t *testing.T, b Backend) {
		_, a, before := seed(t, b.DB)
		want := before
		want.Status, want.Epoch = idp.CredentialRevoked, 9
		want.Secret, want.Previous = idp.SecretHash{Scheme: "hmac-sha256", Encoded: "v1:x"}, before.Secret
		want.PreviousUntil, want.ExpiresAt, want.RevokedAt = noon.Add(time.Hour), noon.Add(2*time.Hour), noon.Add(time.Minute)
		want.SecretSetAt = noon.Add(time.Second)
		changed := want
		changed.ClientID, changed.AgentID, changed.CreatedAt, changed.LastUsedAt = "other", "other", noon.Add(time.Hour), noon
		changed.Method, changed.WarnedFor = idp.MethodPrivateKey, noon
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, changed) })
		want.Version = before.Version + 1
		require.Equal(t, want, getCredential(t, b.DB, a.ID, before.ID))
		want.Previous, want.PreviousUntil, want.ExpiresAt = idp.SecretHash{}, time.Time{}, time.Time{}
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, want) })
		want.Version++
		require.Equal(t, want, getCredential(t, b.DB, a.ID, before.ID))
	}},
	{"update of an old version conflicts, of an unknown credential is not found", func(t *testing.T, b Backend) {
		_, a, before := seed(t, b.DB)
		stale, unknown := before, credential(a, "none")
		stale.Version, stale.Epoch = before.Version-1, 50
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, stale) })
		refuse(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, unknown) })
		require.Equal(t, before, getCredential(t, b.DB, a.ID, before.ID))
	}},
	{"the client id is found by the credential's id", func(t *testing.T, b Backend) {
		_, _, c := seed(t, b.DB)
		clientID := func(id string) func(context.Context, *store.Tx) (string, error) {
			return func(ctx context.Context, tx *store.Tx) (string, error) { return tx.Credentials.ClientID(ctx, id) }
		}
		require.Equal(t, c.ClientID, read(t, b.DB, clientID(c.ID)))
		absent(t, b.DB, idp.ErrNotFound, clientID(c.ClientID))
		absent(t, b.DB, idp.ErrNotFound, clientID("none"))
	}},
	{"the gate is one read of credential, agent and organization", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		gate := func(clientID string) store.Gate {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) (store.Gate, error) {
				return tx.Credentials.Gate(ctx, clientID)
			})
		}
		got := gate(c.ClientID)
		require.Equal(t, store.Gate{Credential: c, Agent: a, Organization: o}, got)
		require.Equal(t, idp.Rev{Organization: 3, Agent: 5, Credential: 2}, got.Rev())
		for _, unknown := range []string{"aidp_c_none", "AIDP_C_CREDENTIAL", c.ID, ""} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.Gate, error) {
				return tx.Credentials.Gate(ctx, unknown)
			})
		}
	}},
	{"expiring lists what ends soon, soonest first, until it was warned of", func(t *testing.T, b Backend) {
		o, a, aging := seed(t, b.DB) // ages out at noon + 36 h
		o.ID, o.MaxCredentialAge = "ageless", 0
		insertOrganizations(t, b.DB, o)
		ageless := agent(o.ID, "ageless")
		suspended := agent(o.ID, "suspended")
		suspended.Status = idp.Suspended
		insertAgents(t, b.DB, ageless, suspended)
		at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
		ending := func(a idp.Agent, id string, hours int) idp.Credential {
			c := credential(a, id)
			c.ExpiresAt = at(hours)
			return c
		}
		sooner, later := ending(a, "sooner", 5), ending(a, "later", 40) // later ages out first, at 36
		keyed := ending(a, "keyed", 37)
		keyed.Method, keyed.Secret = idp.MethodPrivateKey, idp.SecretHash{}
		plain, past, far, never := ending(ageless, "plain", 6), ending(ageless, "past", -1), ending(ageless, "far", 49), credential(ageless, "never")
		revoked := ending(ageless, "revoked", 7)
		revoked.Status = idp.CredentialRevoked
		insertCredentials(t, b.DB, sooner, later, keyed, plain, past, far, never, revoked, ending(suspended, "of suspended", 8))
		expiring := func(limit int) map[string]time.Time {
			found := map[string]time.Time{}
			order := read(t, b.DB, func(ctx context.Context, tx *store.Tx) ([]store.Expiring, error) {
				return tx.Credentials.Expiring(ctx, noon, at(48), limit)
			})
			for i, e := range order {
				found[e.Credential.ID] = e.End
				require.False(t, i > 0 && e.End.Before(order[i-1].End), "in order")
			}
			return found
		}
		require.Equal(t, map[string]time.Time{"sooner": at(5), "plain": at(6), aging.ID: at(36), "later": at(36), "keyed": at(37)}, expiring(10))
		require.Equal(t, map[string]time.Time{"sooner": at(5), "plain": at(6)}, expiring(2))
		count := func() int {
			return read(t, b.DB, func(ctx context.Context, tx *store.Tx) (int, error) {
				return tx.Credentials.CountExpiring(ctx, noon, at(48))
			})
		}
		require.Equal(t, 5, count())
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			return tx.Credentials.Warned(ctx, sooner.ID, zoned.Add(5*time.Hour))
		})
		sooner.WarnedFor = at(5)
		require.Equal(t, sooner, getCredential(t, b.DB, a.ID, sooner.ID))
		require.NotContains(t, expiring(10), sooner.ID)
		require.Equal(t, 5, count(), "counted still")
		sooner.ExpiresAt = at(6)
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, sooner) })
		require.Equal(t, at(6), expiring(10)[sooner.ID], "another end is warned of again")
		refuse(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Warned(ctx, "none", noon) })
	}},
	{"the gate tells of revoked credentials and decommissioned agents too", func(t *testing.T, b Backend) {
		_, a, c := seed(t, b.DB)
		a.Status, c.Status = idp.Decommissioned, idp.CredentialRevoked
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.Agents.Update(ctx, a); err != nil {
				return err
			}
			return tx.Credentials.Update(ctx, c)
		})
		got := read(t, b.DB, func(ctx context.Context, tx *store.Tx) (store.Gate, error) {
			return tx.Credentials.Gate(ctx, c.ClientID)
		})
		require.Equal(t, idp.Decommissioned, got.Agent.Status)
		require.Equal(t, idp.CredentialRevoked, got.Credential.Status)
	}},
}

func insertCredentials(t *testing.T, db store.DB, all ...idp.Credential) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, c := range all {
			if err := tx.Credentials.Insert(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}
