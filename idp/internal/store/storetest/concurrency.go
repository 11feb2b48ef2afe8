package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

var concurrencyFacts = []fact{
	{"of many updates of one revision one wins", func(t *testing.T, b Backend) {
		_, a, _ := seed(t, b.DB)
		var won, lost atomic.Int64
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, a) })
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, idp.ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		callers.Wait()
		require.Equal(t, int64(1), won.Load())
		require.Equal(t, int64(7), lost.Load())
		require.Equal(t, a.Revision+1, getAgent(t, b.DB, "acme", a.ID).Revision)
	}},
	{"read and write in one transaction loses no update, however often it runs", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 10 {
					err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
						o, err := tx.Organizations.Get(ctx, "acme")
						if err != nil {
							return err
						}
						return tx.Organizations.Update(ctx, o)
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		callers.Wait()
		require.Equal(t, organization("acme").Revision+80, getOrganization(t, b.DB, "acme").Revision)
	}},
	{"a view sees every commit that returned before it", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for range 25 {
					var epoch int64
					err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
						epoch, err = tx.Organizations.RaiseEpoch(ctx, "acme")
						return err
					})
					if err != nil {
						t.Error(err)
					}
					err = b.DB.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
						o, err := tx.Organizations.Get(ctx, "acme")
						if o.Epoch < epoch {
							t.Errorf("saw epoch %d after committing %d", o.Epoch, epoch)
						}
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		callers.Wait()
		require.Equal(t, organization("acme").Epoch+100, getOrganization(t, b.DB, "acme").Epoch)
	}},
	{"a view is one snapshot while others commit", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		require.NoError(t, b.DB.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			before, err := tx.Organizations.Get(ctx, "acme")
			require.NoError(t, err)
			update(t, b.DB, func(ctx context.Context, other *store.Tx) error {
				_, err := other.Organizations.RaiseEpoch(ctx, "acme")
				return errors.Join(err, other.Organizations.Insert(ctx, organization("later")))
			})
			after, err := tx.Organizations.Get(ctx, "acme")
			require.NoError(t, err)
			require.Equal(t, before, after)
			_, total, err := tx.Organizations.List(ctx, store.Page{Number: 1, Limit: 10})
			require.Equal(t, 1, total)
			return err
		}))
		require.Equal(t, organization("acme").Epoch+1, getOrganization(t, b.DB, "acme").Epoch)
	}},
	{"an open transaction is not seen from outside and does not block views", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Organizations.Insert(ctx, organization("acme")))
			require.Empty(t, listOrganizations(t, b.DB, store.Page{Number: 1, Limit: 10}).Rows)
			return nil
		})
		require.Equal(t, organization("acme"), getOrganization(t, b.DB, "acme"))
	}},
	{"many views run beside a writer", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 16 {
			readers.Go(func() {
				for last := int64(0); ; {
					select {
					case <-done:
						return
					default:
					}
					err := b.DB.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
						o, err := tx.Organizations.Get(ctx, "acme")
						if o.Epoch < last {
							t.Errorf("epoch went back from %d to %d", last, o.Epoch)
						}
						last = o.Epoch
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 50 {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Organizations.RaiseEpoch(ctx, "acme")
				return err
			})
		}
		close(done)
		readers.Wait()
	}},
}
