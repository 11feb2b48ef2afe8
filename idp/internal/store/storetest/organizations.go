package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var organizationFacts = []fact{
	{"get returns what was inserted", func(t *testing.T, b Backend) {
		want := organization("acme")
		want.CreatedAt, want.UpdatedAt = zoned, zoned.Add(time.Hour)
		insertOrganizations(t, b.DB, want)
		want.CreatedAt, want.UpdatedAt = noon, noon.Add(time.Hour)
		require.Equal(t, want, getOrganization(t, b.DB, "acme"))
	}},
	{"an unknown id is not found", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		for _, id := range []string{"other", "ACME", ""} {
			absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (idp.Organization, error) {
				return tx.Organizations.Get(ctx, id)
			})
		}
	}},
	{"an id is taken once", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error {
			return tx.Organizations.Insert(ctx, organization("acme"))
		})
	}},
	{"update writes name, plan and time and raises the revision", func(t *testing.T, b Backend) {
		want := organization("acme")
		insertOrganizations(t, b.DB, want)
		changed := want
		changed.Name, changed.Plan, changed.UpdatedAt = "Ünïted \"1\"", idp.PlanCustom, noon.Add(time.Minute)
		changed.CreatedAt, changed.Epoch = noon.Add(time.Hour), 99 // not for update to write
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Organizations.Update(ctx, changed) })
		want.Name, want.Plan, want.UpdatedAt, want.Revision = changed.Name, changed.Plan, changed.UpdatedAt, want.Revision+1
		require.Equal(t, want, getOrganization(t, b.DB, "acme"))
	}},
	{"update of an old revision conflicts and changes nothing", func(t *testing.T, b Backend) {
		want := organization("acme")
		insertOrganizations(t, b.DB, want)
		stale := want
		stale.Name, stale.Revision = "late", want.Revision-1
		refuse(t, b.DB, idp.ErrConflict, func(ctx context.Context, tx *store.Tx) error {
			return tx.Organizations.Update(ctx, stale)
		})
		require.Equal(t, want, getOrganization(t, b.DB, "acme"))
	}},
	{"update of an unknown id is not found", func(t *testing.T, b Backend) {
		refuse(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) error {
			return tx.Organizations.Update(ctx, organization("none"))
		})
	}},
	{"raising the epoch returns the new one and changes nothing else", func(t *testing.T, b Backend) {
		want := organization("acme")
		insertOrganizations(t, b.DB, want, organization("other"))
		for _, epoch := range []int64{4, 5} {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
				got, err := tx.Organizations.RaiseEpoch(ctx, "acme")
				require.Equal(t, epoch, got)
				return err
			})
		}
		want.Epoch = 5
		require.Equal(t, want, getOrganization(t, b.DB, "acme"))
		require.Equal(t, int64(3), getOrganization(t, b.DB, "other").Epoch)
		refuse(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Organizations.RaiseEpoch(ctx, "none")
			return err
		})
	}},
	{"raising all epochs adds the same to each and changes nothing else", func(t *testing.T, b Backend) {
		acme, other := organization("acme"), organization("other")
		other.Epoch = 7
		insertOrganizations(t, b.DB, acme, other)
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Organizations.RaiseEpochs(ctx, 1<<20) })
		acme.Epoch, other.Epoch = acme.Epoch+1<<20, 7+1<<20
		require.Equal(t, acme, getOrganization(t, b.DB, "acme"))
		require.Equal(t, other, getOrganization(t, b.DB, "other"))
	}},
	{"list is newest first, then by id byte by byte", func(t *testing.T, b Backend) {
		old, small, big := organization("old"), organization("a"), organization("B")
		old.CreatedAt = noon.Add(-time.Millisecond)
		insertOrganizations(t, b.DB, old, small, big)
		got := listOrganizations(t, b.DB, store.Page{Number: 1, Limit: 2})
		require.Equal(t, []string{"B", "a"}, ids(got.Rows, organizationID))
		require.Equal(t, 3, got.Total)
		got = listOrganizations(t, b.DB, store.Page{Number: 2, Limit: 2})
		require.Equal(t, []string{"old"}, ids(got.Rows, organizationID))
		got = listOrganizations(t, b.DB, store.Page{Number: 3, Limit: 2})
		require.Empty(t, got.Rows)
		require.Equal(t, 3, got.Total)
	}},
}

func organizationID(o idp.Organization) string { return o.ID }

func getOrganization(t *testing.T, db store.DB, id string) idp.Organization {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (idp.Organization, error) {
		return tx.Organizations.Get(ctx, id)
	})
}

func listOrganizations(t *testing.T, db store.DB, p store.Page) listed[idp.Organization] {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (listed[idp.Organization], error) {
		return page(tx.Organizations.List(ctx, p))
	})
}
