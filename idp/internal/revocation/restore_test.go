package revocation_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// restored declares the store restored, as the offline command does.
func (w *world) restored() (organizations int) {
	w.t.Helper()
	spare, err := w.issuer.Spare()
	require.NoError(w.t, err)
	require.NoError(w.t, w.log.Commit(w.ctx, func(ctx context.Context, tx *store.Tx) (events []idp.Event, err error) {
		organizations, events, err = revocation.Restored(ctx, tx, w.issuer, spare, w.now())
		return events, err
	}))
	require.NoError(w.t, w.issuer.Reload(w.ctx))
	return organizations
}

func TestRestored(t *testing.T) {
	w := newWorld(t)
	w.issuer.Follow(issuer.Schedule{Period: time.Hour, Ahead: 2 * time.Hour}) // a next key is published
	require.NoError(t, w.issuer.Turn(w.ctx, func(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
		return w.log.Commit(ctx, change)
	}))
	require.NoError(t, w.db.Update(w.ctx, func(ctx context.Context, tx *store.Tx) error {
		for n := range 205 { // more than two pages
			o := idp.Organization{ID: fmt.Sprintf("tenant-%03d", n), Name: "x", Plan: idp.PlanFree, CreatedAt: w.now(), UpdatedAt: w.now(), Epoch: int64(n)}
			if err := tx.Organizations.Insert(ctx, o); err != nil {
				return err
			}
		}
		return nil
	}))
	w.list("old", 3, w.now().Add(time.Hour))
	before := w.snapshot("")
	published := w.published()
	require.Len(t, published, 2)

	require.Equal(t, 206, w.restored())
	for _, kid := range w.published() {
		require.NotContains(t, published, kid)
	}
	require.NoError(t, w.issuer.Ready())
	w.Service = w.open()
	after := w.snapshot(before.Cursor)
	require.NotEqual(t, before.Epoch, after.Epoch)
	epochs, revoked, tokens := map[string]int64{}, 0, 0
	for _, e := range after.Entries {
		switch idp.RevocationType(e.Type) {
		case idp.RevokeOrganization:
			epochs[e.ID] = e.Epoch
			require.Equal(t, "store_restored", e.Reason)
		case idp.RevokeKID:
			revoked++
			require.Contains(t, published, e.ID)
		case idp.RevokeJTI:
			tokens++
		default:
		}
	}
	require.Len(t, epochs, 206)
	require.Equal(t, 204+w.now().UnixMilli(), epochs["tenant-204"], "beyond what can have been given since")
	require.Equal(t, 2, revoked)
	require.Equal(t, 3, tokens, "what is still known stays")
	require.Equal(t, 206, w.restored(), "and again")
}

func TestRestoredIsAllOrNothing(t *testing.T) {
	w := newWorld(t)
	before := w.snapshot("")
	published := w.published()
	spare, err := w.issuer.Spare()
	require.NoError(t, err)
	require.Error(t, w.log.Commit(w.ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		if _, _, err := revocation.Restored(ctx, tx, w.issuer, spare, w.now()); err != nil {
			return nil, err
		}
		return nil, context.Canceled
	}))
	require.NoError(t, w.issuer.Reload(w.ctx))
	require.Equal(t, published, w.published())
	w.Service = w.open()
	require.Equal(t, before.Epoch, w.snapshot("").Epoch)
}
