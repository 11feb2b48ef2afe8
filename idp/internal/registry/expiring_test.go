package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

const day = 24 * time.Hour

// replica is another process on the same store.
func (w *world) replica() (*registry.Service, *metrics.Set) {
	set := metrics.NewSet()
	return registry.New(registry.Options{DB: w.db, Log: w.log, Hasher: w.hasher, Now: w.now, Metrics: set}), set
}

func (w *world) expiring(agentID string, in time.Duration) registry.IssuedCredential {
	w.t.Helper()
	c, err := w.CreateCredential(w.ctx, w.root, agentID, registry.NewCredential{ExpiresAt: w.now().Add(in)})
	require.NoError(w.t, err)
	return c
}

func exposition(set *metrics.Set) string {
	var text strings.Builder
	set.WritePrometheus(&text)
	return text.String()
}

func TestWarnExpiring(t *testing.T) {
	w := newWorld(t, idp.Limits{})
	a := w.agent(w.root, "a")
	soon, later := w.expiring(a.ID, 14*day-time.Minute), w.expiring(a.ID, 14*day)
	w.credential(w.root, a.ID) // never ends
	revoked := w.expiring(a.ID, day)
	require.NoError(t, w.RevokeCredential(w.ctx, w.root, a.ID, revoked.ID, registry.CredentialRevocation{Tokens: false}))
	w.seen = len(w.events())

	s, set := w.replica()
	require.NoError(t, s.WarnExpiring(w.ctx))
	require.Equal(t, map[string]any{
		"targetAgentId": a.ID, "credentialId": soon.ID, "clientId": soon.ClientID, "endsAt": "2026-03-15T11:59:00.000Z",
	}, w.happened(idp.ActionCredentialExpiring)[0].Metadata)
	require.NoError(t, s.WarnExpiring(w.ctx))
	w.happened()
	require.Contains(t, exposition(set), "agentidp_credentials_expiring_events_total 1\n")

	w.pass(time.Minute)
	require.NoError(t, w.WarnExpiring(w.ctx))
	require.Equal(t, later.ID, w.happened(idp.ActionCredentialExpiring)[0].Metadata["credentialId"])

	// An organization's rule brings other ends; a rotation moves them.
	age := int64(10 * day / time.Second)
	_, err := w.UpdateOrganization(w.ctx, w.root, "default", registry.OrganizationPatch{MaxCredentialAge: &age})
	require.NoError(t, err)
	w.seen = len(w.events())
	require.NoError(t, w.WarnExpiring(w.ctx))
	for _, e := range w.happened(idp.ActionCredentialExpiring, idp.ActionCredentialExpiring, idp.ActionCredentialExpiring, idp.ActionCredentialExpiring) { // the administrator's, too
		require.Equal(t, "2026-03-11T12:00:00.000Z", e.Metadata["endsAt"])
	}
	w.pass(day)
	_, err = w.RotateCredential(w.ctx, w.root, a.ID, soon.ID, registry.Rotation{})
	require.NoError(t, err)
	w.seen = len(w.events())
	require.NoError(t, w.WarnExpiring(w.ctx))
	require.Equal(t, "2026-03-12T12:01:00.000Z", w.happened(idp.ActionCredentialExpiring)[0].Metadata["endsAt"])

	w.pass(20 * day)
	require.NoError(t, w.WarnExpiring(w.ctx))
	w.happened()
}

// However many replicas sweep at once, an end is warned of once.
func TestOneWarningAcrossReplicas(t *testing.T) {
	w := newWorld(t, idp.Limits{})
	a := w.agent(w.root, "a")
	for range 250 {
		w.expiring(a.ID, day)
	}
	w.seen = len(w.events())
	var replicas sync.WaitGroup
	for range 4 {
		s, _ := w.replica()
		replicas.Go(func() { require.NoError(t, s.WarnExpiring(w.ctx)) })
	}
	replicas.Wait()
	warned := map[any]int{}
	w.view(func(tx *store.Tx) {
		rows, err := tx.Events.Range(w.ctx, store.AnyOrganization, int64(w.seen), 1000)
		require.NoError(t, err)
		for _, row := range rows {
			require.Equal(t, idp.ActionCredentialExpiring, row.Action)
			warned[string(row.Body[strings.Index(string(row.Body), `"credentialId"`):][:54])]++
		}
	})
	require.Len(t, warned, 250)
	for credential, times := range warned {
		require.Equal(t, 1, times, credential)
	}
}

