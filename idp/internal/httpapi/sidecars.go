package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// seenEvery is how often an idle sidecar's presence is written down.
const seenEvery = time.Minute

// seen keeps what a sidecar acknowledged and that it is there. It is no part of
// the audit log: presence changes nobody's rights.
func (a *API) seen(ctx context.Context, c *call, s sidecar, cursor string) error {
	if s.id == "" {
		return nil
	}
	now := idp.Time(a.Now())
	fresh := func(ctx context.Context, tx *store.Tx) (row store.Sidecar, changed bool, err error) {
		row, err = tx.Sidecars.Get(ctx, c.agentID, s.id)
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			return row, false, err
		}
		before := row
		row.ID, row.AgentID, row.OrganizationID, row.Version, row.PolicyRevision = s.id, c.agentID, c.organizationID, s.version, s.policyRevision
		if cursor != "" {
			row.FeedCursor = cursor
		}
		changed = row != before || now.Sub(row.SeenAt) >= seenEvery
		row.SeenAt = now
		return row, changed, nil
	}
	var changed bool
	err := a.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		_, changed, err = fresh(ctx, tx)
		return err
	})
	if err != nil || !changed {
		return registry.StoreError(err)
	}
	return registry.StoreError(a.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, _, err := fresh(ctx, tx)
		if err != nil {
			return err
		}
		return tx.Sidecars.Put(ctx, row)
	}))
}

func (a *API) listSidecars(ctx context.Context, c *call) error {
	q := c.query()
	page := q.page()
	if err := q.done(); err != nil {
		return err
	}
	var rows []store.Sidecar
	var total int
	err := a.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, total, err = tx.Sidecars.List(ctx, c.organizationID, page)
		return err
	})
	if err != nil {
		return registry.StoreError(err)
	}
	return c.answer(http.StatusOK, viewList(rows, total, page, viewSidecar))
}
