package storetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var sidecarFacts = []fact{
	{"put inserts, then replaces", func(t *testing.T, b Backend) {
		given, want := sidecar("agent", "one"), sidecar("agent", "one")
		given.SeenAt, given.LastDecisionAt = zoned, zoned.Add(time.Second)
		want.SeenAt, want.LastDecisionAt = noon, noon.Add(time.Second)
		putSidecars(t, b.DB, given)
		require.Equal(t, want, getSidecar(t, b.DB, "agent", "one"))
		want = store.Sidecar{ID: "one", AgentID: "agent", OrganizationID: "other", Version: "2", PolicyRevision: "r2",
			FeedCursor: "e.9", FeedCursorAt: noon.Add(time.Minute), Name: "edge", NextSequence: 1 << 40, LastHash: "ff", SeenAt: noon.Add(time.Hour)}
		putSidecars(t, b.DB, want)
		require.Equal(t, want, getSidecar(t, b.DB, "agent", "one"))
		require.Equal(t, 1, listSidecars(t, b.DB, store.AnyOrganization, 1, 10).Total)
	}},
	{"one id under two agents is two sidecars", func(t *testing.T, b Backend) {
		one, two := sidecar("agent", "same"), sidecar("intruder", "same")
		two.NextSequence = 99
		putSidecars(t, b.DB, one, two)
		require.Equal(t, one, getSidecar(t, b.DB, "agent", "same"))
		require.Equal(t, two, getSidecar(t, b.DB, "intruder", "same"))
		absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.Sidecar, error) {
			return tx.Sidecars.Get(ctx, "nobody", "same")
		})
	}},
	{"an agent has so many at most: one more takes the place of the one not seen for longest", func(t *testing.T, b Backend) {
		var all []store.Sidecar
		for i := range store.MaxSidecars {
			all = append(all, sidecar("agent", strconv.Itoa(i)))
			all[i].SeenAt = noon.Add(time.Duration(i) * time.Second)
		}
		all[0].SeenAt, all[1].SeenAt = all[1].SeenAt, all[0].SeenAt
		putSidecars(t, b.DB, all...)
		putSidecars(t, b.DB, sidecar("other", "0"), all[1]) // is there already
		require.Equal(t, store.MaxSidecars+1, listSidecars(t, b.DB, store.AnyOrganization, 1, 1).Total)
		putSidecars(t, b.DB, sidecar("agent", "new"))
		require.Equal(t, store.MaxSidecars+1, listSidecars(t, b.DB, store.AnyOrganization, 1, 1).Total)
		absent(t, b.DB, idp.ErrNotFound, func(ctx context.Context, tx *store.Tx) (store.Sidecar, error) {
			return tx.Sidecars.Get(ctx, "agent", "1")
		})
		require.Equal(t, all[0], getSidecar(t, b.DB, "agent", "0"))
		require.Equal(t, sidecar("other", "0"), getSidecar(t, b.DB, "other", "0"))
	}},
	{"list is most recently seen first, by organization", func(t *testing.T, b Backend) {
		for i := range 5 {
			s := sidecar("agent", strconv.Itoa(i))
			s.SeenAt = noon.Add(time.Duration(i) * time.Second)
			if i == 2 {
				s.OrganizationID = "other"
			}
			putSidecars(t, b.DB, s)
		}
		id := func(s store.Sidecar) string { return s.ID }
		first := listSidecars(t, b.DB, "acme", 1, 3)
		require.Equal(t, 4, first.Total)
		require.Equal(t, []string{"4", "3", "1"}, ids(first.Rows, id))
		require.Equal(t, []string{"0"}, ids(listSidecars(t, b.DB, "acme", 2, 3).Rows, id))
		require.Equal(t, []string{"4", "3", "2", "1", "0"}, ids(listSidecars(t, b.DB, store.AnyOrganization, 1, 10).Rows, id))
		require.Equal(t, listed[store.Sidecar]{}, listSidecars(t, b.DB, "none", 1, 10))
	}},
}

func sidecar(agentID, id string) store.Sidecar {
	return store.Sidecar{ID: id, AgentID: agentID, OrganizationID: "acme", Version: "1.0.0", PolicyRevision: "r1",
		FeedCursor: "e.3", NextSequence: 12, LastHash: "00ff", SeenAt: noon}
}

func putSidecars(t *testing.T, db store.DB, all ...store.Sidecar) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for _, s := range all {
			if err := tx.Sidecars.Put(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func getSidecar(t *testing.T, db store.DB, agentID, id string) store.Sidecar {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (store.Sidecar, error) {
		return tx.Sidecars.Get(ctx, agentID, id)
	})
}

func listSidecars(t *testing.T, db store.DB, organizationID string, number, limit int) listed[store.Sidecar] {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (listed[store.Sidecar], error) {
		return page(tx.Sidecars.List(ctx, organizationID, store.Page{Number: number, Limit: limit}))
	})
}