func TestAWarningThatCannotBeWrittenIsNotNoted(t *testing.T) {
	w := newWorld(t, idp.Limits{})
	a := w.agent(w.root, "a")
	w.expiring(a.ID, day)
	w.seen = len(w.events())
	closed, cancel := context.WithCancel(w.ctx)
	cancel()
	require.Error(t, w.WarnExpiring(closed))
	w.happened()
	require.NoError(t, w.WarnExpiring(w.ctx))
	w.happened(idp.ActionCredentialExpiring)
}

func TestCredentialAge(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	founded, err := w.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: "acme", Name: "Acme", MaxCredentialAge: 30 * 86400})
	require.NoError(t, err)
	require.Equal(t, 30*day, founded.Organization.MaxCredentialAge)
	require.Equal(t, w.now().Add(30*day), founded.Credential.ExpiresAt)
	boss := w.actor(&founded.Administrator)
	a := w.agent(boss, "a")
	shown := func(want time.Time, id string) {
		t.Helper()
		got, err := w.GetCredential(w.ctx, boss, a.ID, id)
		require.NoError(t, err)
		require.Equal(t, want, got.ExpiresAt)
		listed, _, err := w.ListCredentials(w.ctx, boss, a.ID, firstPage)
		require.NoError(t, err)
		for _, c := range listed {
			if c.ID == id {
				require.Equal(t, want, c.ExpiresAt)
			}
		}
	}
	made := w.now()
	aging := w.credential(boss, a.ID)
	require.Equal(t, made.Add(30*day), aging.ExpiresAt)
	own, err := w.CreateCredential(w.ctx, boss, a.ID, registry.NewCredential{ExpiresAt: made.Add(day)})
	require.NoError(t, err)
	require.Equal(t, made.Add(day), own.ExpiresAt)
	shown(made.Add(30*day), aging.ID)
	shown(made.Add(day), own.ID)

	w.pass(31 * day)
	shown(made.Add(30*day), aging.ID)
	rotated, err := w.RotateCredential(w.ctx, boss, a.ID, aging.ID, registry.Rotation{})
	require.NoError(t, err, "a secret that is too old is what rotation is for")
	require.Equal(t, w.now().Add(30*day), rotated.ExpiresAt)
	w.seen = len(w.events())

	patched, err := w.UpdateOrganization(w.ctx, w.root, "acme", registry.OrganizationPatch{MaxCredentialAge: ptr(int64(0))})
	require.NoError(t, err)
	require.Zero(t, patched.MaxCredentialAge)
	require.Equal(t, map[string]any{
		"members": []any{"maxCredentialAge"}, "maxCredentialAgeFrom": 2592000.0, "maxCredentialAgeTo": 0.0,
	}, w.happened(idp.ActionOrganizationUpdated)[0].Metadata)
	shown(time.Time{}, aging.ID)
	stored, err := w.gate(aging.ClientID)
	require.NoError(t, err)
	require.Zero(t, stored.Credential.ExpiresAt, "the effective end is not stored")

	for _, bad := range []int64{-1, 1, 86399, 315360001, 1 << 62} {
		_, err = w.UpdateOrganization(w.ctx, w.root, "acme", registry.OrganizationPatch{MaxCredentialAge: &bad})
		require.Equal(t, "maxCredentialAge", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")), fmt.Sprint(bad))
		_, err = w.CreateOrganization(w.ctx, w.root, registry.NewOrganization{ID: "b", Name: "B", MaxCredentialAge: bad})
		require.Equal(t, "maxCredentialAge", fields(w.refused(err, apierr.ValidationFailed, "validation_failed")))
	}
}
